"""What an entry weighs and what a submission costs the store, beside a bare sorted set: `python -m loadtests.memory`.

It starts a store of its own and fills it through the service's own code. README.md beside this file says how to read
what comes out.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import click
import redis

from leaderboard.installation import open_installation
from leaderboard.keys import Keys
from leaderboard.model import PeriodKind
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from loadtests import crowd

#: Submissions that the time of one is the mean of.
TIMED = 20_000
BARE = "bare"
JOURNAL = Keys("lb").journal
#: The running season of a new board.
SEASON = "s1"


@click.command()
@click.option("--entries", type=click.IntRange(1000, 10**7), default=100_000, show_default=True)
@click.option("--store-binary", help="A Redis or Valkey server; found as by `leaderboard serve` if absent.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers there too.")
def main(entries: int, store_binary: str | None, json_path: Path | None) -> None:
    """Bytes per entry, and microseconds of the store's time per submission."""
    with tempfile.TemporaryDirectory(prefix="leaderboard-memory-") as folder:
        settings = Settings(data_dir=Path(folder), store_binary=store_binary, store_timeout_s=30.0)
        with EmbeddedStore(settings) as store, closing(redis.Redis.from_url(store.url)) as raw:
            report = {"engine": store.engine, "entries": entries}
            report |= measure(replace(settings, redis_url=store.url), raw, list(crowd.player_ids(entries)))
    show(report)
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=2) + "\n")


def measure(settings: Settings, raw: redis.Redis, players: list[str]) -> dict[str, Any]:
    lb = open_installation(settings)
    with closing(lb):
        lb.claim.check()
        crowd.define(lb, "one", (PeriodKind.SEASON,))
        crowd.define(lb, "two", (PeriodKind.SEASON, PeriodKind.WEEKLY))
        crowd.submit(lb, "one", players[:1])

        empty = used_bytes(raw)
        click.echo("filling a bare sorted set …", err=True)
        zadd(raw, players, 1)
        bare = (used_bytes(raw) - empty) / len(players)

        before = used_bytes(raw)
        click.echo("filling a standings …", err=True)
        crowd.submit(lb, "one", players)
        player_and_standings = (used_bytes(raw) - before) / len(players)
        some = Random(5).sample(players, min(TIMED, len(players)))
        time_one = time_of(raw, "fcall", lambda: crowd.submit(lb, "one", some, seed=2))
        time_bare = time_of(raw, "zadd", lambda: zadd(raw, some, 2))
        full = used_bytes(raw)
        raw.delete(*lb.keys.standings("one", SEASON))
        standings = (full - used_bytes(raw)) / len(players)

        click.echo("filling two standings at once …", err=True)
        crowd.submit(lb, "two", players)
        time_two = time_of(raw, "fcall", lambda: crowd.submit(lb, "two", some, seed=2))
    return {
        "bytes": {
            "bare sorted set": bare,
            "standings": standings,
            "player": player_and_standings - standings,
        },
        "us": {"bare zadd": time_bare, "submission, 1 standings": time_one, "submission, 2 standings": time_two},
    }


def zadd(raw: redis.Redis, players: Sequence[str], seed: int) -> None:
    dice = Random(seed)
    for first in range(0, len(players), 1000):
        with raw.pipeline(transaction=False) as pipe:
            for player in players[first : first + 1000]:
                pipe.zadd(BARE, {player: dice.randrange(crowd.SCORES)})
            pipe.execute()


def used_bytes(raw: redis.Redis) -> int:
    """What data takes, once all that was deleted is freed; without the journal, which a worker would have drained."""
    raw.xtrim(JOURNAL, maxlen=0)
    while raw.info("memory")["lazyfree_pending_objects"]:
        time.sleep(0.05)
    return int(raw.info("memory")["used_memory"])


def time_of(raw: redis.Redis, command: str, work: Any) -> float:
    """The store's own time (µs) for one call of a command, of all that `work` makes."""
    raw.config_resetstat()
    work()
    return float(raw.info("commandstats")[f"cmdstat_{command}"]["usec_per_call"])


def show(report: dict[str, Any]) -> None:
    click.echo(f"{report['engine']}, {report['entries']:,} entries")
    bare = report["bytes"]["bare sorted set"]
    for name, value in report["bytes"].items():
        click.echo(f"{name:<26}{value:>8.0f} bytes per entry{value / bare:>8.1f} ×")
    bare = report["us"]["bare zadd"]
    for name, value in report["us"].items():
        click.echo(f"{name:<26}{value:>8.1f} µs in the store{value / bare:>8.1f} ×")


if __name__ == "__main__":
    main()
