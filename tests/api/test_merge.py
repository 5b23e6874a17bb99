"""Merging two accounts of one player: what becomes of entries, and where the old id leads."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard.installation import Installation
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, assert_same, every_key, lasting

MERGE = "/v1/players/old/merge"

PERIODS = [
    {"kind": "season", "keep_days": 30, "settle_delay_s": 86_400},
    {"kind": "weekly", "settle_delay_s": 0},
    {"kind": "alltime"},
]


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def drain(lb: Installation) -> Drain:
    return Drain(lb)


def merge(api: Client, old: str = "old", into: str = "new", *, expect: int = 200) -> Any:
    return api.server.post(f"/v1/players/{old}/merge", {"into": into}, expect=expect)


def drained(drain: Drain) -> None:
    while drain.step():
        pass


def held(raw: redis.Redis, clock: SetClock) -> dict[str, Any]:
    """All that lasts, without the mark of the merge."""
    keys = lasting(every_key(raw), clock.now_ms())
    for key in ("lb:{0}:player:old", "lb:{0}:journal", "lb:{0}:replay:old"):
        keys.pop(key, None)
    keys["lb:{0}:player:new"].value.pop(b"merged", None)
    return keys


# -- as if it had been one from the beginning -------------------------------------------------------------------------

#: Who submits what, in turn: score, wins, by how many ms it is later than the one before.
STORIES = {
    "old is better": [("old", 9, 1, 1), ("new", 5, 0, 1), ("old", 2, 0, 1)],
    "new is better": [("new", 9, 1, 1), ("old", 5, 0, 1), ("new", 2, 0, 1)],
    "the same result": [("old", 5, 1, 1), ("new", 5, 1, 1)],
    "the same result, new first": [("new", 5, 1, 1), ("old", 5, 1, 1)],
    "the same at once": [("new", 5, 1, 1), ("old", 5, 1, 0)],
    "others have it too": [("p1", 5, 1, 1), ("old", 5, 1, 1), ("new", 7, 0, 1), ("p2", 7, 0, 1)],
    "old alone": [("old", 5, 1, 1), ("p1", 5, 1, 1)],
    "new alone": [("new", 5, 1, 1)],
    "in turns": [("old", 1, 1, 1), ("new", 2, 0, 1), ("old", 3, 1, 1), ("new", 4, 0, 1), ("old", 2, 1, 1)],
}


def play(
    api: Client, clock: SetClock, story: list[tuple[str, int, int, int]], ids: dict[str, str], **board: Any
) -> None:
    api.define("main", **{"periods": PERIODS, "tiebreaks": [{"name": "wins"}]} | board)
    for player in ("old", "new", "p1", "p2"):
        if ids.get(player, player) == player:
            api.server.put(f"/v1/players/{player}", {"display_name": player}, expect=201)
    for season in (1, 2):
        for n, (player, score, wins, later_ms) in enumerate(story):
            clock.pass_ms(later_ms)
            api.submit(ids.get(player, player), score, tiebreaks={"wins": wins}, metadata={"n": n})
        if season == 1:
            clock.pass_ms(1)
            api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})


@pytest.mark.parametrize("ties", ["ordinal", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
@pytest.mark.parametrize("story", STORIES)
def test_after_a_merge_all_is_as_if_one_player_had_done_both(
    api: Client, raw: redis.Redis, store_url: str, lb: Installation, drain: Drain, clock: SetClock, story: str,
    policy: str, ties: str,
) -> None:  # fmt: skip
    began_ms = clock.at_ms
    play(api, clock, STORIES[story], {}, policy=policy, ties=ties)
    merge(api)
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
    merged = held(raw, clock)
    clock.at_ms = began_ms
    for key in raw.scan_iter("lb:*"):
        if not key.endswith((b":store", b":journal")):
            raw.delete(key)
    lb.boards.forget("main")
    play(api, clock, STORIES[story], {"old": "new"}, policy=policy, ties=ties)
    one = held(raw, clock)
    names = merged.pop("lb:{0}:names").value
    assert names.pop("old" if "old" in names else b"old") == {"display_name": "old"}
    assert names == one.pop("lb:{0}:names").value
    assert_same("keys", one, merged)
