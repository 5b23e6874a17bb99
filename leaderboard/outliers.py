"""How far an entry lies outside of the distribution of its standings.

The measure is the modified z-score of Iglewicz and Hoaglin (1993): the distance from the median in units of a spread
that outliers cannot move, scaled so that it reads as standard deviations do where scores are normal. Three things are
adapted to scores of games, which are skewed, and of which only one end can be cheated:

- The spread is that of the better half alone: the distance from the median to the quartile, which is the median
  absolute deviation of that half. So that a tail which is heavier than the middle lets on
  counts as well, it is the largest of three such distances, each in units of what it is for a normal
  distribution: to the quartile, to the best tenth, and to the best hundredth, or the tenth entry if that is further in
  (letter values and their pseudosigmas: Hoaglin 1983 and 1985).
- Before that, scores are raised to a power from 0 (the logarithm) to 1: the one by which the quartile and the best
  hundredth lie as those of a normal distribution do (Box and Cox 1964; Tukey 1977, the ladder of powers; Raymaekers and
  Rousseeuw 2024 fit it to the centre alone, for the same reason).
- Where a quarter of all or more have the median's very score the MAD is 0; then those who are better are looked at by
  themselves.

So it takes more than one entry in a hundred, and more than ten, to move the measure. What was weighed against it, and
what it does on other distributions, is in docs/decisions/20-outliers.md. Scores are in order space: lower is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, pow
from statistics import NormalDist
from typing import NamedTuple

from leaderboard.model import SCORE_LIMIT

#: How far out is said in hundredths, and no further than this.
FARTHEST = 999_999

#: So closely a power is found.
_EXACT = 1e-3

#: The logarithm of a number that no score is, over no median.
_BEYOND = 100.0


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
    #: Of which scores are taken, over the median; None where they are taken as they are.
    power: float | None
    #: What one unit of the measure is, of those.
    unit: float

    def distance(self, score: int) -> float:
        """How far out a score of order space is, in robust standard deviations; negative for one that is worse."""
        if self.power is None:
            return (self.median - score) / self.unit
        raised = _raise(score / self.median, self.power)
        return (raised if self.median < 0 else -raised) / self.unit

    def limit(self, threshold: float) -> int:
        """The score of order space that is as far out as `threshold`, or the best there can be."""
        if self.power is None:
            reached = self.median - threshold * self.unit
        else:
            raised = threshold * self.unit
            reached = _unraise(raised if self.median < 0 else -raised, self.power) * self.median
        return round(max(-SCORE_LIMIT, min(SCORE_LIMIT, reached)))


def fit(sample: Sample) -> Distribution | None:
    """What the entries of a sample are held against; None for one that says nothing."""
    entries, middle, *better = sample
    if not entries or middle == better[0]:
        return None
    normal = NormalDist().inv_cdf
    depths = [normal(1 - share) for share in (0.25, 0.1, deepest_share(entries))]
    spread = middle - better[0]
    if middle == 0 or any((score > 0) != (middle > 0) or score == 0 for score in better):
        # No power of both sides of 0.
        unit = max((middle - score) / depth for score, depth in zip(better, depths, strict=True))
        return Distribution(entries, middle, spread, None, unit)
    ratios = [score / middle for score in better]

    def units(power: float) -> list[float]:
        return [abs(_raise(ratio, power)) / depth for ratio, depth in zip(ratios, depths, strict=True)]

    power = _normal_power(units, -1 if middle < 0 else 1)
    return Distribution(entries, middle, spread, power, max(units(power)))


def deepest_share(entries: int) -> float:
    """How large a share the deepest look takes; the same as in store/lua/outliers.lua."""
    return min(0.25, max(0.01, 10 / entries))


def _normal_power(units: Callable[[float], list[float]], direction: int) -> float:
    """The power by which the best are as far away as the quartile says. `direction` is 1 where a lower power draws them
    away, which is where better is nearer to 0, and -1 where it draws them near."""

    def draws(power: float) -> float:
        quarter, _, deepest = units(power)
        return direction * (quarter - deepest)

    # Positive: with a lower power it would be more normal.
    if draws(1) <= 0:
        return 1
    if draws(0) >= 0:
        return 0
    low, high = 0.0, 1.0
    while high - low > _EXACT:
        middle = (low + high) / 2
        low, high = (low, middle) if draws(middle) > 0 else (middle, high)
    return high


def _raise(ratio: float, power: float) -> float:
    """Box and Cox's power of a score over the median: 0 at the median, and growing with the score."""
    if power == 0:
        return log(ratio) if ratio > 0 else -inf
    if ratio < 0:
        return -(pow(-ratio, power) + 1) / power
    return (pow(ratio, power) - 1) / power


def _unraise(raised: float, power: float) -> float:
    """The ratio of which `_raise` makes this, or a number beyond all scores."""
    if power == 0:
        return exp(min(raised, _BEYOND))
    base = raised * power + 1
    if base == 0:
        return 0
    ratio = exp(min(log(abs(base)) / power, _BEYOND))
    return ratio if base > 0 else -ratio
