"""How many submissions make a player known: `min_submissions_before_top`, tried on a season of honest players."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Sequence

from loadtests.season.habits import DAY_MS
from loadtests.season.holds import Waiting
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

    def lands(self, player: int, score: int, top: int) -> bool:
        """Whether this would improve the player's entry to a rank in the top, of as many entries as the rule asks."""
        return (
            len(self._scores) >= ENTRIES_PER_TOP * top
            and score > self._best.get(player, 0)
            # Among equals, who comes later stands behind.
            and len(self._scores) - bisect_left(self._scores, score) < top
        )

    def submit(self, player: int, score: int) -> None:
        own = self._best.get(player, 0)
        if score <= own:
            return
        if own:
            del self._scores[bisect_left(self._scores, own)]
        insort(self._scores, score)
        self._best[player] = score


def known_after(sample: Sequence[Sequence[Play]], top: int, budget: float) -> int:
    """The greatest value (0 for none) with which no more than a share of the submissions is held."""
    allowed = budget * sum(len(plays) for plays in sample)
    return bisect_left(range(1, KNOWN_AFTER_MOST + 1), True, key=lambda value: landings(sample, value, top) > allowed)


def landings(sample: Sequence[Sequence[Play]], value: int, top: int) -> int:
    """How many submissions would land in the top of the season or the week, by players with fewer that count."""
    standings: dict[int | None, Standings] = defaultdict(Standings)
    waiting: dict[int, Waiting] = defaultdict(Waiting)
    made = Counter[int]()
    count = 0
    for play in in_order(sample):
        player, places = play.player, [standings[period] for period in (None, play.at_ms // (7 * DAY_MS))]
        for score in waiting[player].approved(play.at_ms):
            made[player] += 1
            for place in places:
                place.submit(player, score)
        if made[player] < value and any(place.lands(player, play.score, top) for place in places):
            count += 1
            waiting[player].hold(play.at_ms, play.score)
        else:
            made[player] += 1
            for place in places:
                place.submit(player, play.score)
    return count
