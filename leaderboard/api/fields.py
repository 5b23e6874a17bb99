"""Fields that JSON bodies and queries are made of, beside marshmallow's own."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from marshmallow import ValidationError, fields, validate

from leaderboard import periods
from leaderboard.api.json_body import dump_json
from leaderboard.attached import REPLAY_MOST, check_replay_ref
from leaderboard.names import FAULTS, NameFaultError, to_display_name

BOARD_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PLAYER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~@|-]{0,63}")
PROVIDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
#: Printable ASCII, as OpenID Connect has it, but it is a part of a path: `/`, `.` and `..` mean something else there.
SUBJECT = re.compile(r"[!-,\-0-~][!-.0-~]{0,254}")
REVIEW_ID = rf"[0-9a-f]{{16}}\.{PLAYER_ID.pattern}"
ATTEMPT_ID = r"[A-Za-z0-9_-]{1,64}"
RESERVED_PLAYERS = frozenset({"me", "current", "batch"})

#: RFC 3339, with a zone.
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})")

#: A JSON number (RFC 8259) with an exponent of at most three digits.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)

METADATA_LIMIT = 1024


class Pattern(validate.Regexp):
    """The whole of a string. `$` alone would let a line break at the end pass; `\\Z` is not for JSON Schema."""

    def __init__(self, pattern: str, error: str) -> None:
        super().__init__(f"^{pattern}$", error=error)

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self.error)
        return value


class BoardId(fields.String):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=Pattern(BOARD_ID.pattern, "not a board id"), **kwargs)


class PlayerId(fields.String):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_check_player, **kwargs)


def _check_player(value: str) -> None:
    if not PLAYER_ID.fullmatch(value) or value in RESERVED_PLAYERS:
        raise ValidationError("not a player id")


class Score(fields.Field[int | Decimal]):
    """A JSON number, exact; the board says how many places it may have."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValidationError("not a number")
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValidationError("not a finite number")
        return value


class QueryScore(Score):
    """The same in a query parameter, where everything is text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | Decimal:
        number = Decimal(value) if len(value) <= 64 and _NUMBER.fullmatch(value) else None
        return super()._deserialize(number, attr, data, **kwargs)


class QueryInteger(fields.Integer):
    """Digits, and nothing else that Python would read as an integer."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ValidationError("not an integer")
        return super()._deserialize(value, attr, data, **kwargs)


class Integer(fields.Integer):
    """A JSON integer, not a string, a boolean or 1.0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)


class Number(fields.Float):
    """A JSON number as a double; not text, nor a boolean."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValidationError("not a number")
        return super()._deserialize(value, attr, data, **kwargs)


class Flag(fields.Boolean):
    """JSON's `true` or `false`, and nothing that could be taken for one of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Instant(fields.Field[int]):
    """RFC 3339 with a zone → milliseconds since 1970."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not _INSTANT.fullmatch(value):
            raise ValidationError("not an RFC 3339 instant with a zone")
        try:
            return periods.to_ms(datetime.fromisoformat(value.upper()))
        except (ValueError, OverflowError) as error:
            raise ValidationError("there is no such instant") from error


class Metadata(fields.Field[bytes]):
    """Any JSON object, as JSON; at most 1 KB."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bytes:
        if not isinstance(value, dict):
            raise ValidationError("not an object")
        try:
            packed = dump_json(value)
        except TypeError as error:
            raise ValidationError("integers of more than 64 bits, or nested too deeply") from error
        if len(packed) > METADATA_LIMIT:
            raise ValidationError(f"longer than {METADATA_LIMIT} bytes")
        return packed


class Replay(fields.String):
    """Where a replay is, or what it is called: see `leaderboard.attached`."""

    def __init__(self, **kwargs: Any) -> None:
        description = (
            f"Where its replay is, or what it is called: a URL or any id, of 1 to {REPLAY_MOST} bytes. It is never "
            "fetched. Admins see it with reviews, and everybody on entries where the board says `show_replays`."
        )
        super().__init__(validate=_check_replay, metadata={"description": description}, **kwargs)


def _check_replay(value: str) -> None:
    if (fault := check_replay_ref(value)) is not None:
        raise ValidationError(fault)


class DisplayName(fields.String):
    """See `leaderboard.names`."""

    def __init__(self, **kwargs: Any) -> None:
        description = "1 to 40 characters as people count them; kept as NFKC. Nothing invisible but what shapes emoji."
        super().__init__(metadata={"description": description} | kwargs.pop("metadata", {}), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return to_display_name(super()._deserialize(value, attr, data, **kwargs))
        except NameFaultError as fault:
            raise ValidationError(FAULTS[fault.code]) from fault


@lru_cache(8192)
def show_instant(at_ms: int | None) -> str | None:
    """RFC 3339 UTC with milliseconds. Remembered: answers repeat the ends of periods, and the top its entries."""
    if at_ms is None:
        return None
    return periods.to_datetime(at_ms).isoformat(timespec="milliseconds")[:-6] + "Z"
