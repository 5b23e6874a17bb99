"""The audit: who did what with an admin's key or on the command line, what it was before, and what it is since.

An act is handed to the call of the store that does it, which records it in the same step, if anything changes at all:

    lb.store.change("define_board", keys, args, act.on(board=board.id, before=…, after=…))

From there it goes through the journal into the archive, which only ever adds to it. `before` and `after` are plain
data, as the API shows them, but for instants, which end in ``_ms``; of an entry the store itself says them. They must
hold nothing about any player but `player`: when that one is erased, they go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, Row, select

from leaderboard.archive.freshness import missing_records

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: Whoever runs the machine.
CLI = "cli"
#: What the worker does by itself.
WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Act:
    """One act, and who it is that acts."""

    operation: str
    #: The id of a key, `setting-admin`, `setting-server`, CLI or WORKER.
    actor: str
    #: The name of that key.
    name: str | None
    role: str
    request_id: str | None = None
    reason: str | None = None

    def on(
        self,
        *,
        board: str | None = None,
        period_id: str | None = None,
        player: str | None = None,
        key: str | None = None,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> bytes:
        """The act as `Store.change` takes it: with what it is done to."""
        return orjson.dumps(
            {
                "operation": self.operation, "actor": self.actor, "name": self.name, "role": self.role,
                "request_id": self.request_id, "reason": self.reason, "board": board, "period_id": period_id,
                "player": player, "key_id": key, "state_before": before, "state_after": after,
            }
        )  # fmt: skip


def by_cli(operation: str, reason: str | None = None) -> Act:
    """An act of whoever runs the machine."""
    return Act(operation, CLI, None, CLI, reason=reason)


def note(lb: Installation, act: bytes) -> None:
    """Record an act that is not one change, such as an import. Raises Problem (503)."""
    lb.store.change("note_act", [], [lb.clock.now_ms()], act)


@dataclass(frozen=True, slots=True)
class KeptAct:
    """An act as the archive has it. What is None was not there, or was of a player that was erased since."""

    id: int
    at_ms: int
    actor: str
    name: str | None
    role: str
    operation: str
    board: str | None
    period_id: str | None
    player: str | None
    key: str | None
    reason: str | None
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acts; None for any. `since_ms` is the first instant, `until_ms` the one after the last."""

    board: str | None = None
    player: str | None = None
    operation: str | None = None
    actor: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ActsPage:
    acts: list[KeptAct]
    #: The id to go on before; None at the end.
    next: int | None
    #: How many records of the journal the archive has not got yet: with 0 nothing that has happened is missing.
    waiting: int


def list_acts(lb: Installation, wanted: Wanted, limit: int, before: int | None = None) -> ActsPage:
    """Acts, newest first, from the archive as it is. Raises archive_unavailable."""
    return _page(lb, list(_conditions(lb, wanted)), limit, before)


def list_definitions(lb: Installation, board: str, limit: int, before: int | None = None) -> ActsPage:
    """The acts that defined a board: `after` is what it was from then on. Newest first. Raises archive_unavailable."""
    audit = lb.archive.tables.audit
    return _page(lb, [audit.c.board == board, audit.c.operation == "put_board"], limit, before)


def _page(lb: Installation, conditions: list[ColumnElement[bool]], limit: int, before: int | None) -> ActsPage:
    # First: what is not among these then is in what is read.
    waiting = missing_records(lb)
    if not lb.archive.is_usable():
        return ActsPage([], None, waiting)
    audit = lb.archive.tables.audit
    query = select(audit).where(*conditions).order_by(audit.c.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(audit.c.id < before)
    with lb.archive.read() as connection:
        acts = [read_act(row) for row in connection.execute(query)]
    return ActsPage(acts[:limit], acts[limit - 1].id if len(acts) > limit else None, waiting)


def read_act(row: Row[Any]) -> KeptAct:
    """Of a row of the audit."""
    return KeptAct(
        row.id, row.at_ms, row.actor, row.name, row.role, row.operation, row.board, row.period_id, row.player,
        row.key_id, row.reason, row.request_id, _state(row.state_before), _state(row.state_after),
    )  # fmt: skip


def _conditions(lb: Installation, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    audit = lb.archive.tables.audit
    for name in ("board", "player", "operation", "actor"):
        value = getattr(wanted, name)
        if value is not None:
            yield audit.c[name] == value
    if wanted.since_ms is not None:
        yield audit.c.at_ms >= wanted.since_ms
    if wanted.until_ms is not None:
        yield audit.c.at_ms < wanted.until_ms


def _state(packed: str | None) -> dict[str, Any] | None:
    state: dict[str, Any] | None = orjson.loads(packed) if packed else None
    return state
