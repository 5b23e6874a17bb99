"""The entries of a board, or of one of its standings, as rows in the order of their ranks.

They come from the archive, so those of periods that are gone from the store come too; all of it is of one moment, and
is read a row at a time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
from sqlalchemy import Connection, func, select

from leaderboard import definitions
from leaderboard.api.fields import show_instant
from leaderboard.attached import detach
from leaderboard.entries import Place, read_entry, score_of
from leaderboard.gone import merged_into
from leaderboard.model import Board, Entry, Ties
from leaderboard.moving.document import Document, ExportError, Progress

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: Rows that are fetched together.
AT_ONCE = 2_000


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Exported:
    standings: int
    entries: int


@dataclass(frozen=True, slots=True)
class _Row:
    entry: Entry
    display_name: str | None
    newest_ms: int | None
    submissions: int


@dataclass(frozen=True, slots=True)
class _Standings:
    period_id: str
    entries: int
    expires_ms: int | None


def export_board(
    lb: Installation,
    board_id: str,
    file: BinaryIO,
    form: Format,
    *,
    period_id: str | None = None,
    progress: Progress = lambda *_: None,
) -> Exported:
    """Write a board's entries, of all its standings or of one. Raises ExportError when there is no such board or
    standings; Problem (503)."""
    boards = lb.archive.tables.boards
    with lb.archive.read() as connection:
        row = connection.execute(select(boards).where(boards.c.board == board_id)).first()
        if row is None or row.definition is None:
            raise ExportError(f"there is no board {board_id!r}")
        board = definitions.load(board_id, row.definition.encode())
        standings = _standings(lb, connection, board, period_id)
        out = _JsonLines(file, board, _beginning(lb, connection, row, standings)) if form is Format.JSONL else None
        writer = out or _Csv(file, board)
        done, total = 0, sum(one.entries for one in standings)
        for one in standings:
            for found in _rows(lb, connection, board, one.period_id):
                writer.write(one.period_id, found)
                done += 1
                if done % AT_ONCE == 0:
                    progress(one.period_id, done, total)
        writer.finish()
    progress("", done, total)
    return Exported(len(standings), done)


def _standings(lb: Installation, connection: Connection, board: Board, period_id: str | None) -> list[_Standings]:
    standings, entries = lb.archive.tables.standings, lb.archive.tables.entries
    counted = {
        row.period_id: row.entries
        for row in connection.execute(
            select(entries.c.period_id, func.count().label("entries"))
            .where(entries.c.board == board.id, entries.c.hidden == 0)
            .group_by(entries.c.period_id)
        )
    }
    found = [
        _Standings(row.period_id, counted.get(row.period_id, 0), row.expires_ms)
        for row in connection.execute(
            select(standings).where(standings.c.board == board.id).order_by(standings.c.period_id)
        )
    ]
    if period_id is None:
        return found
    chosen = [one for one in found if one.period_id == period_id]
    if not chosen:
        has = ", ".join(one.period_id for one in found[-10:]) or "none"
        raise ExportError(f"the board {board.id} has no standings {period_id!r}; it has {has}")
    return chosen


def _beginning(lb: Installation, connection: Connection, row: Any, standings: list[_Standings]) -> dict[str, Any]:
    """What an installation that has not got the board needs to make it."""
    seasons = lb.archive.tables.seasons
    started = connection.execute(
        select(seasons.c.season, seasons.c.started_ms).where(seasons.c.board == row.board).order_by(seasons.c.season)
    )
    return {
        "at": show_instant(lb.clock.now_ms()),
        "board": row.board,
        "definition": orjson.loads(row.definition),
        "anchors": orjson.loads(row.anchors),
        "seasons": [{"season": season, "started_at": show_instant(at_ms)} for season, at_ms in started],
        "standings": [
            {"period_id": one.period_id, "entries": one.entries, "expires_at": show_instant(one.expires_ms)}
            for one in standings
        ],
    }


def _rows(lb: Installation, connection: Connection, board: Board, period_id: str) -> Iterator[_Row]:
    """The entries of one standings, best first."""
    entries, players = lb.archive.tables.entries, lb.archive.tables.players
    found = connection.execute(
        select(entries, players.c.display_name, players.c.state)
        .outerjoin(players, players.c.player == entries.c.player)
        .where(entries.c.board == board.id, entries.c.period_id == period_id, entries.c.hidden == 0)
        .order_by(entries.c.order_key)
        .execution_options(yield_per=AT_ONCE)
    )
    width = 7 * (len(board.tiebreaks) + 1)
    rank, result = 0, None
    for number, row in enumerate(found, start=1):
        order_key = row.order_key
        if board.ties is Ties.ORDINAL:
            rank = number
        elif order_key[:width] != result:
            rank, result = (number if board.ties is Ties.COMPETITION else rank + 1), order_key[:width]
        packed = order_key[: -len(row.player.encode())] + bytes(4) + row.metadata
        entry = read_entry(board, rank, Place(score_of(order_key), order_key[7:]), packed, None)
        # A name that is about to be erased is shown nowhere any more.
        is_named = row.state is None or merged_into(row.state)
        yield _Row(entry, row.display_name if is_named else None, row.newest_ms, row.submissions)


def exact(scaled: int, decimals: int) -> str:
    """A score as it is written, with all its places: nothing is rounded on the way."""
    if decimals == 0:
        return str(scaled)
    whole, rest = divmod(abs(scaled), 10**decimals)
    return f"{'-' if scaled < 0 else ''}{whole}.{rest:0{decimals}}"


class _JsonLines:
    def __init__(self, file: BinaryIO, board: Board, beginning: dict[str, Any]) -> None:
        self._board = board
        self._document = Document(file, "board", **beginning)

    def write(self, period_id: str, row: _Row) -> None:
        entry, board = row.entry, self._board
        metadata, replay_ref = detach(entry.metadata)
        values = {
            "board": board.id,
            "period_id": period_id,
            "rank": entry.rank,
            "player": entry.player.id,
            "display_name": row.display_name,
            "score": orjson.Fragment(exact(entry.score, board.decimals)),
            "tiebreaks": {one.name: value for one, value in zip(board.tiebreaks, entry.tiebreaks, strict=True)},
            "achieved_at": show_instant(entry.achieved_ms),
            "newest_at": show_instant(row.newest_ms),
            "submissions": row.submissions,
            "metadata": orjson.Fragment(metadata) if metadata else None,
            "replay": replay_ref,
        }
        self._document.add(orjson.dumps(values))

    def finish(self) -> None:
        self._document.finish()


class _Csv:
    def __init__(self, file: BinaryIO, board: Board) -> None:
        self._file, self._board = file, board
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow([
            "board", "period_id", "rank", "player", "display_name", "score",
            *(f"tiebreaks.{one.name}" for one in board.tiebreaks),
            "achieved_at", "newest_at", "submissions", "metadata", "replay",
        ])  # fmt: skip

    def write(self, period_id: str, row: _Row) -> None:
        entry = row.entry
        metadata, replay_ref = detach(entry.metadata)
        self._writer.writerow([
            self._board.id, period_id, entry.rank, entry.player.id, row.display_name,
            exact(entry.score, self._board.decimals), *entry.tiebreaks, show_instant(entry.achieved_ms),
            show_instant(row.newest_ms), row.submissions, metadata.decode(), replay_ref,
        ])  # fmt: skip
        if self._text.tell() > 1 << 16:
            self._pass_on()

    def finish(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()
