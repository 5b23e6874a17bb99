"""The same submissions in another order of arrival leave the same standings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import Rules
from tests.runs import Run, Start
from tests.stories import LATE_S, PLAYERS, SHORT, Batch, Submit, any_rules, any_submit, small_number


@pytest.fixture
def start(api: Client, clock: SetClock, raw: redis.Redis, store_url: str) -> Start:
    return Start(api, clock, raw, store_url)


@dataclass(frozen=True)
class Arrivals:
    rules: Rules
    one_way: list[Submit]
    other_way: list[Submit]


@st.composite
def any_arrivals(draw: st.DrawFn, policy: str) -> Arrivals:
    """The same submissions in two orders. No two of a player are of the same instant."""
    rules = draw(any_rules(policy=policy))
    submit = any_submit(rules, small_number, st.sampled_from(PLAYERS[:3]), st.integers(0, LATE_S * 1000))
    submits = draw(st.lists(submit, max_size=10, unique_by=lambda one: one.ago_ms))
    if policy == "sum":
        # Zeros alone never move an achieved_at that is there, but one that comes first has to set it.
        submits = [one for one in submits if any((one.score, *one.tiebreaks))]
    return Arrivals(rules, submits, draw(st.permutations(submits)))


def both_ways(start: Start, arrivals: Arrivals) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Every standings as it is after the one order of arrival and after the other."""
    one = start(arrivals.rules)
    other = Run(one.api, one.clock, arrivals.rules)
    for run, submits in ((one, arrivals.one_way), (other, arrivals.other_way)):
        if submits:
            run.do(Batch(tuple(submits)))
    for period in ("season", "alltime", "weekly", "weekly&period_id=previous"):
        path = f"standings?period={period}&limit=200"
        yield one.read(path)["entries"], other.read(path)["entries"]


@SHORT
@given(arrivals=st.sampled_from(("best", "sum")).flatmap(any_arrivals))
def test_the_order_of_arrival_does_not_matter_to_best_and_sum(start: Start, arrivals: Arrivals) -> None:
    for one, other in both_ways(start, arrivals):
        assert one == other


@SHORT
@given(arrivals=any_arrivals("latest"))
def test_the_order_of_arrival_does_not_matter_to_the_result_of_latest(start: Start, arrivals: Arrivals) -> None:
    # achieved_at may differ: of 10 · 20 · 10 the last 10 began late, but it is the first one when 20 arrives last.
    def results(entries: list[dict[str, Any]]) -> dict[str, Any]:
        return {entry["player"]["id"]: (entry["score"], entry["tiebreaks"], entry["metadata"]) for entry in entries}

    for one, other in both_ways(start, arrivals):
        assert results(one) == results(other)
