"""Which limits a board gets: from the game, and from honest players of a sample (see the docstring of this package)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

from loadtests.season.game import CEILING, SHORTEST_PLAY_S
from loadtests.season.habits import HOUR_MS
from loadtests.season.holds import Waiting
from loadtests.season.honest import Play
from loadtests.season.newcomers import known_after

#: The share of honest submissions that a limit may touch, in the sample: one that rejects, and one that holds, for what
#: is held is looked at and counts in the end. All of them together stay below one in a thousand.
REJECTS = 0.0001
HOLDS = 0.0003
#: The first page of standings, where a newcomer is looked at; fewer ranks on a small board.
TOP_MOST = 50
#: The service looks at newcomers in standings of 20 times top entries. This leaves half of the players to get there.
PLAYERS_PER_TOP = 40

Sample = Sequence[Sequence[Play]]


def choose_limits(sample: Sample, expected: int) -> dict[str, Any]:
    """The `rules` of a board definition for so many players, from plays of players who are trusted."""
    may_hold = HOLDS * sum(len(plays) for plays in sample)
    rules: dict[str, Any] = {
        "rate": {"burst": ceil(exceeded_by(ahead(sample), REJECTS)), "per_s": round(1 / SHORTEST_PLAY_S, 4)},
        "min_score": {"value": 0, "then": "reject"},
        "max_score": {"value": CEILING, "then": "reject"},
        "max_gain": {"value": round_up(least(partial(gaining_too_much, sample), may_hold)), "then": "hold"},
        "max_gain_per_hour": {"value": round_up(least(partial(gaining_too_fast, sample), may_hold)), "then": "hold"},
    }
    rules["signed"] = True
    interval_s = floor(-exceeded_by((-gap for gap in gaps_s(sample)), REJECTS))
    if interval_s >= 1:
        rules["min_interval_s"] = {"value": interval_s, "then": "reject"}
    top = min(TOP_MOST, expected // PLAYERS_PER_TOP)
    if top and (value := known_after(sample[:expected], top, HOLDS)):
        rules["min_submissions_before_top"] = {"value": value, "top": top, "then": "hold"}
    return rules


def least(touched: Callable[[int], int], allowed: float) -> int:
    """The least limit up to CEILING that touches no more than is allowed."""
    return bisect_left(range(1, CEILING), True, key=lambda limit: touched(limit) <= allowed) + 1


def gaining_too_much(sample: Sample, limit: int) -> int:
    """How many submissions beat their player's best by more than so much, as `max_gain` counts."""
    count = 0
    for plays in sample:
        waiting, best = Waiting(), plays[0].score if plays else 0
        for play in plays[1:]:
            best = max(best, *waiting.approved(play.at_ms), 0)
            if play.score - best > limit:
                count += 1
                waiting.hold(play.at_ms, play.score)
            else:
                best = max(best, play.score)
    return count


def gaining_too_fast(sample: Sample, per_hour: int) -> int:
    """How many submissions gain more than so much at once, or an hour in the long run, as `max_gain_per_hour` counts.

    What is held, or approved, has gained nothing.
    """
    count = 0
    for plays in sample:
        waiting, best = Waiting(), plays[0].score if plays else 0
        gained, before_ms = 0.0, 0
        for play in plays[1:]:
            best = max(best, *waiting.approved(play.at_ms), 0)
            gained = max(0.0, gained - per_hour * (play.at_ms - before_ms) / HOUR_MS)
            before_ms = play.at_ms
            gain = max(0, play.score - best)
            if gain and gained + gain > per_hour:
                count += 1
                waiting.hold(play.at_ms, play.score)
            else:
                gained += gain
                best = max(best, play.score)
    return count


def gaps_s(sample: Sample) -> Iterator[float]:
    """Seconds between each two submissions of a player."""
    for plays in sample:
        for before, play in pairwise(plays):
            yield (play.at_ms - before.at_ms) / 1000


def ahead(sample: Sample) -> Iterator[float]:
    """How many submissions a player is ahead of one play in the shortest time, with each of them."""
    for plays in sample:
        plays_ahead, before_ms = 0.0, 0
        for play in plays:
            passed = (play.at_ms - before_ms) / 1000 / SHORTEST_PLAY_S
            plays_ahead, before_ms = max(0.0, plays_ahead - passed) + 1, play.at_ms
            yield plays_ahead


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
