"""A whole installation as one file: the rows of its archive, of one moment.

    {"leaderboard_export": 1, "kind": "installation", …}
    {"table": "boards", "columns": ["board", "definition", …]}
    ["main", "{…}", 3, …]
    …
    {"table": "entries", "columns": ["board", "period_id", "player", "order_key", …]}
    …
    {"end": {"lines": …, "sha256": …}}

Bytes are base64. What belongs to this machine's store and worker stays out; so do submissions, one by one, but for
those of the last two days that have an Idempotency-Key, without which a client's retry after the move would count
twice.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
from sqlalchemy import Column, Connection, LargeBinary, Select, Table, func, select

from leaderboard.api.fields import show_instant
from leaderboard.archive.readers import PARTITION
from leaderboard.archive.tables import Tables
from leaderboard.idempotency import ANSWER_KEPT_MS
from leaderboard.moving.document import Document, ExportError, Progress

if TYPE_CHECKING:
    from leaderboard.installation import Installation

KIND = "installation"

#: In the order in which they come. Of `installation` only the names of NAMES.
TABLES = (
    "boards", "seasons", "standings", "entries", "players", "sessions", "friends", "reviews", "attempts",
    "attempted", "keys",
    "installation", "submissions", "audit",
)  # fmt: skip

#: The rest says how far this archive is.
NAMES = ("maintenance", "signing")

#: Rows that are fetched together.
AT_ONCE = 2_000


def table_named(tables: Tables, name: str) -> Table:
    table: Table = getattr(tables, name)
    return table


def columns_of(table: Table) -> list[Column[Any]]:
    """Those that are exported. Submissions and acts get new numbers, in the order they come in."""
    return [column for column in table.columns if not (column.primary_key and column.name == "id")]


def is_binary(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


def export_installation(
    lb: Installation, file: BinaryIO, *, submissions: bool = False, progress: Progress = lambda *_: None
) -> int:
    """Write everything that the archive has, with all past submissions if asked for; returns how many rows that is.

    Raises ExportError for an archive that is new, Problem (503).
    """
    tables, since_ms = lb.archive.tables, lb.clock.now_ms() - ANSWER_KEPT_MS
    with lb.archive.read() as connection:
        readers = tables.readers
        position = connection.execute(select(readers).where(readers.c.partition == PARTITION)).first()
        if position is None:
            raise ExportError("there is nothing in the archive yet")
        document = Document(
            file, KIND, at=show_instant(lb.clock.now_ms()), revision=lb.archive.revision(),
            generation=position.generation, number=position.number,
        )  # fmt: skip
        queries = {name: _query(tables, name, None if submissions else since_ms) for name in TABLES}
        total = sum(_count(connection, query) for query in queries.values())
        done = 0
        for name, query in queries.items():
            columns = columns_of(table_named(tables, name))
            document.add(orjson.dumps({"table": name, "columns": [column.name for column in columns]}))
            for line in _lines(connection, query, columns):
                document.add(line)
                done += 1
                if done % AT_ONCE == 0:
                    progress(name, done, total)
        document.finish()
    progress("", done, total)
    return done


def _query(tables: Tables, name: str, since_ms: int | None) -> Select[Any]:
    table = table_named(tables, name)
    query = select(*columns_of(table)).order_by(*table.primary_key.columns)
    if name == "installation":
        return query.where(table.c.name.in_(NAMES))
    if name == "submissions" and since_ms is not None:
        return query.where(table.c.at_ms > since_ms, table.c.replay != b"")
    return query


def _count(connection: Connection, query: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0


def _lines(connection: Connection, query: Select[Any], columns: list[Column[Any]]) -> Iterator[bytes]:
    binary = [at for at, column in enumerate(columns) if is_binary(column)]
    dump: Callable[[Any], bytes] = orjson.dumps
    for row in connection.execute(query.execution_options(yield_per=AT_ONCE)):
        cells = list(row)
        for at in binary:
            if cells[at] is not None:
                cells[at] = b64encode(cells[at]).decode()
        yield dump(cells)
