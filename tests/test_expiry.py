"""Standings go as a whole, when their beginning said: whatever becomes of the definition, and of their entries."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from leaderboard.model import DAY_MS
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant

DAY_S = DAY_MS // 1000


def daily(keep_days: int, settle_delay_s: int = 0) -> dict[str, Any]:
    return {"kind": "daily", "keep_days": keep_days, "settle_delay_s": settle_delay_s}


def expiries(raw: redis.Redis, period_id: str) -> dict[str, int]:
    """Of each key of the standings, ms; -1 for never."""
    keys = sorted(raw.scan_iter(f"lb:{{0}}:*:main:{period_id}"))
    return {key.decode().split(":")[2]: raw.pexpiretime(key) for key in keys}


def today(clock: SetClock) -> str:
    return show_instant(clock.at_ms)[:10]


@pytest.mark.parametrize("keep_days", [1, 10])
@pytest.mark.parametrize("how", ["submitted", "shown again", "corrected"])
def test_an_order_that_was_empty_goes_with_the_entries(
    api: Client, raw: redis.Redis, clock: SetClock, keep_days: int, how: str
) -> None:
    api.define(ties="dense", periods=[daily(3)], late_s=0)
    api.submit("alice", 5)
    before = expiries(raw, today(clock))
    assert before.keys() == {"distinct", "entries", "order"}
    assert len(set(before.values())) == 1
    api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
    assert expiries(raw, today(clock)).keys() == {"entries"}
    api.define(ties="dense", periods=[daily(keep_days)], late_s=0)
    match how:
        case "submitted":
            api.submit("bob", 4)
        case "shown again":
            api.admin.delete("/v1/admin/players/alice/ban?reason=mistaken")
        case "corrected":
            api.admin.put("/v1/admin/boards/main/entries/bob?period=daily", {"score": 4, "reason": "lost"})
    assert len(api.table(query="&period=daily")) == 1
    assert expiries(raw, today(clock)) == before


def test_what_lost_its_entries_goes_no_earlier(api: Client, raw: redis.Redis, clock: SetClock) -> None:
    api.define(periods=[daily(30, 10 * DAY_S)], late_s=10 * DAY_S)
    api.submit("alice", 5)
    day, at = today(clock), show_instant(clock.at_ms)
    before = expiries(raw, day)
    api.admin.delete(f"/v1/admin/boards/main/entries/alice?period=daily&period_id={day}&reason=x")
    assert expiries(raw, day) == {}
    clock.pass_ms(2 * DAY_MS)
    api.define(periods=[daily(11, 10 * DAY_S)], late_s=10 * DAY_S)
    api.submit("bob", 3, achieved_at=at)
    assert expiries(raw, day) == before
    assert api.table(query=f"&period=daily&period_id={day}") == [(1, "bob", 3)]


def test_seasons_that_are_kept_for_ever_are_so_when_the_next_are_not(api: Client, raw: redis.Redis) -> None:
    season = {"kind": "season", "settle_delay_s": DAY_S}
    api.define(periods=[season])
    api.submit("alice", 5)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    api.define(periods=[season | {"keep_days": 2}])
    correction = {"score": 3, "reason": "lost"}
    api.admin.put("/v1/admin/boards/main/entries/bob?period=season&period_id=s1", correction)
    assert expiries(raw, "s1") == {"entries": -1, "order": -1}


def test_a_late_score_does_not_begin_anew_what_has_gone(api: Client, raw: redis.Redis, clock: SetClock) -> None:
    api.define(periods=[daily(1)], late_s=0)
    api.submit("alice", 5)
    day, at = today(clock), show_instant(clock.at_ms)
    # By this, yesterday would still take late scores; by that, it has gone.
    api.define(periods=[daily(30, 10 * DAY_S)], late_s=10 * DAY_S)
    clock.pass_ms(3 * DAY_MS)
    for key in raw.scan_iter(f"lb:{{0}}:*:main:{day}"):
        raw.delete(key)
    late = api.submit("bob", 3, achieved_at=at, expect=422)
    assert [error["code"] for error in late["errors"]] == ["too_late"]
    batch = api.server.post("/v1/submissions/batch", {"submissions": [
        {"board": "main", "player": "bob", "score": 3, "achieved_at": at},
        {"board": "main", "player": "bob", "score": 3},
    ]})  # fmt: skip
    assert (batch["failed"], batch["results"][1]["outcome"]) == (1, "applied")
    correction = {"score": 3, "reason": "lost"}
    path = f"/v1/admin/boards/main/entries/bob?period=daily&period_id={day}"
    assert api.admin.put(path, correction, expect=410)["code"] == "period_gone"
    assert expiries(raw, day) == {}
