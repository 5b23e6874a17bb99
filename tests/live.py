"""The service as it runs in earnest: gunicorn with several worker processes, spoken to over TCP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

import httpx
import orjson

from tests.client import ADMIN_KEY, SERVER_KEY, Client

#: Far more than a start or a recovery takes; a test that needs all of it has failed.
WITHIN_S = 60.0


def eventually(holds: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> None:
    """Ask until it holds: nothing here depends on how fast the machine is."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Answer:
    """An httpx response with the members of Flask's that `tests.client.Client` uses."""

    status_code: int
    headers: httpx.Headers
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode()

    def get_json(self) -> Any:
        return orjson.loads(self.data)


class Http:
    """Flask's test client over TCP, as far as `tests.client.Client` uses it. Threads may share one."""

    def __init__(self, url: str) -> None:
        # No limit of its own: a call that waited for a connection would look like a slow service.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self.client = httpx.Client(base_url=url, timeout=WITHIN_S, trust_env=False, limits=limits)

    def open(self, path: str, *, method: str, json: Any = None, headers: dict[str, str] | None = None) -> Answer:
        response = self.client.request(method, path, json=json, headers=headers)
        return Answer(response.status_code, response.headers, response.content)


class Live:
    """Start it with `with`; it is ended by the id of its own process."""

    def __init__(self, redis_url: str, *, workers: int = 2, namespace: str = "lb", **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = Http(self.url)
        self.api = Client(self.http)
        self._command = [
            sys.executable, "-m", "gunicorn", "-c", "python:leaderboard.gunicorn_conf", "--workers", str(workers),
            "--bind", f"127.0.0.1:{self.port}", "leaderboard:create_app()",
        ]  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")}
        # Not wherever the tests run: an archive that is there would be believed.
        self._data_dir = tempfile.TemporaryDirectory()
        self._environment = {
            **kept,
            "LEADERBOARD_DATA_DIR": self._data_dir.name,
            "LEADERBOARD_REDIS_URL": redis_url,
            "LEADERBOARD_NAMESPACE": namespace,
            "LEADERBOARD_ADMIN_KEY": ADMIN_KEY,
            "LEADERBOARD_SERVER_KEY": SERVER_KEY,
            **variables,
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  open for as long as gunicorn runs; __exit__ closes it
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        try:
            eventually(self._listens, "gunicorn listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.http.client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        self._data_dir.cleanup()

    def ready(self) -> Self:
        """Wait until /readyz says so."""
        eventually(lambda: self.status("/readyz") == 200, "it is ready")
        return self

    def status(self, path: str) -> int:
        return self.http.open(path, method="GET").status_code

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return self.status("/livez") == 200
        except httpx.TransportError:
            return False
