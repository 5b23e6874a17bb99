"""Standings go as a whole, when their beginning said: whatever becomes of the definition, and of their entries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Connection

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS, Board
from leaderboard.periods import to_datetime, to_ms
from leaderboard.rebuild import rebuild, verification
from leaderboard.settings import Settings
from tests.client import Client
from tests.conftest import SetClock
from tests.moving.places import Place, places, take_text
from tests.oracle import show_instant

DAY_S = DAY_MS // 1000


@pytest.fixture
def place(settings: Settings, clock: SetClock) -> Iterator[Place]:
    with places(settings, clock, "lb") as (made,):
        yield made


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


def test_a_week_that_was_emptied_and_begins_on_another_day_goes_by_that(
    place: Place, raw: redis.Redis, clock: SetClock, tmp_path: Path
) -> None:
    api, weekly = place.api, {"kind": "weekly", "keep_days": 1, "settle_delay_s": 0}
    # On a Sunday.
    clock.pass_ms((6 - to_datetime(clock.at_ms).weekday()) % 7 * DAY_MS)
    api.define(periods=[weekly], late_s=0)
    api.submit("alice", 9)
    week = api.get("/v1/boards/main/standings")["period_id"]
    api.admin.delete(f"/v1/admin/boards/main/entries/alice?period=weekly&period_id={week}&reason=x")
    api.define(periods=[weekly | {"weekday": "saturday"}], late_s=0)
    take_text(place, tmp_path / "rows", f"player,score,period_id\nbob,5,{week}\n", "main")
    page = api.get("/v1/boards/main/standings")
    assert (page["period_id"], len(page["entries"])) == (week, 1)
    ends_ms = to_ms(datetime.fromisoformat(page["ends_at"]))
    assert set(expiries(raw, week).values()) == {ends_ms + DAY_MS}


def test_what_expires_while_a_rebuild_looks_at_it_is_not_missed(
    place: Place, raw: redis.Redis, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.api.define(periods=[daily(1), {"kind": "alltime"}], late_s=0)
    place.api.submit("alice", 9)
    place.drain()
    for key in raw.scan_iter("lb:*"):
        raw.delete(key)
    compare = verification._compare

    def expired(lb: Installation, connection: Connection, board: Board, period_id: str) -> verification.Difference:
        if period_id != "all":
            clock.pass_ms(3 * DAY_MS)
            raw.delete(*lb.keys.standings(board.id, period_id))
        return compare(lb, connection, board, period_id)

    monkeypatch.setattr(verification, "_compare", expired)
    rebuild(place.lb)
    assert place.api.table(query="&period=alltime") == [(1, "alice", 9)]


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
