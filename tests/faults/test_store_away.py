"""The store is away, stalled, full, or refuses: 503 with Retry-After, nothing half done, and back by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.faults.proxy import Proxy
from tests.fresh import begin_anew
from tests.live import Live, eventually

SUBMISSIONS = "/v1/boards/main/submissions"
BATCH = {"submissions": [{"board": "main", "player": "bob", "score": 1}]}


def unavailable(answer: Any) -> bool:
    """A 503 that says what a client needs: that nothing happened, and when to come again."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    return bool(answer.get_json()["code"] == "store_unavailable")


def contents(raw: redis.Redis) -> dict[bytes, bytes | None]:
    """Every key of the installation, byte for byte."""
    return {key: raw.dump(key) for key in raw.scan_iter("lb:*", count=1000)}


# -- away ------------------------------------------------------------------------------------------------------------


def test_a_store_that_is_down_at_the_start_is_waited_for(proxy: Proxy) -> None:
    proxy.refuse()
    with Live(proxy.url) as live:
        assert live.status("/livez") == 200
        assert unavailable(live.http.open("/readyz", method="GET"))
        for caller, method, path, body in (
            (live.api, "GET", "/v1/boards", None),
            (live.api, "GET", "/v1/boards/main/standings", None),
            (live.api, "POST", "/v1/sessions", {"device_id": "d" * 32}),
            (live.api.server, "POST", SUBMISSIONS, {"player": "alice", "score": 1}),
            (live.api.server, "POST", "/v1/submissions/batch", BATCH),
            (live.api.admin, "PUT", "/v1/admin/boards/main", {}),
            (Client(live.http, "lb1.alice.secret"), "GET", "/v1/players/me", None),
            (Client(live.http, "lbk_0123456789ab_secret"), "GET", "/v1/boards", None),
        ):
            assert unavailable(caller.call(method, path, body)), path
        proxy.accept()
        live.ready()
        live.api.define()
        live.api.submit("alice", 1)
        assert live.api.table() == [(1, "alice", 1)]


def test_it_comes_back_by_itself_after_the_store_was_away(proxied: Client, proxy: Proxy) -> None:
    proxied.define()
    proxied.submit("alice", 1)
    proxy.refuse()
    assert unavailable(proxied.call("GET", "/v1/boards/main/standings"))
    assert unavailable(proxied.server.call("POST", SUBMISSIONS, {"player": "alice", "score": 2}))
    proxy.accept()
    # At once, not only after some connections of the time before have failed.
    assert proxied.table() == [(1, "alice", 1)]
    proxied.submit("alice", 2)
    assert proxied.table() == [(1, "alice", 2)]


# -- stalled ---------------------------------------------------------------------------------------------------------


def test_a_stalled_store_is_answered_for_by_the_deadline_and_uses_up_no_connections(
    proxied_app: Flask, proxied: Client, proxy: Proxy
) -> None:
    proxied.define(policy="sum")
    proxied.submit("alice", 1)
    proxy.stall()

    def call(number: int) -> Any:
        client = Client(proxied_app.test_client())
        if number % 2:
            return client.call("GET", "/v1/boards/main/standings")
        return client.server.call("POST", SUBMISSIONS, {"player": "alice", "score": 1}, {"Idempotency-Key": "k"})

    # Four times as many as there are connections. The proxy stays stalled until all have their answer.
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(call, range(32)))
        assert {answer.get_json()["code"] for answer in answers if not unavailable(answer)} <= {"outcome_unknown"}
        assert all(unavailable(answer) for answer in answers[1::2]), "a read has no outcome to be unsure of"
        proxy.resume()
        assert {answer.status_code for answer in pool.map(call, range(32))} <= {200, 503}
    # The stalled ones may arrive now; the key lets one of them all count.
    proxied.submit("alice", 1, key="k")
    assert proxied.table() == [(1, "alice", 2)]
    assert all(call(1).status_code == 200 for _ in range(20))


def test_while_writes_are_paused_reads_go_on(own_raw: redis.Redis, own_store: EmbeddedStore) -> None:
    app = create_app(
        Settings(
            redis_url=own_store.url,
            data_dir=own_store.log.parent.parent,
            admin_key=ADMIN_KEY,
            server_key=SERVER_KEY,
            store_timeout_s=0.3,
        )
    )
    api = Client(app.test_client())
    api.define()
    api.submit("alice", 1)
    own_raw.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
    try:
        assert api.submit("alice", 2, expect=503)["code"] == "outcome_unknown"
        assert api.table() == [(1, "alice", 1)]
    finally:
        own_raw.execute_command("CLIENT", "UNPAUSE")
    api.submit("alice", 3)
    assert api.table() == [(1, "alice", 3)]
    app.extensions["leaderboard"].store.close()


# -- refusing --------------------------------------------------------------------------------------------------------


@contextmanager
def full(raw: redis.Redis) -> Iterator[None]:
    """maxmemory is reached, and not just about: buffers come and go."""
    raw.config_set("maxmemory", raw.info("memory")["used_memory"] // 2)
    try:
        yield
    finally:
        raw.config_set("maxmemory", 0)


@contextmanager
def read_only(raw: redis.Redis) -> Iterator[None]:
    """It was made a replica, as after a failover."""
    raw.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        raw.replicaof("NO", "ONE")


@contextmanager
def without_replicas(raw: redis.Redis) -> Iterator[None]:
    raw.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        raw.config_set("min-replicas-to-write", 0)


@contextmanager
def disk_refusing(raw: redis.Redis) -> Iterator[None]:
    """A snapshot failed, because a directory stands in its place; even root cannot write there."""
    folder = raw.config_get("dir")["dir"]
    in_the_way = Path(folder) / raw.config_get("dbfilename")["dbfilename"]
    in_the_way.mkdir()
    raw.config_set("save", "3600 1")
    raw.bgsave()
    eventually(lambda: raw.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot failed")
    try:
        yield
    finally:
        raw.config_set("save", "")
        in_the_way.rmdir()


REFUSALS = [full, read_only, without_replicas, disk_refusing]
Refusal = Callable[[redis.Redis], Any]


@pytest.fixture
def session(own_api: Client) -> Client:
    """Alice, signed in so long ago that her session is due to be renewed."""
    own_api.define()
    own_api.define("other", periods=[{"kind": "alltime"}, {"kind": "daily"}, {"kind": "monthly"}])
    own_api.submit("alice", 10)
    own_api.submit("bob", 20)
    return own_api.player("alice")


def age_session(raw: redis.Redis, player: str) -> None:
    """Two days off every session of a player."""
    key = f"lb:{{0}}:player:{player}"
    for field, expires in raw.hgetall(key).items():
        if field.startswith(b"s:"):
            raw.hset(key, field, int(expires) - 2 * 86_400_000)


@pytest.mark.parametrize("refusing", REFUSALS)
def test_a_store_that_refuses_to_write_changes_nothing_and_answers_reads(
    refusing: Refusal, own_api: Client, own_raw: redis.Redis, session: Client
) -> None:
    before = contents(own_raw)
    with refusing(own_raw):
        for caller, method, path, body in (
            (own_api.server, "POST", SUBMISSIONS, {"player": "alice", "score": 50}),
            (own_api.server, "POST", SUBMISSIONS, {"player": "new", "score": 50}),
            (session, "POST", SUBMISSIONS, {"score": 50}),
            (own_api.server, "POST", "/v1/boards/other/submissions", {"player": "alice", "score": 50}),
            (own_api.server, "POST", "/v1/submissions/batch", BATCH),
            (own_api.server, "PUT", "/v1/players/carol", {"display_name": "Carol"}),
            (own_api, "POST", "/v1/sessions", {"device_id": "d" * 32}),
            (own_api.admin, "PUT", "/v1/admin/boards/third", {}),
            (own_api.admin, "POST", "/v1/admin/boards/main/reset", {"season": "s1"}),
            (own_api.server, "PUT", "/v1/players/alice/friends/bob", None),
            (own_api.server, "PUT", "/v1/players/alice/identities/steam", {"subject": "1"}),
            (own_api.server, "POST", "/v1/players/alice/merge", {"into": "bob"}),
        ):
            assert unavailable(caller.call(method, path, body, {"Idempotency-Key": "k"})), (method, path)
        assert own_api.table() == [(1, "bob", 20), (2, "alice", 10)]
        assert session.get("/v1/boards/main/standings/me")["entry"]["rank"] == 2
        assert own_api.get("/v1/boards")["boards"]
    assert contents(own_raw) == before
    assert own_api.submit("alice", 50, key="k")["outcome"] == "applied"


@pytest.mark.parametrize("refusing", REFUSALS)
def test_a_session_that_cannot_be_renewed_now_still_reads(
    refusing: Refusal, own_api: Client, own_raw: redis.Redis, session: Client
) -> None:
    age_session(own_raw, "alice")
    with refusing(own_raw):
        assert session.get("/v1/boards/main/standings/me")["entry"]["score"] == 10
        assert session.get("/v1/players/me")["id"] == "alice"


@pytest.mark.parametrize("refusing", REFUSALS)
def test_a_store_that_answers_reads_is_ready_to_be_read(
    refusing: Refusal, own_store: EmbeddedStore, own_api: Client, own_raw: redis.Redis
) -> None:
    # Taking the service out of rotation would turn "no submissions for now" into "no standings either". The process is
    # a new one, as after a restart, on a store that was in use.
    eventually(lambda: own_api.call("GET", "/readyz").status_code == 200, "the store is claimed")
    with refusing(own_raw):
        app = create_app(Settings(redis_url=own_store.url, data_dir=own_store.log.parent.parent))
        assert app.test_client().get("/readyz").status_code == 200
        app.extensions["leaderboard"].store.close()


def test_at_maxmemory_entries_and_players_can_still_be_removed(
    own_api: Client, own_raw: redis.Redis, session: Client
) -> None:
    own_api.submit("carol", 5)
    own_api.player("carol").put("/v1/players/me/friends/alice")
    device = own_api.post("/v1/sessions", {"device_id": "d" * 32}, expect=201)
    phone = Client(own_api.http, device["token"])
    phone.post(SUBMISSIONS, {"score": 7})
    for player in ("bob", "carol"):
        own_api.server.put(f"/v1/players/{player}/identities/steam", {"subject": player}, expect=201)
    with full(own_raw):
        own_api.server.delete("/v1/players/bob/identities/steam")
        own_api.admin.delete("/v1/admin/boards/main/entries/bob?reason=cheat")
        assert [player for _, player, _ in own_api.table()] == ["alice", device["player"]["id"], "carol"]
        own_api.server.delete("/v1/players/carol")
        session.delete("/v1/players/me")
        phone.delete("/v1/players/me")
        assert own_api.table() == []
    assert not own_raw.keys("lb:device:*")
    assert not own_raw.keys("lb:identity:*")


def test_a_player_who_signed_in_days_ago_can_delete_itself_at_maxmemory(
    own_api: Client, own_raw: redis.Redis, session: Client
) -> None:
    age_session(own_raw, "alice")
    with full(own_raw):
        session.delete("/v1/players/me")
    assert own_api.table() == [(1, "bob", 20)]


def test_a_batch_that_fills_the_store_never_says_that_nothing_changed(own_api: Client, own_raw: redis.Redis) -> None:
    own_api.define()
    own_api.submit("p0", 1)
    items = [{"board": "main", "player": f"p{i}", "score": 2, "metadata": {"text": "x" * 900}} for i in range(1000)]
    own_raw.config_set("maxmemory", own_raw.info("memory")["used_memory"] + 600_000)
    answer = own_api.server.call("POST", "/v1/submissions/batch", {"submissions": items})
    own_raw.config_set("maxmemory", 0)
    counted = own_api.get("/v1/boards/main/standings")["total"]
    assert 1 < counted < 1000, "the limit did not strike in the middle"
    if answer.status_code == 200:
        result = answer.get_json()
        assert result["applied"] == counted
    else:
        assert answer.status_code == 503
        assert answer.get_json()["code"] == "outcome_unknown"
    # Whole submissions: one that counted in one standings counted in all.
    assert own_api.get("/v1/boards/main/standings?period=weekly")["total"] == counted


def test_a_store_that_evicts_is_not_ready_and_says_why(own_api: Client, own_raw: redis.Redis) -> None:
    assert own_api.call("GET", "/readyz").status_code == 200
    for policy in ("allkeys-lru", "volatile-ttl"):
        own_raw.config_set("maxmemory-policy", policy)
        eventually(lambda: own_api.call("GET", "/readyz").status_code == 503, f"{policy} is seen")
        eventually(lambda policy=policy: policy in own_api.call("GET", "/readyz").get_json()["detail"], "it is named")
        answer = own_api.call("GET", "/readyz")
        assert unavailable(answer)
        assert "noeviction" in answer.get_json()["detail"]
    own_raw.config_set("maxmemory-policy", "noeviction")
    eventually(lambda: own_api.call("GET", "/readyz").status_code == 200, "it is ready again")


# -- emptied behind our back -----------------------------------------------------------------------------------------


def test_functions_that_were_flushed_are_loaded_again(api: Client, raw: redis.Redis) -> None:
    api.define(policy="sum")
    api.submit("alice", 1)
    raw.function_flush("SYNC")
    assert api.submit("alice", 2)["standings"][0]["score"] == 3
    raw.function_flush("SYNC")
    assert api.table() == [(1, "alice", 3)]
    raw.function_flush("SYNC")
    batch = {"submissions": [{"board": "main", "player": f"p{i % 5}", "score": 1} for i in range(500)]}
    assert api.server.post("/v1/submissions/batch", batch)["applied"] == 500
    assert [score for _, _, score in api.table()] == [100, 100, 100, 100, 100, 3]


def test_functions_flushed_in_the_middle_of_batches_make_nothing_count_twice_or_not_at_all(
    api: Client, raw: redis.Redis
) -> None:
    api.define(policy="sum")
    batch = {"submissions": [{"board": "main", "player": f"p{i % 5}", "score": 1} for i in range(1000)]}
    over = threading.Event()
    flushed = []

    def flush() -> None:
        while not over.is_set():
            raw.function_flush("SYNC")
            flushed.append(1)
            over.wait(0.005)

    applied = unknown = 0
    thread = threading.Thread(target=flush)
    thread.start()
    try:
        for _ in range(5):
            answer = api.server.call("POST", "/v1/submissions/batch", batch)
            if answer.status_code == 200:
                applied += answer.get_json()["applied"]
            elif not unavailable(answer):
                assert answer.get_json()["code"] == "outcome_unknown"
                unknown += 1000
    finally:
        over.set()
        thread.join()
    assert len(flushed) > 5
    counted = sum(score for _, _, score in api.table())
    assert applied <= counted <= applied + unknown


def test_a_store_that_was_emptied_is_not_taken_for_one_without_boards(
    api: Client, raw: redis.Redis, store_url: str
) -> None:
    api.define()
    player = api.player("alice")
    api.submit("alice", 1)
    raw.flushall()
    for answer in (
        api.submit("alice", 1, expect=503),
        # Alice's session went with the rest, and that is not her fault.
        player.get("/v1/players/me", expect=503),
        player.post("/v1/boards/main/submissions", {"score": 1}, expect=503),
        api.get("/v1/boards/main/standings", expect=503),
        api.get("/v1/boards/other", expect=503),
        api.get("/v1/players/alice", expect=503),
        api.admin.post("/v1/admin/keys", {"name": "a", "role": "read"}, expect=503),
        api.get("/v1/boards", expect=503),
    ):
        assert answer["code"] == "store_unavailable"
        assert "has lost its data" in answer["detail"]
    assert raw.keys("*") == []
    begin_anew(raw, store_url)
    api.define()
    api.submit("alice", 1)
    assert api.table() == [(1, "alice", 1)]
