"""What keeping costs: the journal, the worker that archives it, and a rebuild: `python -m loadtests.keeping`.

It starts a store of its own, and archives into an SQLite file of its own unless LEADERBOARD_DATABASE_URL names a
PostgreSQL database (under the namespace `lbbench`, whose tables it drops at the end). README.md beside this file says
how to read what comes out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import redis

from leaderboard import journal
from leaderboard.child import Child
from leaderboard.installation import Installation, open_installation
from leaderboard.model import PeriodKind
from leaderboard.rebuild import rebuild
from leaderboard.settings import Settings, load_settings
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.library import Library
from leaderboard.worker.drain import Drain
from loadtests import crowd
from loadtests.memory import time_of

NAMESPACE = "lbbench"
PLAYERS = 100_000
#: Submissions whose mean store time is taken, and how often, with the journal and without.
TIMED = 20_000
ROUNDS = 5
#: Submissions that wait when the worker begins.
WAITING = 50_000
#: How long submissions come while the worker drains, and how many at once.
LOAD_S = 20.0
LOAD = 5000


@click.command()
@click.option("--entries", type=click.IntRange(1000, 10**7), default=1_000_000, show_default=True, help="To rebuild.")
@click.option("--store-binary", help="A Redis or Valkey server; found as by `leaderboard serve` if absent.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers there too.")
def main(entries: int, store_binary: str | None, json_path: Path | None) -> None:
    """What the journal costs, how fast it is archived, how far that lags, and how fast a store is rebuilt."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leaderboard-keeping-")))
        settings = Settings(
            data_dir=folder, store_binary=store_binary, store_timeout_s=30.0, namespace=NAMESPACE,
            database_url=load_settings().database_url, journal_records_most=10**8, journal_records_alarm=10**8,
        )  # fmt: skip
        store = stack.enter_context(EmbeddedStore(settings))
        lb = open_installation(replace(settings, redis_url=store.url))
        stack.callback(lb.close)
        raw = stack.enter_context(closing(redis.Redis.from_url(store.url)))
        stack.callback(forget, lb)
        lb.claim.check()
        crowd.define(lb, "one", (PeriodKind.SEASON,))
        crowd.define(lb, "two", (PeriodKind.SEASON, PeriodKind.WEEKLY))
        players = list(crowd.player_ids(PLAYERS))
        report: dict[str, Any] = {"engine": store.engine, "archive": lb.archive.dialect}
        drain = Drain(lb)
        report |= journal_cost(lb, raw, drain, players)
        report |= worker_throughput(lb, drain, players)
        report |= lag_under_load(lb, players)
        report |= rebuilding(lb, raw, entries)
    for name, value in report.items():
        click.echo(f"{name:<52}{value if isinstance(value, str) else format(value, ',.1f'):>12}")
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=2) + "\n")


def journal_cost(lb: Installation, raw: redis.Redis, drain: Drain, players: Sequence[str]) -> dict[str, float]:
    """The store's time of one submission with the journal and without it, taken in turns; and what a record weighs."""
    crowd.submit(lb, "one", players)
    crowd.submit(lb, "two", players)
    some = players[:TIMED]
    report: dict[str, float] = {}
    for board in ("one", "two"):
        times: dict[bool, list[float]] = {True: [], False: []}
        for seed in range(ROUNDS):
            for journaled in (True, False):
                work = partial(crowd.submit, lb, board, some, seed=seed)
                with nullcontext() if journaled else journal_left_out(lb, raw):
                    times[journaled].append(time_of(raw, "fcall", work))
        standings = {"one": "1 standings", "two": "2 standings"}[board]
        report[f"µs in the store, {standings}, without journal"] = median(times[False])
        report[f"µs in the store, {standings}, with journal"] = median(times[True])
        drain_all(drain)
        crowd.submit(lb, board, some, seed=99)
        report[f"bytes of a record, {standings}"] = raw.memory_usage(lb.keys.journal, samples=0) / len(some)
    return report


@contextmanager
def journal_left_out(lb: Installation, raw: redis.Redis) -> Iterator[None]:
    """The function library under another name, whose records go nowhere."""
    real = lb.store._library
    append = "redis.call('XADD', journal_key, '1-*', 'r', cmsgpack.pack({kind, at, ...}))"
    assert append in real.source
    mute = Library(real.source.replace(append, "").replace(real.suffix, "mute"), real.prefix, "mute")
    raw.function_load(mute.source, replace=True)
    lb.store._library = mute
    try:
        yield
    finally:
        lb.store._library = real


def worker_throughput(lb: Installation, drain: Drain, players: Sequence[str]) -> dict[str, float]:
    """How fast a worker archives what waits, of submissions in two standings; the first time all is new to it."""
    drain_all(drain)
    report = {}
    crowd.define(lb, "new", (PeriodKind.SEASON, PeriodKind.WEEKLY))
    for seed, name in enumerate(("first entries", "entries that were there")):
        crowd.submit(lb, "new", players[:WAITING], seed=seed)
        began = time.perf_counter()
        drain_all(drain)
        report[f"submissions archived per s, {name}"] = WAITING / (time.perf_counter() - began)
    drain.finish()
    return report


def drain_all(drain: Drain) -> None:
    while drain.step():
        pass


def lag_under_load(lb: Installation, players: Sequence[str]) -> dict[str, float]:
    """How old the oldest record is while one process submits as fast as it can and a worker archives beside it."""
    worker = start_worker(lb.settings)
    ages: list[float] = []
    done = threading.Event()

    def watch() -> None:
        watching = open_installation(lb.settings)
        while not done.wait(0.25):
            waiting = journal.read_waiting(watching.store, watching.keys)
            ages.append((watching.clock.now_ms() - waiting.oldest_ms) / 1000 if waiting.oldest_ms else 0.0)
        watching.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    submitted, began = 0, time.monotonic()
    while time.monotonic() - began < LOAD_S:
        crowd.submit(lb, "two", players[submitted % (PLAYERS - LOAD) :][:LOAD], seed=submitted)
        submitted += LOAD
    took_s = time.monotonic() - began
    done.set()
    watcher.join()
    left = journal.read_waiting(lb.store, lb.keys).records
    worker.kill()
    return {
        "submissions per s beside a worker": submitted / took_s,
        "archived of them per s": (submitted - left) / took_s,
        "lag in s, median": median(ages),
        "lag in s, most": max(ages),
    }


def start_worker(settings: Settings) -> Child:
    given = {
        "REDIS_URL": settings.redis_url, "NAMESPACE": settings.namespace, "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
    }  # fmt: skip
    variables = {f"LEADERBOARD_{name}": value for name, value in given.items() if value}
    return Child([sys.executable, "-m", "leaderboard.worker"], env=os.environ | variables)


def rebuilding(lb: Installation, raw: redis.Redis, entries: int) -> dict[str, float]:
    """Entries per second from the archive into an empty store, verified; a million of them in one standings."""
    click.echo(f"archiving {entries:,} entries …", err=True)
    crowd.define(lb, "big", (PeriodKind.ALLTIME,))
    everybody = list(crowd.player_ids(entries))
    drain = Drain(lb)
    # The worker of before was killed; its lease runs out.
    while drain.step() is None:
        time.sleep(0.5)
    for first in range(0, entries, 100_000):
        crowd.submit(lb, "big", everybody[first : first + 100_000])
        drain_all(drain)
    drain.finish()
    raw.flushall()
    began = time.perf_counter()
    rebuilt = rebuild(lb)
    took_s = time.perf_counter() - began
    return {"entries rebuilt": rebuilt.entries, "entries rebuilt and verified per s": rebuilt.entries / took_s}


def forget(lb: Installation) -> None:
    if lb.archive.dialect == "postgresql":
        with lb.archive.write() as connection:
            lb.archive.tables.metadata.drop_all(connection)
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {lb.archive.tables.schema}")


if __name__ == "__main__":
    main()
