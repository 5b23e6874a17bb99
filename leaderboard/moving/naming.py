"""Taking over the names of players who have none here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marshmallow import ValidationError

from leaderboard.api.fields import DisplayName
from leaderboard.entries import STAND_IN
from leaderboard.moving.items import Item
from leaderboard.store.client import FunctionCall

if TYPE_CHECKING:
    from leaderboard.installation import Installation

_NAME = DisplayName()


def take_names(lb: Installation, items: Sequence[Item]) -> tuple[int, int]:
    """Give players the names that rows have, where they have none and were not erased; one that is new here is made.

    Returns how many got theirs, and how many names are none that a player may have. Two round trips. Raises
    Problem (503).
    """
    given, bad = {}, set()
    for item in items:
        if item.score.display_name is not None and STAND_IN not in item.player:
            try:
                given[item.player] = _NAME.deserialize(item.score.display_name)
            except ValidationError:
                bad.add(item.player)
    if not given:
        return 0, len(bad)
    known = lb.store.read(*(("HMGET", lb.keys.player(player), "state", "display_name") for player in given))
    nameless = [player for player, values in zip(given, known, strict=True) if values == [None, None]]
    now = lb.clock.now_ms()
    calls: list[FunctionCall] = [
        (
            "write_profile",
            [lb.keys.player(player), lb.keys.names],
            [player, now, "create", "display_name", given[player]],
        )
        for player in nameless
    ]
    if calls:
        lb.store.change_many(calls)
    return len(nameless), len(bad)
