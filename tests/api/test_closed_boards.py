"""Boards that take no submissions: frozen, archived, deleted, or under maintenance."""

from __future__ import annotations

import pytest
import redis

from tests.calls import SUBMISSIONS, refused, unchanged
from tests.client import Client


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    return api


@pytest.mark.parametrize(("state", "code"), [("frozen", "board_frozen"), ("archived", "board_archived")])
def test_a_board_that_is_not_open_takes_nothing_and_shows_what_it_has(
    board: Client, raw: redis.Redis, state: str, code: str
) -> None:
    board.submit("alice", 10)
    alice = board.player("alice")
    board.define("main", state=state)
    with unchanged(raw):
        assert board.submit("alice", 20, expect=409)["code"] == code
        assert alice.post(SUBMISSIONS, {"score": 20}, expect=409)["code"] == code
        items = {"submissions": [{"board": "main", "player": "alice", "score": 20}]}
        assert board.server.post("/v1/submissions/batch", items)["results"][0]["error"]["code"] == code
    assert board.table() == [(1, "alice", 10)]
    board.define("main", state="open")
    assert board.submit("alice", 20)["outcome"] == "applied"


def test_maintenance_stops_submissions_on_every_board_and_nothing_else(board: Client, raw: redis.Redis) -> None:
    board.define("other")
    board.submit("alice", 10)
    alice = board.player("alice")
    board.admin.put("/v1/admin/maintenance", {"reason": "moving house"})
    with unchanged(raw):
        for name in ("main", "other"):
            answer = board.server.call("POST", f"/v1/boards/{name}/submissions", {"player": "alice", "score": 20})
            refused(answer, 503, "maintenance")
            assert int(answer.headers["Retry-After"]) > 0
        assert alice.call("POST", SUBMISSIONS, {"score": 20}).status_code == 503
    assert board.table() == [(1, "alice", 10)]
    assert board.admin.get("/v1/admin/maintenance")["reason"] == "moving house"
    board.admin.delete("/v1/admin/maintenance")
    assert board.submit("alice", 20)["outcome"] == "applied"


def test_a_board_that_is_deleted_and_defined_again_begins_anew(board: Client) -> None:
    board.submit("alice", 10)
    board.define("main", state="archived")
    board.admin.delete("/v1/admin/boards/main")
    assert board.submit("alice", 20, expect=404)["code"] == "board_not_found"
    board.define("main", order="asc", decimals=2)
    assert board.table() == []
    assert board.submit("alice", 1.25)["standings"][0]["score"] == 1.25
