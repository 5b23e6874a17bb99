"""Maintenance: while it is on, no board takes a submission. The submit function itself looks, so it is on at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaderboard.audit import Act
    from leaderboard.installation import Installation


@dataclass(frozen=True, slots=True)
class Maintenance:
    reason: str
    since_ms: int


def get_maintenance(lb: Installation) -> Maintenance | None:
    reason, at = lb.store.read(("HMGET", lb.keys.maintenance, "reason", "at"))[0]
    return Maintenance((reason or b"").decode(), int(at)) if at else None


def begin_maintenance(lb: Installation, reason: str, act: Act) -> Maintenance:
    # Read apart: of two that begin at once each may say that there was none before; the audit has both.
    before = _described(get_maintenance(lb))
    maintenance = Maintenance(reason, lb.clock.now_ms())
    lb.store.change(
        "set_maintenance",
        [lb.keys.maintenance],
        [maintenance.since_ms, "begin", reason],
        act.on(before=before, after=_described(maintenance)),
    )
    return maintenance


def end_maintenance(lb: Installation, act: Act) -> None:
    before = _described(get_maintenance(lb))
    lb.store.change("set_maintenance", [lb.keys.maintenance], [lb.clock.now_ms(), "end", ""], act.on(before=before))


def _described(maintenance: Maintenance | None) -> dict[str, Any] | None:
    return {"reason": maintenance.reason, "since_ms": maintenance.since_ms} if maintenance else None
