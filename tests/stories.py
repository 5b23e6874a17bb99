"""What may happen on a board, and the strategies that make it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.oracle import LIMIT, Rules

#: Ids whose order by bytes is not the one of any locale, and one that is the beginning of others.
PLAYERS = ("A", "B", "Z", "a", "a-", "a.", "a0", "a_", "aA", "aa", "a|", "a~", "a@b", "z", "0", "a" * 64)

LATE_S = 3600
DAY_S = 86_400
WEEK_S = 7 * DAY_S

#: The fixtures outlive an example: `Start` empties the store, and `Run` makes a board of its own.
SHORT = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
LONG = settings(SHORT, max_examples=1000)


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
    rules: Rules,
    number: st.SearchStrategy[int] = any_number,
    player: st.SearchStrategy[str] = any_player,
    age_ms: st.SearchStrategy[int | None] = any_age_ms,
) -> st.SearchStrategy[Submit]:
    tiebreaks = st.tuples(*(number for _ in rules.tiebreaks))
    return st.builds(Submit, player, number, tiebreaks, age_ms, any_metadata)


def any_step(rules: Rules, player: st.SearchStrategy[str]) -> st.SearchStrategy[Step]:
    # `previous` is for seasons.
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
