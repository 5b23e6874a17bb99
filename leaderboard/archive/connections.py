"""How the archive's database is addressed, connected to and, where it is a file, made."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError

from leaderboard.errors import SettingError
from leaderboard.settings import Settings

#: How long SQLite waits for another writer, and anyone for a free connection.
WAIT_S = 5.0

#: Connections of a process to PostgreSQL that stay open, and how many more there may be for a while.
KEPT, FURTHER = 4, 4

#: A host that is gone without a word (a power cut, a firewall) is noticed within some 15 s, not hours.
#: The address goes before this: `postgresql://…?connect_timeout=2`.
_POSTGRESQL_OPTIONS = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",
}

#: journal_mode is set apart. synchronous: a commit must outlive a power cut, for what is committed is then cut off the
#: journal; in this mode NORMAL would not wait for the disk. secure_delete: what an erased player left is overwritten
#: with zeros, not just unlinked. It cost nothing that could be told from noise: 100,000 entries in batches of 1,000,
#: inserted, upserted and deleted again, took 1.9 s, 1.6 s and 2 s with it and without.
_PRAGMAS = ("synchronous=FULL", "secure_delete=ON", "foreign_keys=OFF")


def sqlite_file(settings: Settings) -> Path | None:
    """The file of the archive, or None where it is on PostgreSQL. Raises SettingError."""
    if settings.database_url is None:
        return settings.data_dir.absolute() / "archive.sqlite"
    url = _parse(settings.database_url)
    if url.drivername != "sqlite":
        return None
    if url.host or url.query or url.database in (None, "", ":memory:"):
        raise SettingError("LEADERBOARD_DATABASE_URL must name a file: sqlite:///archive.sqlite or sqlite:////var/…")
    return Path(str(url.database)).absolute()


def make_file(path: Path) -> None:
    """Make an empty file that only we can read, and its directory, where there is none.

    Raises SettingError, also where the log of a file that is gone lies there: the two belong together, and whoever has
    them open still would break a new file.
    """
    left = [beside for end in ("-wal", "-shm") if (beside := path.with_name(path.name + end)).exists()]
    if left and not path.exists():
        raise SettingError(
            f"the archive {path} is gone, and {left[0].name} is still there: put the file back; or, if it is lost, "
            f"delete {' and '.join(one.name for one in left)}, too"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never opened when it is there (another process may be faster): closing it again would drop the locks that
        # SQLite has on it in this process.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise SettingError(f"the archive {path} cannot be made: {error.strerror}") from error


class _Connection(sqlite3.Connection):
    #: Which file it is to, as it was named before it was opened.
    file: tuple[int, int] | None


def sqlite_engine(path: Path) -> Engine:
    """Connections to a file that is there; one that is not is never made by connecting. A file that was taken away or
    exchanged under a connection is noticed before its next use: what is written there, nobody would find."""

    def connect() -> sqlite3.Connection:
        file = _identity(path)
        # Without an isolation level sqlite3 begins nothing by itself: `begin` below does.
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False,
            factory=_Connection,
        )  # fmt: skip
        connection.file = file
        try:
            _use_wal(connection)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()["begin"])

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_timeout=WAIT_S, hide_parameters=True)
    event.listen(engine, "begin", begin)
    event.listen(engine, "checkout", partial(_check_file, path))
    return engine


def _check_file(path: Path, connection: _Connection, *_: object) -> None:
    if connection.file is None or connection.file != _identity(path):
        raise InvalidatePoolError


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def postgresql_engine(settings: Settings) -> Engine:
    """Connections, tried before each use, so that a server that was away is found again. Raises SettingError."""
    assert settings.database_url is not None  # noqa: S101  sqlite_file() said so
    url = _parse(settings.database_url)
    try:
        # Only the names: libpq says of a value that it is wrong when it connects.
        make_conninfo(**dict.fromkeys(url.query, ""))
    except ProgrammingError as error:
        raise SettingError(f"LEADERBOARD_DATABASE_URL has an option that PostgreSQL does not know: {error}") from None
    options = {"application_name": f"leaderboard {settings.namespace}", **_POSTGRESQL_OPTIONS}
    return create_engine(
        url,
        connect_args={name: value for name, value in options.items() if name not in url.query},
        pool_pre_ping=True,
        pool_size=KEPT,
        max_overflow=FURTHER,
        pool_timeout=WAIT_S,
        # Errors go to the log; what players wrote does not.
        hide_parameters=True,
    )


def _parse(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # Not what they say: it may be a part of the password.
        raise SettingError(
            "LEADERBOARD_DATABASE_URL cannot be read; it is postgresql://user:password@host:port/database, "
            "with %40 for an @ in the password, and so on"
        ) from None
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _use_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer not wait for each other. The file remembers; only the first time is anything done."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # SQLite itself does not wait here when several connections find a file that is new, or a restored copy.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
