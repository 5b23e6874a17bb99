"""How many submissions make a player known: `min_submissions_before_top`, tried on a season of honest players."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence

from loadtests.season.habits import DAY_MS
from loadtests.season.honest import Play, in_order

#: More than these nobody would wait for.
KNOWN_AFTER_MOST = 10
#: The service's default for `from_entries`.
ENTRIES_PER_TOP = 20


class Standings:
    """The best scores of one period, as far as ranks go."""

    def __init__(self) -> None:
        self._best: dict[int, int] = {}
        self._scores: list[int] = []

    def submit(self, player: int, score: int, top: int) -> bool:
        """Whether this improves the player's entry to a rank in the top, of as many entries as the rule asks for."""
        own = self._best.get(player)
        if own is not None and score <= own:
            return False
        lands = len(self._scores) >= ENTRIES_PER_TOP * top and self._rank(score) <= top
        if own is not None:
            del self._scores[bisect_left(self._scores, own)]
        insort(self._scores, score)
        self._best[player] = score
        return lands

    def _rank(self, score: int) -> int:
        # Among equals, who comes later stands behind.
        return len(self._scores) - bisect_left(self._scores, score) + 1


def known_after(sample: Sequence[Sequence[Play]], top: int, budget: float) -> int:
    """The greatest value (0 for none) with which no more than a share of the submissions is held."""
    numbers = landings(sample, top)
    allowed = budget * sum(len(plays) for plays in sample)
    value = 0
    while value < KNOWN_AFTER_MOST and sum(numbers[number] for number in range(value + 1)) <= allowed:
        value += 1
    return value


def landings(sample: Sequence[Sequence[Play]], top: int) -> Counter[int]:
    """How many submissions land in the top of the season or the week, by how many their player had made before."""
    standings: dict[int | None, Standings] = {}
    made = Counter[int]()
    numbers = Counter[int]()
    for play in in_order(sample):
        # Both are tried: each keeps what was submitted.
        lands = [
            standings.setdefault(period, Standings()).submit(play.player, play.score, top)
            for period in (None, play.at_ms // (7 * DAY_MS))
        ]
        if any(lands):
            numbers[made[play.player]] += 1
        made[play.player] += 1
    return numbers
