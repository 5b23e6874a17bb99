"""What a run of the journal's records comes to, gathered until it is written all at once.

Records say how things stand, so of many about one thing only the last is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, update

from leaderboard.opened import Kept, Opened

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive

Row = dict[str, Any]


@dataclass(slots=True)
class GatheredEntry:
    order_key: bytes
    submissions: int
    newest_ms: int | None
    #: None where it is as it was.
    metadata: bytes | None
    hidden: bool


class Gathered:
    """Of each thing how it stands in the end; None where it is to be deleted."""

    def __init__(self, archive: Archive, connection: Connection) -> None:
        self._archive, self._tables, self._connection = archive, archive.tables, connection
        self._clear()

    def _clear(self) -> None:
        self._entries: dict[tuple[str, str, str], GatheredEntry | None] = {}
        #: Entries of earlier batches that are hidden or shown.
        self._hidden: dict[tuple[str, str, str], bool] = {}
        self._players: defaultdict[str, Row] = defaultdict(dict)
        self._sessions: dict[tuple[str, str], int | None] = {}
        self._friends: dict[tuple[str, str], str | None] = {}
        self._begun: dict[tuple[str, str], int | None] = {}
        self._submissions: list[Row] = []
        self._acts: list[Row] = []
        self._reviews: dict[str, Row] = {}
        self._attempts: dict[tuple[str, str, str], Kept | None] = {}
        self._attempted: dict[tuple[str, str], Opened] = {}

    def entry(self, board: str, period_id: str, player: str) -> GatheredEntry | None:
        """An entry that is to be written."""
        return self._entries.get((board, period_id, player))

    def flush(self) -> None:
        """Write it, and begin anew."""
        tables = self._tables
        self._flush_entries()
        by_columns: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        for player, row in self._players.items():
            by_columns[tuple(sorted(row))].append({"player": player, **row})
        for rows in by_columns.values():
            self._upsert(tables.players, rows)
        self._flush_pairs(tables.sessions, ("player", "session"), "expires_ms", self._sessions)
        self._flush_pairs(tables.friends, ("player", "other"), "side", self._friends)
        self._upsert(
            tables.standings,
            [{"board": board, "period_id": id_, "expires_ms": at} for (board, id_), at in self._begun.items()],
        )
        self._upsert(tables.reviews, list(self._reviews.values()))
        self._flush_attempts()
        if self._submissions:
            self._execute(insert(tables.submissions), self._submissions)
        if self._acts:
            self._execute(insert(tables.audit), self._acts)
        self._clear()

    def _flush_entries(self) -> None:
        gone, as_it_was, new = [], [], []
        for (board, period_id, player), entry in self._entries.items():
            row: Row = {"board": board, "period_id": period_id, "player": player}
            if entry is None:
                gone.append(row)
                continue
            row |= {
                "order_key": entry.order_key, "submissions": entry.submissions, "newest_ms": entry.newest_ms,
                "hidden": int(entry.hidden),
            }  # fmt: skip
            if entry.metadata is None:
                as_it_was.append(row | {"metadata": b""})
            else:
                new.append(row | {"metadata": entry.metadata})
        self._delete(self._tables.entries, gone)
        self._upsert(self._tables.entries, as_it_was, keeping=("metadata",))
        self._upsert(self._tables.entries, new)
        entries = self._tables.entries
        for (board, period_id, player), hidden in self._hidden.items():
            if (board, period_id, player) not in self._entries:
                where = entries.c.board == board, entries.c.period_id == period_id, entries.c.player == player
                self._execute(update(entries).where(*where).values(hidden=int(hidden)))

    def _flush_attempts(self) -> None:
        names = ("board", "player", "attempt")
        keyed = [(dict(zip(names, key, strict=True)), kept) for key, kept in self._attempts.items()]
        self._delete(self._tables.attempts, [key for key, kept in keyed if kept is None])
        self._upsert(self._tables.attempts, [key | kept._asdict() for key, kept in keyed if kept is not None])
        self._upsert(
            self._tables.attempted,
            [
                {"board": board, "player": player} | opened._asdict()
                for (board, player), opened in self._attempted.items()
            ],
        )

    def _flush_pairs(
        self, table: Table, names: tuple[str, str], value_name: str, pairs: dict[tuple[str, str], Any]
    ) -> None:
        keyed = [(dict(zip(names, key, strict=True)), value) for key, value in pairs.items()]
        self._delete(table, [key for key, value in keyed if value is None])
        self._upsert(table, [key | {value_name: value} for key, value in keyed if value is not None])

    def _upsert(self, table: Table, rows: list[Row], keeping: Sequence[str] = ()) -> None:
        if rows:
            self._execute(self._archive.upsert(table, rows[0], keeping), rows)

    def _delete(self, table: Table, keys: list[Row]) -> None:
        if keys:
            condition = and_(*(table.c[name] == bindparam(f"key_{name}") for name in keys[0]))
            self._execute(
                delete(table).where(condition),
                [{f"key_{name}": value for name, value in key.items()} for key in keys],
            )

    def _execute(self, statement: Any, rows: list[Row] | None = None) -> Any:
        return self._connection.execute(statement, rows) if rows else self._connection.execute(statement)
