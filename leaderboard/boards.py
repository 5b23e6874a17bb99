"""Boards: what a process knows of them, defining, listing and deleting them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from leaderboard import definitions
from leaderboard.errors import Problem
from leaderboard.keys import Keys
from leaderboard.model import Board, BoardState, Ties
from leaderboard.store.client import Store

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How long a read may go by a definition without looking again; writes are told by the gate.
FRESH_S = 0.5

#: Losing a race this often in a row means something else is wrong.
TRIES = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A board as it was a moment ago."""

    board: Board
    season: int
    season_started_ms: int
    read_at_s: float

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.read_at_s < FRESH_S


class BoardCache:
    """The boards a process knows."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys
        self._snapshots: dict[str, Snapshot] = {}

    def known(self, board_id: str) -> Snapshot:
        """The board, of whatever age: for writes, which the gate checks."""
        return self._snapshots.get(board_id) or self.reload(board_id)

    def fresh(self, board_id: str) -> Snapshot:
        """The board, at most FRESH_S old. Raises board_not_found."""
        snapshot = self._snapshots.get(board_id)
        return snapshot if snapshot and snapshot.fresh else self.reload(board_id)

    def reload(self, board_id: str) -> Snapshot:
        return self.reload_many([board_id])[0]

    def reload_many(self, board_ids: list[str]) -> list[Snapshot]:
        """Read boards in one round trip. Raises board_not_found for the first that is missing."""
        now = time.monotonic()
        gates = [
            ("HMGET", self._keys.gate(board_id), "season", "season_at", "revision", "state") for board_id in board_ids
        ]
        # One HMGET for all definitions, then the gates: a definition that changes in between is newer in the gate,
        # and the first write on it answers `stale`.
        packed, *states = self._store.read(("HMGET", self._keys.boards, *board_ids), *gates)
        snapshots = []
        for board_id, definition, gate in zip(board_ids, packed, states, strict=True):
            if definition is None or gate[0] is None:
                self._snapshots.pop(board_id, None)
                raise Problem("board_not_found", f"there is no board {board_id!r}")
            board = definitions.load(board_id, definition)
            snapshot = Snapshot(board, int(gate[0]), int(gate[1]), now)
            self._snapshots[board_id] = snapshot
            snapshots.append(snapshot)
        return snapshots


@dataclass(frozen=True, slots=True)
class Defined:
    """What defining a board did, or would do."""

    board: Board
    before: Board | None


def define_board(
    lb: Installation, board: Board, *, expected_revision: int | None = None, dry_run: bool = False
) -> Defined:
    """Create a board or change its definition.

    Raises revision_mismatch (with `expected_revision`), board_has_entries for what entries depend on, quota_exceeded.
    """
    for _ in range(TRIES):
        before, revision = _current(lb, board.id)
        if expected_revision is not None and expected_revision != (before.revision if before else 0):
            raise Problem("revision_mismatch", extra={"revision": before.revision if before else 0})
        if before and replace(board, revision=before.revision) == before:
            return Defined(before, before)
        after = replace(board, revision=revision + 1)
        fixed = _fixed_changes(before, after) if before else []
        kept = _kept_periods(lb, board.id) if before else []
        keys = [lb.keys.standings(board.id, period_id) for period_id in kept]
        must_be_empty = [key.order for key in keys] if fixed else []
        obsolete = [key.distinct for key in keys] if before and before.ties is Ties.DENSE is not after.ties else []
        if dry_run:
            if must_be_empty and lb.store.read(("EXISTS", *must_be_empty))[0]:
                raise _has_entries(fixed)
            return Defined(after, before)
        reply = lb.store.call(
            "define_board",
            [*_board_keys(lb.keys, board.id), *must_be_empty, *obsolete],
            [
                board.id,
                revision,
                after.revision,
                definitions.dump(after),
                after.state.value,
                lb.clock.now_ms(),
                lb.settings.max_boards,
                len(must_be_empty),
                len(kept) if fixed else "",
            ],
        )
        match reply[0]:
            case b"defined":
                lb.boards.reload(board.id)
                return Defined(after, before)
            case b"has_entries":
                raise _has_entries(fixed)
            case b"too_many":
                raise Problem("quota_exceeded", f"there may be {lb.settings.max_boards} boards")
    raise Problem("store_unavailable", "the board keeps changing; try again", retry_after_s=1)


def delete_board(lb: Installation, board_id: str) -> None:
    """Forget an archived board with everything kept for it. Raises board_not_found, board_not_archived."""
    for _ in range(TRIES):
        before, revision = _current(lb, board_id)
        if before is None:
            raise Problem("board_not_found")
        if before.state is not BoardState.ARCHIVED:
            raise Problem("board_not_archived", "archive the board first: PUT it with state archived")
        keys = [key for period_id in _kept_periods(lb, board_id) for key in lb.keys.standings(board_id, period_id)]
        reply = lb.store.call(
            "delete_board", [*_board_keys(lb.keys, board_id), *keys], [board_id, revision, revision + 1]
        )
        if reply[0] == b"deleted":
            return
    raise Problem("store_unavailable", "the board keeps changing; try again", retry_after_s=1)


def list_boards(
    lb: Installation, limit: int, after: str | None, state: BoardState | None
) -> tuple[list[Snapshot], str | None]:
    """Boards in order of id after one, and the id to go on after. Archived ones only where `state` asks for them."""
    found: list[Snapshot] = []
    while True:
        start = f"({after}" if after else "-"
        ids = lb.store.read(("ZRANGEBYLEX", lb.keys.board_index, start, "+", "LIMIT", 0, limit + 1))[0]
        for snapshot in _existing(lb, [board_id.decode() for board_id in ids]):
            shown = snapshot.board.state is state if state else snapshot.board.state is not BoardState.ARCHIVED
            if shown and len(found) == limit:
                return found, found[-1].board.id
            if shown:
                found.append(snapshot)
        if len(ids) <= limit:
            return found, None
        after = ids[-1].decode()


def _existing(lb: Installation, board_ids: list[str]) -> list[Snapshot]:
    if not board_ids:
        return []
    try:
        return lb.boards.reload_many(board_ids)
    except Problem:
        # One was deleted since the index was read; the others are asked for one by one.
        snapshots = []
        for board_id in board_ids:
            try:
                snapshots.append(lb.boards.reload(board_id))
            except Problem as problem:
                if problem.code != "board_not_found":
                    raise
        return snapshots


def _current(lb: Installation, board_id: str) -> tuple[Board | None, int]:
    """The stored board, and the revision of its gate (0 before there ever was one)."""
    definition, (revision, state) = lb.store.read(
        ("HGET", lb.keys.boards, board_id), ("HMGET", lb.keys.gate(board_id), "revision", "state")
    )
    exists = definition is not None and state not in (None, b"deleted")
    return (definitions.load(board_id, definition) if exists else None), int(revision or 0)


def _kept_periods(lb: Installation, board_id: str) -> list[str]:
    return [period_id.decode() for period_id in lb.store.read(("ZRANGE", lb.keys.kept(board_id), 0, -1))[0]]


def _board_keys(keys: Keys, board_id: str) -> list[str]:
    return [keys.boards, keys.board_index, keys.gate(board_id), keys.seasons(board_id), keys.kept(board_id)]


def _fixed_changes(before: Board, after: Board) -> list[str]:
    """The members that change although entries depend on them."""
    changed = [name for name in ("order", "decimals", "tiebreaks") if getattr(before, name) != getattr(after, name)]
    if after.ties is Ties.DENSE is not before.ties:
        changed.append("ties")
    for period in after.periods:
        old = before.period(period.kind)
        if old and old.anchor != period.anchor:
            changed.append(f"periods ({period.kind.value})")
    return changed


def _has_entries(fixed: list[str]) -> Problem:
    return Problem(
        "board_has_entries",
        f"{', '.join(fixed)} cannot change while the board has entries: define a new board, or archive and delete "
        "this one and define it again",
        extra={"members": fixed},
    )
