"""How fast the service is beside a bare Flask route and a bare sorted set: `python -m loadtests.benchmark`.

It starts everything by itself on 127.0.0.1 and ends it again. README.md beside this file says how to read it.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import click
import httpx

from leaderboard.child import Child
from leaderboard.installation import Installation, open_installation
from leaderboard.model import PeriodKind
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from loadtests import crowd
from loadtests.keeping import start_worker
from loadtests.wrk import SCORE, Measured, Request, WrkError, find_wrk, measure, write_requests

ROOT = Path(__file__).parent.parent
SERVER_KEY = "benchmark-server-key"
BATCH = 1000
NAMED = 200
BOOT_S = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request; `each` is how many things one of them does."""

    name: str
    url: str
    requests: Path
    each: int = 1


@dataclass(frozen=True, slots=True)
class Size:
    entries: int
    players: int
    workers: int


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Each measures every case once.")
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="For each case in each round.")
@click.option("--connections", type=click.IntRange(1), default=32, show_default=True)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="gunicorn workers of each server."
)
@click.option("--entries", type=click.IntRange(1000), default=100_000, show_default=True, help="On the board.")
@click.option("--players", type=click.IntRange(1000), default=10_000, show_default=True, help="Who submit.")
@click.option("--store-binary", help="A Redis or Valkey server; found as by `leaderboard serve` if absent.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers there too.")
def main(
    rounds: int, seconds: int, connections: int, workers: int, entries: int, players: int,
    store_binary: str | None, json_path: Path | None,
) -> None:  # fmt: skip
    """Measure requests per second, in rounds, so that what else the machine does falls on all cases alike."""
    try:
        find_wrk()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leaderboard-benchmark-")))
            settings = Settings(data_dir=folder, store_binary=store_binary, server_key=SERVER_KEY)
            store = stack.enter_context(EmbeddedStore(settings))
            settings = replace(settings, redis_url=store.url)
            bare = stack.enter_context(serving("loadtests.bare:app", "/hello", settings, workers))
            service = stack.enter_context(serving("leaderboard:create_app()", "/readyz", settings, workers))
            lb = open_installation(settings)
            stack.callback(lb.close)
            lb.claim.check()
            # As `leaderboard serve` does: archiving takes its share of the cores.
            stack.callback(start_worker(settings).kill)
            cases = list(prepare(lb, bare, service, folder, Size(min(entries, 10**7), min(players, entries), workers)))
            measured = run(cases, rounds, seconds, connections)
            engine = store.engine
    except WrkError as error:
        raise click.ClickException(str(error)) from error
    report = {
        "engine": engine, "python": platform.python_version(), "cores": os.cpu_count(), "workers": workers,
        "connections": connections, "entries": entries, "rounds": rounds, "seconds": seconds,
        "cases": [summary(case, measured) for case in cases],
    }  # fmt: skip
    show(report)
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=2) + "\n")


@contextmanager
def serving(app: str, path: str, settings: Settings, workers: int) -> Iterator[str]:
    """The address of gunicorn with that application, once it answers at that path."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "LEADERBOARD_REDIS_URL": str(settings.redis_url),
        "LEADERBOARD_SERVER_KEY": SERVER_KEY,
        # All comes from one address.
        "LEADERBOARD_ANONYMOUS_READS_PER_MINUTE": "0",
        "WEB_CONCURRENCY": str(workers),
        "PYTHONPATH": str(ROOT),
    }
    command = ["-m", "gunicorn", "-c", "python:leaderboard.gunicorn_conf", "-b", f"127.0.0.1:{port}", app]
    server, url = Child([sys.executable, *command], env=os.environ | variables), f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + BOOT_S
        while not answers(url + path):
            if server.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"gunicorn does not serve {app}")
            time.sleep(0.1)
        yield url
    finally:
        server.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def prepare(lb: Installation, bare: str, service: str, folder: Path, size: Size) -> Iterator[Case]:
    """Fill the boards and write down the requests of each case."""
    click.echo(f"filling a board with {size.entries:,} entries …", err=True)
    for board in ("big", "played"):
        crowd.define(lb, board, (PeriodKind.SEASON, PeriodKind.WEEKLY))
    everybody = list(crowd.player_ids(size.entries))
    crowd.submit(lb, "big", everybody)
    page = httpx.get(f"{service}/v1/boards/big/standings?limit={NAMED}", trust_env=False).raise_for_status().json()
    crowd.name(lb, [entry["player"]["id"] for entry in page["entries"]])
    players = everybody[: size.players]
    tokens = crowd.sign_in(lb, players)

    def case(name: str, url: str, requests: list[Request], each: int = 1) -> Case:
        return Case(name, url, write_requests(folder / f"{name}.requests", requests), each)

    def scores(path: str, token: str = "") -> list[Request]:
        return [Request("POST", path, token, f'{{"player":"{player}","score":{SCORE}}}') for player in players]

    yield case("hello", bare, [Request("GET", "/hello")])
    yield case("zadd", bare, scores("/zadd"))
    submissions = "/v1/boards/played/submissions"
    yield case("submissions, server key", service, scores(submissions, SERVER_KEY))
    own = [Request("POST", submissions, token, f'{{"score":{SCORE}}}') for token in tokens]
    yield case("submissions, sessions", service, own)
    yield case("submissions, no ranks", service, scores(f"{submissions}?ranks=false", SERVER_KEY))
    yield case("top 50", service, [Request("GET", "/v1/boards/big/standings?limit=50")])
    some = Random(3).sample(everybody, min(10_000, len(everybody)))
    yield case("around", service, [Request("GET", f"/v1/boards/big/standings/{player}/around") for player in some])
    yield case("scores in batches", service, [_batch(players, seed) for seed in range(5)], BATCH)


def _batch(players: list[str], seed: int) -> Request:
    items = (f'{{"board":"played","player":"{p}","score":{SCORE}}}' for p in Random(seed).sample(players, BATCH))
    return Request("POST", "/v1/submissions/batch", SERVER_KEY, f'{{"submissions":[{",".join(items)}]}}')


def run(cases: list[Case], rounds: int, seconds: int, connections: int) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            # A batch is a thousand submissions: a few at once are enough to keep the workers busy.
            at_once = min(connections, 4) if case.each > 1 else connections
            found = measure(case.url, case.requests, seconds=seconds, connections=at_once)
            measured[case.name].append(replace(found, per_s=found.per_s * case.each))
            click.echo(f"round {number + 1}/{rounds}  {case.name:<24}{found.per_s * case.each:>10,.0f} /s", err=True)
    return measured


def summary(case: Case, measured: dict[str, list[Measured]]) -> dict[str, Any]:
    """Medians; ratios are taken within each round before."""
    rounds = measured[case.name]

    def ratio(to: str) -> float:
        return median(own.per_s / other.per_s for own, other in zip(rounds, measured[to], strict=True))

    return {
        "name": case.name,
        "per_s": median(one.per_s for one in rounds),
        "p50_ms": median(one.p50_ms for one in rounds),
        "p99_ms": median(one.p99_ms for one in rounds),
        "of_hello": ratio("hello"),
        "of_zadd": ratio("zadd"),
        "rounds": [asdict(one) for one in rounds],
    }


def show(report: dict[str, Any]) -> None:
    click.echo(
        f"{report['engine']}, Python {report['python']}, {report['cores']} cores shared with wrk, "
        f"{report['workers']} workers, {report['connections']} connections; medians of {report['rounds']} rounds"
    )
    click.echo(f"{'':<24}{'per s':>10}{'× hello':>10}{'× zadd':>10}{'p50 ms':>10}{'p99 ms':>10}")
    for case in report["cases"]:
        click.echo(
            f"{case['name']:<24}{case['per_s']:>10,.0f}{case['of_hello']:>10.2f}{case['of_zadd']:>10.2f}"
            f"{case['p50_ms']:>10.1f}{case['p99_ms']:>10.1f}"
        )


if __name__ == "__main__":
    main()
