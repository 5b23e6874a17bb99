"""How far an entry lies outside of the distribution of its standings.

The measure is the modified z-score of Iglewicz and Hoaglin (1993): the distance from the median in units of a spread
that outliers cannot move, scaled so that it reads as standard deviations do where scores are normal. Three things are
adapted to scores of games, which are skewed, and of which only one end can be cheated:

- The spread is that of the better half alone: the distance from the median to the quartile, which is the median
  absolute deviation of that half. So that a tail which is heavier than the middle lets on counts as well, it is the
  largest of three such distances, each in units of what it is for a normal distribution: to the quartile, to the best
  tenth, and to the best hundredth, or the tenth entry if that is further in (letter values and their pseudosigmas:
  Hoaglin 1983, 1985).
- Before that, scores are raised to a power: where high ones are better, to the one from 0 (the logarithm) to 1 by which
  the quartile and the best hundredth lie as those of a normal distribution do (Box and Cox 1964; Tukey 1977; Raymaekers
  and Rousseeuw 2024 fit it by the centre alone, for the same reason). Of times and the like, where 0 is the end, the
  logarithm is taken.
- Where a quarter of all or more have the median's very score, the MAD is 0; then, and where the median is 0, those who
  are better are looked at by themselves.

So it takes more than one entry in a hundred, and more than ten, to move the measure. What was weighed against it, and
what it does on other distributions, is in docs/decisions/20-outliers.md. Scores are in order space: lower is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, pow
from statistics import NormalDist
from typing import NamedTuple

from leaderboard.model import SCORE_LIMIT

#: How far out is said in hundredths, and no further than this.
FARTHEST = 999_999

#: So closely a power is found.
_EXACT = 1e-3

#: The logarithm of a number that no score is, over no median.
_BEYOND = 100.0

#: Below half of the smallest unit the logarithm goes on straight: a score of 0 is not infinitely far from one of 1.
_HALF = 0.5


class Sample(NamedTuple):
    """Where the scores of a standings lie (store/lua/outliers.lua)."""

    entries: int
    middle: int
    quarter: int
    tenth: int
    deepest: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """What entries are held against."""

    entries: int
    median: int
    #: How much better the best quarter is: the MAD of the better half.
    spread: int
    #: To which scores are raised.
    power: float
    #: What one unit of the measure is, of scores so raised.
    unit: float

    def distance(self, score: int) -> float:
        """How far out a score of order space is, in robust standard deviations; negative for one that is worse."""
        return _raise(score, self.median, self.power) / self.unit

    def limit(self, threshold: float) -> int:
        """The score of order space that is as far out as `threshold`, or the best there can be."""
        reached = _unraise(threshold * self.unit, self.median, self.power)
        return round(max(-SCORE_LIMIT, min(SCORE_LIMIT, reached)))


def fit(sample: Sample) -> Distribution | None:
    """What the entries of a sample are held against; None for one that says nothing."""
    entries, middle, *better = sample
    if not entries or middle == 0 or middle == better[0]:
        return None
    normal = NormalDist().inv_cdf
    depths = [normal(1 - share) for share in (0.25, 0.1, deepest_share(entries))]

    def units(power: float) -> list[float]:
        return [_raise(score, middle, power) / depth for score, depth in zip(better, depths, strict=True)]

    # Of both sides of 0 there is no logarithm.
    power = _normal_power(units) if middle < 0 else 0.0 if min(better) > 0 else 1.0
    return Distribution(entries, middle, middle - better[0], power, max(units(power)))


def deepest_share(entries: int) -> float:
    """How large a share the deepest look takes; the same as in store/lua/outliers.lua."""
    return min(0.25, max(0.01, 10 / entries))


def _normal_power(units: Callable[[float], list[float]]) -> float:
    """The power by which the best are as far away as the quartile says: the higher, the further they are."""

    def is_long(power: float) -> bool:
        quarter, _, deepest = units(power)
        return deepest > quarter

    if not is_long(1):
        return 1.0
    if is_long(0):
        return 0.0
    low, high = 0.0, 1.0
    while high - low > _EXACT:
        middle = (low + high) / 2
        low, high = (low, middle) if is_long(middle) else (middle, high)
    return low


def _raise(score: float, median: int, power: float) -> float:
    """Box and Cox's power of a score over the median, so that more is better: 0 at the median."""
    if median > 0:
        if power == 1:
            return 1 - score / median
        if score < _HALF:
            return -log(_HALF / median) + (1 - score / _HALF)
        return -log(score / median)
    ratio = score / median
    if ratio <= 1:
        # Worse than the median, maybe on the other side of 0: only that it is less matters.
        return ratio - 1
    return log(ratio) if power == 0 else (pow(ratio, power) - 1) / power


def _unraise(raised: float, median: int, power: float) -> float:
    """The score of which `_raise` makes this, for one that is better than the median."""
    if median > 0:
        if power == 1:
            return median * (1 - raised)
        end = -log(_HALF / median)
        return median * exp(-raised) if raised <= end else _HALF * (1 - (raised - end))
    logarithm = raised if power == 0 else log(raised * power + 1) / power
    return median * exp(min(logarithm, _BEYOND))
