"""What is kept of what is under review, as store/lua/review.lua and outliers.lua pack it."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import msgpack

#: Of a kept outcome: it is held. The other bits are those of the kinds of periods.
HELD_BIT = 128


class Broken(NamedTuple):
    """A rule, and what it saw; in the board's smallest unit where it is about scores, in ms for an interval."""

    rule: str
    value: int
    seen: int


class Outlier(NamedTuple):
    """An entry far outside of its standings, and what it was held against; scores in order space."""

    #: As the entries hash had it.
    entry: bytes
    #: Is it out of its standings, and kept here only?
    taken: bool
    #: How many entries there were, what the one in the middle had, and how much better the one at a quarter was.
    entries: int
    median: int
    spread: int
    #: See leaderboard/outliers.py; in thousandths.
    power: int
    #: What is better is out.
    limit: int


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
    #: None for a submission.
    outlier: Outlier | None = None


def read_held(packed: bytes) -> Held:
    fields: list[Any] = msgpack.unpackb(packed, raw=True)
    board, epoch, at_ms, season, score, tiebreaks, metadata, achieved_ms, layout, broken, period_ids = fields[:11]
    outlier = None
    if len(fields) > 11:
        entry, taken, *numbers = fields[11]
        outlier = Outlier(entry, bool(taken), *map(int, numbers))
    return Held(
        board.decode(), int(epoch), int(at_ms), int(season), int(score),
        # An empty table of Lua's arrives as an empty map.
        [int(value) for value in tiebreaks or ()],
        metadata, int(achieved_ms), layout.decode(),
        [Broken(rule.decode(), int(value), int(seen)) for rule, value, seen in broken],
        [period_id.decode() for period_id in period_ids],
        outlier,
    )  # fmt: skip


def read_changed(packed: bytes) -> list[Changed]:
    unpacked: list[Any] = msgpack.unpackb(packed, raw=True)
    return [Changed(period_id.decode(), before, after) for period_id, before, after in unpacked]


def new_review(player: str) -> str:
    """The id of a review says whose it is, so that it is found in the player's own slot."""
    return f"{secrets.token_hex(8)}.{player}"


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
