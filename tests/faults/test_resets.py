"""Seasons are reset while everybody writes and replies get lost: what is closed stays so, and nothing is missing."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count
from typing import Any

import pytest
import redis

from tests.client import Client
from tests.faults.proxy import Proxy
from tests.live import Live, eventually

WRITERS = 6
RESETS = 12
KEEP_DAYS = {"season": 3, "weekly": 5}
DAY_MS = 86_400_000
TRIES_MOST = 100


@pytest.fixture
def live(proxy: Proxy) -> Iterator[Live]:
    # More processes than one, so that most of them learn of a reset only from the gate.
    with Live(proxy.url, workers=3) as live:
        yield live.ready()


def acknowledged(caller: Client, path: str, body: Any, key: str) -> Any:
    for _ in range(TRIES_MOST):
        answer = caller.call("POST", path, body, {"Idempotency-Key": key})
        if answer.status_code == 200:
            return answer.get_json()
        assert answer.status_code == 503, answer.text
    raise AssertionError(f"{path} was not acknowledged in {TRIES_MOST} tries")


def dump(raw: redis.Redis, period_id: str) -> tuple[Any, Any]:
    """Both halves of a standings, byte for byte."""
    return (
        raw.zrange(f"lb:{{0}}:order:main:{period_id}", 0, -1, withscores=True),
        raw.hgetall(f"lb:{{0}}:entries:main:{period_id}"),
    )


def at_ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def test_resets_in_the_midst_of_writes_lose_nothing_and_change_nothing_closed(
    live: Live, proxy: Proxy, raw: redis.Redis
) -> None:
    live.api.define(
        policy="sum",
        periods=[{"kind": kind, "keep_days": days} for kind, days in KEEP_DAYS.items()],
    )
    acks: list[tuple[str, str, int]] = []  # period id, player, score
    over = threading.Event()
    closed: dict[str, tuple[tuple[Any, Any], int]] = {}

    def write(number: int) -> None:
        for i in count():
            if over.is_set():
                return
            # Two writers share each player.
            body = {"player": f"p{number // 2}", "score": i % 7 + 1}
            answer = acknowledged(live.api.server, "/v1/boards/main/submissions", body, f"w{number}-{i}")
            assert len(answer["standings"]) == 2
            acks.extend((standing["period_id"], body["player"], body["score"]) for standing in answer["standings"])

    def reset() -> None:
        for season in range(1, RESETS + 1):
            seen = len(acks)
            eventually(lambda seen=seen: len(acks) >= seen + 2 * WRITERS, "the writers write on")
            answer = acknowledged(
                live.api.admin, "/v1/admin/boards/main/reset", {"season": f"s{season}"}, f"reset-{season}"
            )
            assert (answer["closed"], answer["opened"]) == (f"s{season}", f"s{season + 1}")
            closed[f"s{season}"] = dump(raw, f"s{season}"), at_ms(answer["at"])

    proxy.lose_replies = 0.15
    proxy.lose_requests = 0.05
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            pool.submit(reset).result()
        finally:
            over.set()
        for writer in writers:
            writer.result()
    assert proxy.lost > 10
    proxy.lose_replies = proxy.lose_requests = 0.0

    # What was closed is what it was in the moment after its reset.
    assert len(closed) == RESETS
    for season, (then, _) in closed.items():
        assert dump(raw, season) == then, season

    # Each season and each week has exactly what was acknowledged as counting in it.
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for period_id, player, score in acks:
        expected[period_id][player] += score
    assert len([period_id for period_id in expected if period_id.startswith("s")]) > RESETS / 2
    for kind in KEEP_DAYS:
        for period in live.api.get(f"/v1/boards/main/periods?period={kind}")["periods"]:
            query = f"&period={kind}&period_id={period['period_id']}"
            table = {player: score for _, player, score in live.api.table(query=query)}
            assert table == dict(expected.pop(period["period_id"], {})), period["period_id"]
    assert not expected, "acknowledged in periods that are not there"

    # Every week goes keep_days after its end, every closed season keep_days after its reset, the open one never.
    for week in live.api.get("/v1/boards/main/periods?period=weekly")["periods"]:
        for part in ("order", "entries"):
            expiry = raw.pexpiretime(f"lb:{{0}}:{part}:main:{week['period_id']}")
            assert expiry == at_ms(week["ends_at"]) + KEEP_DAYS["weekly"] * DAY_MS
    for season, (_, reset_ms) in closed.items():
        for part in ("order", "entries"):
            key = f"lb:{{0}}:{part}:main:{season}"
            if raw.exists(key):
                assert raw.pexpiretime(key) == reset_ms + KEEP_DAYS["season"] * DAY_MS
    for part in ("order", "entries"):
        assert raw.pexpiretime(f"lb:{{0}}:{part}:main:s{RESETS + 1}") in (-1, -2)


def test_a_reset_whose_reply_was_lost_closes_one_season_only(proxied: Client, proxy: Proxy) -> None:
    proxied.define()
    proxied.submit("alice", 1)
    proxy.eat_replies = 1
    path, body = "/v1/admin/boards/main/reset", {"season": "s1"}
    assert proxied.admin.post(path, body, key="r", expect=503)["code"] == "outcome_unknown"
    # Without its key it is told that the season it names is over, and nothing happens either.
    assert proxied.admin.post(path, body, expect=409)["season"] == "s2"
    assert proxied.admin.post(path, body, key="r")["opened"] == "s2"
    assert proxied.table(query="&period_id=s1") == [(1, "alice", 1)]


def test_two_admins_who_reset_the_same_season_close_it_once(api: Client) -> None:
    api.define()
    barrier = threading.Barrier(8)

    def reset(_: int) -> int:
        client = Client(api.http.application.test_client())
        barrier.wait(30)
        return client.admin.call("POST", "/v1/admin/boards/main/reset", {"season": "s1"}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(reset, range(8)))
    assert sorted(statuses) == [200] + [409] * 7
    assert api.get("/v1/boards/main")["current"][0]["period_id"] == "s2"


def test_a_writer_who_believes_in_the_old_season_writes_into_the_new_one(api: Client, proxied: Client) -> None:
    # Two processes; the second learns of the reset from the gate, in the submission itself.
    proxied.define()
    proxied.submit("alice", 1)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    assert proxied.submit("alice", 5)["standings"][0]["period_id"] == "s2"
    assert api.table(query="&period_id=s1") == [(1, "alice", 1)]
