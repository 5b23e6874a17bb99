"""How the store and the archiving of its journal are at this moment: what /readyz says and /metrics counts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderboard import journal
from leaderboard.errors import Problem, SettingError
from leaderboard.worker.report import WorkerState, read_worker

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)

#: What a worker is at.
ARCHIVING, NONE, STUCK = "archiving", "none", "stuck"


@dataclass(frozen=True, slots=True)
class Vitals:
    #: How many records wait in the journal for the archive, and for how long the oldest has; None without any.
    records: int
    oldest_s: float | None
    #: From so many on it is said aloud, and from so many on changes are refused.
    alarm_at: int
    full_at: int
    #: None when no worker has said anything for some 20 s; how long ago it last did.
    worker: WorkerState | None
    worker_spoke_s: float | None

    @property
    def alarm(self) -> bool:
        return self.records >= self.alarm_at

    @property
    def full(self) -> bool:
        return self.records >= self.full_at

    @property
    def archiving(self) -> str:
        if self.worker is None:
            return NONE
        return ARCHIVING if self.worker.problem is None else STUCK


def why_not_ready(lb: Installation) -> Problem | None:
    """Why the service must not serve; None where it can. Claims a store that is new."""
    try:
        lb.claim.check()
    except Problem as problem:
        return problem
    except SettingError as error:
        log.error("the store cannot be used: %s", error)
        return Problem("store_unavailable", str(error), retry_after_s=30)
    return None


def read_vitals(lb: Installation) -> Vitals:
    """Two round trips, whatever is in the store. Raises Problem (503)."""
    waiting = journal.read_waiting(lb.store, lb.keys)
    worker = read_worker(lb.store, lb.keys)
    now_ms = lb.clock.now_ms()
    return Vitals(
        waiting.records,
        None if waiting.oldest_ms is None else _since_s(now_ms, waiting.oldest_ms),
        lb.settings.journal_records_alarm,
        lb.settings.journal_records_most,
        worker,
        None if worker is None else _since_s(now_ms, worker.at_ms),
    )


def read_memory(lb: Installation) -> int | None:
    """The bytes that the store uses; None where it does not say."""
    try:
        info = lb.store.read(("INFO", "memory"))[0]
    except Problem:
        return None
    used = [line for line in info.split(b"\r\n") if line.startswith(b"used_memory:")]
    return int(used[0].partition(b":")[2]) if used else None


def _since_s(now_ms: int, then_ms: int) -> float:
    # What was written a moment ago by another process's clock may lie ahead.
    return max(0.0, (now_ms - then_ms) / 1000)
