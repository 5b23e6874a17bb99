"""Taking in a whole installation, into one that holds nothing.

The rows go into the archive, each share in one transaction with the word how far that is, so an import that was cut
off goes on behind its last share. From the first transaction on, the archive says that it belongs to a store (so nobody
claims an empty one beside it) and that it is being filled (so nobody makes a store from a part of it). When all rows
are there, the store is made from them as after a loss, every standings verified, and only then opened.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, Integer, Table, delete, insert, select
from sqlalchemy.exc import DataError, IntegrityError

from leaderboard import journal
from leaderboard.archive import readers
from leaderboard.archive.filling import IMPORT, end_filling, note_filling
from leaderboard.archive.readers import Position
from leaderboard.errors import LeaderboardError
from leaderboard.moving import values
from leaderboard.moving.document import LONGEST_LINE, Progress, Whole, check
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.installation import KIND, TABLES, columns_of, is_binary, table_named
from leaderboard.moving.source import open_source
from leaderboard.moving.values import WrongValue
from leaderboard.rebuild import Rebuilt, rebuild

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive
    from leaderboard.installation import Installation

#: Rows in one transaction.
AT_ONCE = 5_000

#: The name in `installation` under which it is remembered how far the import is.
_NAME = "import"


class ImportRefusedError(LeaderboardError):
    """The file cannot be imported here; the message says why."""


@dataclass(frozen=True, slots=True)
class Imported:
    rows: int
    rebuilt: Rebuilt
    #: The line it went on behind; 0 for the beginning.
    resumed: int


@dataclass(frozen=True, slots=True)
class _Begun:
    """How far an import is: the file's checksum, the last line that is in the archive, whether all of them are."""

    sha256: str
    line: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class _Share:
    """Some rows of one table, and the line that the last of them stands on."""

    table: Table
    rows: list[dict[str, Any]]
    line: int


def import_installation(
    lb: Installation, path: Path, *, anew: bool = False, progress: Progress = lambda *_: None
) -> Imported:
    """Fill archive and store from a file. Run again after it was cut off, it goes on; with `anew`, what was taken in of
    another file goes first.

    Raises SourceError for a file that is not whole or not right, ImportRefusedError where there is something already,
    RebuildError, Problem (503).
    """
    whole = check(path, KIND, progress)
    lb.archive.migrate()
    begun = _begin(lb, whole, anew)
    if not begun.done:
        for share in _shares(lb, path, begun.line):
            _check_unclaimed(lb)
            with lb.archive.write() as connection:
                _write(connection, share, path)
                _note(connection, lb.archive, replace(begun, line=share.line))
            progress("archive", share.line, whole.lines)
        with lb.archive.write() as connection:
            _note(connection, lb.archive, replace(begun, line=whole.lines, done=True))
            end_filling(connection, lb.archive)
    rebuilt = rebuild(lb, progress=progress)
    with lb.archive.write() as connection:
        _forget(connection, lb.archive)
    return Imported(whole.lines - 1 - len(TABLES), rebuilt, begun.line)


# -- beginning --------------------------------------------------------------------------------------------------------


def _begin(lb: Installation, whole: Whole, anew: bool) -> _Begun:
    archive, is_claimed = lb.archive, journal.read_mark(lb.store, lb.keys) is not None
    with archive.write() as connection:
        position = readers.hold(connection, archive)
        begun = _read(connection, archive)
        if is_claimed or (begun is None and (position is not None or _holds_rows(connection, archive))):
            raise ImportRefusedError(
                "there is an installation here already, and one is imported only where there is none: give it a "
                "LEADERBOARD_DATA_DIR (or LEADERBOARD_REDIS_URL, LEADERBOARD_DATABASE_URL, LEADERBOARD_NAMESPACE) of "
                "its own, and do not start `leaderboard serve` on it before"
            )
        if begun is not None and begun.sha256 == whole.sha256:
            return begun
        if begun is not None and not anew:
            raise ImportRefusedError(
                "the import of another file was cut off here: import that one to its end, or begin --anew, which "
                "deletes what was taken in of it"
            )
        # No store has this generation until one is made from what comes in.
        generation = secrets.token_hex(8)
        readers.begin_anew(connection, archive, Position(generation, 0, generation, 0, generation, b"", 0))
        note_filling(connection, archive, f"{IMPORT}{whole.sha256[:16]}")
        begun = _Begun(whole.sha256)
        _note(connection, archive, begun)
    # Whoever looked before that transaction may have claimed the store after we did.
    _check_unclaimed(lb)
    return begun


def _holds_rows(connection: Connection, archive: Archive) -> bool:
    tables = [table_named(archive.tables, name) for name in TABLES]
    return any(connection.execute(select(table).limit(1)).first() is not None for table in tables)


def _check_unclaimed(lb: Installation) -> None:
    if journal.read_mark(lb.store, lb.keys) is not None:
        raise ImportRefusedError(
            "something began to use the store while the installation was being imported (`leaderboard serve`?): stop "
            "it, empty that store, and run the import again"
        )


# -- how far it is ----------------------------------------------------------------------------------------------------


def _read(connection: Connection, archive: Archive) -> _Begun | None:
    installation = archive.tables.installation
    found = connection.scalar(select(installation.c.value).where(installation.c.name == _NAME))
    return _Begun(**orjson.loads(found)) if found else None


def _note(connection: Connection, archive: Archive, begun: _Begun) -> None:
    row = {
        "name": _NAME,
        "value": orjson.dumps({"sha256": begun.sha256, "line": begun.line, "done": begun.done}).decode(),
    }
    connection.execute(archive.upsert(archive.tables.installation, row), [row])


def _forget(connection: Connection, archive: Archive) -> None:
    installation = archive.tables.installation
    connection.execute(delete(installation).where(installation.c.name == _NAME))


# -- rows -------------------------------------------------------------------------------------------------------------


def _shares(lb: Installation, path: Path, after: int) -> Iterator[_Share]:
    """The rows behind a line, in shares of one table each. The file is whole, but may not be right."""
    with open_source(path, LONGEST_LINE) as source:
        table: _Table | None = None
        rows: list[dict[str, Any]] = []
        for line in source:
            if source.line == 1:
                continue
            with values.standing_at(source.name, source.line):
                if line.startswith(b"{"):
                    if table and rows:
                        yield _Share(table.table, rows, source.line - 1)
                        rows = []
                    table = _table(lb, line)
                elif source.line > after:
                    if table is None:
                        raise WrongValue("a row of no table")
                    rows.append(table.row(line))
            if table and len(rows) >= AT_ONCE:
                yield _Share(table.table, rows, source.line)
                rows = []


class _Table:
    """How the rows of one table stand in the file."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self.table = table
        self._names = list(names)
        columns = [table.c[name] for name in names]
        self._binary = [column.name for column in columns if is_binary(column)]
        # What JSON has for each; a database that is not strict would take anything.
        kinds = [int if isinstance(column.type, Integer) else str for column in columns]
        self._kinds = [
            (kind, type(None)) if column.nullable else (kind,) for kind, column in zip(kinds, columns, strict=True)
        ]

    def row(self, line: bytes) -> dict[str, Any]:
        """Raises WrongValue."""
        try:
            cells = orjson.loads(line)
            for name, cell, kinds in zip(self._names, cells, self._kinds, strict=True):
                if type(cell) not in kinds:
                    raise WrongValue(f"not a row of {self.table.name}: its {name} is no such value")
            row = dict(zip(self._names, cells, strict=True))
            for name in self._binary:
                if row[name] is not None:
                    row[name] = b64decode(row[name], validate=True)
        except (ValueError, TypeError) as error:
            if isinstance(error, WrongValue):
                raise
            raise WrongValue(f"not a row of {self.table.name}: {error}") from error
        return row


def _table(lb: Installation, line: bytes) -> _Table | None:
    """The table whose rows follow; None behind the last. Raises WrongValue."""
    head = orjson.loads(line)
    if "end" in head:
        return None
    name, names = head.get("table"), head.get("columns")
    if name not in TABLES or not isinstance(names, list):
        raise WrongValue(f"a table that this version does not know: {name!r}")
    table = table_named(lb.archive.tables, name)
    columns = columns_of(table)
    unknown = set(names) - {column.name for column in columns}
    if unknown:
        raise WrongValue(f"columns of {name} that this version does not know: {', '.join(sorted(map(str, unknown)))}")
    required = {column.name for column in columns if not column.nullable and column.server_default is None}
    if required - set(names):
        raise WrongValue(f"{name} without its columns {', '.join(sorted(required - set(names)))}")
    return _Table(table, names)


def _write(connection: Connection, share: _Share, path: Path) -> None:
    try:
        connection.execute(insert(share.table), share.rows)
    except (DataError, IntegrityError) as error:
        reason = str(error.orig).splitlines()[0]
        raise SourceError(
            str(path), share.line, f"the archive does not take the rows of {share.table.name} up to here: {reason}"
        ) from error
