"""The archive's database: SQLite in one file, or PostgreSQL by its address.

Nothing connects before it is needed. While the database is away, locked for too long, full or read-only, everything
here raises Problem `archive_unavailable` (503); connections are found again by themselves. Errors in what is asked of
it (a missing table, a key that is there already) come out as SQLAlchemy raises them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.sql.dml import Insert

from leaderboard.archive import schema
from leaderboard.archive.connections import make_file, postgresql_engine, sqlite_engine, sqlite_file
from leaderboard.archive.failures import failures_as_problems
from leaderboard.archive.tables import tables
from leaderboard.errors import Problem, SettingError
from leaderboard.settings import Settings

#: Looking through a file takes a second for some hundred megabytes.
CHECKED_MOST = 500_000_000

#: What begins a transaction, and what it sees.
_WRITE: dict[str, dict[str, Any]] = {
    "sqlite": {"begin": "BEGIN IMMEDIATE"},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}
_READ: dict[str, dict[str, Any]] = {
    "sqlite": {"begin": "BEGIN"},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


class Archive:
    """The archive of one installation, shared by all threads of a process. Raises SettingError for a bad address."""

    def __init__(self, settings: Settings) -> None:
        self.tables = tables(settings.namespace)
        self._file = sqlite_file(settings)
        self._engine = postgresql_engine(settings) if self._file is None else sqlite_engine(self._file)
        self.dialect = self._engine.dialect.name

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or rolled back when an exception comes out.

        On SQLite it is the only one that writes, from its start on. When the Problem comes from the commit itself, the
        changes may have been made all the same: the connection broke before the database could say so.
        """
        try:
            with failures_as_problems(), self._engine.connect() as connection:
                connection.execution_options(**_WRITE[self.dialect])
                with connection.begin():
                    yield connection
        except Problem as problem:
            if self._file is not None and problem.code == "archive_unavailable":
                # A connection to a file that was read-only when it was opened is so for ever.
                self._engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees everything as it was at its first statement. It keeps no change, and allows none on
        PostgreSQL."""
        with failures_as_problems(), self._engine.connect() as connection:
            connection.execution_options(**_READ[self.dialect])
            transaction = connection.begin()
            try:
                yield connection
            finally:
                transaction.rollback()

    def exists(self) -> bool:
        """Whether there is an archive. Makes nothing."""
        return self.revision() is not None

    def is_usable(self) -> bool:
        """Whether there is an archive. Raises archive_unavailable where its tables are not those of this version: a
        worker of this version, which is yet to start, brings older ones to it."""
        found = self.revision()
        if found not in (None, self.head()):
            raise Problem(
                "archive_unavailable",
                f"The archive's tables are those of another version ({found}; this one works with {self.head()}).",
                retry_after_s=5,
            )
        return found is not None

    def revision(self) -> str | None:
        """The revision of the tables that are there; None where there is no archive. Makes nothing."""
        if self._file is not None and not (self._file.exists() and self._file.stat().st_size):
            return None
        with self.read() as connection:
            return schema.revision(connection, self.tables)

    def head(self) -> str:
        """The revision that this version works with."""
        return schema.head()

    def migrate(self) -> None:
        """Make the archive, or bring it to `head()`; harmless when it is there, and while another process does it.

        It happens as a whole or not at all. Raises SettingError when the archive is of a newer version, or cannot be
        made here.
        """
        if self._file is not None:
            make_file(self._file)
        if self.revision() == self.head():
            return
        try:
            with self.write() as connection:
                if self.dialect == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self._migration_lock()})
                schema.upgrade(connection, self.tables)
        except ProgrammingError as error:
            if not isinstance(error.orig, InsufficientPrivilege):
                raise
            raise SettingError(
                f"the user of LEADERBOARD_DATABASE_URL may not make tables there: {error.orig.diag.message_primary}"
            ) from error

    def upsert(self, table: Table, columns: Iterable[str], keeping: Container[str] = ()) -> Insert:
        """A statement that inserts rows with these columns; one whose primary key is there changes in all of them but
        those in `keeping`."""
        others = [name for name in columns if name not in table.primary_key.columns and name not in keeping]
        insert = postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)
        if not others:
            return insert.on_conflict_do_nothing()
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key.columns), set_={name: insert.excluded[name] for name in others}
        )

    def find_damage(self) -> str | None:
        """What is wrong with an SQLite file; None where nothing is, where it is larger than CHECKED_MOST, and on
        PostgreSQL."""
        if self._file is None or not self._file.exists() or self._file.stat().st_size > CHECKED_MOST:
            return None
        with closing(self._engine.raw_connection()) as connection:
            try:
                found = connection.cursor().execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                return str(error)
        return None if found == ("ok",) else str(found[0])

    def tidy(self) -> None:
        """On SQLite, bring the log beside the file into it: of what was deleted, nothing stays readable in either."""
        if self._file is None:
            return
        with failures_as_problems(), closing(self._engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the connections that are not in use; the next call makes new ones."""
        self._engine.dispose()

    def _migration_lock(self) -> int:
        return int.from_bytes(sha256(f"leaderboard {self.tables.schema}".encode()).digest()[:8], signed=True)
