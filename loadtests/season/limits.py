"""Which limits a board gets: from the game, and from honest players of a sample (see the docstring of this package)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

from loadtests.season.game import CEILING, SHORTEST_PLAY_S
from loadtests.season.habits import HOUR_MS
from loadtests.season.honest import Play, in_order

#: The share of honest submissions that each limit may touch, in the sample.
BUDGET = 0.0001
#: Where newcomers are looked at: the first page of standings.
TOP = 50
#: No more submissions than these make a player known, for nobody waits that long.
KNOWN_AFTER_MOST = 10

Sample = Sequence[Sequence[Play]]


def choose_limits(sample: Sample) -> dict[str, Any]:
    """The `rules` of a board definition, from plays of players who are trusted."""
    rules: dict[str, Any] = {
        "rate": {"burst": ceil(exceeded_by(ahead(sample), BUDGET)), "per_s": round(1 / SHORTEST_PLAY_S, 4)},
        "min_score": {"value": 0, "then": "reject"},
        "max_score": {"value": CEILING, "then": "reject"},
        "max_gain": {"value": round_up(exceeded_by(gains(sample), BUDGET)), "then": "hold"},
        "max_gain_per_hour": {"value": round_up(exceeded_by(gains_per_hour(sample), BUDGET)), "then": "hold"},
        "signed": True,
    }
    interval_s = floor(-exceeded_by((-gap for gap in gaps_s(sample)), BUDGET))
    if interval_s >= 1:
        rules["min_interval_s"] = {"value": interval_s, "then": "reject"}
    known_after = submissions_before_top(sample)
    if known_after:
        rules["min_submissions_before_top"] = {"value": known_after, "top": TOP, "then": "hold"}
    return rules


def gains(sample: Sample) -> Iterator[int]:
    """By how much each submission but a player's first beats the player's best; 0 when it does not."""
    for plays in sample:
        best = plays[0].score if plays else 0
        for play in plays[1:]:
            yield max(0, play.score - best)
            best = max(best, play.score)


def gains_per_hour(sample: Sample) -> Iterator[int]:
    """By how much each submission but the first beats the best that the player had an hour before."""
    for plays in sample:
        # (when, best from then on); the first is what held an hour ago, or the player's first.
        bests: deque[tuple[int, int]] = deque()
        for play in plays:
            while len(bests) > 1 and bests[1][0] <= play.at_ms - HOUR_MS:
                bests.popleft()
            if bests:
                yield max(0, play.score - bests[0][1])
            bests.append((play.at_ms, max(play.score, bests[-1][1] if bests else 0)))


def gaps_s(sample: Sample) -> Iterator[float]:
    """Seconds between each two submissions of a player."""
    for plays in sample:
        for before, play in pairwise(plays):
            yield (play.at_ms - before.at_ms) / 1000


def ahead(sample: Sample) -> Iterator[float]:
    """How many submissions a player is ahead of one play in the shortest time, with each of them."""
    for plays in sample:
        plays_ahead, before = 0.0, 0
        for play in plays:
            passed = (play.at_ms - before) / 1000 / SHORTEST_PLAY_S
            plays_ahead, before = max(0.0, plays_ahead - passed) + 1, play.at_ms
            yield plays_ahead


def submissions_before_top(sample: Sample) -> int:
    """The most submissions (0 for none) with which so few are held that have made fewer and would be in the top."""
    touched = [0] * KNOWN_AFTER_MOST
    made: dict[int, int] = {}
    best: dict[int, int] = {}
    table: list[int] = []
    total = 0
    for play in in_order(sample):
        own, number = best.get(play.player), made.get(play.player, 0)
        made[play.player] = number + 1
        total += 1
        if own is not None and play.score <= own:
            continue
        if own is not None:
            del table[bisect_left(table, own)]
        if number < KNOWN_AFTER_MOST and len(table) - bisect_left(table, play.score) < TOP:
            touched[number] += 1
        insort(table, play.score)
        best[play.player] = play.score
    allowed, before = BUDGET * total, 0
    for number, count in enumerate(touched):
        before += count
        if before > allowed:
            return number
    return KNOWN_AFTER_MOST


def exceeded_by(values: Iterable[float], share: float) -> float:
    """The least of the values that no more than a share of them exceed. Raises ValueError when there are none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the sample is empty")
    return ordered[-1 - floor(share * len(ordered))]


def round_up(value: float) -> int:
    """To two digits that count, as people write limits."""
    if value < 10:
        return max(1, ceil(value))
    step = int(10 ** (floor(log10(value)) - 1))
    return ceil(value / step) * step
