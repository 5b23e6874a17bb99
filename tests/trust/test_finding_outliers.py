"""Outliers that the worker finds, and whom it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.outlier_reviews import look_at
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store
from tests.test_one_call import received
from tests.trust.outliers import HONEST, fill, honest_scores, reviews

# -- finding ---------------------------------------------------------------------------------------------------------


def test_an_impossible_score_is_found_once_and_nobody_else(
    api: Client, lb: Installation, raw: redis.Redis, look: Any
) -> None:
    fill(api, "review")
    assert look() == 0
    api.submit("cheat", 10**9, metadata={"a": 1})
    table = api.table()
    assert look() == 1
    assert look() == 0
    (review,) = reviews(api)
    assert (review["player"], review["score"], review["period_ids"]) == ("cheat", 10**9, ["all"])
    assert (review["state"], review["metadata"], review["verdict"]) == ("open", {"a": 1}, None)
    (broken,) = review["rules"]
    assert broken["rule"] == "outliers"
    assert broken["value"] == 6
    assert broken["seen"] > 20
    evidence = review["evidence"]
    assert evidence["entries"] == HONEST + 1
    assert not evidence["taken_out"]
    middle = sorted([*honest_scores(), 10**9])[HONEST // 2]
    assert evidence["median"] == middle
    assert max(honest_scores()) < evidence["limit"] < 10**9
    # Under review it stays where it is.
    assert api.table() == table
    assert api.admin.get(f"/v1/admin/reviews/{review['id']}")["history"][0]["score"] == 10**9
    assert_archive_is_store(lb.archive, raw)


@pytest.mark.parametrize("then", ["review", "hold"])
@pytest.mark.parametrize("ties", ["ordinal", "competition", "dense"])
def test_times_are_better_when_low_and_ties_and_tiebreaks_stay(
    api: Client, lb: Installation, raw: redis.Redis, look: Any, then: str, ties: str
) -> None:
    times = [60 + score / 1000 for score in honest_scores()]
    more: dict[str, Any] = {"order": "asc", "decimals": 3, "ties": ties, "tiebreaks": [{"name": "coins"}]}
    fill(api, then, scores=times, **more)
    api.submit("p1", min(times), tiebreaks={"coins": 3})
    for player in ("cheat", "twin"):
        api.submit(player, 0.5, tiebreaks={"coins": 7})
    assert look() == 2
    found = reviews(api)
    assert {review["player"] for review in found} == {"cheat", "twin"}
    assert [(review["score"], review["tiebreaks"]) for review in found] == [(0.5, {"coins": 7})] * 2
    assert all(0.5 < review["evidence"]["limit"] < min(times) for review in found)
    players = [player for _, player, _ in api.table()]
    assert ({"cheat", "twin"} <= set(players)) == (then == "review")
    assert_archive_is_store(lb.archive, raw)


def test_only_enough_entries_say_something(api: Client, look: Any) -> None:
    fill(api, scores=honest_scores(49))
    api.submit("cheat", 10**9)
    # With 50 it is enough, itself included.
    assert look() == 1
    api.define("main", periods=[{"kind": "alltime"}], rules={"outliers": {"then": "hold", "from_entries": 51}})
    api.submit("cheat", 10**9 + 1)
    assert look() == 0


def test_without_the_rule_nobody_is_looked_at(api: Client, look: Any) -> None:
    fill(api)
    api.define("main", periods=[{"kind": "alltime"}], rules={"outliers": None})
    assert "outliers" not in api.admin.get("/v1/admin/boards/main")["rules"]
    api.submit("cheat", 10**9)
    assert look() == 0


def test_who_all_have_the_same_score_have_no_spread(api: Client, look: Any) -> None:
    fill(api, scores=[100] * HONEST)
    api.submit("cheat", 10**9)
    assert look() == 0


def test_where_many_have_the_least_score_the_others_are_looked_at(api: Client, look: Any) -> None:
    fill(api, scores=[0] * 300 + honest_scores())
    assert look() == 0
    api.submit("cheat", 10**9)
    assert look() == 1
    assert reviews(api)[0]["evidence"]["entries"] == HONEST + 1


def test_a_crowd_is_reviewed_but_not_taken_out(api: Client, look: Any) -> None:
    fill(api, scores=honest_scores(2000))
    for i in range(11):
        api.submit(f"cheat{i}", 10**9)
    before = api.table()
    assert look() == 11
    assert not any(review["evidence"]["taken_out"] for review in reviews(api))
    assert api.table() == before


def test_the_hidden_and_the_nameless_are_not_looked_at(api: Client, clock: SetClock, look: Any) -> None:
    fill(api)
    for player in ("banned", "shadowed", "leaving"):
        api.submit(player, 10**9)
    api.admin.put("/v1/admin/players/banned/ban", {"kind": "ban", "reason": "cheated", "ends_at": None})
    api.admin.put("/v1/admin/players/shadowed/ban", {"kind": "shadow", "reason": "cheated", "ends_at": None})
    api.server.delete("/v1/players/leaving", expect=204)
    assert look() == 0


def test_every_standings_that_is_not_final_is_looked_at(api: Client, clock: SetClock, look: Any) -> None:
    weekly = {"kind": "weekly", "settle_delay_s": 8 * 86_400}
    fill(api, periods=[{"kind": "season"}, weekly], late_s=0)
    api.submit("cheat", 10**9)
    clock.pass_ms(7 * DAY_MS)
    assert look() == 2
    assert sorted(review["period_ids"][0][:1] for review in reviews(api)) == ["2", "s"]
    clock.pass_ms(8 * DAY_MS)
    api.submit("p0", 10**9 + 1)
    # The next week has one entry, and the one before is final.
    assert look() == 1
    assert reviews(api)[-1]["period_ids"] == ["s1"]


def test_a_definition_that_makes_no_sense_is_refused(api: Client) -> None:
    for rule in (
        {}, {"then": "reject"}, {"then": "hold", "threshold": 2.9}, {"then": "hold", "threshold": 1001},
        {"then": "hold", "threshold": "6"}, {"then": "hold", "from_entries": 49}, {"then": "hold", "value": 6}, [], 6,
    ):  # fmt: skip
        response = api.admin.call("PUT", "/v1/admin/boards/main", {"rules": {"outliers": rule}})
        assert response.status_code == 422, rule
    shown = api.define("main", rules={"outliers": {"then": "hold"}})["rules"]["outliers"]
    assert shown == {"threshold": 6, "then": "hold", "from_entries": 200}
    assert "rules" not in api.get("/v1/boards/main")


# -- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [60, 3000])
def test_a_look_asks_for_as_much_of_a_small_board_as_of_a_large_one(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, look: Any, entries: int
) -> None:
    fill(api, scores=honest_scores(entries), periods=[{"kind": kind} for kind in ("alltime", "season", "weekly")])
    assert look() == 0
    with received(raw) as commands:
        assert look_at(lb, "main") == 0
    # Which standings there are, which seasons, and one call for each standings, in three exchanges.
    assert commands == ["ZRANGE", "HGETALL", "FCALL_RO", "FCALL_RO", "FCALL_RO"]
    for player in ("cheat", "twin"):
        api.submit(player, 10**9)
    look()
    with received(raw) as commands:
        assert look_at(lb, "main") == 0
    # They are out, so there is nothing to look up.
    assert commands == ["ZRANGE", "HGETALL", "FCALL_RO", "FCALL_RO", "FCALL_RO"]


def test_a_round_looks_at_the_boards_that_have_the_rule(api: Client, drain: Drain, raw: redis.Redis) -> None:
    fill(api, "review")
    fill(api, "review", board="archived")
    for board in ("main", "archived"):
        api.submit("cheat", 10**9, board=board)
    api.define("without", periods=[{"kind": "alltime"}])
    api.admin.put(
        "/v1/admin/boards/archived",
        {"periods": [{"kind": "alltime"}], "state": "archived", "rules": {"outliers": {"then": "review"}}},
    )
    for _ in range(4):
        drain._turn()
    assert [review["board"] for review in reviews(api)] == ["main"]
    # The next round begins after a minute.
    with received(raw) as commands:
        drain._turn()
    assert "FCALL_RO" not in commands
