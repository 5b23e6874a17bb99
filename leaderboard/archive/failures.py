"""Which errors of a database mean that it is away or refuses for now, and which are mistakes of ours."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from leaderboard.errors import Problem

log = logging.getLogger(__name__)

#: What the Retry-After of a 503 says. A database that restarts takes some seconds.
RETRY_AFTER_S = 5

#: sqlite3 raises OperationalError for SQL that makes no sense too, so its codes tell: locked, disk full, read-only, the
#: file gone or damaged.
_SQLITE_AWAY = frozenset({
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOTADB,
})  # fmt: skip

#: Of psycopg: no connection, broken off, stopping, out of memory, disk or connections, a deadlock. The last is a server
#: that has become a standby.
_POSTGRESQL_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


@contextmanager
def failures_as_problems() -> Iterator[None]:
    """Raise Problem `archive_unavailable` for what passes by itself or with an operator's help, and nothing else."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        if not _is_away(error):
            raise
        # Neither the driver nor SQLAlchemy repeats a password, and parameters are hidden (connections.py).
        log.warning("the archive is away or refuses: %s", getattr(error, "orig", None) or error)
        raise Problem("archive_unavailable", _detail(error), retry_after_s=RETRY_AFTER_S) from error


def _detail(error: Exception) -> str | None:
    """What is said of a file. What PostgreSQL says may name hosts and users, so it stands in the log alone."""
    cause = getattr(error, "orig", error)
    if not isinstance(cause, sqlite3.Error):
        return None
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "The archive's file is damaged: `leaderboard doctor` says more."
    return f"The archive's file refuses this now: {cause}."


def _is_away(error: Exception) -> bool:
    cause = getattr(error, "orig", error)
    if isinstance(cause, sqlite3.Error):
        # The low byte is the kind; the rest says more.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_AWAY
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeoutError)
    return error.connection_invalidated or isinstance(error.orig, _POSTGRESQL_AWAY)
