"""Real databases for the archive: each test that asks for `database_url` runs on SQLite and on PostgreSQL.

There is one PostgreSQL server per test process, started when the first test asks for it, on a socket in a directory of
its own; each test gets a database of its own. Where PostgreSQL is not installed its half is skipped, or fails with
`LEADERBOARD_TEST_POSTGRES=required`. `LEADERBOARD_TEST_DATABASES=sqlite` takes the one half, `postgresql` the other.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.live import WITHIN_S, eventually

#: Nothing here outlives the test, so nothing waits for the disk.
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "autovacuum": "off",
    "timezone": "UTC",
}

#: Where Debian has the server, newest first; it is not on the path there.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class PostgreSQL:
    """A server that ends with this process, and may be stopped and started in between."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.directory = Path(tempfile.mkdtemp(prefix="lb-postgresql-"))
        # PostgreSQL does not run as root; Debian's package brings a user for it.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"test_{number}" for number in count(1))
        # A database in another locale than C: text that is to be ordered by bytes shows when it is not.
        subprocess.run(
            [
                binaries / "initdb", "--pgdata", self.directory / "data", "--username", "postgres", "--auth", "trust",
                "--encoding", "UTF8", "--locale-provider", "icu", "--icu-locale", "en", "--locale", "C", "--no-sync",
            ],
            check=True, capture_output=True, **self._as_user(),
        )  # fmt: skip

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        options = [argument for name, value in OPTIONS.items() for argument in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.directory / "data", "-k", self.directory, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509  nothing else can set PDEATHSIG before exec
                **self._as_user(),
            )  # fmt: skip
        eventually(self._answers, "PostgreSQL answers")

    def stop(self) -> None:
        """Break off all connections and stop; what was committed is there after the next start."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(WITHIN_S)
        except BaseException:
            # Impatient, or interrupted once more: SIGQUIT leaves no children behind, as SIGKILL would.
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise

    def remove(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.directory}"

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The address of an empty database, dropped at the end."""
        self.start()
        name = next(self._names)
        self.run(f"CREATE DATABASE {name} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.start()
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with suppress(psycopg.OperationalError):
            self.run("SELECT 1")
            return True
        return False

    def _as_user(self) -> dict[str, Any]:
        # The directory we stand in may be closed to that user.
        where = {"cwd": self.directory}
        if self._user is None:
            return where
        return {**where, "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], PostgreSQL]]:
    """Gives the server of this test process; it is made when it is first asked for."""
    made: list[PostgreSQL] = []

    def server() -> PostgreSQL:
        if not made:
            made.append(PostgreSQL(_binaries()))
        return made[0]

    yield server
    for one in made:
        one.remove()


@pytest.fixture
def postgresql_url(postgresql: Callable[[], PostgreSQL]) -> Iterator[str]:
    """A new database on PostgreSQL, for what SQLite does not have."""
    with postgresql().new_database() as url:
        yield url


@pytest.fixture(params=os.environ.get("LEADERBOARD_TEST_DATABASES", "sqlite postgresql").split())
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database, empty; the test runs once on each."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path}/archive.sqlite"


def _binaries() -> Path:
    on_path = shutil.which("initdb")
    for folder in [*([Path(on_path).resolve().parent] if on_path else []), *DEBIAN]:
        if (folder / "postgres").exists():
            return folder
    reason = "PostgreSQL's initdb and postgres are not installed"
    if os.environ.get("LEADERBOARD_TEST_POSTGRES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def _end_with(parent: int) -> Callable[[], None]:
    # In the child, after it has become the other user: changing that would take the wish back.
    def in_the_child() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
            if os.getppid() != parent:
                os._exit(1)

    return in_the_child
