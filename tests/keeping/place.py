"""Where an installation lives: its store, its archive, and the processes that work on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import redis
from flask import Flask

from leaderboard import create_app, journal
from leaderboard.clock import TellsTime
from leaderboard.installation import Installation, open_installation
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.engine import packaged_binary
from leaderboard.worker.drain import Drain
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.keeping.killed_worker import end_lease
from tests.live import WITHIN_S, Live, eventually

ROOT = Path(__file__).parents[2]

#: A rebuild that replaces waits for what is under way, and so for this.
STORE_TIMEOUT_S = 1.2


def once() -> Callable[[], bool]:
    """A stop for `Drain.run` after one turn."""
    asked = iter([False])
    return lambda: next(asked, True)


class Process:
    """A command of Python's that runs, and what it wrote."""

    def __init__(self, command: Sequence[str], variables: dict[str, str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *command], env=variables, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def ended(self, within_s: float = WITHIN_S) -> int:
        """Wait for its end; return its status."""
        return self._process.wait(within_s)

    def stopped(self) -> int:
        """Ask it to stop, and wait for that."""
        self._process.terminate()
        return self.ended()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Place:
    """All of one installation on this machine."""

    def __init__(self, folder: Path, binary: str, database_url: str | None) -> None:
        self.folder, self.binary, self.database_url = folder, binary, database_url
        self.store = EmbeddedStore(Settings(data_dir=folder, store_binary=binary))
        self.installations: list[Installation] = []
        self.processes: list[Process] = []
        self._raw: redis.Redis | None = None

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for lb in self.installations:
            lb.close()
        if self._raw is not None:
            self._raw.close()
        self.store.stop()

    # -- within this process -------------------------------------------------------------------------------------------

    def settings(self, **more: Any) -> Settings:
        given = {
            "redis_url": self.store.url, "data_dir": self.folder, "database_url": self.database_url,
            "admin_key": ADMIN_KEY, "server_key": SERVER_KEY, "store_timeout_s": STORE_TIMEOUT_S,
        }  # fmt: skip
        return Settings(**{**given, **more})

    def installation(self, clock: TellsTime | None = None, **more: Any) -> Installation:
        lb = open_installation(self.settings(**more), clock)
        self.installations.append(lb)
        return lb

    def app(self, clock: TellsTime | None = None, **more: Any) -> Flask:
        app = create_app(self.settings(**more), clock)
        self.installations.append(app.extensions["leaderboard"])
        return app

    def api(self, clock: TellsTime | None = None, **more: Any) -> Client:
        return Client(self.app(clock, **more).test_client())

    @property
    def raw(self) -> redis.Redis:
        """The store itself."""
        if self._raw is None:
            self._raw = redis.Redis.from_url(self.store.url)
        return self._raw

    def drain(self) -> int:
        """Archive everything that waits, whoever had the lease; return how many records that were."""
        lb, done = self.installation(), 0
        if lb.archive.exists():
            end_lease(lb)
        reader = Drain(lb)
        while archived := reader.step():
            done += archived
        assert archived == 0
        # Let another begin at once.
        end_lease(lb)
        return done

    # -- processes -----------------------------------------------------------------------------------------------------

    def variables(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")}
        ours = {
            "LEADERBOARD_REDIS_URL": self.store.url,
            "LEADERBOARD_DATA_DIR": str(self.folder),
            "LEADERBOARD_STORE_TIMEOUT_S": str(STORE_TIMEOUT_S),
        }
        if self.database_url:
            ours["LEADERBOARD_DATABASE_URL"] = self.database_url
        return {**inherited, **ours, **more}

    def run(self, *command: str, **variables: str) -> Process:
        """Start a command; it is ended with the place."""
        process = Process(command, self.variables(**variables), self.folder / f"process-{len(self.processes)}")
        self.processes.append(process)
        return process

    def worker(self, **variables: str) -> Process:
        return self.run("-m", "leaderboard.worker", **variables)

    def cli(self, *arguments: str, **variables: str) -> Process:
        """Run `leaderboard …` to its end."""
        process = self.run("-c", "from leaderboard.cli import main; main()", *arguments, **variables)
        process.ended()
        return process

    def killed(self, what: str, *points: str, at_once: int | None = None) -> list[str]:
        """Run processes that kill themselves, each at its point, in turn; return the points that were never reached.

        `at_once`: so many rows in one share of a rebuild.
        """
        options = [] if at_once is None else ["--at-once", str(at_once)]
        process = self.run("-m", "tests.keeping.killed_worker", what, *options, *points)
        process.ended(WITHIN_S + 10 * len(points))
        told = [json.loads(line) for line in process.said.splitlines() if line.startswith("{")]
        assert [one["point"] for one in told] == list(points), process.said
        assert {one["ended"] for one in told} <= {"killed", "finished"}, process.said
        return [one["point"] for one in told if one["ended"] == "finished"]

    @contextmanager
    def paused(self, what: str, point: str) -> Iterator[Process]:
        """A process that stands still before a line, and goes on from there afterwards, to its end."""
        process = self.run("-m", "tests.keeping.killed_worker", what, "--pause", point)
        eventually(lambda: '"paused"' in process.said or process.status is not None, "it comes to that line")
        (told,) = [json.loads(line) for line in process.said.splitlines() if line.startswith("{")]
        try:
            yield process
        finally:
            os.kill(told["pid"], signal.SIGCONT)
        assert process.ended() == 0, process.said

    @contextmanager
    def live(self, **variables: str) -> Iterator[Live]:
        ours = {
            name: value
            for name, value in self.variables(**variables).items()
            if name.startswith("LEADERBOARD_") and name != "LEADERBOARD_REDIS_URL"
        }
        with Live(self.store.url, workers=1, **ours) as live:
            yield live.ready()

    # -- what is done to the store -------------------------------------------------------------------------------------

    @property
    def appended(self) -> Path:
        """The append-only files."""
        return self.folder / "store" / "appendonlydir"

    def kill_store(self) -> None:
        assert self.store.child is not None
        os.kill(self.store.child.pid, signal.SIGKILL)
        assert self.store.child.wait(WITHIN_S)

    def forget(self) -> None:
        """The store was started by somebody else meanwhile: it may be at another address."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def launch_store(self) -> None:
        """After a kill: on what it wrote."""
        self.store.launch()
        eventually(self._answers, "the store answers")

    def _answers(self) -> bool:
        try:
            return bool(self.raw.ping())
        except redis.RedisError:
            return False

    def lose_store(self) -> None:
        """All its files are gone; an empty one starts in its place."""
        self.kill_store()
        shutil.rmtree(self.appended)
        self.launch_store()
        assert self.raw.dbsize() == 0

    def copy_store(self, name: str) -> Path:
        """What a backup of the directory at this moment holds."""
        copy = self.folder / name
        # What the server has not handed to the kernel yet is in nobody's files.
        self.kill_store()
        shutil.copytree(self.appended, copy)
        self.launch_store()
        return copy

    def put_back(self, copy: Path) -> None:
        self.kill_store()
        shutil.rmtree(self.appended)
        shutil.copytree(copy, self.appended)
        self.launch_store()

    def waiting(self) -> int:
        with closing(redis.Redis.from_url(self.store.url)) as raw:
            return int(raw.xlen("lb:{0}:journal"))

    def generation(self) -> str | None:
        lb = self.installation()
        mark = journal.read_mark(lb.store, lb.keys)
        return mark.generation if mark else None


@contextmanager
def new_place(database_url: str | None) -> Iterator[Place]:
    """With an empty store that runs; the archive is in its folder unless it has an address."""
    # A socket's path has a limit.
    folder = Path(tempfile.mkdtemp(prefix="lb-own-"))
    place = Place(folder, os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary()), database_url)
    try:
        place.store.start()
        yield place
    finally:
        place.end()
        shutil.rmtree(folder, ignore_errors=True)
