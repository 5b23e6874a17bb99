"""An installation of the test's own, to look at, and to break."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from leaderboard import create_app
from leaderboard.cli import main
from leaderboard.installation import Installation, open_installation
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.engine import packaged_binary
from leaderboard.worker.drain import Drain
from tests.client import ADMIN_KEY, SERVER_KEY, Client


@dataclass(frozen=True)
class Told:
    """What the doctor said, and its exit code."""

    exit_code: int
    output: str

    @cached_property
    def document(self) -> Any:
        return json.loads(self.output)

    @property
    def statuses(self) -> dict[str, str]:
        return {check["id"]: check["status"] for check in self.document["checks"]}

    @property
    def complaints(self) -> dict[str, str]:
        """Whatever is not ok, but for the age of the server: that is the machine's."""
        return {name: status for name, status in self.statuses.items() if status != "ok" and name != "store.engine"}

    def check(self, name: str) -> Any:
        [found] = [check for check in self.document["checks"] if check["id"] == name]
        return found

    def says(self, name: str) -> str:
        """Summary, detail and mend of a check."""
        check = self.check(name)
        return " ".join(filter(None, (check["summary"], check["detail"], check["mend"])))


@dataclass
class Ground:
    """What `leaderboard serve` runs, but for the web server: that is a Flask application here."""

    folder: Path
    binary: str
    _open: list[Installation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = EmbeddedStore(Settings(data_dir=self.folder, store_binary=self.binary))

    def settings(self, **more: Any) -> Settings:
        given = {"redis_url": self.store.url, "data_dir": self.folder, "admin_key": ADMIN_KEY, "server_key": SERVER_KEY}
        return Settings(**{**given, **more})

    @cached_property
    def raw(self) -> redis.Redis:
        return redis.Redis.from_url(self.store.url)

    @cached_property
    def api(self) -> Client:
        return self.client()

    def client(self, clock: Any = None, **more: Any) -> Client:
        app = create_app(self.settings(**more), clock)
        self._open.append(app.extensions["leaderboard"])
        return Client(app.test_client())

    def installation(self, **more: Any) -> Installation:
        self._open.append(open_installation(self.settings(**more)))
        return self._open[-1]

    def work(self, **more: Any) -> None:
        """One turn of a worker, which says of itself how it went and lets go of its lease."""
        turns = iter([False])
        Drain(self.installation(**more)).run(lambda: next(turns, True))

    def doctor(self, *options: str, **variables: str) -> Told:
        """Run it as somebody does who has only the data directory."""
        ours = {"LEADERBOARD_REDIS_URL": "", "LEADERBOARD_STORE_BINARY": self.binary}
        inherited = {name: None for name in os.environ if name.startswith("LEADERBOARD_")}
        arguments = ["doctor", "--json", "--data-dir", str(self.folder), *options]
        result = CliRunner().invoke(main, arguments, env={**inherited, **ours, **variables})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.stderr == ""
        return Told(result.exit_code, result.stdout)

    def doctor_by_url(self, user: str = "", **variables: str) -> Told:
        """Run it as somebody does who has a store of their own."""
        path = self.store.url.removeprefix("unix://")
        return self.doctor(LEADERBOARD_REDIS_URL=f"unix://{user}{'@' if user else ''}{path}", **variables)

    def end(self) -> None:
        for lb in self._open:
            lb.close()
        if "raw" in self.__dict__:
            self.raw.close()
        self.store.stop()


@pytest.fixture
def ground() -> Iterator[Ground]:
    """Its store is stopped; its path is short, as that of a socket must be."""
    folder = Path(tempfile.mkdtemp(prefix="lb-doctor-"))
    ground = Ground(folder, os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary()))
    yield ground
    ground.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def well(ground: Ground) -> Ground:
    """It runs, has a board with two entries, and all of it is archived."""
    ground.store.start()
    ground.api.define()
    ground.api.submit("alice", 10)
    ground.api.submit("bob", 20)
    ground.work()
    return ground
