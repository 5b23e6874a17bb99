"""What is kept of a held submission, as store/lua/review.lua packs it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgpack

#: Of a kept outcome: it is held. The other bits are those of the kinds of periods.
HELD_BIT = 128


class Broken(NamedTuple):
    """A rule, and what it saw; in the board's smallest unit where it is about scores, in ms for an interval."""

    rule: str
    value: int
    seen: int


class Changed(NamedTuple):
    """What an approval changed in one standings; entries as they are packed."""

    period_id: str
    #: Empty for none.
    before: bytes
    after: bytes


class Held(NamedTuple):
    """Score and tiebreaks in order space."""

    board: str
    #: The revision the board was created with: another board may have its id by now.
    epoch: int
    at_ms: int
    season: int
    score: int
    tiebreaks: list[int]
    metadata: bytes
    achieved_ms: int
    #: See `rules.layout_of`.
    layout: str
    broken: list[Broken]
    period_ids: list[str]


def read_held(packed: bytes) -> Held:
    fields: list[Any] = msgpack.unpackb(packed, raw=True)
    board, epoch, at_ms, season, score, tiebreaks, metadata, achieved_ms, layout, broken, period_ids = fields
    return Held(
        board.decode(), int(epoch), int(at_ms), int(season), int(score),
        # An empty table of Lua's arrives as an empty map.
        [int(value) for value in tiebreaks or ()],
        metadata, int(achieved_ms), layout.decode(),
        [Broken(rule.decode(), int(value), int(seen)) for rule, value, seen in broken],
        [period_id.decode() for period_id in period_ids],
    )  # fmt: skip


def read_changed(packed: bytes) -> list[Changed]:
    unpacked: list[Any] = msgpack.unpackb(packed, raw=True)
    return [Changed(period_id.decode(), before, after) for period_id, before, after in unpacked]


def player_of(review: str) -> str:
    """Whose review it is; its id says so."""
    return review.partition(".")[2]


def review_row(review: str, packed: bytes) -> dict[str, Any]:
    """The archive's row of a review that is open."""
    held = read_held(packed)
    return {
        "review": review,
        "player": player_of(review),
        "board": held.board,
        "at_ms": held.at_ms,
        "rules": f" {' '.join(broken.rule for broken in held.broken)} ",
        "state": "open",
        "held": packed,
        "decision": None,
        "decided_ms": None,
        "changed": None,
    }
