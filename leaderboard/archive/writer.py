"""Writing the journal's records into the archive's tables.

Most is gathered first (leaderboard/archive/gathered.py). What takes away by more than a key (a board, an erased player)
is written in its turn, after all that came before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, delete, select, update

from leaderboard import definitions, journal
from leaderboard.archive.erasure import erase_player, rename_entry
from leaderboard.archive.gathered import Gathered, GatheredEntry, Row
from leaderboard.archive.past import Past
from leaderboard.entries import describe_entry, unpack_head
from leaderboard.held import HELD_BIT, Held, read_held, review_row
from leaderboard.model import Board
from leaderboard.opened import read_kept, read_opened

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive
    from leaderboard.journal import Record

#: Which columns a player's fields go to; those that the archive does not keep are not there.
_PLAYER_FIELDS = (
    "display_name", "avatar_url", "country", "platform", "attributes", "device", "identities", "state", "merged",
    "absorbs",
)  # fmt: skip


class Writer:
    """Writes batches, one after the other; remembers definitions between them."""

    def __init__(self, archive: Archive) -> None:
        self._archive, self._tables = archive, archive.tables
        self._boards: dict[str, Board | None] = {}

    def forget(self) -> None:
        """What was written did not come to stay."""
        self._boards.clear()

    def write(self, connection: Connection, records: Sequence[Record]) -> None:
        batch = _Batch(self, connection)
        for record in records:
            kind, at_ms, *values = journal.unpack(record)
            batch.add[kind](at_ms, *values)
        batch.flush()

    def board(self, connection: Connection, board_id: str) -> Board:
        """The definition of the moment, for scores to be kept as they were submitted."""
        if board_id not in self._boards:
            boards = self._tables.boards
            found = connection.execute(select(boards.c.definition).where(boards.c.board == board_id)).scalar()
            self.define(board_id, found.encode() if found else None)
        return self._boards[board_id] or Board(board_id)

    def define(self, board_id: str, definition: bytes | None) -> None:
        self._boards[board_id] = definitions.load(board_id, definition) if definition else None


class _Batch(Gathered):
    """What a run of records comes to, until it is written."""

    def __init__(self, writer: Writer, connection: Connection) -> None:
        super().__init__(writer._archive, connection)
        self._writer = writer
        self._past = Past(connection, self._tables, self)
        #: What to do with each kind of record.
        self.add: dict[bytes, Callable[..., None]] = {
            b"submit": self._submit,
            b"hold": self._hold,
            b"find": self._find,
            b"attempt": self._attempt,
            b"close_attempt": self._close_attempt,
            b"decide": self._decide,
            b"reopen": self._reopen,
            b"entry": self._put_entry,
            b"past_entry": self._put_past_entry,
            b"standings": self._standings_begun,
            b"remove": self._remove,
            b"hide": self._hide,
            b"anonymise": self._anonymise,
            b"player": self._player,
            b"ban": self._ban,
            b"session": self._session,
            b"end_session": self._end_session,
            b"erasing": self._erasing,
            b"erased": self._erased,
            b"friend": self._friend,
            b"board": self._board,
            b"delete_board": self._delete_board,
            b"reset": self._reset,
            b"key": self._key,
            b"signing": self._signing,
            b"maintenance": self._maintenance,
            b"audit": self._audit,
        }

    # -- what may wait until the end of the batch ------------------------------------------------------------------

    def _submit(
        self, at_ms: int, player: bytes, board_id: bytes, created_ms: int, count: int | bool, score: int,
        tiebreaks: list[int], achieved_ms: int, metadata: bytes, changed: int, replay: bytes, standings: list[Any],
    ) -> None:  # fmt: skip
        player_id = player.decode()
        board = self._writer.board(self._connection, board_id.decode())
        row = self._player_row(player_id, created_ms)
        if count is not False:
            row["submissions"] = count
        for period_id, head, bits in standings:
            self._entry(board, period_id.decode(), player_id, head, metadata if bits & 1 else None, bool(bits & 2))
        kind = "correction" if count is False else "submission"
        self._happened(at_ms, board, player_id, kind, score, tiebreaks, achieved_ms, metadata, changed, replay)

    def _hold(self, at_ms: int, player: bytes, review: bytes, created_ms: int, packed: bytes, replay: bytes) -> None:
        held, player_id = read_held(packed), player.decode()
        self._player_row(player_id, created_ms)
        self._reviews[review.decode()] = review_row(review.decode(), packed)
        self._happened_to(at_ms, player_id, "held", held, replay)

    def _reopen(
        self, at_ms: int, player: bytes, review: bytes, packed: bytes, count: int | bool, decision: bytes
    ) -> None:
        player_id = player.decode()
        self._reviews[review.decode()] = review_row(review.decode(), packed) | {"decision": decision.decode()}
        if count is not False:
            self._players[player_id]["submissions"] = count
            self._happened_to(at_ms, player_id, "reopened", read_held(packed), b"")

    def _decide(
        self, at_ms: int, _player: bytes, review: bytes, packed: bytes, state: bytes, decision: bytes, changed: bytes
    ) -> None:
        decided = {"state": state.decode(), "decision": decision.decode(), "decided_ms": at_ms}
        self._reviews[review.decode()] = review_row(review.decode(), packed) | decided | {"changed": changed or None}

    def _happened_to(self, at_ms: int, player: str, kind: str, held: Held, replay: bytes) -> None:
        self._happened(
            at_ms, self._writer.board(self._connection, held.board), player, kind, held.score, held.tiebreaks,
            held.achieved_ms, held.metadata, HELD_BIT, replay,
        )  # fmt: skip

    def _find(self, _at_ms: int, _player: bytes, review: bytes, packed: bytes) -> None:
        self._reviews[review.decode()] = review_row(review.decode(), packed)

    def _happened(
        self, at_ms: int, board: Board, player: str, kind: str, score: int, tiebreaks: Sequence[int], achieved_ms: int,
        metadata: bytes, changed: int, replay: bytes,
    ) -> None:  # fmt: skip
        """One submission, in order space, for those that are kept one by one."""
        names = (tiebreak.name for tiebreak in board.tiebreaks)
        signs = (tiebreak.order.sign for tiebreak in board.tiebreaks)
        self._submissions.append(
            {
                "at_ms": at_ms,
                "board": board.id,
                "player": player,
                "kind": kind,
                "score": score * board.order.sign,
                "decimals": board.decimals,
                "tiebreaks": orjson.dumps(
                    {name: value * sign for name, value, sign in zip(names, tiebreaks or (), signs, strict=False)}
                ).decode(),
                "achieved_ms": achieved_ms,
                "metadata": metadata,
                "changed": changed,
                "replay": replay,
            }
        )

    def _entry(
        self, board: Board, period_id: str, player: str, head: bytes, metadata: bytes | None, hidden: bool
    ) -> None:
        key = (board.id, period_id, player)
        if metadata is None and (before := self._entries.get(key)) is not None:
            metadata = before.metadata
        place, submissions, newest_ms = unpack_head(head, len(board.tiebreaks))
        self._entries[key] = GatheredEntry(place + player.encode(), submissions, newest_ms, metadata, hidden)

    def _put_entry(
        self, _at_ms: int, board_id: bytes, period_id: bytes, player: bytes, head: bytes, metadata: bytes, hidden: int
    ) -> None:
        board = self._writer.board(self._connection, board_id.decode())
        self._entry(board, period_id.decode(), player.decode(), head, metadata, bool(hidden))

    def _put_past_entry(
        self, _at_ms: int, board_id: bytes, period_id: bytes, player: bytes, head: bytes, metadata: bytes, hidden: int
    ) -> None:
        board = self._writer.board(self._connection, board_id.decode())
        where, (place, _, _) = (board.id, period_id.decode()), unpack_head(head, len(board.tiebreaks))
        player_id, is_hidden = self._past.admit(where, player.decode(), place, banned=bool(hidden))
        self._entry(board, where[1], player_id, head, metadata, is_hidden)

    def _standings_begun(self, _at_ms: int, board: bytes, period_id: bytes, expires_ms: int | bool) -> None:
        self._begun[board.decode(), period_id.decode()] = expires_ms or None

    def _remove(self, _at_ms: int, board: bytes, period_id: bytes, player: bytes) -> None:
        self._entries[board.decode(), period_id.decode(), player.decode()] = None

    def _hide(self, _at_ms: int, board: bytes, period_id: bytes, player: bytes, hidden: int) -> None:
        key = board.decode(), period_id.decode(), player.decode()
        if (entry := self._entries.get(key)) is not None:
            entry.hidden = bool(hidden)
        else:
            self._hidden[key] = bool(hidden)

    def _ban(self, _at_ms: int, player: bytes, ban: bytes) -> None:
        self._players[player.decode()]["ban"] = ban.decode() or None

    def _player(self, _at_ms: int, player: bytes, created_ms: int, changes: dict[bytes, bytes]) -> None:
        row = self._player_row(player.decode(), created_ms)
        # An empty table of Lua's arrives as an empty list.
        for field, value in changes.items() if changes else ():
            if field == b"submissions":
                row["submissions"] = int(value or 0)
            elif field.decode() in _PLAYER_FIELDS:
                row[field.decode()] = value.decode() or None

    def _player_row(self, player: str, created_ms: int) -> Row:
        """What is to be written of a player who is there; one that was erased under this id is another."""
        row = self._players[player]
        row |= {"created_ms": created_ms, "state": None, "erased_until_ms": None}
        return row

    def _erasing(self, _at_ms: int, player: bytes) -> None:
        self._players[player.decode()]["state"] = "erasing"

    def _session(self, _at_ms: int, player: bytes, session: bytes, expires_ms: int) -> None:
        self._sessions[player.decode(), session.decode()] = expires_ms

    def _end_session(self, _at_ms: int, player: bytes, session: bytes) -> None:
        self._sessions[player.decode(), session.decode()] = None

    def _friend(self, _at_ms: int, player: bytes, other: bytes, side: bytes) -> None:
        self._friends[player.decode(), other.decode()] = side.decode() or None

    def _attempt(
        self, _at_ms: int, player: bytes, created_ms: int, board: bytes, attempt: bytes, packed: bytes, counted: bytes
    ) -> None:
        self._player_row(player.decode(), created_ms)
        self._attempts[board.decode(), player.decode(), attempt.decode()] = read_kept(packed)
        if counted:
            self._attempted[board.decode(), player.decode()] = read_opened(counted)

    def _close_attempt(self, _at_ms: int, player: bytes, board: bytes, attempt: bytes) -> None:
        self._attempts[board.decode(), player.decode(), attempt.decode()] = None

    # -- what is written in its turn -------------------------------------------------------------------------------

    def _anonymise(self, _at_ms: int, board: bytes, period_id: bytes, player: bytes, nameless: bytes) -> None:
        self.flush()
        self._past.forget()
        where = board.decode(), period_id.decode()
        rename_entry(self._connection, self._tables.entries, *where, player.decode(), nameless.decode())

    def _erased(self, _at_ms: int, player: bytes, until_ms: int) -> None:
        self.flush()
        self._past.forget()
        erase_player(self._connection, self._tables, player.decode(), until_ms)

    def _board(
        self, _at_ms: int, board: bytes, definition: bytes, revision: int, state: bytes, season: int, season_ms: int,
        epoch: int, anchors: bytes, _before: bytes,
    ) -> None:  # fmt: skip
        self.flush()
        board_id = board.decode()
        self._writer.define(board_id, definition)
        row = {
            "board": board_id, "definition": definition.decode(), "revision": revision, "state": state.decode(),
            "season": season, "season_ms": season_ms, "epoch": epoch, "anchors": anchors.decode(),
        }  # fmt: skip
        self._execute(self._archive.upsert(self._tables.boards, row), [row])
        self._season(board_id, season, season_ms)

    def _delete_board(self, _at_ms: int, board: bytes, revision: int, _before: bytes) -> None:
        self.flush()
        self._past.forget()
        board_id, tables = board.decode(), self._tables
        self._writer.define(board_id, None)
        of_board = (
            tables.entries,
            tables.standings,
            tables.seasons,
            tables.submissions,
            tables.attempts,
            tables.attempted,
        )
        for table in of_board:
            self._execute(delete(table).where(table.c.board == board_id))
        nothing = {"definition": None, "season": None, "season_ms": None, "epoch": None, "anchors": None}
        self._execute(
            update(tables.boards)
            .where(tables.boards.c.board == board_id)
            .values(revision=revision, state="deleted", **nothing)
        )

    def _reset(self, at_ms: int, board: bytes, ended: int, begun: int, expires_ms: int | bool) -> None:
        self.flush()
        board_id, tables = board.decode(), self._tables
        self._execute(
            update(tables.boards).where(tables.boards.c.board == board_id).values(season=begun, season_ms=at_ms)
        )
        self._season(board_id, begun, at_ms)
        if expires_ms:
            standings = tables.standings
            self._execute(
                update(standings)
                .where(standings.c.board == board_id, standings.c.period_id == f"s{ended}")
                .values(expires_ms=expires_ms)
            )

    def _season(self, board_id: str, season: int, started_ms: int) -> None:
        row = {"board": board_id, "season": season, "started_ms": started_ms}
        self._execute(self._archive.upsert(self._tables.seasons, row), [row])

    def _key(self, _at_ms: int, key_id: bytes, record: bytes) -> None:
        row = {"key_id": key_id.decode(), "record": record.decode()}
        self._execute(self._archive.upsert(self._tables.keys, row), [row])

    def _signing(self, _at_ms: int, secret: bytes) -> None:
        row = {"name": "signing", "value": secret.decode()}
        self._execute(self._archive.upsert(self._tables.installation, row), [row])

    def _maintenance(self, at_ms: int, act: bytes, reason: bytes) -> None:
        value = orjson.dumps({"reason": reason.decode(), "at": at_ms}).decode() if act == b"begin" else ""
        row = {"name": "maintenance", "value": value}
        self._execute(self._archive.upsert(self._tables.installation, row), [row])

    def _audit(self, at_ms: int, act: bytes, before: bytes, after: bytes) -> None:
        row = orjson.loads(act)
        for column, packed in (("state_before", before), ("state_after", after)):
            # By the definition of the moment: the board may be another by the time that somebody reads it.
            if packed:
                row[column] = describe_entry(self._writer.board(self._connection, row["board"]), packed)
            row[column] = orjson.dumps(row[column]).decode() if row[column] is not None else None
        self._acts.append({"at_ms": at_ms, **row})
