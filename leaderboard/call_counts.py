"""How often each address has called, minute by minute, for the limits on what is not everyday play.

Counts are the store's, so that the processes of an installation keep a limit together, and minutes are those of its
clock. A process counts for itself first and tells the store of every so many calls: of each one where a limit is small
and the call is rare, of a twentieth of the limit where it is large and a round trip would be felt. So n processes
together allow at most n twentieths more than the limit; and an address that reads a little costs no round trip at all.

While the store is away, or refuses to write, each process counts alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from leaderboard.clock import TellsTime
from leaderboard.errors import Problem
from leaderboard.keys import Keys
from leaderboard.store.client import Store

log = logging.getLogger(__name__)

MINUTE_MS = 60_000

#: How long the store remembers a minute: also for a process whose clock is a little behind.
REMEMBER_MS = 2 * MINUTE_MS

#: So many addresses are counted by one process in a minute. A flood from more begins anew, from what the store knows.
ADDRESSES_MOST = 100_000


@dataclass(frozen=True, slots=True)
class CallLimit:
    """How many calls of one kind an address has in a minute."""

    name: str
    per_minute: int
    #: After so many a process tells the store.
    tell_every: int = 1


@dataclass(slots=True)
class _Count:
    #: By the store's last word, the ones told by this process among them.
    told: int = 0
    untold: int = 0

    @property
    def calls(self) -> int:
        return self.told + self.untold


class CallCounts:
    """The counts of the present minute, as one process knows them."""

    def __init__(self, store: Store, keys: Keys, clock: TellsTime) -> None:
        self._store, self._keys, self._clock = store, keys, clock
        self._minute = 0
        self._counts: dict[tuple[str, str], _Count] = {}

    def add(self, limit: CallLimit, address: str, more: int = 1) -> int:
        """Count calls and return how many they are by now. A round trip in so many; none once the limit is passed.

        Raises Problem (503) only when the time is not known, which takes the store.
        """
        counts = self._this_minute()
        count = counts.get((limit.name, address))
        if count is None:
            if len(counts) >= ADDRESSES_MOST:
                counts.clear()
            count = counts[limit.name, address] = _Count()
        count.untold += more
        if count.untold >= limit.tell_every and count.told <= limit.per_minute:
            return self._tell(limit, address, count)
        return count.calls

    def known(self, limit: CallLimit, address: str) -> int:
        """How many calls this process knows of, without asking. Raises Problem (503) when the time is not known."""
        count = self._this_minute().get((limit.name, address))
        return 0 if count is None else count.calls

    def minute_ends_ms(self) -> int:
        """When the present minute ends, in ms since 1970. Raises Problem (503) when the time is not known."""
        return (self._clock.now_ms() // MINUTE_MS + 1) * MINUTE_MS

    def _this_minute(self) -> dict[tuple[str, str], _Count]:
        minute = self._clock.now_ms() // MINUTE_MS
        if minute != self._minute:
            # A new dict, not an emptied one: a call that waits for the store still counts into the old.
            self._minute, self._counts = minute, {}
        return self._counts

    def _tell(self, limit: CallLimit, address: str, count: _Count) -> int:
        # Taken before the call, so that what other requests add while it waits is told once.
        telling, count.untold = count.untold, 0
        key = self._keys.calls(limit.name, self._minute, address)
        try:
            # The first of a minute sets the expiry, so that there is never a count without one.
            begin = ("SET", key, 0, "PX", REMEMBER_MS, "NX")
            told: int = self._store.write_many([begin, ("INCRBY", key, telling)])[1]
        except Problem as problem:
            log.warning("the calls of an address are not counted by all processes together: %s", problem)
            count.untold += telling
            return count.calls
        # Replies may overtake each other; the largest is the newest. Each call goes by its own: no two have the same.
        count.told = max(count.told, told)
        return told
