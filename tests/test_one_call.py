"""A submission is one call to the store, and so is a read: counted where they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.settings import Settings
from tests.client import Client
from tests.conftest import SetClock
from tests.faults.proxy import Proxy
from tests.signing import Signer

SUBMISSIONS = "/v1/boards/main/submissions"

#: What a process knows of boards and keys is good for half a second. A machine may be slower than that between two
#: lines, but not always.
TRIES = 20


@contextmanager
def received(raw: redis.Redis) -> Iterator[list[str]]:
    """The commands that the store receives; what functions do inside themselves is not among them."""
    commands: list[str] = []
    with raw.monitor() as monitor:
        # The connection that sends the marks is made before anything counts.
        raw.echo("from-here")
        while "from-here" not in monitor.next_command()["command"]:
            pass
        yield commands
        raw.echo("that-was-all")
        while "that-was-all" not in (seen := monitor.next_command())["command"]:
            if seen["client_type"] != "lua":
                commands.append(seen["command"].split()[0].upper())


def settled(raw: redis.Redis, act: Callable[[], Any]) -> list[str]:
    """What an action sends when it follows itself at once; the fewest commands of some tries."""
    least: list[str] | None = None
    for _ in range(TRIES):
        act()
        with received(raw) as commands:
            act()
        if least is None or len(commands) < len(least):
            least = commands
        if len(least) == 1:
            break
    assert least is not None
    return least


@pytest.fixture
def board(api: Client) -> Client:
    """Counts in as many standings as a board can have."""
    kinds = ("season", "alltime", "daily", "weekly", "monthly")
    api.define("main", periods=[{"kind": kind} for kind in kinds], rules={"rate": {"burst": 1000, "per_s": 1000}})
    for i in range(20):
        api.submit(f"p{i}", i)
    return api


def test_a_players_submission_is_one_call_its_session_included(board: Client, raw: redis.Redis) -> None:
    alice = board.player("alice")
    with received(raw) as commands:
        result = alice.post(SUBMISSIONS, {"score": 30}, key="k")
    assert len(result["standings"]) == 5
    assert commands == ["FCALL"]


def test_a_signed_submission_is_one_call(board: Client, raw: redis.Redis, clock: SetClock) -> None:
    board.define("main", rules={"signed": True})
    alice = Signer.of(board, "alice")
    with received(raw) as commands:
        assert alice.submit(30, "k", clock.now_ms() // 1000).status_code == 200
    assert commands == ["FCALL"]


def test_an_attempt_is_opened_in_one_call_and_spent_in_the_submissions_own(board: Client, raw: redis.Redis) -> None:
    board.define("main", rules={"attempts": {"most": 9, "max_score_per_s": {"value": 1000, "then": "hold"}}})
    alice = board.player("alice")
    with received(raw) as commands:
        opened = alice.post("/v1/boards/main/attempts", {}, expect=201)
    assert commands == ["FCALL"]
    with received(raw) as commands:
        assert alice.post(SUBMISSIONS, {"score": 1, "attempt": opened["attempt"]}, key="k")["outcome"] == "applied"
    assert commands == ["FCALL"]


def test_a_submission_with_the_key_of_the_settings_is_one_call(board: Client, raw: redis.Redis) -> None:
    with received(raw) as commands:
        board.submit("alice", 30, key="k")
    assert commands == ["FCALL"]


def test_a_submission_with_a_key_that_was_just_used_is_one_call(board: Client, raw: redis.Redis) -> None:
    issued = board.admin.post("/v1/admin/keys", {"name": "server", "role": "server"}, expect=201)
    server = Client(board.http, issued["secret"])
    assert settled(raw, lambda: server.post(SUBMISSIONS, {"player": "alice", "score": 1})) == ["FCALL"]


def test_the_time_is_not_asked_for_each_submission(board: Client, settings: Settings, raw: redis.Redis) -> None:
    app = create_app(settings)
    real = Client(app.test_client())
    real.submit("alice", 1)
    with received(raw) as commands:
        real.submit("alice", 2)
    assert commands == ["FCALL"]
    app.extensions["leaderboard"].store.close()


def test_a_submission_after_a_reset_elsewhere_is_told_by_its_own_call(
    board: Client, settings: Settings, raw: redis.Redis
) -> None:
    elsewhere: Flask = create_app(settings)
    Client(elsewhere.test_client()).admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    with received(raw) as commands:
        assert board.submit("alice", 1)["standings"][0]["period_id"] == "s2"
    # Stale; the definition and the gate in one; again.
    assert commands == ["FCALL", "HMGET", "HMGET", "FCALL"]
    elsewhere.extensions["leaderboard"].store.close()


def test_a_batch_is_as_many_calls_as_it_has_items_in_one_write(
    board: Client, settings: Settings, raw: redis.Redis, store_url: str
) -> None:
    items = {"submissions": [{"board": "main", "player": f"p{i}", "score": 50} for i in range(20)]}
    with Proxy(store_url) as proxy:
        app = create_app(replace(settings, redis_url=proxy.url))
        api = Client(app.test_client())
        api.submit("p0", 1)
        before = proxy.requests
        with received(raw) as commands:
            assert api.server.post("/v1/submissions/batch", items)["applied"] == 20
        assert commands == ["FCALL"] * 20
        # What a client writes at once arrives at once.
        assert proxy.requests == before + 1
        app.extensions["leaderboard"].store.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/boards/main/standings", None),
        ("GET", "/v1/boards/main/standings?offset=5&limit=3", None),
        ("GET", "/v1/boards/main/standings?around_score=7", None),
        ("GET", "/v1/boards/main/standings?period=weekly", None),
        ("GET", "/v1/boards/main/standings/p7", None),
        ("GET", "/v1/boards/main/standings/p7/around", None),
        ("POST", "/v1/boards/main/lookup", {"players": ["p1", "p2", "nobody"]}),
        ("GET", "/v1/boards/main/distribution", None),
    ],
)
def test_a_read_is_one_call(board: Client, raw: redis.Redis, method: str, path: str, body: Any) -> None:
    assert settled(raw, lambda: board.call(method, path, body)) == ["FCALL_RO"]


def test_a_page_by_cursor_is_one_call(board: Client, raw: redis.Redis) -> None:
    cursor = board.get("/v1/boards/main/standings?limit=3")["next_cursor"]
    path = f"/v1/boards/main/standings?limit=3&cursor={cursor}"
    assert settled(raw, lambda: board.get(path)) == ["FCALL_RO"]


def test_an_entry_on_all_boards_is_one_call_for_the_boards_and_one_for_the_entries(
    board: Client, settings: Settings, raw: redis.Redis, store_url: str
) -> None:
    board.define("second")
    with received(raw) as commands:
        board.get("/v1/players/p7/entries")
    # The index; then definitions and gates in one write; then each standings in one write.
    assert commands == ["ZRANGEBYLEX", "HMGET", *["HMGET"] * 2, *["FCALL_RO"] * 7]
