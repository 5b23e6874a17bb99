"""The time, as every part of an installation agrees on it: the store's.

Each process keeps a clock of its own as an offset to the store's TIME, so machines whose clocks differ, or are set
back, still write in one order.
"""

from __future__ import annotations

import time
from typing import Protocol

from leaderboard.store.client import Store

#: How long an offset is trusted. Oscillators drift by less than 0.1 ms in a second, so this keeps within some ms.
RESYNC_AFTER_S = 60.0

#: A round trip that is good enough, and how many are tried for one.
QUICK_S = 0.05
SAMPLES = 3


#: Counts on while a machine sleeps, where the system has such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class TellsTime(Protocol):
    """What the service asks the time of; tests set their own."""

    def now_ms(self) -> int: ...


class Clock:
    """Milliseconds since 1970 by the store's clock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._offset_ms = 0.0
        self._synced_at_s = -RESYNC_AFTER_S

    def now_ms(self) -> int:
        """Ask the store once a minute, else add up. Problem (503) when the store is away."""
        counted_s = time.clock_gettime(_CLOCK)
        if counted_s - self._synced_at_s >= RESYNC_AFTER_S:
            self._sync()
            self._synced_at_s = counted_s = time.clock_gettime(_CLOCK)
        return int(counted_s * 1000 + self._offset_ms)

    def _sync(self) -> None:
        """Take the best of some samples: each is off by half its round trip at most; a stalled store answers late."""
        best_s = float("inf")
        for _ in range(SAMPLES):
            asked_s = time.clock_gettime(_CLOCK)
            seconds, microseconds = self._store.read(("TIME",))[0]
            trip_s = time.clock_gettime(_CLOCK) - asked_s
            if trip_s < best_s:
                best_s = trip_s
                self._offset_ms = int(seconds) * 1000 + int(microseconds) / 1000 - (asked_s + trip_s / 2) * 1000
            if trip_s < QUICK_S:
                return
