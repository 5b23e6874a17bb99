"""Whatever happens on a board, every read of it is what a sorted list in plain Python says.

Hypothesis makes up a board and what happens on it; the same happens through HTTP and in `tests/oracle.py`. The default
run is short; `pytest -m slow` looks ten times as long, and further.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count, pairwise
from typing import Any, Protocol

import pytest
import redis
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import LIMIT, Board, Entry, OutOfRange, Place, Play, Rules, Standings, read_instant, show_instant

#: Ids whose order by bytes is not the one of any locale, and one that is the beginning of others.
PLAYERS = ("A", "B", "Z", "a", "a-", "a.", "a0", "a_", "aA", "aa", "a|", "a~", "a@b", "z", "0", "a" * 64)

LATE_S = 3600
DAY_S = 86_400
WEEK_S = 7 * DAY_S

#: The fixtures outlive an example: `Run` empties the store and makes a board of its own instead.
SHORT = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
LONG = settings(SHORT, max_examples=1000)

#: Board ids that no process has cached yet.
_fresh_ids = (f"board-{n}" for n in count())


# -- what happens on a board -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submit:
    player: str
    score: int
    tiebreaks: tuple[int, ...]
    #: How long ago it was achieved; None lets the server stamp it.
    ago_ms: int | None
    metadata: Any


@dataclass(frozen=True)
class Batch:
    submissions: tuple[Submit, ...]


@dataclass(frozen=True)
class Correct:
    submission: Submit
    period: str


@dataclass(frozen=True)
class Remove:
    player: str
    period: str


@dataclass(frozen=True)
class Erase:
    player: str


@dataclass(frozen=True)
class Befriend:
    player: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Reset:
    pass


@dataclass(frozen=True)
class Wait:
    ms: int


Step = Submit | Batch | Correct | Remove | Erase | Befriend | Reset | Wait


@st.composite
def any_rules(draw: st.DrawFn, *, policy: str | None = None) -> Rules:
    order = st.sampled_from(("desc", "asc"))
    names = ("wins", "seconds", "time_ms", "t4")[: draw(st.integers(0, 4))]
    return Rules(
        draw(order),
        policy or draw(st.sampled_from(("best", "latest", "sum"))),
        draw(st.sampled_from(("ordinal", "competition", "dense"))),
        draw(st.integers(0, 6)),
        tuple((name, draw(order)) for name in names),
    )


#: Ties are likely, the ends of the range possible, and a sum of two may be beyond them.
any_number = st.one_of(
    st.integers(-2, 2),
    st.sampled_from((-LIMIT, LIMIT, 1 - LIMIT, LIMIT - 1, LIMIT // 2, -1_000_000, 10, 2**32, -(2**32), 2**32 - 1)),
    st.integers(-LIMIT, LIMIT),
)
small_number = st.one_of(st.integers(0, 1), st.integers(-3, 3))
any_metadata = st.sampled_from((None, {}, {"car": "red"}, {"car": "blå 🚗"}, {"n": -1}))
any_player = st.sampled_from(PLAYERS)
#: Equal instants are likely; both ends of what the board takes.
any_age_ms = st.one_of(st.none(), st.sampled_from((0, 1, 2, 1_800_000, 1_800_001, LATE_S * 1000)))


def any_submit(
    rules: Rules, number: st.SearchStrategy[int] = any_number, player: st.SearchStrategy[str] = any_player
) -> st.SearchStrategy[Submit]:
    tiebreaks = st.tuples(*(number for _ in rules.tiebreaks))
    return st.builds(Submit, player, number, tiebreaks, any_age_ms, any_metadata)


def any_step(rules: Rules, player: st.SearchStrategy[str]) -> st.SearchStrategy[Step]:
    # `previous` is for seasons: a week may be settled by the time it is corrected.
    period = st.sampled_from(("season", "alltime", "weekly", "previous"))
    submit = st.one_of(any_submit(rules, small_number, player), any_submit(rules, any_number, player))
    return st.one_of(
        submit,
        submit,
        st.builds(Batch, st.lists(submit, min_size=1, max_size=6).map(tuple)),
        st.builds(Correct, submit, period),
        st.builds(Remove, player, period),
        st.builds(Erase, player),
        st.builds(Befriend, player, st.lists(player, min_size=1, max_size=5).map(tuple)),
        st.builds(Reset),
        st.builds(Wait, st.sampled_from((1, 1000, LATE_S * 1000, DAY_S * 1000, WEEK_S * 1000))),
    )


@st.composite
def any_story(draw: st.DrawFn) -> tuple[Rules, list[Step]]:
    rules = draw(any_rules())
    # A few players, so that much happens to each; a standings to begin with, since most of what goes wrong needs one.
    player = st.sampled_from(draw(st.lists(any_player, min_size=1, max_size=6, unique=True)))
    first = draw(st.lists(any_submit(rules, small_number, player), max_size=8))
    return rules, [*first, *draw(st.lists(any_step(rules, player), max_size=16))]


# -- the same in the service and in the oracle -------------------------------------------------------------------


@dataclass
class Run:
    """One board, defined anew in an empty store, with its oracle."""

    api: Client
    clock: SetClock
    rules: Rules
    board: str = field(default_factory=lambda: next(_fresh_ids))

    def __post_init__(self) -> None:
        self.oracle = Board(self.rules)
        self.api.define(
            self.board,
            **self.rules.definition(),
            periods=[
                {"kind": "season", "keep_days": None, "settle_delay_s": 365 * DAY_S},
                {"kind": "alltime"},
                {"kind": "weekly", "settle_delay_s": LATE_S},
            ],
            late_s=LATE_S,
            rules={"rate": None},
        )

    # -- acting

    def do(self, step: Step) -> None:
        match step:
            case Submit():
                self._submit(step)
            case Batch():
                self._batch(step)
            case Correct():
                self._correct(step)
            case Remove():
                self._remove(step)
            case Erase():
                self._erase(step)
            case Befriend():
                self._befriend(step)
            case Reset():
                season = f"s{self.oracle.season}"
                self.api.admin.post(f"/v1/admin/boards/{self.board}/reset", {"season": season})
                self.oracle.reset()
            case Wait():
                self.clock.pass_ms(step.ms)

    def _play(self, submit: Submit) -> Play:
        now = self.clock.now_ms()
        stated = submit.ago_ms is not None
        achieved_at = now - submit.ago_ms if submit.ago_ms is not None else now
        return Play(submit.player, submit.score, submit.tiebreaks, achieved_at, stated, submit.metadata)

    def body(self, play: Play) -> dict[str, Any]:
        body: dict[str, Any] = {"player": play.player, "score": self.written(play.score)}
        if play.tiebreaks:
            names = [name for name, _ in self.rules.tiebreaks]
            # One that is 0 is left out: that is what it means.
            body["tiebreaks"] = {name: value for name, value in zip(names, play.tiebreaks, strict=True) if value}
        if play.stated:
            body["achieved_at"] = show_instant(play.achieved_at)
        if play.metadata is not None:
            body["metadata"] = play.metadata
        return body

    def written(self, score: int) -> int | float:
        """A scaled score as a client would write it: a double prints its fifteen digits exactly."""
        unit = 10**self.rules.decimals
        if score % unit == 0:
            return score // unit
        return score / unit

    def _expected(self, play: Play) -> tuple[str | None, list[dict[str, Any]]]:
        """Submit to the oracle: an error code, or what each standings is to say."""
        if play.player in self.oracle.erased:
            return "player_erased", []
        try:
            done = self.oracle.submit(play)
        except OutOfRange:
            return "score_out_of_range", []
        return None, [
            {
                "period_id": period_id,
                "changed": changed,
                "previous_rank": before,
                "rank": after,
                "score": self.shown_score(score),
            }
            for period_id, changed, before, after, score in done
        ]

    def _submit(self, submit: Submit) -> None:
        play = self._play(submit)
        response = self.api.server.call("POST", f"/v1/boards/{self.board}/submissions", self.body(play))
        answer = exactly(response.text)
        error, standings = self._expected(play)
        if error:
            assert (response.status_code, answer["code"]) == (410 if error == "player_erased" else 422, error)
            return
        assert response.status_code == 200, response.text
        self._check_result(answer, standings)

    def _batch(self, batch: Batch) -> None:
        plays = [self._play(submit) for submit in batch.submissions]
        items = [{"board": self.board} | self.body(play) for play in plays]
        response = self.api.server.call("POST", "/v1/submissions/batch?ranks=true", {"submissions": items})
        assert response.status_code == 200, response.text
        results = exactly(response.text)["results"]
        assert [result["index"] for result in results] == list(range(len(plays)))
        for play, result in zip(plays, results, strict=True):
            error, standings = self._expected(play)
            assert (result["error"] and result["error"]["code"]) == error
            if not error:
                self._check_result(result, standings)

    def _check_result(self, result: dict[str, Any], standings: list[dict[str, Any]]) -> None:
        assert [{name: one[name] for name in standings[0]} for one in result["standings"]] == standings
        assert result["outcome"] == ("applied" if any(one["changed"] for one in standings) else "kept")

    def period(self, period: str) -> tuple[str, str] | None:
        """The query and the period id of a period that can be corrected now."""
        if period == "previous":
            number = self.oracle.season - 1
            return ("?period=season&period_id=previous", f"s{number}") if number else None
        season, alltime, weekly = self.oracle.counts_in(self.clock.now_ms())
        return f"?period={period}", {"season": season, "alltime": alltime, "weekly": weekly}[period]

    def _correct(self, step: Correct) -> None:
        found = self.period(step.period)
        if found is None:
            return
        query, period_id = found
        play = self._play(step.submission)
        body = self.body(play) | {"reason": "replay checked"}
        del body["player"]
        path = f"/v1/admin/boards/{self.board}/entries/{play.player}{query}"
        if play.player in self.oracle.erased:
            self.api.admin.put(path, body, expect=410)
            return
        self.oracle.correct(period_id, play)
        response = self.api.admin.call("PUT", path, body)
        assert response.status_code == 200, response.text
        assert exactly(response.text)["entry"] == self.shown_row(
            (self.oracle.at(period_id).rank(play.player), self.oracle.at(period_id).entry(play.player))
        )

    def _remove(self, step: Remove) -> None:
        found = self.period(step.period)
        if found is None:
            return
        query, period_id = found
        removed = self.oracle.at(period_id).remove(step.player)
        path = f"/v1/admin/boards/{self.board}/entries/{step.player}{query}&reason=cheated"
        self.api.admin.delete(path, expect=204 if removed else 404)

    def _erase(self, step: Erase) -> None:
        path = f"/v1/players/{step.player}"
        if step.player in self.oracle.erased:
            self.api.server.delete(path, expect=410)
        elif step.player not in self.oracle.known:
            self.api.server.delete(path, expect=404)
        else:
            self.api.server.delete(path)
            self.oracle.erase(step.player)

    def _befriend(self, step: Befriend) -> None:
        there = self.oracle.known - self.oracle.erased
        others = [other for other in step.others if other in there and other != step.player]
        if step.player in there and others:
            self.api.server.put(f"/v1/players/{step.player}/friends", {"players": others})
            self.oracle.befriend(step.player, others)

    # -- what it is to look like

    def shown_score(self, score: int) -> int | Decimal:
        return Decimal(score).scaleb(-self.rules.decimals) if self.rules.decimals else score

    def shown_row(self, row: tuple[int, Entry]) -> dict[str, Any]:
        rank, entry = row
        names = [name for name, _ in self.rules.tiebreaks]
        return {
            "rank": rank,
            "player": {"id": entry.player, "display_name": None, "avatar_url": None, "country": None},
            "score": self.shown_score(entry.score),
            "tiebreaks": dict(zip(names, entry.tiebreaks, strict=True)),
            "metadata": entry.metadata,
            "achieved_at": show_instant(entry.achieved_at),
        }

    def shown(self, rows: list[tuple[int, Entry]]) -> list[dict[str, Any]]:
        return [self.shown_row(row) for row in rows]

    def place(self, shown: dict[str, Any]) -> Place:
        """Where an entry stands, as it was shown: whatever else became of it since."""
        tiebreaks = tuple(shown["tiebreaks"].values())
        scaled = int(Decimal(shown["score"]).scaleb(self.rules.decimals))
        result = Standings(self.rules).result_key(scaled, tiebreaks)
        return (*result, read_instant(shown["achieved_at"]), shown["player"]["id"].encode())

    # -- reading

    def read(self, path: str, body: Any = None) -> Any:
        response = self.api.server.call("POST" if body else "GET", f"/v1/boards/{self.board}/{path}", body)
        assert response.status_code == 200, f"{path}: {response.text}"
        answer = exactly(response.text)
        if self.rules.decimals == 0:
            # 1 == Decimal("1.0"), but it is written without a point.
            assert all(isinstance(entry["score"], int) for entry in answer.get("entries", []))
        return answer

    def check(self, period_id: str) -> None:
        """Hold every read of one standings against the oracle."""
        standings = self.oracle.at(period_id)
        query = f"period_id={period_id}"
        self._check_pages(standings, query)
        for player in sorted({*self.oracle.known, PLAYERS[0]}):
            self._check_player(standings, query, player)
        self._check_lookup(standings, query)
        for buckets in (1, 3, 20):
            answer = self.read(f"distribution?{query}&buckets={buckets}")
            assert answer["total"] == len(standings)
            assert [(bucket["low"], bucket["high"], bucket["count"]) for bucket in answer["buckets"]] == [
                (self.shown_score(low), self.shown_score(high), count)
                for low, high, count in standings.distribution(buckets)
            ]

    def _check_pages(self, standings: Standings, query: str) -> None:
        total = len(standings)
        for limit, offset in ((200, 0), (1, 0), (3, 1), (2, total - 1), (4, total), (1, total + 5)):
            if offset >= 0:
                answer = self.read(f"standings?{query}&limit={limit}&offset={offset}")
                assert answer["entries"] == self.shown(standings.page(offset, limit))
                assert answer["total"] == total
                assert (answer["next_cursor"] is not None) == (offset + limit < total)
                assert (answer["prev_cursor"] is not None) == (0 < offset < total)
        scores = {0, 1, -LIMIT, LIMIT, *(entry.score + step for entry in standings.entries[:3] for step in (-1, 0, 1))}
        for score in scores:
            if abs(score) <= LIMIT:
                text = f"{Decimal(score).scaleb(-self.rules.decimals):f}"
                answer = self.read(f"standings?{query}&limit=3&around_score={text}")
                assert answer["entries"] == self.shown(standings.around_score(score, 3)), text
        for limit in (1, 3):
            forwards = list(self.walk(f"standings?{query}&limit={limit}"))
            assert [entry for page in forwards for entry in page["entries"]] == self.shown(standings.rows())
            last = forwards[-1]["prev_cursor"]
            backwards = list(self.walk(f"standings?limit={limit}", last, "prev_cursor")) if last else []
            pages = [*reversed(backwards), forwards[-1]]
            assert [entry for page in pages for entry in page["entries"]] == self.shown(standings.rows())

    def walk(self, path: str, cursor: str | None = None, way: str = "next_cursor") -> Iterator[dict[str, Any]]:
        """Page by page, from the start or from a cursor, until there is none that goes on."""
        answer = self.read(path if cursor is None else f"{path}&cursor={cursor}")
        yield answer
        for _ in PLAYERS:
            if not answer[way]:
                return
            answer = self.read(f"{path}&cursor={answer[way]}")
            yield answer
        # A page for each of them, and still no end: a cursor that goes back to where it was would go on for ever.
        assert not answer[way]

    def _check_player(self, standings: Standings, query: str, player: str) -> None:
        friends = self.oracle.friends_and_self(player)
        answer = self.read(f"standings/{player}/friends?{query}")
        assert answer["entries"] == [
            self.shown_row((rank, entry)) | {"board_rank": board_rank}
            for rank, board_rank, entry in standings.among(friends)
        ]
        pages = self.walk(f"standings/{player}/friends?{query}&limit=1")
        assert [entry for page in pages for entry in page["entries"]] == answer["entries"]
        if player not in standings:
            for path in (player, f"{player}/around"):
                self.api.server.get(f"/v1/boards/{self.board}/standings/{path}?{query}", expect=404)
            return
        answer = self.read(f"standings/{player}?{query}")
        assert answer["entry"] == self.shown_row((standings.rank(player), standings.entry(player)))
        assert answer["total"] == len(standings)
        assert float(answer["percentile"]) == pytest.approx(standings.percentile(player), abs=1e-9)
        for limit in (1, 4, 5):
            answer = self.read(f"standings/{player}/around?{query}&limit={limit}")
            assert answer["entries"] == self.shown(standings.around(player, limit))

    def _check_lookup(self, standings: Standings, query: str) -> None:
        asked = list(reversed(PLAYERS))
        answer = self.read(f"lookup?{query}", {"players": asked})
        assert answer["entries"] == self.shown(standings.lookup(asked))
        assert answer["not_found"] == [player for player in asked if player not in standings]
        assert answer["total"] == len(standings)


def exactly(text: str) -> Any:
    """JSON with the numbers as they are written."""
    return json.loads(text, parse_float=Decimal)


def _until_monday_ms(now_ms: int) -> int:
    # 1970-01-05 was a Monday.
    return -(now_ms - 4 * DAY_S * 1000) % (WEEK_S * 1000)


class Start(Protocol):
    def __call__(self, rules: Rules) -> Run: ...


@pytest.fixture
def start(api: Client, clock: SetClock, raw: redis.Redis) -> Start:
    """Begins an example: an empty store, always at the same instant, and a board nobody has heard of.

    It is half past midnight on a Monday, so what is LATE_S old belongs to last week.
    """
    at_ms = clock.at_ms + _until_monday_ms(clock.at_ms) + LATE_S * 500

    def begin(rules: Rules) -> Run:
        raw.flushall()
        clock.at_ms = at_ms
        return Run(api, clock, rules)

    return begin


# -- every read --------------------------------------------------------------------------------------------------


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
        run.check(period_id)
    if run.oracle.season > 1:
        run.check(f"s{run.oracle.season - 1}")


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
        run.check("s1")
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
        run.check("s1")
        assert run.oracle.at("s1").entry("A").score == stay


def test_zeros_never_make_a_sum_later_but_bring_their_metadata(start: Start) -> None:
    run = start(Rules(policy="sum", tiebreaks=(("wins", "desc"),)))
    for score, wins, ago, car in ((5, 0, 20, "red"), (0, 0, 10, "blue"), (0, 1, 15, "green"), (0, 0, 5, "white")):
        run.do(Submit("A", score, (wins,), minutes(ago), {"car": car}))
        run.check("s1")
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
        run.check(period_id)


# -- walking while others move -----------------------------------------------------------------------------------


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


# -- the order of arrival ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrivals:
    rules: Rules
    one_way: list[Submit]
    other_way: list[Submit]


@st.composite
def any_arrivals(draw: st.DrawFn, policy: str) -> Arrivals:
    """The same submissions in two orders. No two of a player are of the same instant."""
    rules = draw(any_rules(policy=policy))
    submits = draw(
        st.lists(
            st.builds(
                Submit,
                st.sampled_from(PLAYERS[:3]),
                small_number,
                st.tuples(*(small_number for _ in rules.tiebreaks)),
                st.integers(0, LATE_S * 1000),
                any_metadata,
            ),
            max_size=10,
            unique_by=lambda submit: submit.ago_ms,
        )
    )
    if policy == "sum":
        # Zeros alone never move an achieved_at that is there, but one that comes first has to set it.
        submits = [submit for submit in submits if any((submit.score, *submit.tiebreaks))]
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
