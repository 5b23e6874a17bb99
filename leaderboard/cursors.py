"""Cursors: a place in one standings, as text that a client hands back.

A cursor carries its period id, so that a walk begun on Sunday night stays on that week, and a checksum over the board,
so that one of another list, or one cut short, is refused rather than read as some other place. It grants nothing: who
may read the standings is checked again, and any place in them can be asked for anyway.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2s

from leaderboard.entries import Place
from leaderboard.errors import Problem
from leaderboard.model import SCORE_LIMIT

_HEAD = struct.Struct(">cqB")
_CHECK = 6
#: Longer than any cursor that is given out.
_LONGEST = 512


class Direction(StrEnum):
    AFTER = "after"
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Cursor:
    direction: Direction
    period_id: str
    place: Place


def write_cursor(list_name: str, cursor: Cursor) -> str:
    """`list_name` is what the cursor is good for, such as a board id."""
    period_id = cursor.period_id.encode()
    head = _HEAD.pack(cursor.direction.value[:1].encode(), cursor.place.score, len(period_id))
    payload = head + period_id + cursor.place.member
    return urlsafe_b64encode(_checksum(list_name, payload) + payload).decode().rstrip("=")


def read_cursor(list_name: str, text: str) -> Cursor:
    """Raises malformed_cursor for anything `write_cursor` did not write for this list."""
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        packed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        check, payload = packed[:_CHECK], packed[_CHECK:]
        if check != _checksum(list_name, payload):
            raise ValueError("of another list")
        way, score, length = _HEAD.unpack_from(payload)
        direction = Direction.AFTER if way == b"a" else Direction.BEFORE
        period_id = payload[_HEAD.size : _HEAD.size + length].decode("ascii")
        if abs(score) > SCORE_LIMIT:
            raise ValueError("out of range")
        return Cursor(direction, period_id, Place(score, payload[_HEAD.size + length :]))
    except (ValueError, struct.error) as error:
        raise Problem("malformed_cursor") from error


def write_id_cursor(list_name: str, after: str) -> str:
    """A cursor for a list in order of id."""
    return write_cursor(list_name, Cursor(Direction.AFTER, "", Place(0, after.encode())))


def read_id_cursor(list_name: str, text: str | None) -> str | None:
    return _id(read_cursor(list_name, text).place) if text else None


def read_number_cursor(list_name: str, text: str | None) -> int | None:
    """Of a list in order of a number, written by `write_id_cursor`."""
    after = read_id_cursor(list_name, text)
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise Problem("malformed_cursor")
    return int(after) if after else None


def write_time_cursor(list_name: str, after: tuple[int, str]) -> str:
    """A cursor for a list in order of time (ms), then id."""
    return write_cursor(list_name, Cursor(Direction.AFTER, "", Place(after[0], after[1].encode())))


def read_time_cursor(list_name: str, text: str | None) -> tuple[int, str] | None:
    if not text:
        return None
    place = read_cursor(list_name, text).place
    return place.score, _id(place)


def _id(place: Place) -> str:
    try:
        found = place.member.decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed_cursor") from error
    if "\0" in found:
        # No id has one, and PostgreSQL takes none.
        raise Problem("malformed_cursor")
    return found


def _checksum(list_name: str, payload: bytes) -> bytes:
    return blake2s(list_name.encode() + b"\0" + payload, digest_size=_CHECK).digest()
