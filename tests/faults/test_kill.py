"""The store is killed under load: what was acknowledged is there when it comes back."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from flask import Flask

from leaderboard.store.embedded import EmbeddedStore
from tests.client import Client
from tests.live import eventually

WRITERS = 8
KILLS = 3


def kill(store: EmbeddedStore) -> None:
    assert store.child is not None
    os.kill(store.child.pid, signal.SIGKILL)
    assert store.child.wait(30)


def restart(store: EmbeddedStore, api: Client) -> None:
    store.launch()
    eventually(lambda: api.call("GET", "/readyz").status_code == 200, "the store is back")


def test_a_killed_store_loses_nothing_acknowledged_and_counts_nothing_twice(
    own_store: EmbeddedStore, own_app: Flask
) -> None:
    api = Client(own_app.test_client())
    api.define("sum", policy="sum")
    api.define("best")
    sums: list[tuple[str, int]] = []
    bests: list[tuple[str, int]] = []
    over = threading.Event()

    def write(number: int) -> None:
        client, rng = Client(own_app.test_client()), random.Random(number)
        for i in count():
            if over.is_set():
                return
            player, score = f"p{rng.randrange(4)}", rng.randrange(1, 1000)
            # A submission that was begun is repeated until it is known to have happened, also after the last kill.
            key = f"w{number}-{i}"
            for board, acks in (("sum", sums), ("best", bests)):
                body = {"player": player, "score": score}
                while True:
                    answer = client.server.call(
                        "POST", f"/v1/boards/{board}/submissions", body, {"Idempotency-Key": key}
                    )
                    if answer.status_code == 200:
                        acks.append((player, score))
                        break
                    assert answer.status_code == 503, answer.text
                    # Waiting as Retry-After says would only make the test longer.
                    over.wait(0.01)

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            for _ in range(KILLS):
                seen = len(sums)
                eventually(lambda seen=seen: len(sums) >= seen + 100, "the writers write")
                kill(own_store)
                restart(own_store, api)
        finally:
            over.set()
        for writer in writers:
            writer.result()

    expected: Counter[str] = Counter()
    for player, score in sums:
        expected[player] += score
    assert {player: score for _, player, score in api.table("sum")} == dict(expected)
    assert {player: score for _, player, score in api.table("best")} == {
        player: max(score for one, score in bests if one == player) for player in {player for player, _ in bests}
    }


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_end_of_the_append_only_file_costs_at_most_the_last_submission(
    own_store: EmbeddedStore, own_api: Client, cut: int
) -> None:
    # What a power cut may leave behind: the end of the last record is missing.
    own_api.define(policy="sum", periods=[{"kind": "alltime"}, {"kind": "monthly"}])
    for i in range(20):
        own_api.submit(f"p{i:02}", 1)
    kill(own_store)
    files = (own_store.log.parent / "appendonlydir").glob("*.incr.aof")
    shorten(max(files, key=lambda path: path.stat().st_mtime), cut)
    restart(own_store, own_api)
    alltime, monthly = own_api.table(), own_api.table(query="&period=monthly")
    assert len(alltime) >= 19
    # Never half a submission: it counts in both of its standings and makes its player, or does nothing.
    assert alltime == monthly
    counted = [f"p{i:02}" for i in range(20) if own_api.call("GET", f"/v1/players/p{i:02}").status_code == 200]
    assert counted == sorted(player for _, player, _ in alltime)


def shorten(path: Path, cut: int) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - cut)
