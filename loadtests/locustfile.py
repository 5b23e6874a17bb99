"""A realistic mix against a running service; README.md beside this file says how to read what comes out.

locust -f loadtests/locustfile.py --headless -u 50 -r 10 -t 60s --host http://127.0.0.1:8000

with the service's keys in LEADERBOARD_ADMIN_KEY and LEADERBOARD_SERVER_KEY. It defines its board by itself. The exit
code is 1 when anything failed: an answer that is wrong counts as much as one that did not come.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

import requests
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.users import DEFINITION, Admin, GameServer, Player

__all__ = ["Admin", "GameServer", "Player"]


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--board", default="load", help="The board to play on; made when it is missing.")
    parser.add_argument(
        "--reset-every", type=float, default=20.0, metavar="SECONDS", help="How often the admin resets the season."
    )


@events.test_start.add_listener
def define_board(environment: Environment, **_: Any) -> None:
    """End the run at once where the board cannot be defined: every number would be wrong."""
    if isinstance(environment.runner, WorkerRunner):
        return
    missing = [name for name in ("LEADERBOARD_ADMIN_KEY", "LEADERBOARD_SERVER_KEY") if not os.environ.get(name)]
    if missing:
        _give_up(environment, f"not set: {', '.join(missing)}")
        return
    assert environment.parsed_options is not None
    url = f"{environment.host or Player.host}/v1/admin/boards/{environment.parsed_options.board}"
    with requests.Session() as session:
        # The proxies of the environment seldom know the way to this machine itself.
        session.trust_env = False
        headers = {"Authorization": f"Bearer {os.environ['LEADERBOARD_ADMIN_KEY']}"}
        try:
            answer = session.put(url, json=DEFINITION, headers=headers, timeout=10)
        except requests.RequestException as error:
            _give_up(environment, f"the board cannot be defined: {error}")
            return
    if not answer.ok:
        _give_up(environment, f"the board cannot be defined: {answer.status_code} {answer.text}")


def _give_up(environment: Environment, reason: str) -> None:
    print(f"loadtests: {reason}", file=sys.stderr)
    environment.process_exit_code = 2
    assert environment.runner is not None
    environment.runner.quit()
