"""Reading JSON as strictly as a score deserves.

Flask's own reader takes NaN, duplicate members, lone surrogates and NUL, and falls over deep nesting. orjson refuses
all of these but duplicates and NUL; a second pass finds those, and keeps decimals exact.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import orjson

from leaderboard.errors import Problem

#: No number that means anything here is longer.
_LONGEST_NUMBER = 64


def parse_json(raw: bytes) -> Any:
    """The body; numbers with a point or an exponent are Decimal. Raises malformed_json, duplicate_member."""
    try:
        orjson.loads(raw)
        body = _DECODER.decode(raw.decode("utf-8"))
        if b"\\u0000" in raw and _has_nul(body):
            raise ValueError("a string has a NUL character")
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Problem("malformed_json") from error
    return body


def dump_json(value: Any) -> bytes:
    """JSON of a parsed body or of an answer. TypeError for integers beyond 64 bits, and too deep nesting."""
    return orjson.dumps(value, default=_number)


def _number(value: Any) -> int | float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise Problem("duplicate_member", f"{twice[:64]!r} stands twice in one object")
    return members


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("number too long")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("number too long")
    return Decimal(text)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in name or _has_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_int=_integer, parse_float=_decimal)
