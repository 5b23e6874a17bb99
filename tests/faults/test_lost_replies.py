"""Replies of the store get lost. Nothing happens twice, and with a key nothing is left out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis

from leaderboard import create_app, submissions
from leaderboard.settings import Settings
from tests.client import Client
from tests.faults.proxy import Proxy
from tests.live import Live

CLIENTS = 32
EACH = 10
#: A third of the calls fail, so a submission that never gets through in so many tries is a bug.
TRIES_MOST = 60


@pytest.fixture
def live(proxy: Proxy) -> Iterator[Live]:
    with Live(proxy.url) as live:
        yield live.ready()


@dataclass(frozen=True)
class Submitted:
    board: str
    player: str
    score: int
    second: int


def acknowledged(api: Client, one: Submitted, key: str, *, replays: list[str]) -> Any:
    """Submit until the service says that it happened, always with the same key."""
    body = {"player": one.player, "score": one.score}
    if one.board == "latest":
        # `latest` goes by achieved_at, so the oracle needs an order that does not depend on what came through first.
        body["achieved_at"] = f"1969-07-20T20:17:{one.second:02}Z"
    for _ in range(TRIES_MOST):
        answer = api.server.call("POST", f"/v1/boards/{one.board}/submissions", body, {"Idempotency-Key": key})
        if answer.status_code == 200:
            if answer.headers.get("Idempotent-Replayed") == "true":
                replays.append(key)
            return answer.get_json()
        assert answer.status_code == 503, answer.text
        assert answer.get_json()["code"] in ("outcome_unknown", "store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    raise AssertionError(f"{one} was not acknowledged in {TRIES_MOST} tries")


def define_boards(api: Client) -> None:
    alltime = {"periods": [{"kind": "alltime"}]}
    api.define("best", policy="best", **alltime)
    # A board whose standings never end takes scores of (nearly) any age.
    api.define("latest", policy="latest", late_s=100 * 366 * 86_400, **alltime)
    api.define("sum", policy="sum", **alltime)


def test_with_a_key_every_submission_counts_exactly_once_whatever_is_lost(live: Live, proxy: Proxy) -> None:
    define_boards(live.api)
    rng = random.Random(7)
    # A player's submissions are spread over the clients, so that they race each other as well as their own retries.
    everything = [
        Submitted(rng.choice(("best", "latest", "sum")), f"p{rng.randrange(8)}", rng.randrange(1, 1000), i % 60)
        for i in range(CLIENTS * EACH)
    ]
    proxy.lose_replies = 0.2
    proxy.lose_requests = 0.1
    replays: list[str] = []

    def client(number: int) -> None:
        for i in range(number, len(everything), CLIENTS):
            acknowledged(live.api, everything[i], f"key-{i}", replays=replays)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    proxy.lose_replies = proxy.lose_requests = 0.0
    assert proxy.lost > 20
    assert replays, "no retry met a submission that had been applied, so nothing was tested"

    expected: dict[str, dict[str, int]] = {"best": {}, "latest": {}, "sum": {}}
    newest: dict[str, tuple[int, int]] = {}
    for one in everything:
        scores = expected[one.board]
        if one.board == "best":
            scores[one.player] = max(scores.get(one.player, 0), one.score)
        elif one.board == "sum":
            scores[one.player] = scores.get(one.player, 0) + one.score
        else:
            # Two stamped with the same instant: the better one stays, in whichever order they come.
            newest[one.player] = max(newest.get(one.player, (-1, 0)), (one.second, one.score))
            scores[one.player] = newest[one.player][1]
    for board, scores in expected.items():
        assert {player: score for _, player, score in live.api.table(board)} == scores, board


def test_one_lost_reply_of_a_sum_counts_once(proxied: Client, proxy: Proxy) -> None:
    define_boards(proxied)
    proxied.submit("alice", 5, "sum")
    proxy.eat_replies = 1
    lost = proxied.submit("alice", 10, "sum", key="k", expect=503)
    assert lost["code"] == "outcome_unknown"
    assert proxied.table("sum") == [(1, "alice", 15)]
    assert proxied.submit("alice", 10, "sum", key="k")["standings"][0]["score"] == 15
    assert proxied.table("sum") == [(1, "alice", 15)]


def test_without_a_key_a_lost_reply_is_said_and_nothing_is_repeated(
    proxied: Client, proxy: Proxy, raw: redis.Redis
) -> None:
    define_boards(proxied)
    proxied.submit("alice", 5, "sum")
    proxy.eat_replies = 1
    before = proxy.requests
    assert proxied.submit("alice", 10, "sum", expect=503)["code"] == "outcome_unknown"
    assert proxy.requests == before + 1
    assert proxied.table("sum") == [(1, "alice", 15)]


def test_a_lost_request_is_said_as_well_for_nobody_can_tell_the_two_apart(proxied: Client, proxy: Proxy) -> None:
    define_boards(proxied)
    proxied.submit("alice", 5, "sum")
    proxy.lose_requests = 1.0
    assert proxied.submit("alice", 10, "sum", key="k", expect=503)["code"] == "outcome_unknown"
    proxy.lose_requests = 0.0
    assert proxied.table("sum") == [(1, "alice", 5)]
    proxied.submit("alice", 10, "sum", key="k")
    assert proxied.table("sum") == [(1, "alice", 15)]


def test_a_batch_whose_reply_was_lost_is_repaired_by_the_same_batch(proxied: Client, proxy: Proxy) -> None:
    define_boards(proxied)
    proxied.submit("p0", 1, "sum")
    batch = {"submissions": [{"board": "sum", "player": f"p{i % 3}", "score": 10} for i in range(30)]}
    proxy.eat_replies = 1
    assert proxied.server.post("/v1/submissions/batch", batch, key="b", expect=503)["code"] == "outcome_unknown"
    result = proxied.server.post("/v1/submissions/batch", batch, key="b")
    assert (result["applied"], result["failed"]) == (30, 0)
    assert {player: score for _, player, score in proxied.table("sum")} == {"p0": 101, "p1": 100, "p2": 100}


@pytest.fixture
def reads(store_url: str, raw: redis.Redis) -> Iterator[Proxy]:
    """A proxy that strikes only calls that change nothing."""
    with Proxy(store_url, only=b"FCALL_RO\r\n") as proxy:
        yield proxy


def test_a_read_whose_reply_was_lost_is_asked_once_more(reads: Proxy, settings: Settings) -> None:
    app = create_app(replace(settings, redis_url=reads.url))
    api = Client(app.test_client())
    define_boards(api)
    api.submit("alice", 5, "sum")
    reads.eat_replies = 1
    assert api.table("sum") == [(1, "alice", 5)]
    assert reads.lost == 1
    reads.eat_replies = 2
    assert api.get("/v1/boards/sum/standings", expect=503)["code"] == "store_unavailable"
    app.extensions["leaderboard"].store.close()


@pytest.mark.parametrize("last", ["sum", "late"])
def test_a_batch_that_was_cut_off_never_says_that_nothing_changed(
    api: Client, proxied: Client, proxy: Proxy, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The store gets a batch in pieces, here of 5. It goes away after the first, and what comes next is either the other
    # piece or the look at a board that this process does not know yet.
    monkeypatch.setattr(submissions, "PIPELINE", 5)
    define_boards(proxied)
    api.define("late")
    proxied.submit("alice", 1, "sum")
    items = [{"board": "sum", "player": "alice", "score": 1}] * 5 + [{"board": last, "player": "alice", "score": 1}]
    proxy.refuse_after = 1
    answer = proxied.server.post("/v1/submissions/batch", {"submissions": items})
    assert api.table("sum") == [(1, "alice", 6)]
    assert (answer["applied"], answer["failed"]) == (5, 1)
    assert answer["results"][5]["error"]["code"] == ("outcome_unknown" if last == "sum" else "store_unavailable")


def test_a_batch_item_that_repeats_does_not_make_the_others_look_undone(
    api: Client, proxied: Client, proxy: Proxy
) -> None:
    # A repeat is answered with a second look at the store, which may be gone by then.
    define_boards(proxied)
    proxied.server.post("/v1/submissions/batch", batch_of("alice"), key="k")
    proxy.refuse_after = 1
    answer = proxied.server.post("/v1/submissions/batch", batch_of("alice", "bob"), key="k")
    assert ("bob", 1) in [(player, score) for _, player, score in api.table("sum")]
    assert [result["outcome"] for result in answer["results"]] == [None, "applied"]
    assert answer["results"][0]["error"]["code"] == "store_unavailable"


def batch_of(*players: str) -> dict[str, Any]:
    return {"submissions": [{"board": "sum", "player": player, "score": 1} for player in players]}
