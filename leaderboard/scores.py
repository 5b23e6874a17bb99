"""Scores: decimals with a fixed number of places outside, scaled integers inside."""

from __future__ import annotations

from decimal import Decimal

from leaderboard.errors import invalid
from leaderboard.model import SCORE_LIMIT


def scale(score: int | Decimal, decimals: int, pointer: str = "/score") -> int:
    """The score as an integer of its smallest unit, exactly.

    Raises a 422 Problem: `score_places` for more places than the board's, `score_range` beyond the limit.
    """
    if isinstance(score, int):
        scaled = score * int(10**decimals)
    else:
        # Looking at the exponent first keeps 1e999999 from being written out.
        if score.adjusted() > 15:
            raise _beyond(pointer)
        exact = score.scaleb(decimals)
        if exact != exact.to_integral_value():
            raise invalid(pointer, "score_places", f"the board takes {decimals} decimal places")
        scaled = int(exact)
    if abs(scaled) > SCORE_LIMIT:
        raise _beyond(pointer)
    return scaled


def unscale(scaled: int, decimals: int) -> int | float:
    """The number to show. A double holds fifteen digits, so it prints as it was submitted."""
    return scaled if decimals == 0 else scaled / 10**decimals


def _beyond(pointer: str) -> Exception:
    return invalid(pointer, "score_range", "the scaled score is beyond the limit of 10^15 - 1")
