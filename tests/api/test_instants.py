"""When a score was achieved, the periods it counts in for that, and those it expects."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.calls import SUBMISSIONS, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import read_instant, show_instant

HOUR_MS = 3_600_000


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    return api


def week(api: Client) -> dict[str, Any]:
    return {one["period"]: one for one in api.get("/v1/boards/main")["current"]}["weekly"]


def test_what_it_expects_must_be_so(board: Client, raw: redis.Redis, clock: SetClock) -> None:
    this_week = week(board)["period_id"]
    met = {"weekly": this_week, "season": "s1"}
    board.server.post(SUBMISSIONS, {"player": "alice", "score": 10, "expect": met})
    with unchanged(raw):
        for expect in ({"weekly": "2020-W01"}, {"season": "s2"}, {"season": "s1", "weekly": "2020-W01"}):
            answer = board.server.call("POST", SUBMISSIONS, {"player": "alice", "score": 20, "expect": expect})
            assert refused(answer, 409, "period_over")["current"] == {"season": "s1", "weekly": this_week}


def test_the_first_millisecond_of_a_week_is_no_longer_the_week_before(board: Client, clock: SetClock) -> None:
    this_week = week(board)
    body = {"player": "alice", "score": 10, "expect": {"weekly": this_week["period_id"]}}
    clock.at_ms = read_instant(this_week["ends_at"]) - 1
    assert board.server.post(SUBMISSIONS, body)["standings"][1]["period_id"] == this_week["period_id"]
    clock.pass_ms(1)
    assert board.server.post(SUBMISSIONS, body | {"score": 20}, expect=409)["code"] == "period_over"
    assert board.submit("alice", 5)["standings"][1]["period_id"] != this_week["period_id"]
    assert board.table(query="&period=weekly&period_id=previous") == [(1, "alice", 10)]
    assert board.table(query="&period=weekly") == [(1, "alice", 5)]


def test_a_season_that_was_reset_meanwhile_is_not_the_expected_one(board: Client) -> None:
    board.submit("alice", 10)
    board.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    body = {"player": "alice", "score": 20, "expect": {"season": "s1"}}
    assert board.server.post(SUBMISSIONS, body, expect=409)["current"]["season"] == "s2"
    assert board.table() == []


def test_when_it_was_achieved_is_within_the_boards_limits(board: Client, clock: SetClock, raw: redis.Redis) -> None:
    now = clock.at_ms
    with unchanged(raw):
        for at, code in ((now - 3_600_001, "too_late"), (now + 1001, "in_future"), (now + HOUR_MS, "in_future")):
            problem = board.submit("alice", 10, expect=422, achieved_at=show_instant(at))
            assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == ("/achieved_at", code)
    board.submit("alice", 10, achieved_at=show_instant(now - 3_600_000))
    assert board.get("/v1/boards/main/standings/alice")["entry"]["achieved_at"] == show_instant(now - 3_600_000)
    # A server's clock may be a little ahead; then it is now.
    board.submit("bob", 10, achieved_at=show_instant(now + 1000))
    assert board.get("/v1/boards/main/standings/bob")["entry"]["achieved_at"] == show_instant(now)


def test_a_late_score_counts_in_the_week_it_was_achieved_in(board: Client, clock: SetClock) -> None:
    ending = week(board)
    end = read_instant(ending["ends_at"])
    clock.at_ms = end + HOUR_MS - 1
    result = board.submit("alice", 10, achieved_at=show_instant(end - 1))
    assert result["standings"][1]["period_id"] == ending["period_id"]
    assert board.table(query=f"&period_id={ending['period_id']}") == [(1, "alice", 10)]
    assert board.table(query="&period=weekly") == []
    # Seasons have no calendar: it counts in the one that runs.
    assert board.table() == [(1, "alice", 10)]
    # In the next millisecond the week's last one is too old: late scores end where the week may be settled.
    clock.pass_ms(1)
    clock.pass_ms(1)
    board.submit("bob", 10, expect=422, achieved_at=show_instant(end - 1))


def test_an_earlier_achievement_of_the_same_score_comes_first(board: Client, clock: SetClock) -> None:
    board.submit("alice", 10)
    board.submit("bob", 10, achieved_at=show_instant(clock.at_ms - 1))
    assert board.table() == [(1, "bob", 10), (2, "alice", 10)]
    # Whatever the order of arrival: alice did it a millisecond before that.
    board.submit("alice", 10, achieved_at=show_instant(clock.at_ms - 2))
    assert board.table() == [(1, "alice", 10), (2, "bob", 10)]
    clock.pass_ms(1000)
    assert board.submit("alice", 10)["outcome"] == "kept"
    assert board.table() == [(1, "alice", 10), (2, "bob", 10)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize(("policy", "score"), [("best", 30), ("latest", 20), ("sum", 60)])
def test_the_outcome_does_not_depend_on_the_order_of_arrival(
    api: Client, clock: SetClock, order: tuple[int, ...], policy: str, score: int
) -> None:
    api.define("main", policy=policy)
    submissions = [(10, 3000), (30, 2000), (20, 1000)]
    for i in order:
        given, age_ms = submissions[i]
        api.submit("alice", given, achieved_at=show_instant(clock.at_ms - age_ms))
    assert api.table() == [(1, "alice", score)]
    expected = {"best": 2000, "latest": 1000, "sum": 1000}[policy]
    entry = api.get("/v1/boards/main/standings/alice")["entry"]
    assert entry["achieved_at"] == show_instant(clock.at_ms - expected)


@pytest.mark.parametrize(
    "written",
    ["2026-11-22T12:00:00+01:00", "2026-11-22T11:00:00Z", "2026-11-22t11:00:00.000z", "2026-11-22T11:00:00.000000000Z"],
)
def test_an_instant_is_the_same_in_any_zone(api: Client, clock: SetClock, written: str) -> None:
    clock.at_ms = read_instant("2026-11-22T11:00:00Z")
    api.define("main", periods=[{"kind": "season"}])
    api.submit("alice", 10, achieved_at=written)
    assert api.get("/v1/boards/main/standings/alice")["entry"]["achieved_at"] == "2026-11-22T11:00:00.000Z"
