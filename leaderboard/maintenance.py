"""Maintenance: while it is on, no board takes a submission. The submit function itself looks, so it is on at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderboard.installation import Installation


@dataclass(frozen=True, slots=True)
class Maintenance:
    reason: str
    since_ms: int


def get_maintenance(lb: Installation) -> Maintenance | None:
    reason, at = lb.store.read(("HMGET", lb.keys.maintenance, "reason", "at"))[0]
    return Maintenance((reason or b"").decode(), int(at)) if at else None


def begin_maintenance(lb: Installation, reason: str) -> Maintenance:
    maintenance = Maintenance(reason, lb.clock.now_ms())
    lb.store.change("set_maintenance", [lb.keys.maintenance], [maintenance.since_ms, "begin", reason])
    return maintenance


def end_maintenance(lb: Installation) -> None:
    lb.store.change("set_maintenance", [lb.keys.maintenance], [lb.clock.now_ms(), "end", ""])
