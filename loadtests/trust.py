"""What trust costs: one submission with each rule, beside the same without any: `python -m loadtests.trust`.

It starts a store of its own. README.md beside this file says how to read what comes out.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import click
import redis
from flask import Flask

from leaderboard import create_app, sessions
from leaderboard.installation import Installation
from leaderboard.model import PeriodKind
from leaderboard.settings import Settings
from leaderboard.signatures import sign, string_to_sign
from leaderboard.store.embedded import EmbeddedStore
from loadtests import crowd
from loadtests.memory import time_of

#: Who submits, and among how many others.
PLAYERS = 2000
#: Submissions of a round: one of each player, who may not sign more than 32 in some minutes.
TIMED = PLAYERS
#: Below what the others have, so that no rule is broken and all of them are asked.
SCORES = 10**6
ADMIN_KEY = "loadtests-admin-key-0123456789abcdef"

SCORE_RULES: dict[str, dict[str, Any]] = {
    "min_score": {"value": -1, "then": "reject"},
    "max_score": {"value": 10**12, "then": "reject"},
    "max_gain": {"value": 10**12, "then": "hold"},
    "max_gain_per_hour": {"value": 10**14, "then": "hold"},
    "min_interval_s": {"value": 0.001, "then": "reject"},
    "min_submissions_before_top": {"value": 10**4, "top": 10, "from_entries": 100, "then": "hold"},
}
ATTEMPTS = {"most": 10**6, "max_score_per_s": {"value": 10**11, "then": "hold"}}
RATE = {"burst": 1000, "per_s": 100}


@dataclass(frozen=True)
class Case:
    name: str
    rules: dict[str, Any]
    #: The player's rate over all boards is asked.
    player_rate: bool = False
    keyed: bool = False
    signed: bool = False
    #: Each names an attempt, opened before it is timed.
    attempts: bool = False

    @property
    def board(self) -> str:
        return self.name.replace(" ", "-").lower()


def cases() -> list[Case]:
    """The first is what the others are compared with."""
    none = {"rate": None}
    every = SCORE_RULES | {"rate": RATE, "signed": True, "attempts": ATTEMPTS}
    return [
        Case("plain", none),
        Case("idempotency key", none, keyed=True),
        Case("rate", {"rate": RATE}),
        Case("player_rate", none, player_rate=True),
        *(Case(name, none | {name: rule}) for name, rule in SCORE_RULES.items()),
        Case("attempt", none | {"attempts": {}}, attempts=True),
        Case("max_score_per_s", none | {"attempts": ATTEMPTS}, attempts=True),
        Case("signed", none | {"signed": True}, keyed=True, signed=True),
        Case("every rule", every, player_rate=True, keyed=True, signed=True, attempts=True),
    ]


@click.command()
@click.option("--entries", type=click.IntRange(1000, 10**6), default=100_000, show_default=True, help="On each board.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--store-binary", help="A Redis or Valkey server; found as by `leaderboard serve` if absent.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers there too.")
def main(entries: int, rounds: int, store_binary: str | None, json_path: Path | None) -> None:
    """What each rule adds to a submission, in the store and in the web server."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leaderboard-trust-")))
        settings = Settings(
            data_dir=folder, store_binary=store_binary, store_timeout_s=30.0, journal_records_most=10**8,
            journal_records_alarm=10**8, admin_key=ADMIN_KEY, player_burst=0,
        )  # fmt: skip
        store = stack.enter_context(EmbeddedStore(settings))
        settings = replace(settings, redis_url=store.url)
        apps = {
            asked: create_app(replace(settings, player_burst=1000 if asked else 0, player_per_s=100.0))
            for asked in (False, True)
        }
        for app in apps.values():
            stack.callback(app.extensions["leaderboard"].close)
        raw = stack.enter_context(closing(redis.Redis.from_url(store.url)))
        lb: Installation = apps[False].extensions["leaderboard"]
        lb.claim.check()
        others = list(crowd.player_ids(entries + PLAYERS))
        players = [sessions.create_session(lb, player) for player in others[entries:]]
        for case in cases():
            _define(apps[False], case)
            crowd.submit(lb, case.board, others[:entries])
        report = {"engine": store.engine, "entries": entries} | measure(apps, raw, players, rounds)
    _show(report)
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=2) + "\n")


def measure(
    apps: dict[bool, Flask], raw: redis.Redis, players: Sequence[sessions.SignedIn], rounds: int
) -> dict[str, Any]:
    """µs of the store and of the web server's processor for a submission in each case, taken in turns."""
    in_store: dict[str, list[float]] = {}
    in_server: dict[str, list[float]] = {}
    # One round more, that warms up and does not count.
    for number in range(rounds + 1):
        for case in cases():
            app, requests = apps[case.player_rate], list(_requests(apps[False], case, players, number))
            taken: list[float] = []

            def work(app: Flask = app, requests: list[Any] = requests, taken: list[float] = taken) -> None:
                began = time.process_time()
                for request in requests:
                    _send(app, request)
                taken.append((time.process_time() - began) / len(requests) * 1e6)

            us = time_of(raw, "fcall", work)
            if number:
                in_store.setdefault(case.name, []).append(us)
                in_server.setdefault(case.name, []).append(taken[0])
    return {
        "µs in the store": {name: median(values) for name, values in in_store.items()},
        "µs in the web server": {name: median(values) for name, values in in_server.items()},
    }


def _define(app: Flask, case: Case) -> None:
    kinds = [{"kind": kind.value} for kind in (PeriodKind.SEASON, PeriodKind.WEEKLY)]
    answer = app.test_client().put(
        f"/v1/admin/boards/{case.board}",
        json={"periods": kinds, "rules": case.rules},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
    )
    if answer.status_code != 201:
        raise click.ClickException(answer.text)


def _requests(app: Flask, case: Case, players: Sequence[sessions.SignedIn], seed: int) -> Iterator[dict[str, Any]]:
    """As a web server hands them to the application, each read once."""
    dice, now = Random(f"{case.name} {seed}"), int(time.time())
    path = f"/v1/boards/{case.board}/submissions"
    for number in range(TIMED):
        player = players[number % len(players)]
        submission: dict[str, Any] = {"score": dice.randrange(SCORES)}
        if case.attempts:
            submission["attempt"] = _open_attempt(app, case, player.token)
        body = json.dumps(submission).encode()
        request = {
            "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "localhost", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0), "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
            "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Bearer {player.token}",
        }  # fmt: skip
        if case.keyed:
            request["HTTP_IDEMPOTENCY_KEY"] = key = f"{seed}-{number}"
            if case.signed:
                message = string_to_sign(str(now), "POST", path.encode(), key, body)
                signature = sign(player.signing_key, message).hex()
                request["HTTP_LEADERBOARD_SIGNATURE"] = f"t={now},v1={signature}"
        yield request


def _open_attempt(app: Flask, case: Case, token: str) -> str:
    path, headers = f"/v1/boards/{case.board}/attempts", {"Authorization": f"Bearer {token}"}
    answer = app.test_client().post(path, json={}, headers=headers)
    if answer.status_code != 201:
        raise click.ClickException(answer.text)
    return str(answer.get_json()["attempt"])


def _send(app: Flask, request: dict[str, Any]) -> None:
    status = ""

    def start_response(given: str, *_: Any) -> None:
        nonlocal status
        status = given

    answer = b"".join(app(request, start_response))  # type: ignore[arg-type]
    if not status.startswith("200") or b'"held"' in answer:
        raise click.ClickException(f"{status}: {answer.decode()}")


def _show(report: dict[str, Any]) -> None:
    click.echo(f"{report['engine']}, {report['entries']:,} entries on each board, in two standings; medians")
    store, server = report["µs in the store"], report["µs in the web server"]
    click.echo(f"{'':<28}{'µs in the store':>17}{'more':>8}{'':>8}{'µs in the web server':>22}{'more':>8}")
    plain = "plain"
    for name in store:
        click.echo(
            f"{name:<28}{store[name]:>17.1f}{store[name] - store[plain]:>8.1f}{store[name] / store[plain]:>7.2f}×"
            f"{server[name]:>22.1f}{server[name] - server[plain]:>8.1f}{server[name] / server[plain]:>7.2f}×"
        )


if __name__ == "__main__":
    main()
