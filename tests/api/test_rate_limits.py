"""How often a player may submit to a board, and what it is told of that."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.calls import SUBMISSIONS, refused
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import LIMIT


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    return api


def rate(answer: Any) -> tuple[str, str]:
    return answer.headers["RateLimit"], answer.headers["RateLimit-Policy"]


def test_too_many_submissions_are_told_when_to_come_again(board: Client, clock: SetClock) -> None:
    alice, bob = board.player("alice"), board.player("bob")
    policy = '"submissions";q=10;w=10'
    for i in range(10):
        answer = alice.call("POST", SUBMISSIONS, {"score": i})
        assert answer.status_code == 200
        assert rate(answer) == (f'"submissions";r={9 - i};t={i + 1}', policy)
    answer = alice.call("POST", SUBMISSIONS, {"score": 99})
    refused(answer, 429, "rate_limited")
    assert rate(answer) == ('"submissions";r=0;t=10', policy)
    assert answer.headers["Retry-After"] == "1"
    assert board.table() == [(1, "alice", 9)]
    # Others go on, and so does the server for the same player, without a limit or a word of one.
    assert bob.call("POST", SUBMISSIONS, {"score": 1}).status_code == 200
    for i in range(20):
        answer = board.server.call("POST", SUBMISSIONS, {"player": "alice", "score": 10 + i})
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers
    # Just before the time that was said nothing is taken, and then one is.
    clock.pass_ms(999)
    assert alice.call("POST", SUBMISSIONS, {"score": 100}).status_code == 429
    clock.pass_ms(1)
    assert alice.call("POST", SUBMISSIONS, {"score": 100}).status_code == 200
    assert alice.call("POST", SUBMISSIONS, {"score": 101}).status_code == 429


def test_each_board_has_a_limit_of_its_own(api: Client, raw: redis.Redis) -> None:
    api.define("main", rules={"rate": {"burst": 1, "per_s": 0.01}})
    api.define("other", rules={"rate": {"burst": 2, "per_s": 0.01}})
    api.define("free", rules={"rate": None})
    alice = api.player("alice")
    assert alice.call("POST", SUBMISSIONS, {"score": 1}).status_code == 200
    answer = alice.call("POST", SUBMISSIONS, {"score": 1})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "100")
    statuses = [alice.call("POST", "/v1/boards/other/submissions", {"score": 1}).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    answers = [alice.call("POST", "/v1/boards/free/submissions", {"score": 1}) for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[0].headers
    assert raw.keys("lb:{0}:rate:free:*") == []
    assert 0 < raw.pttl("lb:{0}:rate:main:alice") <= 100_000


def test_what_is_refused_otherwise_does_not_count_against_the_limit(board: Client) -> None:
    board.define("main", policy="sum", rules={"rate": {"burst": 1, "per_s": 0.01}})
    board.submit("alice", LIMIT)
    alice = board.player("alice")
    for body in ({"score": 1}, {"score": "x"}, {"score": 1, "expect": {"season": "s9"}}):
        assert alice.call("POST", SUBMISSIONS, body).status_code in (409, 422)
    assert alice.call("POST", SUBMISSIONS, {"score": -1}).status_code == 200
    assert alice.call("POST", SUBMISSIONS, {"score": -1}).status_code == 429
