"""Reading single values exactly. What is wrong with one is raised in words; who knows the place adds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from leaderboard import periods
from leaderboard.api.fields import Instant
from leaderboard.api.json_body import dump_json, parse_json
from leaderboard.attached import check_replay_ref
from leaderboard.errors import Problem
from leaderboard.model import SCORE_LIMIT
from leaderboard.moving.foreign import SourceError

#: As JSON writes numbers, with an exponent of at most three digits.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 64

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_INSTANT = Instant()


#: Told of each row that is left out as something is wrong with it; raises to go no further.
Refuse = Callable[[SourceError], None]


class WrongValue(ValueError):
    """What is wrong with a value, in words."""


@contextmanager
def standing_at(source: str, line: int, unit: str = "line", refuse: Refuse | None = None) -> Iterator[None]:
    """A WrongValue in here becomes a SourceError that says where it stands: raised, or told to `refuse`."""
    try:
        yield
    except WrongValue as error:
        wrong = SourceError(source, line, str(error), unit)
        if refuse is None:
            raise wrong from error
        refuse(wrong)


def shown(text: str) -> str:
    """Text from a source, quoted, and short enough for a message."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


def decoded(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongValue("not UTF-8") from error
    if "\0" in text:
        raise WrongValue("a NUL character")
    return text


def parsed(raw: bytes) -> Any:
    """A JSON document; numbers with a point or an exponent are Decimal."""
    try:
        return parse_json(raw)
    except Problem as problem:
        if problem.code == "duplicate_member":
            raise WrongValue(problem.detail) from problem
        cause = problem.__cause__
        reason = "nested too deeply" if isinstance(cause, RecursionError) else getattr(cause, "msg", str(cause))
        raise WrongValue(f"not valid JSON: {reason}") from problem


def number(text: str, name: str) -> int | Decimal:
    """The number that a text is."""
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None:
        raise WrongValue(f"{name} {shown(text)} is not a number")
    return Decimal(text) if match[2] or match[3] else int(text)


def score(value: object, name: str = "score") -> int | Decimal:
    """A number as a score may be. How many places it may have depends on the board."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise WrongValue(f"{name} is not a number")
    if not -SCORE_LIMIT <= value <= SCORE_LIMIT:
        raise WrongValue(f"{name} is beyond the limit of 10^15 - 1")
    return value


def integer(value: object, name: str) -> int:
    """The same for tiebreaks."""
    whole = score(value, name)
    if not isinstance(whole, int):
        raise WrongValue(f"{name} is not an integer")
    return whole


def instant(text: object, name: str) -> int:
    """RFC 3339 with a zone, or a date for its midnight in UTC → milliseconds since 1970."""
    try:
        if isinstance(text, str) and _DATE.fullmatch(text):
            at_ms = periods.to_ms(datetime.combine(date.fromisoformat(text), time(), UTC))
        else:
            at_ms = _INSTANT.deserialize(text)
    except ValidationError as error:
        raise WrongValue(f"{name} is {error.args[0]}") from error
    except ValueError as error:
        raise WrongValue(f"{name}: there is no such date") from error
    return in_calendar(at_ms, name)


def in_calendar(at_ms: int, name: str) -> int:
    if not periods.FIRST_MS <= at_ms < periods.LAST_MS:
        raise WrongValue(f"{name} is outside the years 2 to 9997")
    return at_ms


def metadata(value: object) -> bytes:
    """A JSON object, packed."""
    if not isinstance(value, dict):
        raise WrongValue("metadata is not a JSON object")
    try:
        return dump_json(value)
    except TypeError as error:
        raise WrongValue("metadata has integers of more than 64 bits, or is nested too deeply") from error


def replay(value: object) -> str:
    """A reference to a replay."""
    if not isinstance(value, str):
        raise WrongValue("replay is not a text")
    if (fault := check_replay_ref(value)) is not None:
        raise WrongValue(f"replay is {fault}")
    return value


def period_id(value: object) -> str:
    """An id of the form that those of some kind have."""
    named = text(value, "period_id")
    if periods.kind_of(named) is None:
        raise WrongValue(f"period_id {shown(named)} is not the id of any period")
    return named


def submissions(value: object) -> int:
    """How many submissions an entry has had: as many as it has room for."""
    count = integer(value, "submissions")
    if not 0 <= count < 1 << 31:
        raise WrongValue("submissions is not a number from 0 to 2^31 - 1")
    return count


def text(value: object, name: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str):
        raise WrongValue(f"{name} is missing" if value is None else f"{name} is not a text")
    if not value:
        raise WrongValue(f"{name} is empty")
    return value
