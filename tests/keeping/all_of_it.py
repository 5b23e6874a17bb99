"""All that a place holds and shows, to be compared with what it did before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.keeping.contents import (
    assert_same,
    every_key,
    everything_of_players,
    everything_shown,
    lasting,
)
from tests.keeping.place import Place


@dataclass
class Before:
    """All there was."""

    keys: dict[str, Any]
    shown: dict[str, Any]
    players: dict[str, Any]


def look(place: Place, players: list[str]) -> Before:
    api = place.api()
    keys = lasting(every_key(place.raw), place.installation().clock.now_ms())
    return Before(keys, everything_shown(api), everything_of_players(api, players))


def assert_as_before(before: Before, after: Before) -> None:
    assert_same("keys", before.keys, after.keys)
    assert_same("boards and pages", before.shown, after.shown)
    assert_same("players", before.players, after.players)
