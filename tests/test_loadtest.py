"""The load test in short: real web server workers over a real store, and the mix of loadtests/ for some seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import ADMIN_KEY, SERVER_KEY
from tests.live import WITHIN_S, Live

pytestmark = pytest.mark.any_store

ROOT = Path(__file__).parent.parent

#: Every kind of request that the mix makes in ten seconds, whatever the dice say.
EXPECTED = {
    "sign in", "submit", "around me", "top", "page", "invitations", "friends standings", "batch", "reset",
    "closed season",
}  # fmt: skip


@pytest.fixture
def service(store_url: str) -> Iterator[str]:
    """The address of two workers, as deployed: what one knows of a board, the other must find out."""
    with Live(store_url, workers=2, namespace="load") as live:
        yield live.ready().url


def locust(url: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary", "--json"]
    return subprocess.run(
        [sys.executable, *command, "--host", url, *options],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=2 * WITHIN_S,
        check=False,
    )


def test_the_mix_runs_without_a_single_failure(service: str) -> None:
    keys = {"LEADERBOARD_ADMIN_KEY": ADMIN_KEY, "LEADERBOARD_SERVER_KEY": SERVER_KEY}
    options = ("-u", "18", "-r", "9", "-t", "10s", "--stop-timeout", "5", "--reset-every", "3")
    run = locust(service, *options, **keys)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    made = {kind["name"]: kind["num_requests"] for kind in json.loads(run.stdout)}
    assert {name for name in EXPECTED if made.get(name, 0) > 0} == EXPECTED
    assert sum(made.values()) > 50


def test_a_failure_ends_the_run_with_a_bad_status(service: str) -> None:
    keys = {"LEADERBOARD_ADMIN_KEY": ADMIN_KEY, "LEADERBOARD_SERVER_KEY": "not-the-key"}
    assert locust(service, "-u", "4", "-r", "4", "-t", "2s", "--stop-timeout", "5", **keys).returncode == 1
    refused = locust(service, "-u", "1", "-t", "2s", **(keys | {"LEADERBOARD_ADMIN_KEY": "not-the-key"}))
    assert refused.returncode == 2
    assert "cannot be defined: 401" in refused.stderr
