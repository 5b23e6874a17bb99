"""Copying one archive into another: how past submissions come along when the archive moves to another database.

Both leases are held meanwhile, so that the one stays as it is and nobody takes the other for complete. The store is not
needed for it but to know that the archive is its own; what changes waits in the journal.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, func, insert, select, text, tuple_

from leaderboard import journal
from leaderboard.archive import readers
from leaderboard.archive.filling import filled_by, note_filling
from leaderboard.archive.readers import Position
from leaderboard.journal import Mark
from leaderboard.rebuild import LEASE_WAIT_S, RebuildError
from leaderboard.relation import Relation, relation_of

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive
    from leaderboard.installation import Installation

#: The archive goes on from where the store is.
AGREE = (Relation.SAME, Relation.UNTRIMMED)

#: Of what an archive is that the store does not go on from.
_WHOSE = {
    Relation.STRANGERS: "of another store",
    Relation.OUTDATED: "of this store at an earlier time",
    Relation.BEHIND: "that this store has lost",
    Relation.PARTED: "that this store has lost",
}

#: Rows in one transaction.
AT_ONCE = 2_000

#: Stands for the generation of an archive that is being copied to. No store has it, so no worker goes on from it.
_COPYING = "copying"


def mark_of(lb: Installation) -> Mark:
    mark = journal.read_mark(lb.store, lb.keys)
    if mark is None:
        raise RebuildError("the store is empty, or is being rebuilt: there is nothing to fill the archive from")
    return mark


def relation_now(lb: Installation, position: Position) -> tuple[Mark, Relation]:
    """How the store stands to an archive at a position; whoever was its reader may just be trimming the journal."""
    while True:
        mark = mark_of(lb)
        relation = relation_of(lb, mark, position)
        if mark_of(lb) == mark:
            return mark, relation


def check_may_be_emptied(lb: Installation, connection: Connection, position: Position, relation: Relation) -> None:
    """Raise RebuildError for an archive that is not to be emptied without a word."""
    is_part = filled_by(connection, lb.archive) is not None
    if is_part and position.generation == _COPYING:
        return
    if relation in AGREE:
        raise RebuildError("the archive has what the store has; --replace fills it anew all the same")
    raise RebuildError(f"the archive holds data {_WHOSE[relation]}; --replace deletes it first")


def copy_archive(
    lb: Installation, source: Archive, by: str, replacing: bool, progress: Callable[[str, int, int], None]
) -> None:
    """Copy all tables of an archive that has what this store has. Afterwards a worker can go on from the copy.

    Raises RebuildError, LeaseLostError, Problem (503).
    """
    owner = f"copy:{secrets.token_hex(8)}"
    position = _take_lease(lb, source, owner)
    begun = None
    try:
        _, relation = relation_now(lb, position)
        if relation not in AGREE:
            raise RebuildError(f"the archive to copy from holds data {_WHOSE[relation]}")
        begun = _begin(lb, owner, by, replacing)
        _copy(lb, source, position, begun, progress)
        with source.write() as held, lb.archive.write() as connection:
            # Neither was anybody else's meanwhile; it is ready for a worker from this transaction on.
            readers.advance(held, source, position, lb.clock.now_ms())
            begun = replace(position, epoch=begun.epoch)
            readers.advance(connection, lb.archive, begun, lb.clock.now_ms())
            _go_on_counting(connection, lb.archive)
    finally:
        readers.give_up_lease(source, position)
        if begun is not None:
            readers.give_up_lease(lb.archive, begun)


def _take_lease(lb: Installation, source: Archive, owner: str) -> Position:
    if source.revision() != source.head():
        raise RebuildError("there is no archive to copy from, or it is of another version")
    if readers.read_position(source) is None:
        raise RebuildError("the archive to copy from is new, or was not filled to its end")
    deadline = time.monotonic() + LEASE_WAIT_S
    while (position := readers.take_lease(source, owner, lb.clock.now_ms())) is None:
        if time.monotonic() > deadline:
            raise RebuildError("a worker is writing to the archive that is to be copied from; stop it first")
        time.sleep(0.2)
    return position


def _begin(lb: Installation, owner: str, by: str, replacing: bool) -> Position:
    if readers.read_owner(lb.archive) == owner:
        raise RebuildError("the archive to copy from is this very one")
    with lb.archive.write() as connection:
        before = readers.hold(connection, lb.archive)
        if before is not None and not replacing:
            check_may_be_emptied(lb, connection, before, relation_now(lb, before)[1])
        nowhere = Position(_COPYING, 0, _COPYING, 0, _COPYING, b"", 0)
        begun = readers.begin_anew(connection, lb.archive, nowhere, owner=owner)
        readers.advance(connection, lb.archive, begun, lb.clock.now_ms())
        note_filling(connection, lb.archive, by)
    return begun


def _copy(
    lb: Installation, source: Archive, position: Position, begun: Position, progress: Callable[[str, int, int], None]
) -> None:
    tables = [table for table in source.tables.metadata.sorted_tables if table is not source.tables.readers]
    with source.read() as connection:
        total = sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
    done, renewed_s = 0, time.monotonic()
    for table in tables:
        for rows in _pages(source, table):
            with lb.archive.write() as connection:
                readers.advance(connection, lb.archive, begun, lb.clock.now_ms())
                connection.execute(insert(table), rows)
            done += len(rows)
            progress(table.name.removeprefix(f"{source.tables.namespace}_"), done, max(total, done))
            if time.monotonic() - renewed_s > readers.LEASE_MS / 3000:
                with source.write() as connection:
                    readers.advance(connection, source, position, lb.clock.now_ms())
                renewed_s = time.monotonic()


def _pages(source: Archive, table: Table) -> Iterator[list[dict[str, Any]]]:
    """All rows in order of their key. Nobody writes meanwhile: the lease is ours."""
    key = list(table.primary_key.columns)
    rows: list[dict[str, Any]] = []
    while True:
        query = select(table).order_by(*key).limit(AT_ONCE)
        if rows:
            query = query.where(tuple_(*key) > tuple_(*(rows[-1][column.name] for column in key)))
        with source.read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        if rows:
            yield rows
        if len(rows) < AT_ONCE:
            return


def _go_on_counting(connection: Connection, archive: Archive) -> None:
    """What is numbered as the journal goes; SQLite sees to it by itself that the next follow these."""
    for table in (archive.tables.submissions, archive.tables.audit):
        last = connection.scalar(select(func.max(table.c.id)))
        if last is not None and archive.dialect == "postgresql":
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), {"name": table.name, "last": last}
            )
