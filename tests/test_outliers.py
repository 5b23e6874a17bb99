"""The measure of outliers on distributions that games have: who honest is found, and what nobody can have got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest

from leaderboard.model import SCORE_LIMIT
from leaderboard.outliers import Distribution, Sample, deepest_share, fit
from tests.test_f1 import F1, rows
from tests.test_football import FOOTBALL

pytestmark = pytest.mark.any_store

THRESHOLD = 6
Draw = Callable[[Random], float]

#: High scores are better. The first number is how many of 100,000 honest entries may be found.
HONEST: dict[str, tuple[int, Draw]] = {
    "normal": (0, lambda dice: dice.gauss(1000, 300)),
    "uniform": (0, lambda dice: 1000 * dice.random()),
    "capped": (0, lambda dice: min(1000, dice.gauss(900, 200))),
    "exponential": (0, lambda dice: dice.expovariate(1 / 1000)),
    "gamma": (0, lambda dice: dice.gammavariate(3, 100)),
    "geometric, with many equal": (0, lambda dice: int(dice.expovariate(0.3))),
    "lognormal 0.5": (0, lambda dice: dice.lognormvariate(6, 0.5)),
    "lognormal 1": (0, lambda dice: dice.lognormvariate(6, 1)),
    "lognormal 2": (0, lambda dice: dice.lognormvariate(6, 2)),
    "Weibull 0.5": (0, lambda dice: dice.weibullvariate(100, 0.5)),
    "Pareto 1": (20, lambda dice: 100 * dice.paretovariate(1)),
    "Pareto 2": (20, lambda dice: 100 * dice.paretovariate(2)),
    "Pareto 3": (20, lambda dice: 100 * dice.paretovariate(3)),
    "a third have nothing": (0, lambda dice: 0 if dice.random() < 1 / 3 else dice.lognormvariate(3, 1)),
    "one in 25 plays all day": (0, lambda dice: dice.gauss(1000, 300) if dice.random() < 0.04 else dice.gauss(100, 30)),
    "debts": (0, lambda dice: dice.gauss(0, 100)),
}

#: Low ones are: times, in milliseconds.
TIMES: dict[str, Draw] = {
    "lognormal": lambda dice: 60_000 * dice.lognormvariate(0, 0.2),
    "normal": lambda dice: dice.gauss(60_000, 5_000),
    "no faster than a minute": lambda dice: 60_000 + dice.expovariate(1 / 10_000),
    "between": lambda dice: dice.uniform(40_000, 80_000),
}


def sample_of(scores: Sequence[int], least: int = 50) -> Sample:
    """As outlier_scores in store/lua/outliers.lua takes it, from scores in order space, best first."""
    n = len(scores)

    def at(share: float) -> int:
        return scores[int(share * (n - 1) + 0.5)]

    while n >= least:
        if at(0.5) != at(0.25) and at(0.5) != 0:
            return Sample(n, at(0.5), at(0.25), at(0.1), at(deepest_share(n)))
        n = sum(score < at(0.5) for score in scores)
    return Sample(0, 0, 0, 0, 0)


def fitted(scores: Sequence[int]) -> Distribution:
    distribution = fit(sample_of(scores))
    assert distribution is not None
    return distribution


def found(scores: Sequence[int]) -> int:
    distribution = fit(sample_of(scores))
    return sum(distribution is not None and distribution.distance(score) >= THRESHOLD for score in scores)


def drawn(draw: Draw, entries: int, seed: str, sign: int = -1) -> list[int]:
    dice = Random(f"{seed} {entries}")
    return sorted(sign * round(draw(dice)) for _ in range(entries))


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("entries", [1000, 10_000, 100_000])
def test_next_to_nobody_honest_is_found(name: str, entries: int) -> None:
    most, draw = HONEST[name]
    boards = [drawn(draw, entries, f"{name} {nth}") for nth in range(100_000 // entries)]
    assert sum(found(scores) for scores in boards) <= most


@pytest.mark.parametrize("name", HONEST)
def test_nor_on_many_small_boards(name: str) -> None:
    boards = [drawn(HONEST[name][1], 200, f"{name} {nth}") for nth in range(250)]
    # One in a thousand of 50,000; but where one in 25 plays all day, eight of 200 do, and there may be six.
    most = 1250 if name == "one in 25 plays all day" else 50
    assert sum(found(scores) for scores in boards) <= most


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("entries", [200, 10_000])
def test_times_are_found_that_are_too_short(name: str, entries: int) -> None:
    for nth in range(5):
        scores = drawn(TIMES[name], entries, f"{name} {nth}", sign=1)
        assert found(scores) == 0
        for cheat in (0, 1, 100, 5_000):
            assert found(sorted([*scores, cheat])) == 1, cheat


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("entries", [1000, 10_000])
def test_what_nobody_can_have_is_found(name: str, entries: int) -> None:
    # Where the honest have a long tail it must be further out.
    long_tail = {
        "Pareto 1": 10**12,
        "lognormal 2": 10**9,
        "Weibull 0.5": 10**6,
        "lognormal 1": 10**6,
        "Pareto 2": 10**6,
    }
    cheat = -long_tail.get(name, 100_000)
    for nth in range(5):
        scores = drawn(HONEST[name][1], entries, f"{name} {nth}")
        honest = found(scores)
        for cheats in (1, 5, entries // 200):
            assert found(sorted([*scores, *[cheat] * cheats])) in range(cheats, cheats + honest + 1), cheats


@pytest.mark.parametrize("entries", [200, 1000, 10_000])
def test_cheats_do_not_hide_each_other(entries: int) -> None:
    scores = drawn(HONEST["lognormal 0.5"][1], entries, "crowd")
    together = max(9, entries // 100 - 1)
    assert found(sorted([*scores, *[-(10**7)] * together])) == together


def test_who_all_have_the_same_say_nothing() -> None:
    assert fit(sample_of([-5] * 1000)) is None
    assert fit(sample_of([-(10**9), *[-5] * 1000])) is None
    assert fit(sample_of(list(range(-49, 0)))) is None
    # Half a board at its end.
    assert fitted([*range(-1000, -300), *[-300] * 300]).entries == 1000
    assert fitted([*range(-1200, -1000), *[-300] * 800]).entries == 200


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_better_score_is_further_out_and_the_limit_is_where_the_threshold_is(name: str, sign: int) -> None:
    distribution = fitted(drawn(HONEST[name][1], 1000, name, sign))
    step = [*range(-3000, 3000), -(10**15) + 1, 10**15 - 1]
    distances = [distribution.distance(score) for score in sorted(step)]
    assert all(better >= worse for better, worse in pairwise(distances))
    assert distribution.distance(distribution.median) == pytest.approx(0, abs=1e-12)
    limit = distribution.limit(THRESHOLD)
    assert -SCORE_LIMIT <= limit <= SCORE_LIMIT
    if abs(limit) < SCORE_LIMIT:
        # Between two scores.
        assert distribution.distance(limit + 1) < THRESHOLD < distribution.distance(limit - 1)


@pytest.mark.parametrize("factor", [2, 10, 1000])
def test_the_unit_of_scores_does_not_matter(factor: int) -> None:
    scores = drawn(HONEST["gamma"][1], 1000, "unit")
    one, other = fitted(scores), fitted([factor * score for score in scores])
    for score in (-10, -300, -2000, -100_000):
        assert one.distance(score) == pytest.approx(other.distance(factor * score), rel=1e-6)


# -- what has really been ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not FOOTBALL.exists(), reason=f"the goals are not in {FOOTBALL}")
def test_the_goals_of_a_century_are_honest() -> None:
    goals: defaultdict[str, int] = defaultdict(int)
    for row in rows(FOOTBALL / "goalscorers.csv.gz"):
        if row["own_goal"] != "TRUE" and row["scorer"] not in ("", "NA"):
            goals[row["scorer"]] += 1
    scores = sorted(-count for count in goals.values())
    # The best have fifty times what most have.
    assert (len(scores), scores[0] < -100) == (14_853, True)
    assert found(scores) == 0
    for cheat in (10_000, 100_000):
        assert found(sorted([*scores, -cheat])) == 1


@pytest.mark.skipif(not F1.exists(), reason=f"the results of Formula One are not in {F1}")
def test_the_points_of_a_career_are_honest() -> None:
    points: defaultdict[str, float] = defaultdict(float)
    for row in rows(F1 / "events.csv.gz"):
        points[row["driver_id"]] += float(row["points"] or 0)
    scores = sorted(-round(100 * value) for value in points.values())
    # More than half never had a point.
    assert (len(scores), scores[len(scores) // 2]) == (860, 0)
    assert found(scores) == 0
    assert found(sorted([*scores, -(10**8)])) == 1
