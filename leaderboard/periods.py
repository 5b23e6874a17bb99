"""Calendar arithmetic: an instant → the occurrence it falls in, and an id → its bounds. Pure.

An occurrence is named after the date on which it starts: `2026-11-22`, `2026-W47` (ISO 8601 week of that date),
`2026-11`. Each kind's ids are unlike the others', so an id alone says its kind. All in UTC so far.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from leaderboard.model import Occurrence, Period, PeriodKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

#: The calendar has no place for instants outside these, with room for one period on either side.
FIRST_MS = (datetime(2, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
LAST_MS = (datetime(9998, 1, 1, tzinfo=UTC) - _EPOCH) // _MS

_IDS = {
    PeriodKind.SEASON: re.compile(r"s[1-9][0-9]{0,6}"),
    PeriodKind.ALLTIME: re.compile(r"all"),
    PeriodKind.DAILY: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    PeriodKind.WEEKLY: re.compile(r"[0-9]{4}-W[0-9]{2}"),
    PeriodKind.MONTHLY: re.compile(r"[0-9]{4}-[0-9]{2}"),
}

#: period → start, end and occurrence that were found last.
_last_found: dict[Period, tuple[int, int, Occurrence]] = {}
_REMEMBER_MOST = 1000

ALLTIME = Occurrence(PeriodKind.ALLTIME, "all", None, None)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (at - _EPOCH) // _MS


def to_datetime(at_ms: int) -> datetime:
    return _EPOCH + at_ms * _MS


def kind_of(period_id: str) -> PeriodKind | None:
    """The kind that an id has the form of."""
    return next((kind for kind, pattern in _IDS.items() if pattern.fullmatch(period_id)), None)


def occurrence_at(period: Period, at_ms: int) -> Occurrence:
    """The occurrence of a calendar period that contains an instant between FIRST_MS and LAST_MS."""
    # Nearly every instant is now, so the last answer is nearly always the next one.
    known = _last_found.get(period)
    if known is None or not known[0] <= at_ms < known[1]:
        found = _find(period, at_ms)
        if len(_last_found) >= _REMEMBER_MOST:
            _last_found.clear()
        _last_found[period] = known = (found.starts_ms or 0, found.ends_ms or 0, found)
    return known[2]


def _find(period: Period, at_ms: int) -> Occurrence:
    at = to_datetime(at_ms)
    day = (at - _time_of_day(period)).date()
    if period.kind is PeriodKind.WEEKLY:
        day -= timedelta(days=(day.isoweekday() - period.weekday.iso) % 7)
    elif period.kind is PeriodKind.MONTHLY:
        # A month that begins on the 15th contains the 14th of the next one.
        day = (day - timedelta(days=period.day - 1)).replace(day=1) + timedelta(days=period.day - 1)
    return _starting(period, day)


def occurrence_named(period: Period, period_id: str) -> Occurrence | None:
    """The occurrence of a calendar period with this id; None when there is no such date."""
    try:
        if period.kind is PeriodKind.DAILY:
            day = date.fromisoformat(period_id)
        elif period.kind is PeriodKind.WEEKLY:
            day = date.fromisocalendar(int(period_id[:4]), int(period_id[6:]), period.weekday.iso)
        else:
            day = date(int(period_id[:4]), int(period_id[5:]), period.day)
    except ValueError:
        return None
    return _starting(period, day) if FIRST_MS <= _start_ms(period, day) < LAST_MS else None


def previous(period: Period, occurrence: Occurrence) -> Occurrence:
    """The occurrence of a calendar period before this one."""
    assert occurrence.starts_ms is not None  # noqa: S101  calendar periods have bounds
    return occurrence_at(period, occurrence.starts_ms - 1)


def _time_of_day(period: Period) -> timedelta:
    hours, minutes = period.time_of_day.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def _starting(period: Period, day: date) -> Occurrence:
    if period.kind is PeriodKind.DAILY:
        period_id, next_day = day.isoformat(), day + timedelta(days=1)
    elif period.kind is PeriodKind.WEEKLY:
        # strftime's %Y-W%V is wrong around New Year: 2027-01-01 lies in 2026-W53.
        year, week, _ = day.isocalendar()
        period_id, next_day = f"{year:04}-W{week:02}", day + timedelta(days=7)
    else:
        period_id = f"{day.year:04}-{day.month:02}"
        next_day = (day.replace(day=1) + timedelta(days=32)).replace(day=period.day)
    return Occurrence(period.kind, period_id, _start_ms(period, day), _start_ms(period, next_day))


def _start_ms(period: Period, day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC) + _time_of_day(period))
