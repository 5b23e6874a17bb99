"""What the gate of a board remembers of each kind of period that the board has, or had before.

    kind → {"begins": [time_of_day, weekday, day], "settle_delay_s": …, "final_ms": what ended until then is final}

So no longer delay, and no kind that comes back, reopens what is settled; and what is not settled yet is not passed over
while its kind is off the board.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leaderboard.model import Board, Period, PeriodKind, Weekday


def anchors_after(board: Board, known: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """What the gate is to remember once a board is defined, from what it knew."""
    anchors = {
        kind: {**of_kind, "final_ms": max(of_kind["final_ms"], now_ms - of_kind["settle_delay_s"] * 1000)}
        for kind, of_kind in known.items()
    }
    for period in board.periods:
        anchors[period.kind.value] = {
            "begins": list(period.anchor),
            "settle_delay_s": period.settle_delay_s,
            "final_ms": _final_ms(anchors, period),
        }
    return anchors


def with_anchors(board: Board, anchors: dict[str, Any]) -> tuple[Board, dict[PeriodKind, Period]]:
    """A board and the periods it had before, with what `anchors_after` says about them."""
    own = tuple(replace(period, final_ms=_final_ms(anchors, period)) for period in board.periods)
    former = {}
    for name, of_kind in anchors.items():
        kind = PeriodKind(name)
        if board.period(kind) is None:
            time_of_day, weekday, day = of_kind["begins"]
            former[kind] = Period(
                kind, time_of_day, Weekday(weekday), day, None, of_kind["settle_delay_s"], of_kind["final_ms"]
            )
    return replace(board, periods=own), former


def _final_ms(anchors: dict[str, Any], period: Period) -> int:
    # One that the gate does not know is new, or of another board of this id that was deleted in this moment.
    known = anchors.get(period.kind.value)
    return known["final_ms"] if known else 0
