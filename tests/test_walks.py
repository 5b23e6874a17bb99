"""Walking by cursor while others move: who stays is met exactly once, and each page goes on from a place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import Rules
from tests.runs import Start
from tests.stories import LONG, PLAYERS, SHORT, Remove, Submit, any_player, any_rules, any_submit, small_number


@pytest.fixture
def start(api: Client, clock: SetClock, raw: redis.Redis, store_url: str) -> Start:
    return Start(api, clock, raw, store_url)


@dataclass(frozen=True)
class Walk:
    rules: Rules
    first: list[Submit]
    #: What happens after each page; only these players are in it.
    between: list[list[Submit | Remove]]
    limit: int


@st.composite
def any_walk(draw: st.DrawFn) -> Walk:
    rules = draw(any_rules())
    submit = any_submit(rules, small_number)
    first = draw(st.lists(submit, max_size=len(PLAYERS), unique_by=lambda one: one.player))
    movers = draw(st.sets(any_player, min_size=1, max_size=8))
    moving = any_player.filter(lambda player: player in movers)
    move = st.one_of(submit.filter(lambda one: one.player in movers), st.builds(Remove, moving, st.just("season")))
    return Walk(rules, first, draw(st.lists(st.lists(move, max_size=4), max_size=12)), draw(st.integers(1, 4)))


def check_walk(start: Start, walk: Walk, way: str) -> None:
    run = start(walk.rules)
    for submit in walk.first:
        run.do(submit)
    standings = run.oracle.at("s1")
    movers = {step.player for steps in walk.between for step in steps}
    stay = [entry.player for entry in standings.entries if entry.player not in movers]
    steps = iter(walk.between)
    forwards = way == "next_cursor"

    path = f"standings?period=season&limit={walk.limit}"
    offset = 0 if forwards else max(0, len(standings) - walk.limit)
    page = run.read(f"{path}&offset={offset}")
    seen = [page["entries"]]
    while page[way]:
        for step in next(steps, []):
            run.do(step)
        page = run.read(f"{path}&cursor={page[way]}")
        # The page goes on from a place, whether or not somebody still stands there.
        if forwards:
            expected = standings.page_after(run.place(seen[-1][-1]), walk.limit)
        else:
            expected = standings.page_before(run.place(seen[-1][0]), walk.limit)
        assert page["entries"] == run.shown(expected)
        if not page["entries"]:
            break
        seen.append(page["entries"])

    entries = [entry for entries in (seen if forwards else reversed(seen)) for entry in entries]
    assert all(run.place(earlier) < run.place(later) for earlier, later in pairwise(entries))
    assert [entry["player"]["id"] for entry in entries if entry["player"]["id"] in stay] == stay


@SHORT
@given(walk=any_walk(), way=st.sampled_from(("next_cursor", "prev_cursor")))
def test_a_walk_by_cursor_meets_everybody_who_stays_exactly_once(start: Start, walk: Walk, way: str) -> None:
    check_walk(start, walk, way)


@pytest.mark.slow
@LONG
@given(walk=any_walk(), way=st.sampled_from(("next_cursor", "prev_cursor")))
def test_a_walk_by_cursor_meets_everybody_who_stays_in_many_more_walks(start: Start, walk: Walk, way: str) -> None:
    check_walk(start, walk, way)
