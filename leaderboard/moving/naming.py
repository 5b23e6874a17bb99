"""Taking over the names of players who have none here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.entries import STAND_IN
from leaderboard.moving.items import Item
from leaderboard.names import NameFaultError, to_display_name
from leaderboard.store.client import FunctionCall

if TYPE_CHECKING:
    from leaderboard.installation import Installation


def take_names(lb: Installation, items: Sequence[Item]) -> tuple[int, int]:
    """Give players the names that rows have, where they have none and were not erased; one that is new here is made.

    Returns how many got theirs, and how many names are none that a player may have. Two round trips. Raises
    Problem (503).
    """
    given, bad = {}, set()
    for item in items:
        if item.score.display_name is not None and STAND_IN not in item.player:
            try:
                name = to_display_name(item.score.display_name)
            except NameFaultError:
                bad.add(item.player)
                continue
            if lb.blocklist.refuses(name):
                bad.add(item.player)
            else:
                given[item.player] = name
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
