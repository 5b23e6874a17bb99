"""What a worker says of itself: in the log, and in the store, where /readyz, /metrics and the doctor find it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from leaderboard import journal
from leaderboard.errors import Problem

if TYPE_CHECKING:
    from leaderboard.installation import Installation
    from leaderboard.keys import Keys
    from leaderboard.store.client import Store

log = logging.getLogger(__name__)

#: How often a worker says that it is there, and how long that is believed.
EVERY_S = 5.0
BELIEVED_MS = 20_000

#: What goes on is said again in the log after this long.
AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class WorkerState:
    owner: str
    at_ms: int
    problem: str | None


class Report:
    def __init__(self, lb: Installation, owner: str) -> None:
        self._lb, self._owner = lb, owner
        self._told: tuple[bool, str | None] | None = None
        self._told_at_s = self._logged_at_s = 0.0

    def tell(self, reading: bool, problem: str | None) -> None:
        """Say how it goes, if it is time or something is new. `reading`: it has the lease."""
        now = time.monotonic()
        is_new = (reading, problem) != self._told
        if problem and (is_new or now - self._logged_at_s >= AGAIN_S):
            log.error("the journal is not being archived: %s", problem)
            self._logged_at_s = now
        if not is_new and now - self._told_at_s < EVERY_S:
            return
        self._told, self._told_at_s = (reading, problem), now
        if not reading and problem is None:
            # Another worker has the lease, and speaks for itself.
            return
        try:
            state = {"owner": self._owner, "at_ms": self._lb.clock.now_ms(), "problem": problem}
            self._lb.store.write("SET", self._lb.keys.worker, orjson.dumps(state), "PX", BELIEVED_MS)
            self._warn_of_lag(now)
        except Problem:
            # The store is away; nobody could read it there.
            self._told = None

    def _warn_of_lag(self, now_s: float) -> None:
        waiting = journal.read_waiting(self._lb.store, self._lb.keys).records
        if waiting >= self._lb.settings.journal_records_alarm and now_s - self._logged_at_s >= AGAIN_S:
            most = self._lb.settings.journal_records_most
            log.error("%d records wait in the journal for the archive; at %d submissions are refused", waiting, most)
            self._logged_at_s = now_s


def read_worker(store: Store, keys: Keys) -> WorkerState | None:
    """The worker that reads the journal, or tries to; None when none has said anything for a while."""
    packed = store.read(("GET", keys.worker))[0]
    return WorkerState(**orjson.loads(packed)) if packed else None
