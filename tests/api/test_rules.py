"""Score rules: what is beyond a limit is refused or held, what is at it counts, and nobody else notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from leaderboard import create_app
from leaderboard.settings import Settings
from tests.calls import refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.reviewing import Desk, dump

SUBMISSIONS = "/v1/boards/main/submissions"


def define(api: Client, rules: dict[str, Any], **definition: Any) -> None:
    api.define("main", rules={"rate": None} | rules, **{"periods": [{"kind": "alltime"}]} | definition)


def assert_breaks(
    api: Client, desk: Desk, raw: redis.Redis, player: Client, score: Any, rule: str, then: str, seen: Any = None
) -> None:
    """It is refused or held, as the rule says, and counts nowhere."""
    before = dump(raw)
    answer = player.call("POST", SUBMISSIONS, {"score": score})
    after = dump(raw)
    if then == "reject":
        problem = refused(answer, 422, "rule_broken")
        assert problem["rule"] == rule
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/score", rule)]
        assert after == before
        assert desk.list() == []
        return
    assert answer.status_code == 200, answer.text
    result = answer.get_json()
    assert (result["outcome"], result["standings"]) == ("held", [])
    held = [key for key in after if ":held:" in key]
    assert len(held) == 1
    del after[held[0]]
    assert after == before
    review = desk.newest()
    assert (review["state"], review["score"], review["verdict"]) == ("open", score, None)
    assert [broken["rule"] for broken in review["rules"]] == [rule]
    if seen is not None:
        assert review["rules"][0]["seen"] == seen


#: rule → order, policy → what came before, and the last score that is not beyond the limit of 50; the next one is.
LIMITS: list[tuple[str, str, str, list[int], int, int]] = [
    ("min_score", "desc", "best", [], 50, -1),
    ("min_score", "asc", "best", [60], 50, -1),
    ("max_score", "desc", "best", [40], 50, 1),
    ("max_score", "asc", "latest", [40], 50, 1),
    ("max_gain", "desc", "best", [100, 20], 150, 1),
    ("max_gain", "asc", "best", [100, 120], 50, -1),
    ("max_gain", "desc", "latest", [90, 100], 150, 1),
    ("max_gain", "asc", "latest", [90, 100], 50, -1),
    ("max_gain", "desc", "sum", [50, 50, 50], 50, 1),
    ("max_gain", "asc", "sum", [-50, -50], -50, -1),
    ("max_gain_per_hour", "desc", "best", [100, 110, 120, 90], 150, 1),
    ("max_gain_per_hour", "asc", "best", [100, 90, 80, 95], 50, -1),
    ("max_gain_per_hour", "desc", "latest", [100, 130], 150, 1),
    ("max_gain_per_hour", "desc", "sum", [30], 20, 1),
    ("max_gain_per_hour", "asc", "sum", [-30], -20, -1),
]


@pytest.mark.parametrize("then", ["reject", "hold"])
@pytest.mark.parametrize("decimals", [0, 2])
@pytest.mark.parametrize(("rule", "order", "policy", "before", "last", "way"), LIMITS)
def test_what_is_beyond_a_limit_is_refused_or_held_and_what_is_at_it_counts(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock, rule: str, order: str, policy: str, before: list[int],
    last: int, way: int, decimals: int, then: str,
) -> None:  # fmt: skip
    define(api, {rule: {"value": 50, "then": then}}, order=order, policy=policy, decimals=decimals)
    alice = api.player("alice")
    for score in before:
        assert alice.post(SUBMISSIONS, {"score": score})["outcome"] != "held"
        clock.pass_ms(1)
    beyond = last + way if decimals == 0 else float(last + way / 100)
    assert_breaks(api, desk, raw, alice, beyond, rule, then)
    clock.pass_ms(1)
    assert alice.post(SUBMISSIONS, {"score": last})["outcome"] == "applied"


@pytest.mark.parametrize("then", ["reject", "hold"])
def test_an_interval_is_between_two_submissions_of_a_player_on_a_board(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock, then: str
) -> None:
    define(api, {"min_interval_s": {"value": 2.5, "then": then}})
    api.define("other", rules={"rate": None})
    alice, bob = api.player("alice"), api.player("bob")
    alice.post(SUBMISSIONS, {"score": 1})
    clock.pass_ms(2499)
    assert_breaks(api, desk, raw, alice, 2, "min_interval_s", then, seen=2.499)
    assert bob.post(SUBMISSIONS, {"score": 1})["outcome"] == "applied"
    assert alice.post("/v1/boards/other/submissions", {"score": 2})["outcome"] == "applied"
    # What was refused is not one of the two; what is held is.
    clock.pass_ms(1 if then == "reject" else 2500)
    assert alice.post(SUBMISSIONS, {"score": 2})["outcome"] == "applied"


@pytest.mark.parametrize("then", ["reject", "hold"])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_a_newcomer_does_not_land_in_the_top(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock, order: str, then: str
) -> None:
    sign = 1 if order == "desc" else -1
    rule = {"value": 2, "top": 2, "from_entries": 4, "then": then}
    define(api, {"min_submissions_before_top": rule}, order=order)
    for player, score in (("a", 50), ("b", 40), ("c", 30)):
        # So few entries say nothing.
        assert api.player(player).post(SUBMISSIONS, {"score": sign * score})["outcome"] == "applied"
    api.submit("d", sign * 20)
    alice = api.player("alice")
    assert_breaks(api, desk, raw, alice, sign * 45, "min_submissions_before_top", then, seen=2)
    assert alice.post(SUBMISSIONS, {"score": sign * 35})["outcome"] == "applied"
    assert alice.post(SUBMISSIONS, {"score": sign * 36})["outcome"] == "applied"
    assert alice.post(SUBMISSIONS, {"score": sign * 99})["standings"][0]["rank"] == 1


def test_a_players_own_entry_does_not_stand_before_what_takes_its_place(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock
) -> None:
    rule = {"value": 9, "top": 2, "from_entries": 3, "then": "hold"}
    alice = api.player("alice")
    define(api, {}, policy="latest")
    api.submit("bob", 50)
    api.submit("carol", 10)
    alice.post(SUBMISSIONS, {"score": 60})
    define(api, {"min_submissions_before_top": rule}, policy="latest")
    clock.pass_ms(1)
    # Behind bob alone, as the 60 goes.
    assert_breaks(api, desk, raw, alice, 40, "min_submissions_before_top", "hold", seen=2)


def test_what_is_gained_in_an_hour_runs_off_within_an_hour(api: Client, clock: SetClock) -> None:
    define(api, {"max_gain_per_hour": {"value": 60, "then": "reject"}}, policy="sum")
    alice = api.player("alice")
    assert alice.post(SUBMISSIONS, {"score": 60})["outcome"] == "applied"
    refused(alice.call("POST", SUBMISSIONS, {"score": 1}), 422, "rule_broken")
    clock.pass_ms(60_000)
    assert alice.post(SUBMISSIONS, {"score": 1})["outcome"] == "applied"
    refused(alice.call("POST", SUBMISSIONS, {"score": 1}), 422, "rule_broken")
    # Losing gives nothing back.
    assert alice.post(SUBMISSIONS, {"score": -50})["outcome"] == "applied"
    refused(alice.call("POST", SUBMISSIONS, {"score": 1}), 422, "rule_broken")
    clock.pass_ms(3_600_000)
    assert alice.post(SUBMISSIONS, {"score": 60})["outcome"] == "applied"


def test_what_is_held_has_gained_nothing_in_the_hour(api: Client) -> None:
    define(api, {"max_gain_per_hour": {"value": 60, "then": "hold"}}, policy="sum")
    alice = api.player("alice")
    outcomes = [alice.post(SUBMISSIONS, {"score": score})["outcome"] for score in (61, 60, 1)]
    assert outcomes == ["held", "applied", "held"]


def test_without_an_entry_there_is_nothing_to_better(api: Client) -> None:
    define(api, {"max_gain": {"value": 1, "then": "reject"}})
    assert api.player("alice").post(SUBMISSIONS, {"score": 10**6})["outcome"] == "applied"


def test_a_rule_that_rejects_goes_before_one_that_holds_and_a_review_shows_all_that_are_broken(
    api: Client, desk: Desk
) -> None:
    rules: dict[str, Any] = {
        "max_score": {"value": 100, "then": "reject"}, "max_gain": {"value": 10, "then": "hold"},
        "min_interval_s": {"value": 60, "then": "hold"},
    }  # fmt: skip
    define(api, rules)
    alice = api.player("alice")
    alice.post(SUBMISSIONS, {"score": 50})
    assert refused(alice.call("POST", SUBMISSIONS, {"score": 101}), 422, "rule_broken")["rule"] == "max_score"
    assert alice.post(SUBMISSIONS, {"score": 100})["outcome"] == "held"
    assert desk.newest()["rules"] == [
        {"rule": "max_gain", "value": 10, "seen": 50}, {"rule": "min_interval_s", "value": 60, "seen": 0},
    ]  # fmt: skip


EVERY_RULE: dict[str, Any] = {
    "min_score": {"value": 10, "then": "reject"},
    "max_score": {"value": 20, "then": "reject"},
    "max_gain": {"value": 1, "then": "reject"},
    "max_gain_per_hour": {"value": 1, "then": "reject"},
    "min_interval_s": {"value": 60, "then": "reject"},
    "min_submissions_before_top": {"value": 100, "top": 1, "from_entries": 1, "then": "reject"},
}


def test_servers_and_admins_are_asked_by_a_rule_that_says_so(api: Client) -> None:
    define(api, EVERY_RULE)
    for score in (1, 1000, 2000):
        assert api.submit("alice", score)["outcome"] == "applied"
        assert api.admin.post(SUBMISSIONS, {"player": "of-an-admin", "score": score})["outcome"] == "applied"
    for name, rule in EVERY_RULE.items():
        define(api, {name: rule | {"servers": True}})
        score = 1 if name == "min_score" else 3000
        if name in ("max_gain_per_hour", "min_interval_s"):
            # These look at what came since they are there.
            api.submit("alice", 2000)
        for by in (api.server, api.admin):
            answer = by.call("POST", SUBMISSIONS, {"player": "alice", "score": score})
            assert refused(answer, 422, "rule_broken")["rule"] == name
        # By hand it is set all the same.
        api.admin.put("/v1/admin/boards/main/entries/by-hand", {"score": score, "reason": "seen it"})


def test_in_a_batch_each_is_asked_for_itself(api: Client, desk: Desk) -> None:
    define(api, {
        "max_score": {"value": 100, "then": "hold", "servers": True},
        "min_score": {"value": 0, "then": "reject", "servers": True},
    })  # fmt: skip
    items = [{"board": "main", "player": "alice", "score": score} for score in (50, 101, -1, 40)]
    answer = api.server.post("/v1/submissions/batch", {"submissions": items}, key="k")
    assert [answer[name] for name in ("applied", "kept", "held", "failed")] == [1, 1, 1, 1]
    assert [result["outcome"] for result in answer["results"]] == ["applied", "held", None, "kept"]
    assert answer["results"][2]["error"]["code"] == "rule_broken"
    again = api.server.post("/v1/submissions/batch", {"submissions": items}, key="k")
    assert [result["outcome"] for result in again["results"]] == ["applied", "held", None, "kept"]
    assert len(desk.list()) == 1


def test_a_repeat_of_what_is_held_is_held_once(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api, {"max_score": {"value": 100, "then": "hold"}})
    alice = api.player("alice")
    first = alice.post(SUBMISSIONS, {"score": 101}, key="k")
    # A try that is limited or broken would not be a repeat.
    define(api, {"max_score": {"value": 10, "then": "reject"}})
    with unchanged(raw):
        again = alice.call("POST", SUBMISSIONS, {"score": 101}, {"Idempotency-Key": "k"})
        assert (again.status_code, again.get_json()) == (200, first)
        assert again.headers["Idempotent-Replayed"] == "true"
        refused(alice.call("POST", SUBMISSIONS, {"score": 99}, {"Idempotency-Key": "k"}), 422, "idempotency_key_reused")
    assert len(desk.list()) == 1


def test_of_one_player_so_many_are_held_and_no_more(api: Client, raw: redis.Redis, desk: Desk) -> None:
    define(api, {"max_score": {"value": 100, "then": "hold"}})
    alice, bob = api.player("alice"), api.player("bob")
    for n in range(32):
        assert alice.post(SUBMISSIONS, {"score": 101 + n})["outcome"] == "held"
    refused(alice.call("POST", SUBMISSIONS, {"score": 500}), 422, "too_many_held")
    assert raw.hlen("lb:{0}:held:alice") == 32
    assert alice.post(SUBMISSIONS, {"score": 100})["outcome"] == "applied"
    assert bob.post(SUBMISSIONS, {"score": 101})["outcome"] == "held"
    desk.decide(desk.list("&player=alice")[0]["id"], "reject")
    assert alice.post(SUBMISSIONS, {"score": 500})["outcome"] == "held"


def test_who_has_as_much_held_as_may_be_is_limited_too(api: Client) -> None:
    define(api, {"rate": {"burst": 34, "per_s": 0.001}, "max_score": {"value": 100, "then": "hold"}})
    alice = api.player("alice")
    for n in range(32):
        assert alice.post(SUBMISSIONS, {"score": 101 + n})["outcome"] == "held"
    for _ in range(2):
        refused(alice.call("POST", SUBMISSIONS, {"score": 500}), 422, "too_many_held")
    refused(alice.call("POST", SUBMISSIONS, {"score": 500}), 429, "rate_limited")


def test_who_feels_for_a_limit_is_limited_itself(api: Client) -> None:
    rules = {"rate": {"burst": 3, "per_s": 0.001}, "max_score": {"value": 100, "then": "reject"}}
    define(api, rules)
    alice = api.player("alice")
    for score in (200, 150, 125):
        refused(alice.call("POST", SUBMISSIONS, {"score": score}), 422, "rule_broken")
    refused(alice.call("POST", SUBMISSIONS, {"score": 112}), 429, "rate_limited")


# -- definitions -----------------------------------------------------------------------------------------------------

LIMIT: dict[str, Any] = {"value": 5, "then": "hold"}
NEWCOMERS = "min_submissions_before_top"


@pytest.mark.parametrize(
    ("rules", "pointer"),
    [
        ({"max_score": 5}, "/rules/max_score"),
        ({"max_score": None}, "/rules/max_score"),
        ({"max_score": {"value": 5}}, "/rules/max_score/then"),
        ({"max_score": {"then": "hold"}}, "/rules/max_score/value"),
        ({"max_score": {"value": 5, "then": "ban"}}, "/rules/max_score/then"),
        ({"max_score": {"value": "5", "then": "hold"}}, "/rules/max_score/value"),
        ({"max_score": {"value": True, "then": "hold"}}, "/rules/max_score/value"),
        ({"max_score": {"value": 10**15, "then": "hold"}}, "/rules/max_score/value"),
        ({"max_score": {"value": 1e300, "then": "hold"}}, "/rules/max_score/value"),
        ({"max_score": {"value": 0.5, "then": "hold"}}, "/rules/max_score/value"),
        ({"max_score": {"value": 5, "then": "hold", "top": 1}}, "/rules/max_score/top"),
        ({"max_score": {"value": 5, "then": "hold", "servers": 1}}, "/rules/max_score/servers"),
        ({"max_score": LIMIT, "min_score": LIMIT | {"value": 6}}, "/rules/min_score/value"),
        ({"max_gain": {"value": 0, "then": "hold"}}, "/rules/max_gain/value"),
        ({"max_gain": {"value": -1, "then": "hold"}}, "/rules/max_gain/value"),
        ({"max_gain_per_hour": {"value": 0, "then": "hold"}}, "/rules/max_gain_per_hour/value"),
        ({"min_interval_s": {"value": 0, "then": "hold"}}, "/rules/min_interval_s/value"),
        ({"min_interval_s": {"value": 86_401, "then": "hold"}}, "/rules/min_interval_s/value"),
        ({NEWCOMERS: LIMIT}, f"/rules/{NEWCOMERS}/top"),
        ({NEWCOMERS: {"value": 0, "top": 5, "then": "hold"}}, f"/rules/{NEWCOMERS}/value"),
        ({NEWCOMERS: {"value": 1.5, "top": 5, "then": "hold"}}, f"/rules/{NEWCOMERS}/value"),
        ({"min_luck": {"value": 5, "then": "hold"}}, "/rules/min_luck"),
    ],
)  # fmt: skip
def test_a_rule_that_is_not_right_is_refused(
    api: Client, raw: redis.Redis, rules: dict[str, Any], pointer: str
) -> None:
    with unchanged(raw):
        problem = refused(api.admin.call("PUT", "/v1/admin/boards/main", {"rules": rules}), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_where_only_servers_write_a_rule_must_ask_them(api: Client, raw: redis.Redis) -> None:
    rule: dict[str, Any] = {"value": 5, "then": "hold"}
    definition: dict[str, Any] = {"writes": "servers", "rules": {"max_score": rule}}
    with unchanged(raw):
        problem = refused(api.admin.call("PUT", "/v1/admin/boards/main", definition), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/rules/max_score/servers"]
    rule["servers"] = True
    api.define("main", **definition)
    assert api.submit("alice", 6)["outcome"] == "held"


def test_rules_are_shown_as_they_were_given(api: Client) -> None:
    rules: dict[str, Any] = {
        "max_score": {"value": 9000.5, "then": "hold"}, "min_score": {"value": -1, "then": "reject", "servers": True},
        "min_submissions_before_top": {"value": 5, "top": 10, "then": "hold"},
    }  # fmt: skip
    api.define("main", decimals=1, rules=rules)
    shown = api.admin.get("/v1/admin/boards/main")["rules"]
    assert shown.pop("rate") == {"burst": 10, "per_s": 1, "servers": False}
    assert shown.pop("signed") is False
    for rule in rules.values():
        rule.setdefault("servers", False)
    rules["min_submissions_before_top"]["from_entries"] = 200
    assert shown == rules
    assert "rules" not in api.get("/v1/boards/main")


# -- how often -------------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(settings: Settings, clock: SetClock) -> Iterator[Client]:
    """Where a player may submit 4 at once, and one a second, on all boards together."""
    app = create_app(replace(settings, player_burst=4, player_per_s=1), clock)
    api = Client(app.test_client())
    for board in ("one", "two"):
        api.define(board, rules={"rate": {"burst": 3, "per_s": 1}})
    yield api
    app.extensions["leaderboard"].close()


def submit(player: Client, board: str, score: int = 1) -> Any:
    return player.call("POST", f"/v1/boards/{board}/submissions", {"score": score})


def test_a_player_is_limited_on_all_boards_together_and_no_other_notices(
    limited: Client, clock: SetClock, raw: redis.Redis
) -> None:
    alice, bob = limited.player("alice"), limited.player("bob")
    for board in ("one", "one", "two", "two"):
        assert submit(alice, board).status_code == 200
    with unchanged(raw):
        answer = submit(alice, "two")
        problem = refused(answer, 429, "rate_limited")
    assert "all boards" in problem["detail"]
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["RateLimit-Policy"] == '"submissions";q=4;w=4'
    assert submit(bob, "two").status_code == 200
    clock.pass_ms(1000)
    assert submit(alice, "two").status_code == 200
    refused(submit(alice, "one"), 429, "rate_limited")


def test_what_the_board_refuses_is_not_counted_for_the_player(limited: Client) -> None:
    alice = limited.player("alice")
    for _ in range(3):
        assert submit(alice, "one").status_code == 200
    for _ in range(5):
        assert "this board" in refused(submit(alice, "one"), 429, "rate_limited")["detail"]
    assert submit(alice, "two").status_code == 200
    refused(submit(alice, "two"), 429, "rate_limited")


def test_servers_and_admins_are_not_limited_but_where_the_board_says_so(limited: Client) -> None:
    for _ in range(10):
        limited.submit("alice", 1, "one")
        limited.admin.post("/v1/boards/one/submissions", {"player": "alice", "score": 1})
    limited.define("one", rules={"rate": {"burst": 3, "per_s": 1, "servers": True}})
    for _ in range(3):
        limited.submit("alice", 1, "one")
    limited.submit("alice", 1, "one", expect=429)
    refused(
        limited.admin.call("POST", "/v1/boards/one/submissions", {"player": "alice", "score": 1}), 429, "rate_limited"
    )
    limited.submit("bob", 1, "one")


def test_a_repeat_is_answered_whatever_the_limit(limited: Client) -> None:
    alice = limited.player("alice")
    alice.post("/v1/boards/one/submissions", {"score": 1}, key="k")
    for board in ("one", "two", "two"):
        submit(alice, board)
    refused(submit(alice, "two"), 429, "rate_limited")
    assert alice.post("/v1/boards/one/submissions", {"score": 1}, key="k")["outcome"] == "applied"
