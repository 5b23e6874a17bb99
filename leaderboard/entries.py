"""Reading what the store keeps of an entry. `store/lua/order.lua` and `entry.lua` write these bytes.

Numbers come in order space (lower is better) and leave as they were submitted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from leaderboard.attached import detach
from leaderboard.model import Board, Entry, PlayerName
from leaderboard.scores import unscale

_WIDTH = 7
_ZERO = 1 << 55
_NEWEST_FOLLOWS = 0x80

#: Stands in the id of a nameless entry, before what is random in it.
STAND_IN = "\x01"


class Place(NamedTuple):
    """Where an entry stands, comparable: order-space score, member (tiebreaks, achieved_at, player id)."""

    score: int
    member: bytes


def read_entry(board: Board, rank: int, place: Place, packed: bytes, name: bytes | None) -> Entry:
    """The entry at a place, with the value of the entries hash and of the names hash."""
    member = place.member
    head = _WIDTH * len(board.tiebreaks)
    tiebreaks = (
        tuple(_number(member, i * _WIDTH) * tiebreak.order.sign for i, tiebreak in enumerate(board.tiebreaks))
        if head
        else ()
    )
    return Entry(
        rank,
        read_name(member[head + _WIDTH :].decode(), name),
        place.score * board.order.sign,
        tiebreaks,
        _metadata(packed, head),
        _number(member, head),
    )


def place_of(board: Board, player: str, packed: bytes) -> Place:
    """The place of a player's entry, from the value of the entries hash alone."""
    end = _WIDTH * (len(board.tiebreaks) + 2)
    return Place(score_of(packed), packed[_WIDTH:end] + player.encode())


def score_of(packed: bytes) -> int:
    """The order-space score of an entry, from the value of the entries hash."""
    return _number(packed, 0)


def unpack_head(head: bytes, tiebreaks: int) -> tuple[bytes, int, int | None]:
    """Of an entry without its metadata: its place without the player id, submissions, newest_at where it is another."""
    end = _WIDTH * (tiebreaks + 2)
    submissions = int.from_bytes(head[end : end + 4], "big")
    if submissions < _NEWEST_FOLLOWS << 24:
        return head[:end], submissions, None
    return head[:end], submissions - (_NEWEST_FOLLOWS << 24), _number(head, end + 4)


def pack_entry(place: bytes, submissions: int, newest_ms: int | None, metadata: bytes) -> bytes:
    """The value of the entries hash, from what `unpack_head` returns."""
    if newest_ms is None:
        return place + submissions.to_bytes(4, "big") + metadata
    return place + (submissions + (_NEWEST_FOLLOWS << 24)).to_bytes(4, "big") + pack_number(newest_ms) + metadata


def describe_entry(board: Board, packed: bytes) -> dict[str, Any]:
    """An entry in plain data, from the value of the entries hash, with the members that would submit it."""
    place, submissions, newest_ms = unpack_head(packed, len(board.tiebreaks))
    achieved_ms = _number(place, len(place) - _WIDTH)
    metadata, replay_ref = detach(_metadata(packed, len(board.tiebreaks) * _WIDTH))
    return {
        "score": unscale(score_of(packed) * board.order.sign, board.decimals),
        "tiebreaks": {
            tiebreak.name: _number(place, (i + 1) * _WIDTH) * tiebreak.order.sign
            for i, tiebreak in enumerate(board.tiebreaks)
        },
        "metadata": orjson.loads(metadata) if metadata else None,
        "replay": replay_ref,
        "achieved_ms": achieved_ms,
        "submissions": submissions,
        "newest_ms": achieved_ms if newest_ms is None else newest_ms,
    }


def stand_in(before: str, random: str) -> str:
    """The id of a nameless entry that sorts right behind `before`, which is of the same place: '' for none, an id, or
    another stand-in. `random`: 12 characters. As store/lua/remove.lua, which says why."""
    anchor, _, rest = before.partition(STAND_IN)
    number = int(rest[:8], 16) + 1 if rest else 0
    return f"{anchor}{STAND_IN}{number:08x}{random}"


def shown_part(nameless: str) -> str:
    """What is random in a stand-in, and shown: it stays when the entry is renamed."""
    return nameless[-12:]


def read_name(player: str, name: bytes | None) -> PlayerName:
    if STAND_IN in player:
        # Of an erased player. No player's id begins so.
        return PlayerName("-" + shown_part(player))
    return PlayerName(player, **orjson.loads(name)) if name else PlayerName(player)


def result_of(board: Board, place: Place) -> tuple[int, bytes]:
    """What ties compare: the score and the tiebreaks."""
    return place.score, place.member[: _WIDTH * len(board.tiebreaks)]


def _metadata(packed: bytes, head: int) -> bytes:
    at = head + 2 * _WIDTH
    return packed[at + 4 + (_WIDTH if packed[at] & _NEWEST_FOLLOWS else 0) :]


def pack_number(number: int) -> bytes:
    """As the store's order does: bytes that compare as the numbers do."""
    return (number + _ZERO).to_bytes(_WIDTH, "big")


def _number(packed: bytes, at: int) -> int:
    return int.from_bytes(packed[at : at + _WIDTH], "big") - _ZERO
