"""Whatever happens on a board, every read of it is what a sorted list in plain Python says.

Hypothesis makes up a board and what happens on it (`tests/stories.py`); the same happens through HTTP and in the oracle
(`tests/runs.py`). The default run is short; `pytest -m slow` looks twenty times as long, and further.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import redis
from hypothesis import event, given

from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import LIMIT, Rules, Standings
from tests.runs import Run, Start
from tests.stories import LONG, PLAYERS, SHORT, WEEK_S, Step, Submit, Wait, any_story


@pytest.fixture
def start(api: Client, clock: SetClock, raw: redis.Redis, store_url: str) -> Start:
    return Start(api, clock, raw, store_url)


def check(run: Run, period_id: str) -> None:
    """Hold every read of one standings against the oracle."""
    standings = run.oracle.at(period_id)
    query = f"period_id={period_id}"
    check_pages(run, standings, query)
    for player in sorted({*run.oracle.known, PLAYERS[0]}):
        check_player(run, standings, query, player)
    check_lookup(run, standings, query)
    for buckets in (1, 3, 20):
        answer = run.read(f"distribution?{query}&buckets={buckets}")
        assert answer["total"] == len(standings)
        assert [(bucket["low"], bucket["high"], bucket["count"]) for bucket in answer["buckets"]] == [
            (run.shown_score(low), run.shown_score(high), count) for low, high, count in standings.distribution(buckets)
        ]


def check_pages(run: Run, standings: Standings, query: str) -> None:
    total = len(standings)
    for limit, offset in ((200, 0), (1, 0), (3, 1), (2, total - 1), (4, total), (1, total + 5)):
        if offset >= 0:
            answer = run.read(f"standings?{query}&limit={limit}&offset={offset}")
            assert answer["entries"] == run.shown(standings.page(offset, limit))
            assert answer["total"] == total
            assert (answer["next_cursor"] is not None) == (offset + limit < total)
            assert (answer["prev_cursor"] is not None) == (0 < offset < total)
    scores = {0, 1, -LIMIT, LIMIT, *(entry.score + step for entry in standings.entries[:3] for step in (-1, 0, 1))}
    for score in scores:
        if abs(score) <= LIMIT:
            text = f"{Decimal(score).scaleb(-run.rules.decimals):f}"
            answer = run.read(f"standings?{query}&limit=3&around_score={text}")
            assert answer["entries"] == run.shown(standings.around_score(score, 3)), text
    for limit in (1, 3):
        forwards = list(walk(run, f"standings?{query}&limit={limit}"))
        assert [entry for page in forwards for entry in page["entries"]] == run.shown(standings.rows())
        last = forwards[-1]["prev_cursor"]
        backwards = list(walk(run, f"standings?limit={limit}", last, "prev_cursor")) if last else []
        pages = [*reversed(backwards), forwards[-1]]
        assert [entry for page in pages for entry in page["entries"]] == run.shown(standings.rows())


def check_player(run: Run, standings: Standings, query: str, player: str) -> None:
    friends = run.oracle.friends_and_self(player)
    answer = run.read(f"standings/{player}/friends?{query}")
    assert answer["entries"] == [
        run.shown_row((rank, entry)) | {"board_rank": board_rank}
        for rank, board_rank, entry in standings.among(friends)
    ]
    pages = walk(run, f"standings/{player}/friends?{query}&limit=1")
    assert [entry for page in pages for entry in page["entries"]] == answer["entries"]
    if player not in standings:
        for path in (player, f"{player}/around"):
            run.api.server.get(f"/v1/boards/{run.board}/standings/{path}?{query}", expect=404)
        return
    answer = run.read(f"standings/{player}?{query}")
    assert answer["entry"] == run.shown_row((standings.rank(player), standings.entry(player)))
    assert answer["total"] == len(standings)
    assert float(answer["percentile"]) == pytest.approx(standings.percentile(player), abs=1e-9)
    for limit in (1, 4, 5):
        answer = run.read(f"standings/{player}/around?{query}&limit={limit}")
        assert answer["entries"] == run.shown(standings.around(player, limit))


def check_lookup(run: Run, standings: Standings, query: str) -> None:
    asked = list(reversed(PLAYERS))
    answer = run.read(f"lookup?{query}", {"players": asked})
    assert answer["entries"] == run.shown(standings.lookup(asked))
    assert answer["not_found"] == [player for player in asked if player not in standings]
    assert answer["total"] == len(standings)


def walk(run: Run, path: str, cursor: str | None = None, way: str = "next_cursor") -> Iterator[dict[str, Any]]:
    """Page by page, from the start or from a cursor, until there is none that goes on."""
    answer = run.read(path if cursor is None else f"{path}&cursor={cursor}")
    yield answer
    for _ in PLAYERS:
        if not answer[way]:
            return
        answer = run.read(f"{path}&cursor={answer[way]}")
        yield answer
    # A page for each of them, and still no end: a cursor that goes back to where it was would go on for ever.
    assert not answer[way]


def check_story(start: Start, story: tuple[Rules, list[Step]]) -> None:
    rules, steps = story
    run = start(rules)
    for step in steps:
        event(type(step).__name__)
        run.do(step)
    now = run.clock.now_ms()
    season, alltime, week = run.oracle.counts_in(now)
    *_, last_week = run.oracle.counts_in(now - WEEK_S * 1000)
    for period_id in (season, alltime, week, last_week):
        check(run, period_id)
    if run.oracle.season > 1:
        check(run, f"s{run.oracle.season - 1}")


@SHORT
@given(story=any_story())
def test_every_read_is_what_the_sorted_list_says(start: Start, story: tuple[Rules, list[Step]]) -> None:
    check_story(start, story)


@pytest.mark.slow
@LONG
@given(story=any_story())
def test_every_read_is_what_the_sorted_list_says_in_many_more_stories(
    start: Start, story: tuple[Rules, list[Step]]
) -> None:
    check_story(start, story)


def minutes(ago: int) -> int:
    return ago * 60_000


def test_latest_remembers_when_a_result_began_and_when_it_was_last_repeated(start: Start) -> None:
    run = start(Rules(policy="latest"))

    def entry_after(score: int, ago_ms: int, car: str) -> tuple[int, int, str]:
        run.do(Submit("A", score, (), ago_ms, {"car": car}))
        check(run, "s1")
        entry = run.oracle.at("s1").entry("A")
        return entry.score, (run.clock.now_ms() - entry.achieved_at) // 60_000, entry.metadata["car"]

    assert entry_after(10, minutes(25), "red") == (10, 25, "red")
    assert entry_after(10, minutes(5), "blue") == (10, 25, "blue")
    # Newer than when 10 was reached, older than when it was repeated.
    assert entry_after(20, minutes(15), "green") == (10, 25, "blue")
    assert entry_after(10, minutes(28), "white") == (10, 28, "blue")
    assert entry_after(20, minutes(4), "black") == (20, 4, "black")


@pytest.mark.parametrize(("ago_ms", "stays"), [(minutes(1), [5, 7, 7]), (None, [5, 7, 5])])
def test_of_one_instant_the_better_is_the_latest_where_it_was_stated_else_the_last_to_arrive(
    start: Start, ago_ms: int | None, stays: list[int]
) -> None:
    run = start(Rules(policy="latest"))
    for score, stay in zip((5, 7, 5), stays, strict=True):
        run.do(Submit("A", score, (), ago_ms, {"n": score}))
        check(run, "s1")
        assert run.oracle.at("s1").entry("A").score == stay


def test_zeros_never_make_a_sum_later_but_bring_their_metadata(start: Start) -> None:
    run = start(Rules(policy="sum", tiebreaks=(("wins", "desc"),)))
    for score, wins, ago, car in ((5, 0, 20, "red"), (0, 0, 10, "blue"), (0, 1, 15, "green"), (0, 0, 5, "white")):
        run.do(Submit("A", score, (wins,), minutes(ago), {"car": car}))
        check(run, "s1")
    entry = run.oracle.at("s1").entry("A")
    assert (run.clock.now_ms() - entry.achieved_at, entry.metadata) == (minutes(15), {"car": "white"})


def test_a_sum_that_would_leave_the_range_in_one_period_changes_none(start: Start) -> None:
    run = start(Rules(policy="sum", order="asc", tiebreaks=(("wins", "desc"),)))
    run.do(Submit("A", -LIMIT, (LIMIT,), None, None))
    run.do(Wait(WEEK_S * 1000))
    # In the new week it would be the first, but for the season and all time it is one too many.
    for score, wins in ((-1, 0), (0, 1)):
        run.do(Submit("A", score, (wins,), None, {"too": "much"}))
    assert len(run.oracle.at(run.oracle.counts_in(run.clock.now_ms())[-1])) == 0
    run.do(Submit("A", LIMIT, (-LIMIT,), None, None))
    for period_id in run.oracle.standings:
        check(run, period_id)
