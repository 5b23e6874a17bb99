"""Filling the archive from the store: the other direction, for an archive that was lost, exchanged or put back.

The service goes on, and so does the archiving of its journal. Nothing is written to the store: it is walked through, a
share at a time, and each share is read and written in a transaction that holds the archive's position, so that nobody
archives a record in between. Then what was read is at least as new as the archive; and whatever came after the
archive's position, also what the share shows already, still stands in the journal and is archived after it, in order.
As records say how things stand, the last one of each thing decides, and a thing without any was as the share says.

Cut off, it starts over when it is started again, on top of what is there; until all was compared, the archive says of
itself that it is not whole (leaderboard/archive/filling.py).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, select, text

from leaderboard import journal
from leaderboard.archive import readers
from leaderboard.archive.erasure import forget_player
from leaderboard.archive.filling import HALF_IMPORTED, IMPORT, end_filling, filled_by, note_filling
from leaderboard.archive.readers import Position
from leaderboard.journal import JournalGapError, Mark
from leaderboard.rebuild import RebuildError
from leaderboard.rebuild.comparison import archived_standings, compare_standings
from leaderboard.rebuild.copying import AGREE, check_may_be_emptied, copy_archive, mark_of, relation_now
from leaderboard.rebuild.filling import Filling
from leaderboard.rebuild.verification import Difference
from leaderboard.rebuild.walk import walk_store, write_boards
from leaderboard.relation import Relation, explain, relation_of
from leaderboard.worker.drain import DivergedError
from leaderboard.worker.report import BELIEVED_MS, read_worker

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive
    from leaderboard.installation import Installation

#: A submission may be stamped a little before what it made: processes' clocks differ by some milliseconds.
_CLOCKS_MS = 1_000


@dataclass(frozen=True, slots=True)
class Filled:
    """What the archive has now."""

    boards: int
    players: int
    submissions: int
    #: Compared with the store, entry by entry.
    standings: int
    entries: int


def fill_archive(
    lb: Installation,
    *,
    source: Archive | None = None,
    replacing: bool = False,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Filled:
    """Write all that the store has into a new archive, or one that was not filled to its end, and compare every entry.

    With a `source`, an archive that has what this store has, all that is copied from there, past submissions too. With
    `replacing`, another archive is emptied first; without a source its submissions and its audit stay if they are of
    this store, and its reviews if it has what this store has. `progress` is told the stage, how many rows are done and
    how many there are. Raises RebuildError, SettingError, Problem (503).
    """
    lb.archive.migrate()
    check_nobody_archives_elsewhere(lb)
    by = secrets.token_hex(8)
    filling = Filling(lb, by, progress)
    try:
        if source is None:
            _begin(lb, by, replacing)
            walk_store(filling)
        else:
            copy_archive(lb, source, by, replacing, progress)
        _learn_sizes(lb)
        filling.catch_up()
        compared = compare_standings(filling, archived_standings(lb))
        _check(compared)
        with filling.share() as connection:
            if source is None:
                _drop_what_is_of_nobody(lb, connection)
            end_filling(connection, lb.archive)
    except (DivergedError, JournalGapError) as error:
        raise RebuildError(_say_what_happened(lb, error)) from error
    finally:
        filling.end()
    return _count(lb, compared)


def take_for_whole(lb: Installation, *, anyway: bool) -> None:
    """Raise RebuildError when the archive was not filled to its end; `anyway`, and with an empty store, let it pass."""
    if not lb.archive.exists():
        return
    with lb.archive.write() as connection:
        if filled_by(connection, lb.archive) is None:
            return
        if journal.read_mark(lb.store, lb.keys) is not None:
            raise RebuildError(
                "the archive was not filled to its end, and has a part only of what the store has: "
                "`leaderboard rebuild --archive` fills it"
            )
        if not anyway:
            if (filled_by(connection, lb.archive) or "").startswith(IMPORT):
                raise RebuildError(f"{HALF_IMPORTED}; or make the store from the part there is with --incomplete")
            raise RebuildError(
                "the archive was not filled to its end, and the store is empty: put another archive in its place, or "
                "make the store from the part there is with --incomplete"
            )
        end_filling(connection, lb.archive)


def check_nobody_archives_elsewhere(lb: Installation) -> None:
    """Raise RebuildError when a worker archives this store into another database: it would take records away from us.

    What a worker said last is believed for a while; one that was stopped is waited for.
    """
    said = read_worker(lb.store, lb.keys)
    deadline = time.monotonic() + BELIEVED_MS / 1000
    while (state := read_worker(lb.store, lb.keys)) is not None and state.problem is None:
        if state.owner == readers.read_owner(lb.archive):
            return
        if state != said or time.monotonic() > deadline:
            raise RebuildError(
                f"a worker archives this store into another database ({state.owner}): stop it, or let it use this one"
            )
        time.sleep(0.2)


def _begin(lb: Installation, by: str, replacing: bool) -> None:
    """Let the archive be this store's from its present number on."""
    tables = lb.archive.tables
    with lb.archive.write() as connection:
        position = readers.hold(connection, lb.archive)
        # Not before the archive stands still: a worker that is at it would move both.
        mark, relation = relation_now(lb, position) if position else (mark_of(lb), None)
        if relation not in AGREE or filled_by(connection, lb.archive) is None:
            if position is not None and relation is not None and not replacing:
                check_may_be_emptied(lb, connection, position, relation)
            begun = position if position and relation in AGREE else _standing_at(mark)
            ours = relation in (*AGREE, Relation.OUTDATED)
            kept = [tables.submissions, tables.audit] if ours else []
            if relation in AGREE:
                # What one at an earlier time says was decided may have been decided otherwise since.
                kept.append(tables.reviews)
            readers.begin_anew(connection, lb.archive, begun, keeping=kept)
            write_boards(lb, connection, begun.number)
        note_filling(connection, lb.archive, by)


def _standing_at(mark: Mark) -> Position:
    return Position(mark.generation, mark.archived, mark.token, mark.archived, mark.token, b"", 0)


def _learn_sizes(lb: Installation) -> None:
    """PostgreSQL takes tables for nearly empty until it has looked, and reads all of one to find some rows."""
    if lb.archive.dialect == "postgresql":
        with lb.archive.write() as connection:
            for table in lb.archive.tables.metadata.sorted_tables:
                connection.execute(text(f"ANALYZE {table.name}"))


def _count(lb: Installation, compared: list[Difference]) -> Filled:
    tables = lb.archive.tables
    with lb.archive.read() as connection:

        def count(table: Table) -> int:
            return connection.scalar(select(func.count()).select_from(table)) or 0

        return Filled(
            count(tables.boards), count(tables.players), count(tables.submissions), len(compared),
            sum(one.entries for one in compared),
        )  # fmt: skip


def _check(compared: list[Difference]) -> None:
    different = [one for one in compared if one.difference]
    if different:
        shown = "; ".join(f"{one.board} {one.period_id}: {one.difference}" for one in different[:5])
        raise RebuildError(f"{len(different)} standings differ from the store, and the archive is not whole: {shown}")


def _drop_what_is_of_nobody(lb: Installation, connection: Connection) -> None:
    """Past submissions, reviews and acts of players that were erased, and submissions to boards that were deleted,
    since the archive had them; also if one of the same id was made anew."""
    tables = lb.archive.tables
    players, seasons, submissions, audit = tables.players, tables.seasons, tables.submissions, tables.audit

    def has_player(table: Table) -> ColumnElement[bool]:
        return exists().where(players.c.player == table.c.player, players.c.created_ms <= table.c.at_ms + _CLOCKS_MS)

    has_board = exists().where(
        seasons.c.board == submissions.c.board, seasons.c.started_ms <= submissions.c.at_ms + _CLOCKS_MS
    )
    connection.execute(delete(submissions).where(~(has_player(submissions) & has_board)))
    connection.execute(delete(tables.reviews).where(~has_player(tables.reviews)))
    connection.execute(forget_player(audit, audit.c.player.is_not(None) & ~has_player(audit)))


def _say_what_happened(lb: Installation, error: Exception) -> str:
    mark, position = journal.read_mark(lb.store, lb.keys), readers.read_position(lb.archive, partial=True)
    if mark is None or position is None:
        return f"{error}; begin again"
    relation = relation_of(lb, mark, position)
    if relation is Relation.OUTDATED:
        return (
            "while the archive was being filled, another worker archived this store into another database (SQLite goes "
            "on writing to a file that was deleted): stop it, and begin again with --replace"
        )
    return f"{error if relation in AGREE else explain(relation, mark, position)}; begin again with --replace"
