"""Scores: decimals with a fixed number of places outside, scaled integers inside."""

from __future__ import annotations

from decimal import Decimal

from leaderboard.errors import invalid
from leaderboard.model import SCORE_LIMIT

#: Digits of the largest score.
_LONGEST = 15


def scale(score: int | Decimal, decimals: int, pointer: str = "/score") -> int:
    """The score as an integer of its smallest unit, exactly.

    Raises a 422 Problem: `score_places` for more places than the board's, `score_range` beyond the limit.
    """
    sign, digits, exponent = Decimal(score).as_tuple()
    coefficient = int("".join(map(str, digits)))
    # Not by Decimal's own arithmetic, which rounds at 28 digits; and bounds first, so 1e999999 is never written out.
    places = int(exponent) + decimals
    if coefficient and places > _LONGEST:
        raise _beyond(pointer)
    if places >= 0 or not coefficient:
        scaled = coefficient * int(10 ** max(0, min(places, _LONGEST)))
    else:
        scaled, rest = divmod(coefficient, 10 ** min(-places, len(digits)))
        if rest or -places > len(digits):
            raise invalid(pointer, "score_places", f"the board takes {decimals} decimal places")
    if scaled > SCORE_LIMIT:
        raise _beyond(pointer)
    return -scaled if sign else scaled


def unscale(scaled: int, decimals: int) -> int | float:
    """The number to show. A double holds fifteen digits, so it prints as it was submitted."""
    return scaled if decimals == 0 else scaled / 10**decimals


def _beyond(pointer: str) -> Exception:
    return invalid(pointer, "score_range", "the scaled score is beyond the limit of 10^15 - 1")
