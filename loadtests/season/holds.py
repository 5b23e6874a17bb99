"""What is held waits for an admin, who looks once a day; until then it counts nowhere, so the next may be held."""

from __future__ import annotations

from loadtests.season.habits import DAY_MS, HOUR_MS

#: When in each day what is held is reviewed.
REVIEWED_AT_MS = 9 * HOUR_MS


class Waiting:
    """The scores of one player that are held."""

    def __init__(self) -> None:
        self._scores: list[int] = []
        self._day = 0

    def hold(self, at_ms: int, score: int) -> None:
        self._day = _day(at_ms)
        self._scores.append(score)

    def approved(self, at_ms: int) -> list[int]:
        """What the admin has let through since it was asked the last time."""
        if not self._scores or _day(at_ms) == self._day:
            return []
        scores, self._scores = self._scores, []
        return scores


def _day(at_ms: int) -> int:
    return (at_ms - REVIEWED_AT_MS) // DAY_MS
