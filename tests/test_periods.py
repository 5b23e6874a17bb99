"""Calendar periods: every instant has exactly one occurrence, and an id names exactly one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leaderboard import periods
from leaderboard.model import DAY_MS, Occurrence, Period, PeriodKind, Weekday
from leaderboard.periods import kind_of, occurrence_at, occurrence_named, previous, to_datetime, to_ms
from tests.client import Client

DAILY, WEEKLY, MONTHLY = PeriodKind.DAILY, PeriodKind.WEEKLY, PeriodKind.MONTHLY

any_time_of_day = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
any_period = st.one_of(
    st.builds(Period, st.just(DAILY), time_of_day=any_time_of_day),
    st.builds(Period, st.just(WEEKLY), time_of_day=any_time_of_day, weekday=st.sampled_from(Weekday)),
    st.builds(Period, st.just(MONTHLY), time_of_day=any_time_of_day, day=st.integers(1, 28)),
)
#: Years 2 to 9997, 1970 and before it included.
any_instant = st.integers(periods.FIRST_MS, periods.LAST_MS - 1)


def at(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def bounds(occurrence: Occurrence) -> tuple[int, int]:
    assert occurrence.starts_ms is not None
    assert occurrence.ends_ms is not None
    return occurrence.starts_ms, occurrence.ends_ms


def ids(period: Period, *instants: str) -> list[str]:
    return [occurrence_at(period, at(instant)).id for instant in instants]


# -- what an occurrence is called --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "week"),
    [
        # The week of a year's first Thursday is its first; 2026 begins on a Thursday and so has 53.
        ("2024-12-29", "2024-W52"),
        ("2024-12-30", "2025-W01"),
        ("2025-12-28", "2025-W52"),
        ("2025-12-29", "2026-W01"),
        ("2026-12-31", "2026-W53"),
        ("2027-01-01", "2026-W53"),
        ("2027-01-03", "2026-W53"),
        ("2027-01-04", "2027-W01"),
        ("1970-01-01", "1970-W01"),
        ("1969-12-28", "1969-W52"),
        ("0002-01-06", "0002-W01"),
    ],
)
def test_weeks_around_new_year_have_the_year_of_their_thursday(day: str, week: str) -> None:
    assert ids(Period(WEEKLY), day) == [week]


def test_the_last_millisecond_of_a_period_is_in_it_and_the_next_one_is_not() -> None:
    last, first = "2026-11-22T23:59:59.999", "2026-11-23T00:00:00.000"
    assert ids(Period(DAILY), last, first) == ["2026-11-22", "2026-11-23"]
    assert ids(Period(WEEKLY), last, first) == ["2026-W47", "2026-W48"]
    assert ids(Period(MONTHLY), "2026-11-30T23:59:59.999", "2026-12-01") == ["2026-11", "2026-12"]
    assert ids(Period(DAILY), "1969-12-31T23:59:59.999", "1970-01-01") == ["1969-12-31", "1970-01-01"]


def test_a_day_that_begins_in_the_evening_is_named_after_the_date_on_which_it_begins() -> None:
    evening = Period(DAILY, time_of_day="18:30")
    assert ids(evening, "2026-11-22T18:29:59.999", "2026-11-22T18:30") == ["2026-11-21", "2026-11-22"]


def test_a_week_that_begins_on_another_day_has_the_iso_week_of_that_day() -> None:
    # 2026-11-22 is a Sunday and the last day of the ISO week 47; 2026-11-26 is the Thursday of week 48.
    sunday = Period(WEEKLY, weekday=Weekday.SUNDAY)
    assert ids(sunday, "2026-11-21T23:59:59.999", "2026-11-22", "2026-11-28") == ["2026-W46", "2026-W47", "2026-W47"]
    thursday = Period(WEEKLY, weekday=Weekday.THURSDAY, time_of_day="10:00")
    assert ids(thursday, "2026-11-26T09:59:59.999", "2026-11-26T10:00") == ["2026-W47", "2026-W48"]


def test_a_month_that_begins_on_the_15th_contains_the_14th_of_the_next() -> None:
    middle = Period(MONTHLY, day=15)
    assert ids(middle, "2026-02-14T23:59:59.999", "2026-02-15", "2026-03-14") == ["2026-01", "2026-02", "2026-02"]
    assert ids(middle, "2027-01-14", "2027-01-15") == ["2026-12", "2027-01"]


def test_a_month_that_begins_on_the_28th_is_there_in_every_february() -> None:
    late = Period(MONTHLY, day=28, time_of_day="23:59")
    assert ids(late, "2026-02-28T23:58:59.999", "2026-02-28T23:59", "2028-02-29") == ["2026-01", "2026-02", "2028-02"]
    assert bounds(occurrence_at(late, at("2026-03-01"))) == (at("2026-02-28T23:59"), at("2026-03-28T23:59"))


def test_the_kinds_have_ids_of_different_forms() -> None:
    examples = {"s3": "season", "all": "alltime", "2026-11-22": "daily", "2026-W47": "weekly", "2026-11": "monthly"}
    assert {period_id: kind_of(period_id) for period_id in examples} == examples
    for malformed in ("", "s0", "s03", "S3", "alltime", "2026", "2026-w47", "2026-11-22 ", "2026-11-2", "٢٠٢٦-11"):
        assert kind_of(malformed) is None, malformed


@pytest.mark.parametrize(
    ("kind", "no_date"),
    [
        (DAILY, "2026-02-29"),
        (DAILY, "2026-00-01"),
        (DAILY, "0000-01-01"),
        (DAILY, "0001-12-31"),
        (DAILY, "9998-01-01"),
        (WEEKLY, "2025-W53"),
        (WEEKLY, "2026-W00"),
        (WEEKLY, "2026-W54"),
        (WEEKLY, "9999-W01"),
        (MONTHLY, "2026-00"),
        (MONTHLY, "2026-13"),
        (MONTHLY, "9998-01"),
    ],
)
def test_an_id_in_the_right_form_may_still_name_no_date(kind: PeriodKind, no_date: str) -> None:
    assert kind_of(no_date) is kind
    assert occurrence_named(Period(kind), no_date) is None


def test_dates_that_exist_only_in_long_years_are_named() -> None:
    assert occurrence_named(Period(DAILY), "2028-02-29") == occurrence_at(Period(DAILY), at("2028-02-29"))
    assert occurrence_named(Period(WEEKLY), "2026-W53") == occurrence_at(Period(WEEKLY), at("2027-01-01"))


def test_a_season_that_is_kept_always_may_settle_as_late_as_it_likes(api: Client) -> None:
    # `keep_days` has to be longer than that only where there is one: for seasons, none is the default.
    season = {"kind": "season", "settle_delay_s": 365 * 86_400}
    assert api.define("main", periods=[season])["periods"] == [season | {"keep_days": None}]


# -- any period at any instant -----------------------------------------------------------------------------------


@given(any_period, any_instant)
@example(Period(MONTHLY, day=28, time_of_day="23:59"), periods.FIRST_MS)
@example(Period(WEEKLY, weekday=Weekday.FRIDAY, time_of_day="23:59"), periods.LAST_MS - 1)
@example(Period(DAILY), -1)
@example(Period(DAILY), 0)
def test_an_occurrence_contains_its_instant_and_begins_where_its_anchor_says(period: Period, instant: int) -> None:
    occurrence = occurrence_at(period, instant)
    starts_ms, ends_ms = bounds(occurrence)
    assert starts_ms <= instant < ends_ms
    assert occurrence.kind is period.kind
    starts, ends = to_datetime(starts_ms), to_datetime(ends_ms)
    for edge in (starts, ends):
        assert f"{edge:%H:%M:%S.%f}" == f"{period.time_of_day}:00.000000"
    if period.kind is DAILY:
        assert ends - starts == timedelta(days=1)
        assert occurrence.id == str(starts.date())
    elif period.kind is WEEKLY:
        assert ends - starts == timedelta(days=7)
        assert starts.isoweekday() == period.weekday.iso
        assert occurrence.id == f"{starts.isocalendar().year:04}-W{starts.isocalendar().week:02}"
    else:
        assert (starts.day, ends.day) == (period.day, period.day)
        assert ends.year * 12 + ends.month == starts.year * 12 + starts.month + 1
        assert occurrence.id == str(starts.date())[:7]


@given(any_period, any_instant)
def test_its_first_and_last_millisecond_are_in_an_occurrence_and_their_neighbours_are_not(
    period: Period, instant: int
) -> None:
    occurrence = occurrence_at(period, instant)
    starts_ms, ends_ms = bounds(occurrence)
    assert occurrence_at(period, starts_ms) == occurrence
    assert occurrence_at(period, ends_ms - 1) == occurrence
    assert occurrence_at(period, starts_ms - 1) != occurrence
    assert occurrence_at(period, ends_ms) != occurrence


@given(any_period, any_instant)
def test_consecutive_occurrences_touch_and_have_different_ids(period: Period, instant: int) -> None:
    run = [occurrence_at(period, instant)]
    for _ in range(3):
        run.insert(0, previous(period, run[0]))
    for earlier, later in pairwise(run):
        assert bounds(earlier)[1] == bounds(later)[0]
    assert len({occurrence.id for occurrence in run}) == len(run)


@given(any_period, any_instant)
@example(Period(WEEKLY, weekday=Weekday.MONDAY), periods.LAST_MS - 1)
def test_an_id_names_the_occurrence_it_was_made_of(period: Period, instant: int) -> None:
    occurrence = occurrence_at(period, instant)
    assert kind_of(occurrence.id) is period.kind
    if to_datetime(bounds(occurrence)[0]).year >= 2:
        assert occurrence_named(period, occurrence.id) == occurrence


@given(st.sampled_from(Weekday), any_time_of_day, st.integers(2, 9997))
def test_each_year_has_its_52_or_53_weeks_whatever_day_they_begin_on(
    weekday: Weekday, time_of_day: str, year: int
) -> None:
    period = Period(WEEKLY, weekday=weekday, time_of_day=time_of_day)
    weeks = date(year, 12, 28).isocalendar().week
    named = [occurrence_named(period, f"{year:04}-W{week:02}") for week in range(2, weeks)]
    assert all(named)
    starts = [bounds(occurrence)[0] for occurrence in named if occurrence]
    assert {later - earlier for earlier, later in pairwise(starts)} == {7 * DAY_MS}


@given(st.integers(periods.FIRST_MS, periods.LAST_MS))
def test_an_instant_survives_being_a_datetime(instant: int) -> None:
    assert to_ms(to_datetime(instant)) == instant
