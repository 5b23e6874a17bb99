"""Attempts: opened before they are scored, spent once, by the submission that names them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.model import DAY_MS
from leaderboard.settings import Settings
from tests.calls import SUBMISSIONS, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant

ATTEMPTS = "/v1/boards/main/attempts"
UNLIMITED = {"rate": None}


def define(api: Client, board: str = "main", **attempts: Any) -> None:
    definition = attempts.pop("definition", {})
    api.define(board, **definition, rules=UNLIMITED | {"attempts": attempts})


def opened(caller: Client, board: str = "main", **body: Any) -> str:
    """The id of a new attempt."""
    return str(caller.post(f"/v1/boards/{board}/attempts", body, expect=201)["attempt"])


def played(caller: Client, score: Any, attempt: str, board: str = "main", **more: Any) -> Any:
    return caller.call("POST", f"/v1/boards/{board}/submissions", {"score": score, "attempt": attempt} | more)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without the limit on all boards together: what counts for that expires by the store's own clock."""
    return replace(settings, player_burst=0)


@pytest.fixture
def board(api: Client) -> Client:
    define(api)
    return api


# -- opening ---------------------------------------------------------------------------------------------------------


def test_a_play_is_opened_scored_and_spent(board: Client, clock: SetClock) -> None:
    alice = board.player("alice")
    answer = alice.post(ATTEMPTS, {}, expect=201)
    assert answer == {
        "attempt": answer["attempt"],
        "board": "main",
        "player": "alice",
        "seed": answer["seed"],
        "opened_at": show_instant(clock.now_ms()),
        "expires_at": show_instant(clock.now_ms() + 3_600_000),
        "left": None,
    }
    assert 0 <= answer["seed"] < 2**53
    assert played(alice, 10, answer["attempt"]).get_json()["outcome"] == "applied"
    refused(played(alice, 20, answer["attempt"]), 409, "attempt_invalid")
    assert board.table() == [(1, "alice", 10)]


def test_ids_and_seeds_are_not_the_same_twice(board: Client) -> None:
    alice = board.player("alice")
    answers = [alice.post(ATTEMPTS, {}, expect=201) for _ in range(20)]
    assert len({answer["attempt"] for answer in answers}) == len({answer["seed"] for answer in answers}) == 20


def test_a_server_opens_for_a_player_it_names_also_for_one_that_is_new(board: Client, clock: SetClock) -> None:
    refused(board.server.call("POST", ATTEMPTS, {}), 422, "invalid")
    attempt = opened(board.server, player="newcomer")
    assert board.server.get("/v1/players/newcomer")["created_at"] == show_instant(clock.now_ms())
    assert played(board.player("newcomer"), 7, attempt).status_code == 200


def test_nobody_opens_for_another_player(board: Client, raw: redis.Redis) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        refused(alice.call("POST", ATTEMPTS, {"player": "bob"}), 403, "forbidden")
        refused(board.call("POST", ATTEMPTS, {"player": "bob"}), 401, "unauthenticated")
        refused(Client(board.http, alice.token + "x").call("POST", ATTEMPTS, {}), 401, "unauthenticated")


@pytest.mark.parametrize(
    "body",
    [{"seed": 1}, {"attempt": "a"}, {"expires_at": "2030-01-01T00:00:00Z"}, {"board": "main"}, {"player": "a:b"},
     {"player": 1}, {"opened_at": "2020-01-01T00:00:00Z"}, {"left": 5}],
)  # fmt: skip
def test_what_an_attempt_is_is_not_the_callers_to_say(board: Client, raw: redis.Redis, body: dict[str, Any]) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        refused(alice.call("POST", ATTEMPTS, body), 422, "invalid")


def test_a_board_without_attempts_opens_none(api: Client, raw: redis.Redis) -> None:
    api.define("main")
    alice = api.player("alice")
    with unchanged(raw):
        refused(alice.call("POST", ATTEMPTS, {}), 409, "no_attempts")
        refused(alice.call("POST", "/v1/boards/other/attempts", {}), 404, "board_not_found")
        refused(played(alice, 1, "0" * 24), 409, "attempt_invalid")
    api.define("main", rules={"attempts": None})
    refused(alice.call("POST", ATTEMPTS, {}), 409, "no_attempts")


def test_a_board_that_takes_no_submissions_opens_none(board: Client, raw: redis.Redis) -> None:
    alice = board.player("alice")
    before = opened(alice)
    for state, code in (("frozen", "board_frozen"), ("archived", "board_archived")):
        define(board, definition={"state": state})
        with unchanged(raw):
            refused(alice.call("POST", ATTEMPTS, {}), 409, code)
            refused(played(alice, 1, before), 409, code)
    define(board)
    board.admin.put("/v1/admin/maintenance", {"reason": "moving"})
    with unchanged(raw):
        refused(alice.call("POST", ATTEMPTS, {}), 503, "maintenance")
    board.admin.delete("/v1/admin/maintenance")
    # What refused the submission left it unspent.
    assert played(alice, 1, before).status_code == 200


def test_a_board_of_servers_opens_for_servers_only(api: Client) -> None:
    define(api, definition={"writes": "servers"})
    refused(api.player("alice").call("POST", ATTEMPTS, {}), 403, "forbidden")
    attempt = opened(api.server, player="alice")
    api.submit("alice", 3, attempt=attempt)
    assert api.submit("alice", 4, attempt=attempt, expect=409)["code"] == "attempt_invalid"


def test_who_is_banned_opens_none_and_who_is_shadow_banned_does_not_notice(board: Client, raw: redis.Redis) -> None:
    alice, bob = board.player("alice"), board.player("bob")
    board.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "x"})
    board.admin.put("/v1/admin/players/bob/ban", {"kind": "shadow", "reason": "x"})
    with unchanged(raw):
        refused(alice.call("POST", ATTEMPTS, {}), 403, "player_banned")
        refused(board.server.call("POST", ATTEMPTS, {"player": "alice"}), 403, "player_banned")
    assert played(bob, 5, opened(bob)).get_json()["outcome"] == "applied"
    assert board.table() == []


def test_a_ban_that_is_over_is_lifted_on_the_way(board: Client, clock: SetClock) -> None:
    board.submit("alice", 5)
    ends = show_instant(clock.now_ms() + 1000)
    board.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "x", "ends_at": ends})
    clock.pass_ms(1000)
    opened(board.server, player="alice")
    assert board.table() == [(1, "alice", 5)]


def test_an_erased_player_opens_none(board: Client) -> None:
    board.submit("alice", 1)
    board.server.delete("/v1/players/alice")
    refused(board.server.call("POST", ATTEMPTS, {"player": "alice"}), 410, "player_erased")


def test_sixteen_may_be_open_and_then_the_oldest_gives_way(board: Client, clock: SetClock, raw: redis.Redis) -> None:
    alice = board.player("alice")
    attempts = []
    for _ in range(18):
        attempts.append(opened(alice))
        clock.pass_ms(1)
    assert raw.hlen("lb:{0}:attempts:main:alice") == 16
    for attempt in attempts[:2]:
        refused(played(alice, 1, attempt), 409, "attempt_invalid")
    for attempt in attempts[2:]:
        assert played(alice, 1, attempt).status_code == 200
    assert not raw.exists("lb:{0}:attempts:main:alice")


def test_the_limit_of_all_boards_together_counts_openings(
    settings: Settings, api: Client, clock: SetClock, raw: redis.Redis
) -> None:
    define(api)
    define(api, "other")
    limited = create_app(replace(settings, player_burst=3, player_per_s=0.5), clock)
    alice = Client(limited.test_client(), api.player("alice").token)
    attempt = opened(alice)
    opened(alice, "other")
    assert played(alice, 1, attempt).status_code == 200
    with unchanged(raw):
        answer = alice.call("POST", ATTEMPTS, {})
        refused(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "2"
    # Servers are not limited.
    opened(Client(limited.test_client(), api.server.token), player="alice")
    clock.pass_ms(2000)
    opened(alice)
    limited.extensions["leaderboard"].close()


# -- naming one ------------------------------------------------------------------------------------------------------


def test_a_board_demands_an_attempt_of_players_but_not_of_servers(board: Client, raw: redis.Redis) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        problem = refused(alice.call("POST", SUBMISSIONS, {"score": 1}), 422, "attempt_required")
    assert problem["errors"][0]["pointer"] == "/attempt"
    board.submit("alice", 1)
    define(board, required=False)
    assert alice.post(SUBMISSIONS, {"score": 2})["outcome"] == "applied"
    assert played(alice, 3, opened(alice)).status_code == 200


def test_what_cannot_be_spent_is_told_apart_by_nobody(board: Client, raw: redis.Redis, clock: SetClock) -> None:
    define(board, "other")
    alice, bob = board.player("alice"), board.player("bob")
    spent, expired = opened(alice), opened(alice)
    assert played(alice, 1, spent).status_code == 200
    clock.pass_ms(3_600_000)
    of_bob, of_other_board = opened(bob), opened(alice, "other")
    answers = []
    with unchanged(raw):
        for attempt in (spent, expired, of_bob, of_other_board, "0" * 24, "x"):
            problem = refused(played(alice, 9, attempt), 409, "attempt_invalid")
            answers.append({name: value for name, value in problem.items() if name != "request_id"})
    assert all(answer == answers[0] for answer in answers)
    assert played(bob, 2, of_bob).status_code == 200
    assert played(alice, 2, of_other_board, "other").status_code == 200


@pytest.mark.parametrize("attempt", ["", " ", "a:b", "a" * 65, 1, None, True, ["a"], {"id": "a"}, "é", "a\n"])
def test_what_is_no_id_is_refused(board: Client, raw: redis.Redis, attempt: Any) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        refused(played(alice, 1, attempt), 422, "invalid")


def test_an_attempt_can_be_scored_until_the_moment_it_expires(api: Client, clock: SetClock) -> None:
    define(api, expires_s=60)
    alice = api.player("alice")
    first, second = opened(alice), opened(alice)
    clock.pass_ms(59_999)
    assert played(alice, 1, first).status_code == 200
    clock.pass_ms(1)
    refused(played(alice, 2, second), 409, "attempt_invalid")


def test_an_attempt_is_of_the_board_it_was_opened_on_not_of_another_of_its_id(board: Client) -> None:
    alice = board.player("alice")
    attempt = opened(alice)
    define(board, definition={"state": "archived"})
    board.admin.delete("/v1/admin/boards/main")
    define(board)
    refused(played(alice, 1, attempt), 409, "attempt_invalid")


def test_an_attempt_outlives_a_change_of_the_rules_and_of_the_season(board: Client) -> None:
    alice = board.player("alice")
    first, second = opened(alice), opened(alice)
    board.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    assert played(alice, 1, first).get_json()["standings"][0]["period_id"] == "s2"
    board.define("main", rules=UNLIMITED)
    assert played(alice, 2, second).status_code == 200
    refused(played(alice, 3, second), 409, "attempt_invalid")


def test_a_submission_that_is_refused_leaves_its_attempt_unspent(api: Client, raw: redis.Redis) -> None:
    rules = UNLIMITED | {"attempts": {}, "max_score": {"value": 100, "then": "reject"}}
    api.define("main", policy="sum", rules=rules)
    alice = api.player("alice")
    attempt = opened(alice)
    assert played(alice, 100, opened(alice)).status_code == 200
    # Outside: that it tried what a rule refuses is counted.
    refused(played(alice, 101, attempt), 422, "rule_broken")
    with unchanged(raw):
        refused(played(alice, 0.5, attempt), 422, "invalid")
        refused(played(alice, -(10**15) + 1, attempt, tiebreaks={"x": 1}), 422, "invalid")
        refused(played(alice, 1, attempt, expect={"weekly": "2020-W01"}), 409, "period_over")
    assert played(alice, 1, attempt).status_code == 200


def test_a_repeat_answers_what_the_first_did_although_the_attempt_is_spent(board: Client, raw: redis.Redis) -> None:
    alice = board.player("alice")
    body, key = {"score": 5, "attempt": opened(alice)}, {"Idempotency-Key": "k"}
    assert alice.call("POST", SUBMISSIONS, body, key).get_json()["outcome"] == "applied"
    with unchanged(raw):
        again = alice.call("POST", SUBMISSIONS, body, key)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        refused(alice.call("POST", SUBMISSIONS, body | {"attempt": "0" * 24}, key), 422, "idempotency_key_reused")


def test_each_item_of_a_batch_spends_its_own(api: Client) -> None:
    define(api)
    first, second = opened(api.server, player="alice"), opened(api.server, player="bob")
    items = [
        {"board": "main", "player": "alice", "score": 1, "attempt": first},
        {"board": "main", "player": "alice", "score": 2, "attempt": first},
        {"board": "main", "player": "alice", "score": 3, "attempt": second},
        {"board": "main", "player": "bob", "score": 4, "attempt": second},
        {"board": "main", "player": "bob", "score": 5},
        {"board": "main", "player": "bob", "score": 6, "attempt": "?"},
    ]
    for replayed in (False, True):
        answer = api.server.post("/v1/submissions/batch", {"submissions": items}, key="k")
        codes = [result["error"] and result["error"]["code"] for result in answer["results"]]
        assert codes == [None, "attempt_invalid", "attempt_invalid", None, None, "invalid"], replayed
    assert api.table() == [(1, "bob", 5), (2, "alice", 1)]


def test_many_that_name_the_same_attempt_at_once_count_once(app: Flask, api: Client) -> None:
    api.define("main", policy="sum", rules=UNLIMITED | {"attempts": {}})
    token = api.player("alice").token
    for turn in range(5):
        attempt = opened(Client(app.test_client(), token))
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: played(Client(app.test_client(), token), 1, attempt), range(48)))  # noqa: B023  all are awaited here
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [200, *[409] * 47]
        assert api.table() == [(1, "alice", turn + 1)]


# -- how many --------------------------------------------------------------------------------------------------------


def test_a_player_opens_as_many_in_a_week_as_the_board_allows(api: Client, clock: SetClock, raw: redis.Redis) -> None:
    define(api, most=3, period="weekly")
    alice = api.player("alice")
    ends = weekly_end(api)
    assert [alice.post(ATTEMPTS, {}, expect=201)["left"] for _ in range(3)] == [2, 1, 0]
    with unchanged(raw):
        problem = refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")
        refused(api.server.call("POST", ATTEMPTS, {"player": "alice"}), 409, "attempts_used_up")
    assert ends[:19] in problem["detail"]
    # Others have their own.
    assert api.player("bob").post(ATTEMPTS, {}, expect=201)["left"] == 2
    # A reset is not the end of the week.
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")
    clock.at_ms = int(datetime.fromisoformat(ends).timestamp() * 1000) - 1
    alice = api.player("alice")
    refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")
    clock.pass_ms(1)
    assert alice.post(ATTEMPTS, {}, expect=201)["left"] == 2
    # A process whose clock is a moment behind goes on counting where the week began.
    clock.pass_ms(-1)
    assert alice.post(ATTEMPTS, {}, expect=201)["left"] == 1
    clock.pass_ms(1)
    assert alice.post(ATTEMPTS, {}, expect=201)["left"] == 0


def weekly_end(api: Client) -> str:
    return str(next(one for one in api.get("/v1/boards/main")["current"] if one["period"] == "weekly")["ends_at"])


def test_by_default_the_default_period_counts_and_a_reset_begins_anew(api: Client, clock: SetClock) -> None:
    define(api, most=1)
    alice = api.player("alice")
    opened(alice)
    refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")
    clock.pass_ms(8 * DAY_MS)
    refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    assert alice.post(ATTEMPTS, {}, expect=201)["left"] == 0
    refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")


def test_a_cap_that_is_changed_counts_at_once(api: Client) -> None:
    define(api, most=5, definition={"periods": [{"kind": "alltime"}]})
    alice = api.player("alice")
    for _ in range(3):
        opened(alice)
    define(api, most=2, definition={"periods": [{"kind": "alltime"}]})
    refused(alice.call("POST", ATTEMPTS, {}), 409, "attempts_used_up")
    define(api, most=4, definition={"periods": [{"kind": "alltime"}]})
    assert alice.post(ATTEMPTS, {}, expect=201)["left"] == 0


def test_a_board_that_is_defined_again_begins_to_count_anew(api: Client) -> None:
    define(api, most=1)
    alice = api.player("alice")
    opened(alice)
    define(api, definition={"state": "archived"})
    api.admin.delete("/v1/admin/boards/main")
    define(api, most=1)
    assert alice.post(ATTEMPTS, {}, expect=201)["left"] == 0


def test_many_that_open_at_once_open_no_more_than_the_board_allows(app: Flask, api: Client) -> None:
    define(api, most=7)
    token = api.player("alice").token
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: Client(app.test_client(), token).call("POST", ATTEMPTS, {}), range(40)))
    assert sorted(answer.status_code for answer in answers) == [*[201] * 7, *[409] * 33]
    assert sorted(answer.get_json()["left"] for answer in answers if answer.status_code == 201) == list(range(7))


def test_keys_of_attempts_expire_with_the_longest_of_them(api: Client, clock: SetClock, raw: redis.Redis) -> None:
    alice = api.player("alice")
    for expires_s in (600, 6000, 60):
        define(api, expires_s=expires_s)
        opened(alice)
    assert raw.pexpiretime("lb:{0}:attempts:main:alice") == clock.now_ms() + 6_000_000


def test_sessions_are_renewed_by_opening_too(api: Client, clock: SetClock) -> None:
    define(api)
    alice = api.player("alice")
    for _ in range(4):
        clock.pass_ms(20 * DAY_MS)
        opened(alice)


# -- the definition --------------------------------------------------------------------------------------------------


def test_a_definition_shows_what_it_means_and_takes_what_it_shows(api: Client) -> None:
    define(api)
    shown = api.admin.get("/v1/admin/boards/main")
    attempts: dict[str, Any] = {"required": True, "expires_s": 3600, "most": None}
    assert shown["rules"]["attempts"] == attempts
    attempts |= {"most": 3, "period": "weekly", "max_score_per_s": {"value": 2.5, "then": "hold", "servers": False}}
    api.define("main", rules={"attempts": attempts})
    assert api.admin.get("/v1/admin/boards/main")["rules"]["attempts"] == attempts
    assert "rules" not in api.get("/v1/boards/main")


RULE = {"value": 1, "then": "reject"}


@pytest.mark.parametrize(
    ("attempts", "more"),
    [
        ({"required": 1}, {}), ({"required": None}, {}), ({"expires_s": 0}, {}), ({"expires_s": 604_801}, {}),
        ({"expires_s": "60"}, {}), ({"expires_s": 1.5}, {}), ({"most": 0}, {}), ({"most": True}, {}),
        ({"period": "daily"}, {}), ({"period": "hourly"}, {}), ({"burst": 3}, {}), ([], {}), ("x", {}),
        ({"max_score_per_s": {"value": 1}}, {}), ({"max_score_per_s": RULE | {"value": 0}}, {}),
        ({"max_score_per_s": RULE | {"value": -1}}, {}), ({"max_score_per_s": RULE | {"then": "drop"}}, {}),
        ({"max_score_per_s": RULE | {"value": 0.0001}}, {}), ({"max_score_per_s": RULE | {"value": "1"}}, {}),
        ({"max_score_per_s": RULE}, {"order": "asc"}), ({"max_score_per_s": RULE | {"value": 10**13}}, {}),
    ],
)  # fmt: skip
def test_a_definition_that_makes_no_sense_is_refused(
    api: Client, raw: redis.Redis, attempts: Any, more: dict[str, Any]
) -> None:
    api.define("main")
    with unchanged(raw):
        body = more | {"rules": {"attempts": attempts}}
        refused(api.admin.call("PUT", "/v1/admin/boards/main", body), 422, "invalid")
        # It stands among those about attempts, nowhere else.
        refused(api.admin.call("PUT", "/v1/admin/boards/main", {"rules": {"max_score_per_s": RULE}}), 422, "invalid")


def test_the_week_named_by_the_detail_ends_at_midnight(api: Client, clock: SetClock) -> None:
    define(api, most=1, period="weekly")
    opened(api.server, player="alice")
    detail = api.server.post(ATTEMPTS, {"player": "alice"}, expect=409)["detail"]
    week = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).strftime("%G-W%V")
    assert week in detail
