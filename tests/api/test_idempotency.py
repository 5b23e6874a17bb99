"""Idempotency keys: whatever is repeated happens once, and what is not a repeat is not taken for one."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
import redis
from flask import Flask

from tests.client import Client
from tests.conftest import SetClock

SUBMISSIONS = "/v1/boards/main/submissions"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def board(api: Client) -> Client:
    """Sums show best whether something counted once, twice or not at all."""
    api.define("main", policy="sum")
    return api


def submit(caller: Client, key: str, score: Any = 10, player: str | None = "alice", **more: Any) -> Any:
    body = {"score": score} | ({"player": player} if player else {}) | more
    return caller.call("POST", SUBMISSIONS, body, {"Idempotency-Key": key})


def replayed(answer: Any) -> bool:
    assert answer.status_code == 200, answer.text
    return bool(answer.headers.get("Idempotent-Replayed") == "true")


def at_ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def end_of_week_ms(api: Client) -> int:
    current = {one["period"]: one for one in api.get("/v1/boards/main")["current"]}
    return at_ms(current["weekly"]["ends_at"])


# -- once ------------------------------------------------------------------------------------------------------------


def test_a_repeat_changes_nothing_and_answers_the_same_outcome(board: Client) -> None:
    first, second = submit(board.server, "k"), submit(board.server, "k")
    assert not replayed(first)
    assert replayed(second)
    assert second.get_json()["outcome"] == first.get_json()["outcome"] == "applied"
    assert [one["changed"] for one in second.get_json()["standings"]] == [True, True]
    assert board.table() == [(1, "alice", 10)]
    assert board.get("/v1/players/alice") == {"id": "alice", "display_name": None, "avatar_url": None, "country": None}
    assert board.server.get("/v1/players/alice")["submissions"] == 1


def test_a_repeat_shows_ranks_as_they_are_now(board: Client) -> None:
    submit(board.server, "k")
    board.submit("bob", 20)
    standing = submit(board.server, "k").get_json()["standings"][0]
    assert (standing["rank"], standing["score"]) == (2, 10)
    without = board.server.call(
        "POST", f"{SUBMISSIONS}?ranks=false", {"player": "alice", "score": 10}, {"Idempotency-Key": "k"}
    )
    assert replayed(without)
    assert "rank" not in without.get_json()["standings"][0]


def test_what_was_kept_stays_kept_when_repeated(api: Client) -> None:
    api.define("main", policy="best")
    submit(api.server, "a", 20)
    assert submit(api.server, "b", 10).get_json()["outcome"] == "kept"
    again = submit(api.server, "b", 10)
    assert replayed(again)
    assert again.get_json()["outcome"] == "kept"
    # The first was applied, and still says so although a better one has come since.
    submit(api.server, "c", 30)
    assert submit(api.server, "a", 20).get_json()["outcome"] == "applied"


def test_a_hundred_at_the_same_time_count_once(board: Client, app: Flask) -> None:
    def one(_: int) -> Any:
        return submit(Client(app.test_client()).server, "k")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(100)))
    assert Counter(map(replayed, answers)) == {False: 1, True: 99}
    assert {answer.get_json()["standings"][0]["score"] for answer in answers} == {10}
    assert board.table() == [(1, "alice", 10)]


def test_the_same_key_with_another_body_is_refused_and_changes_nothing(board: Client) -> None:
    submit(board.server, "k")
    for more in (
        {"score": 11},
        {"metadata": {}},
        {"tiebreaks": {}, "score": 9},
        {"expect": {"season": "s1"}, "score": 8},
    ):
        answer = submit(board.server, "k", **more)
        assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused"), more
    assert board.table() == [(1, "alice", 10)]
    assert replayed(submit(board.server, "k"))


def test_the_same_body_written_in_another_way_is_the_same(board: Client) -> None:
    headers = {
        "Authorization": f"Bearer {board.server.token}",
        "Content-Type": "application/json",
        "Idempotency-Key": "k",
    }
    bodies = (
        '{"player":"alice","score":10,"metadata":{"a":1,"b":2}}',
        '{ "metadata" : {"a": 1, "b": 2}, "score":10, "player":"\\u0061lice" }',
    )
    answers = [board.http.open(SUBMISSIONS, method="POST", data=body, headers=headers) for body in bodies]
    assert [replayed(answer) for answer in answers] == [False, True]


# -- what does not use a key up ----------------------------------------------------------------------------------------


def test_a_try_that_was_refused_does_not_use_up_its_key(board: Client, clock: SetClock) -> None:
    def refused(expected: str, **more: Any) -> None:
        assert submit(board.server, "k", **more).get_json()["code"] == expected

    refused("invalid", score="10")
    refused("invalid", score=10**15)
    refused("period_over", expect={"weekly": "1999-W01"})
    board.define("main", policy="sum", state="frozen")
    refused("board_frozen")
    board.define("main", policy="sum", state="archived")
    refused("board_archived")
    board.define("main", policy="sum")
    board.admin.put("/v1/admin/maintenance", {"reason": "x"})
    refused("maintenance")
    board.admin.delete("/v1/admin/maintenance")
    board.submit("alice", 10**15 - 1)
    refused("score_out_of_range")
    board.submit("alice", -(10**15 - 1))
    assert not replayed(submit(board.server, "k"))
    assert board.table() == [(1, "alice", 10)]


def test_a_try_beyond_the_rate_limit_does_not_use_up_its_key(board: Client, clock: SetClock) -> None:
    board.define("main", policy="sum", rules={"rate": {"burst": 1, "per_s": 1}})
    alice = board.player("alice")
    assert not replayed(submit(alice, "a", player=None))
    assert submit(alice, "b", player=None).status_code == 429
    # A repeat is cheap, also in a retry storm: it does not count against the limit.
    assert replayed(submit(alice, "a", player=None))
    clock.pass_ms(1000)
    assert not replayed(submit(alice, "b", player=None))
    assert board.table() == [(1, "alice", 20)]


# -- later ------------------------------------------------------------------------------------------------------------


def test_a_repeat_after_the_week_rolled_counts_in_the_first_week_only(board: Client, clock: SetClock) -> None:
    clock.at_ms = end_of_week_ms(board) - 1
    first = submit(board.server, "k").get_json()
    clock.pass_ms(1)
    second = submit(board.server, "k")
    assert replayed(second)
    weeks = [
        {one["period"]: one["period_id"] for one in result["standings"]}["weekly"]
        for result in (first, second.get_json())
    ]
    assert weeks[0] == weeks[1]
    assert board.table(query="&period=weekly") == []
    assert board.table(query="&period=weekly&period_id=previous") == [(1, "alice", 10)]
    # The next one counts in the new week.
    assert not replayed(submit(board.server, "k2"))
    assert board.table(query="&period=weekly") == [(1, "alice", 10)]


def test_a_repeat_after_a_reset_counts_in_the_closed_season_only(board: Client) -> None:
    submit(board.server, "k")
    board.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    second = submit(board.server, "k")
    assert replayed(second)
    assert {one["period"]: one["period_id"] for one in second.get_json()["standings"]}["season"] == "s1"
    assert board.table() == []
    assert board.table(query="&period_id=s1") == [(1, "alice", 10)]


def test_a_repeat_is_known_although_what_it_expects_is_over_by_now(board: Client, clock: SetClock) -> None:
    # Its first answer was lost: "period_over" would make the client believe that it never counted.
    clock.at_ms = end_of_week_ms(board) - 1
    week = {one["period"]: one for one in board.get("/v1/boards/main")["current"]}["weekly"]["period_id"]
    assert not replayed(submit(board.server, "k", expect={"weekly": week}))
    clock.pass_ms(1)
    again = submit(board.server, "k", expect={"weekly": week})
    assert again.status_code == 200, again.text
    assert replayed(again)


def test_a_repeat_is_known_although_it_would_be_too_late_by_now(board: Client, clock: SetClock) -> None:
    # An offline queue may be 48 hours old; the board takes scores of the last hour.
    achieved = datetime.fromtimestamp((clock.at_ms - 1800_000) / 1000).astimezone().isoformat(timespec="milliseconds")
    assert not replayed(submit(board.server, "k", achieved_at=achieved))
    clock.pass_ms(HOUR_MS)
    again = submit(board.server, "k", achieved_at=achieved)
    assert again.status_code == 200, again.text
    assert replayed(again)


@pytest.mark.parametrize("state", ["frozen", "archived"])
def test_a_repeat_is_known_although_the_board_is_closed_by_now(board: Client, state: str) -> None:
    submit(board.server, "k")
    board.define("main", policy="sum", state=state)
    assert replayed(submit(board.server, "k"))
    board.admin.put("/v1/admin/maintenance", {"reason": "x"})
    assert replayed(submit(board.server, "k"))


def test_a_key_is_known_for_48_hours_and_not_longer(board: Client, clock: SetClock, raw: redis.Redis) -> None:
    submit(board.server, "k")
    assert 0 < raw.pttl("lb:{0}:replay:alice") <= 48 * HOUR_MS
    clock.pass_ms(48 * HOUR_MS)
    assert replayed(submit(board.server, "k"))
    clock.pass_ms(1)
    assert not replayed(submit(board.server, "k"))
    assert board.table() == [(1, "alice", 20)]


def test_the_newest_32_keys_are_known(board: Client, raw: redis.Redis) -> None:
    for i in range(33):
        submit(board.server, f"k{i}", 1)
    assert raw.strlen("lb:{0}:replay:alice") == 32 * 28
    assert all(replayed(submit(board.server, f"k{i}", 1)) for i in range(1, 33))
    assert board.table() == [(1, "alice", 33)]
    # The first was pushed out; a board whose sums matter that much needs a client that sends them in time.
    assert not replayed(submit(board.server, "k0", 1))


# -- scopes -----------------------------------------------------------------------------------------------------------


def test_the_same_key_of_others_is_another_key(board: Client) -> None:
    board.define("second", policy="sum")
    issued = board.admin.post("/v1/admin/keys", {"name": "second server", "role": "server"}, expect=201)
    other_server, alice, bob = Client(board.http, issued["secret"]), board.player("alice"), board.player("bob")
    calls: list[tuple[Client, str, dict[str, Any]]] = [
        (board.server, "main", {"player": "alice", "score": 1}),
        (board.server, "main", {"player": "bob", "score": 1}),
        (board.server, "second", {"player": "alice", "score": 1}),
        (other_server, "main", {"player": "alice", "score": 1}),
        (board.admin, "main", {"player": "alice", "score": 1}),
        (alice, "main", {"score": 1}),
        (bob, "main", {"score": 1}),
    ]

    def each() -> list[bool]:
        return [
            replayed(caller.call("POST", f"/v1/boards/{name}/submissions", body, {"Idempotency-Key": "k"}))
            for caller, name, body in calls
        ]

    assert each() == [False] * 7
    assert each() == [True] * 7
    assert board.table() == [(1, "alice", 4), (2, "bob", 2)]
    assert board.table("second") == [(1, "alice", 1)]


def test_a_player_that_signed_in_again_is_the_same_player(board: Client) -> None:
    assert not replayed(submit(board.player("alice"), "k", player=None))
    assert replayed(submit(board.player("alice"), "k", player=None))


# -- batches ----------------------------------------------------------------------------------------------------------


def items(*scores: int, player: str = "alice") -> dict[str, Any]:
    return {"submissions": [{"board": "main", "player": player, "score": score} for score in scores]}


def batch(api: Client, key: str, body: dict[str, Any], expect: int = 200) -> Any:
    return api.server.post("/v1/submissions/batch", body, key=key, expect=expect)


def test_each_item_of_a_batch_has_a_key_of_its_own(board: Client) -> None:
    first = batch(board, "k", items(1, 1, 1))
    assert [result["outcome"] for result in first["results"]] == ["applied"] * 3
    assert board.table() == [(1, "alice", 3)]
    again = batch(board, "k", items(1, 1, 1))
    assert (again["applied"], again["failed"]) == (3, 0)
    assert board.table() == [(1, "alice", 3)]
    # Longer than the first time, as when the reply was lost half way: what is new counts.
    batch(board, "k", items(1, 1, 1, 5))
    assert board.table() == [(1, "alice", 8)]


def test_an_item_that_is_another_by_now_is_refused_alone(board: Client) -> None:
    batch(board, "k", items(1, 2))
    again = batch(board, "k", items(1, 7))
    assert [result["error"] and result["error"]["code"] for result in again["results"]] == [
        None,
        "idempotency_key_reused",
    ]
    assert board.table() == [(1, "alice", 3)]


def test_an_item_that_failed_counts_when_it_is_right(board: Client) -> None:
    wrong = {"submissions": [{"board": "main", "player": "alice", "score": "1"}, *items(2)["submissions"]]}
    assert batch(board, "k", wrong)["failed"] == 1
    assert batch(board, "k", items(1, 2))["failed"] == 0
    assert board.table() == [(1, "alice", 3)]


def test_a_batch_and_a_submission_do_not_share_keys(board: Client) -> None:
    batch(board, "k", items(1))
    assert not replayed(submit(board.server, "k:0", 1))
    assert board.table() == [(1, "alice", 2)]


def test_a_batch_has_no_more_of_a_player_than_is_remembered(board: Client) -> None:
    # A player has 32 keys. A batch of more could count some of it again when it is retried.
    problem = batch(board, "k", items(*[1] * 33), expect=422)
    assert problem["errors"][0]["pointer"] == "/submissions/32"
    assert board.table() == []
    for _ in range(2):
        batch(board, "k", items(*[1] * 32))
    assert board.table() == [(1, "alice", 32)]


# -- resets -----------------------------------------------------------------------------------------------------------


def reset(api: Client, key: str, season: str) -> Any:
    return api.admin.call("POST", "/v1/admin/boards/main/reset", {"season": season}, {"Idempotency-Key": key})


def test_a_reset_repeated_with_its_key_answers_what_it_answered(board: Client, clock: SetClock) -> None:
    first = reset(board, "k", "s1")
    clock.pass_ms(47 * HOUR_MS)
    second = reset(board, "k", "s1")
    assert not replayed(first)
    assert replayed(second)
    assert second.get_json() == first.get_json()
    assert reset(board, "other", "s1").status_code == 409
    assert board.get("/v1/boards/main")["current"][0]["period_id"] == "s2"


def test_a_key_of_a_reset_is_not_good_for_another(board: Client) -> None:
    reset(board, "k", "s1")
    answer = reset(board, "k", "s2")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert board.get("/v1/boards/main")["current"][0]["period_id"] == "s2"


def test_a_reset_that_was_refused_does_not_use_up_its_key(board: Client) -> None:
    assert reset(board, "k", "s2").status_code == 409
    reset(board, "other", "s1")
    assert not replayed(reset(board, "k", "s2"))


def test_the_keys_of_resets_are_those_of_one_board(board: Client) -> None:
    board.define("second")
    assert not replayed(reset(board, "k", "s1"))
    answer = board.admin.call("POST", "/v1/admin/boards/second/reset", {"season": "s1"}, {"Idempotency-Key": "k"})
    assert not replayed(answer)
