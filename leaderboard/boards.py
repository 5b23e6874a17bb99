"""Boards: what a process knows of them, defining, listing and deleting them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from leaderboard import definitions, periods
from leaderboard.anchors import anchors_after, with_anchors
from leaderboard.callers import Role
from leaderboard.errors import LeaderboardError, Problem
from leaderboard.keys import Keys
from leaderboard.model import Board, BoardState, Period, PeriodKind, Ties
from leaderboard.rules import pack_rules
from leaderboard.store.client import Store, unavailable

if TYPE_CHECKING:
    from leaderboard.audit import Act
    from leaderboard.installation import Installation

T = TypeVar("T")

#: How old a definition may be that is shown; whatever is done by one is checked by the gate.
FRESH_S = 0.5

#: So many boards are read together when all are gone through.
WALK_AT_ONCE = 200

#: In so many standings of a board something is done to a player in one call.
STANDINGS_AT_ONCE = 200

#: Stands for every kind of period.
ALL_KINDS = "*"

#: Losing a race this often in a row means something else is wrong.
TRIES = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A board as it was a moment ago."""

    board: Board
    season: int
    season_started_ms: int
    read_at_s: float
    #: Periods of kinds that the board has no more, as they were.
    former: dict[PeriodKind, Period] = field(default_factory=dict)
    #: What the score rules ask of whom, packed.
    rules: dict[Role, bytes] = field(default_factory=dict)


class StaleError(LeaderboardError):
    """The board is not as the caller believed. Never leaves the domain: `BoardCache.use` tries again."""


class BoardCache:
    """The boards a process knows.

    A snapshot may be of any age: every call about a board checks its revision and season in the store, and answers
    `stale` when they are others.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys
        self._snapshots: dict[str, Snapshot] = {}

    def known(self, board_id: str) -> Snapshot:
        """The board, of whatever age. Raises board_not_found."""
        return self._snapshots.get(board_id) or self.reload(board_id)

    def fresh(self, board_id: str) -> Snapshot:
        """The board, at most FRESH_S old: for showing its definition. Raises board_not_found."""
        snapshot = self._snapshots.get(board_id)
        return snapshot if snapshot and time.monotonic() - snapshot.read_at_s < FRESH_S else self.reload(board_id)

    def use(self, board_id: str, act: Callable[[Snapshot], T]) -> T:
        """Do something with a board as it is: again when it was stale, and before believing a refusal.

        A missing entry is believed: the call that missed it had checked the gate.
        """
        started_s = time.monotonic()
        snapshot = self.known(board_id)
        for _ in range(TRIES):
            try:
                return act(snapshot)
            except StaleError:
                pass
            except Problem as problem:
                believed = problem.status >= 500 or problem.code == "entry_not_found"
                if believed or snapshot.read_at_s >= started_s:
                    raise
            snapshot = self.reload(board_id)
        raise keeps_changing()

    def forget(self, board_id: str) -> None:
        self._snapshots.pop(board_id, None)

    def reload(self, board_id: str) -> Snapshot:
        snapshots = self.reload_many([board_id])
        if not snapshots:
            raise Problem("board_not_found", f"there is no board {board_id!r}")
        return snapshots[0]

    def known_many(self, board_ids: Collection[str]) -> dict[str, Snapshot]:
        """Those of the boards that exist, of whatever age; unknown ones are read in one round trip."""
        unknown = [board_id for board_id in board_ids if board_id not in self._snapshots]
        if unknown:
            self.reload_many(unknown)
        return {board_id: self._snapshots[board_id] for board_id in board_ids if board_id in self._snapshots}

    def reload_many(self, board_ids: Sequence[str]) -> list[Snapshot]:
        """Read boards in one round trip; those that do not exist are left out."""
        now = time.monotonic()
        gates = [("HMGET", self._keys.gate(board_id), "season", "season_at", "anchors") for board_id in board_ids]
        # One HMGET for all definitions, then the gates: a definition that changes in between is newer in the gate,
        # and the first call about it answers `stale`.
        packed, *states = self._store.read(("HMGET", self._keys.boards, *board_ids), *gates)
        snapshots = []
        for board_id, definition, (season, season_at, anchors) in zip(board_ids, packed, states, strict=True):
            if definition is None or season is None:
                self.forget(board_id)
                continue
            board, former = with_anchors(definitions.load(board_id, definition), orjson.loads(anchors))
            snapshot = Snapshot(board, int(season), int(season_at), now, former, pack_rules(board))
            self._snapshots[board_id] = snapshot
            snapshots.append(snapshot)
        return snapshots


def keeps_changing() -> Problem:
    return unavailable("The board keeps changing.")


@dataclass(frozen=True, slots=True)
class Defined:
    """What defining a board did, or would do."""

    board: Board
    before: Board | None


def define_board(
    lb: Installation,
    board: Board,
    act: Act | None,
    *,
    expected_revision: int | None = None,
    dry_run: bool = False,
    remembered: dict[str, Any] | None = None,
) -> Defined:
    """Create a board or change its definition. `act` is None for a part of an act that is recorded itself.

    `remembered` is what another installation's gate knows of periods (leaderboard/anchors.py): for kinds that this one
    does not know.

    Raises revision_mismatch (with `expected_revision`), board_has_entries for what entries depend on, quota_exceeded.
    """
    for _ in range(TRIES):
        before, revision, known = _current(lb, board.id)
        anchors = {**(remembered or {}), **known}
        if expected_revision is not None and expected_revision != (before.revision if before else 0):
            raise Problem("revision_mismatch", extra={"revision": before.revision if before else 0})
        if before and before.revision != revision:
            # Read while it was being changed.
            continue
        # As bytes: to Python 1 and true are equal.
        is_same = before and definitions.dump(replace(board, revision=revision)) == definitions.dump(before)
        if before and is_same and anchors == known:
            return Defined(before, before)
        after = replace(board, revision=revision + 1)
        kept, now = _kept(lb, board.id), lb.clock.now_ms()
        fixed = _fixed_changes(before, after, known) if before else {}
        held_fast = [id_ for id_ in kept if ALL_KINDS in fixed or periods.kind_of(id_) in fixed]
        if any(kept[period_id] <= now for period_id in held_fast) and fixed != {ALL_KINDS: ["ties"]}:
            # The archive has their entries, by the old definition, and their names may come again by the new one.
            raise _has_entries(fixed)
        must_be_empty = [lb.keys.standings(board.id, period_id).entries for period_id in held_fast]
        leaves_dense = before is not None and before.ties is Ties.DENSE is not after.ties
        obsolete = [lb.keys.standings(board.id, period_id).distinct for period_id in kept] if leaves_dense else []
        if dry_run:
            if must_be_empty and lb.store.read(("EXISTS", *must_be_empty))[0]:
                raise _has_entries(fixed)
            return Defined(after, before)
        reply = lb.store.change(
            "define_board",
            [*_board_keys(lb.keys, board.id), *must_be_empty, *obsolete],
            [
                board.id,
                revision,
                after.revision,
                definitions.dump(after),
                after.state.value,
                now,
                lb.settings.max_boards,
                len(must_be_empty),
                len(kept),
                orjson.dumps(anchors_after(after, anchors, now)),
            ],
            act.on(board=board.id, before=_described(before), after=_described(after)) if act else b"",
        )
        match reply[0]:
            case b"defined":
                lb.boards.forget(board.id)
                return Defined(after, before)
            case b"has_entries":
                raise _has_entries(fixed)
            case b"too_many":
                raise Problem("quota_exceeded", f"there may be {lb.settings.max_boards} boards")
    raise keeps_changing()


def delete_board(lb: Installation, board_id: str, act: Act, *, expected_revision: int | None = None) -> None:
    """Forget an archived board with everything kept for it.

    Raises board_not_found, board_not_archived, revision_mismatch (with `expected_revision`).
    """
    for _ in range(TRIES):
        before, revision, _ = _current(lb, board_id)
        if before is None:
            raise Problem("board_not_found")
        if expected_revision not in (None, before.revision):
            raise Problem("revision_mismatch", extra={"revision": before.revision})
        if before.state is not BoardState.ARCHIVED:
            raise Problem("board_not_archived", "archive the board first: PUT it with state archived")
        kept = kept_periods(lb, board_id)
        keys = [key for period_id in kept for key in lb.keys.standings(board_id, period_id)]
        reply = lb.store.change(
            "delete_board",
            [*_board_keys(lb.keys, board_id), lb.keys.attempted(board_id), lb.keys.deleted_boards, *keys],
            [board_id, revision, revision + 1, len(kept), lb.clock.now_ms()],
            act.on(board=board_id, before=_described(before)),
        )
        lb.boards.forget(board_id)
        if reply[0] == b"deleted":
            return
    raise keeps_changing()


def list_boards(
    lb: Installation, limit: int, after: str | None, state: BoardState | None
) -> tuple[list[Snapshot], str | None]:
    """Boards in order of id after one, and the id to go on after. Archived ones only where `state` asks for them."""
    found: list[Snapshot] = []
    for snapshot in walk_boards(lb, after, max(limit + 1, WALK_AT_ONCE)):
        shown = snapshot.board.state is state if state else snapshot.board.state is not BoardState.ARCHIVED
        if shown and len(found) == limit:
            return found, found[-1].board.id
        if shown:
            found.append(snapshot)
    return found, None


def walk_boards(lb: Installation, after: str | None = None, at_once: int = WALK_AT_ONCE) -> Iterator[Snapshot]:
    """All boards in order of id, whatever their state, each as it is when its turn comes."""
    while True:
        start = f"({after}" if after else "-"
        ids = lb.store.read(("ZRANGEBYLEX", lb.keys.board_index, start, "+", "LIMIT", 0, at_once))[0]
        if ids:
            yield from lb.boards.reload_many([board_id.decode() for board_id in ids])
        if len(ids) < at_once:
            return
        after = ids[-1].decode()


def kept_periods(lb: Installation, board_id: str) -> list[str]:
    """The ids of the standings a board has begun, also of those that have expired."""
    return list(_kept(lb, board_id))


def _kept(lb: Installation, board_id: str) -> dict[str, float]:
    """Period id → when the standings expire, ms (inf for never), of those that a board has begun."""
    flat = lb.store.read(("ZRANGE", lb.keys.kept(board_id), 0, -1, "WITHSCORES"))[0]
    return {period_id.decode(): float(at) for period_id, at in zip(flat[::2], flat[1::2], strict=True)}


def walk_standings(
    lb: Installation, board_id: str, act: Callable[[Snapshot, list[str]], None], at_once: int = STANDINGS_AT_ONCE
) -> None:
    """Call `act` with the ids of standings that a board has begun, some at a time, and the board as it is then.

    It is called again when the board changes meanwhile (StaleError). Of a board that is deleted the rest is left out:
    its entries went with it.
    """
    kept = kept_periods(lb, board_id)
    for first in range(0, len(kept), at_once):
        share = kept[first : first + at_once]
        try:
            lb.boards.use(board_id, partial(_act_on_share, act, share))
        except Problem as problem:
            if problem.code != "board_not_found":
                raise


def _act_on_share(act: Callable[[Snapshot, list[str]], None], share: list[str], snapshot: Snapshot) -> None:
    act(snapshot, share)


def _current(lb: Installation, board_id: str) -> tuple[Board | None, int, dict[str, Any]]:
    """The stored board, the revision of its gate (0 before there ever was one), and what that remembers of periods."""
    definition, (revision, state, anchors) = lb.store.read(
        ("HGET", lb.keys.boards, board_id), ("HMGET", lb.keys.gate(board_id), "revision", "state", "anchors")
    )
    exists = definition is not None and state not in (None, b"deleted")
    board = definitions.load(board_id, definition) if exists else None
    return board, int(revision or 0), orjson.loads(anchors) if anchors else {}


def _described(board: Board | None) -> dict[str, Any] | None:
    return definitions.to_definition(board) if board else None


def _board_keys(keys: Keys, board_id: str) -> list[str]:
    return [keys.boards, keys.board_index, keys.gate(board_id), keys.seasons(board_id), keys.kept(board_id)]


def _fixed_changes(before: Board, after: Board, anchors: dict[str, Any]) -> dict[str, list[str]]:
    """What changes although entries depend on it: whose entries (a kind, or ALL_KINDS) → the members."""
    fixed: dict[str, list[str]] = {}
    members = [name for name in ("order", "decimals", "tiebreaks") if getattr(before, name) != getattr(after, name)]
    if after.ties is Ties.DENSE is not before.ties:
        members.append("ties")
    if members:
        fixed[ALL_KINDS] = members
    for period in after.periods:
        kind = period.kind.value
        if kind in anchors and anchors[kind]["begins"] != list(period.anchor):
            fixed[kind] = [f"periods ({kind})"]
    return fixed


def _has_entries(fixed: dict[str, list[str]]) -> Problem:
    members = [member for of_kind in fixed.values() for member in of_kind]
    return Problem(
        "board_has_entries",
        f"{', '.join(members)} cannot change while the board has entries: define a new board, or archive and "
        "delete this one and define it again",
        extra={"members": members},
    )
