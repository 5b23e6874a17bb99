"""Score rules as the function that asks them takes them (store/lua/rules.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgpack

from leaderboard.callers import Role
from leaderboard.errors import invalid
from leaderboard.model import Board, Order, RuleName, Then, Tiebreak, Writers
from leaderboard.scores import scale, unscale

#: Rules whose value is a score, or a difference of two.
_OF_SCORES = (RuleName.MIN_SCORE, RuleName.MAX_SCORE, RuleName.MAX_GAIN, RuleName.MAX_GAIN_PER_HOUR)

_PARTS: dict[str, int] = {RuleName.MIN_INTERVAL_S: 1000, RuleName.OUTLIERS: 100}
#: So many more places than scores has a score per second.
_RATE_PLACES = 3


def pack_rules(board: Board) -> dict[Role, bytes]:
    """What is asked of the submissions of each role; empty for nothing. Admins are asked what servers are."""
    of_servers = _pack(board, Role.SERVER)
    return {Role.PLAYER: _pack(board, Role.PLAYER), Role.SERVER: of_servers, Role.ADMIN: of_servers}


def check_values(board: Board) -> None:
    """Raise a 422 Problem for a rule that no score, or every score, or nobody's score would break."""
    for rule in board.score_rules:
        of_attempts = rule.name is RuleName.MAX_SCORE_PER_S
        pointer = f"/rules/attempts/{rule.name}" if of_attempts else f"/rules/{rule.name}"
        if rule.name in _OF_SCORES:
            scale(rule.value, board.decimals, f"{pointer}/value")
        elif of_attempts:
            scale(rule.value, board.decimals + _RATE_PLACES, f"{pointer}/value")
        if board.writes is Writers.SERVERS and not rule.servers:
            raise invalid(f"{pointer}/servers", "asks_nobody", "only servers write to this board: say true")
    values = {rule.name: rule.value for rule in board.score_rules}
    if values.get(RuleName.MIN_SCORE, 0) > values.get(RuleName.MAX_SCORE, values.get(RuleName.MIN_SCORE, 0)):
        raise invalid("/rules/min_score/value", "above_max_score", "no score is between min_score and max_score")


def layout_of(board: Board) -> str:
    """How scores and tiebreaks are written in order space: a held submission can only be read by the same."""
    tiebreaks = " ".join(f"{tiebreak.name} {tiebreak.order.value}" for tiebreak in board.tiebreaks)
    return f"{board.order.value} {board.decimals} {board.policy.value} {tiebreaks}"


class Layout(NamedTuple):
    """What `layout_of` says."""

    order: Order
    decimals: int
    tiebreaks: list[Tiebreak]

    def score(self, score: int) -> int | Decimal:
        """As it was submitted, from order space."""
        scaled = score * self.order.sign
        return Decimal(scaled).scaleb(-self.decimals) if self.decimals else scaled

    def named(self, tiebreaks: Sequence[int]) -> dict[str, int]:
        """The tiebreaks as they were submitted, from order space."""
        named = zip(self.tiebreaks, tiebreaks, strict=True)
        return {tiebreak.name: value * tiebreak.order.sign for tiebreak, value in named}


def layout_now(board: Board) -> Layout:
    return Layout(board.order, board.decimals, list(board.tiebreaks))


def read_layout(layout: str) -> Layout:
    order, decimals, _policy, *tiebreaks = layout.split()
    pairs = zip(tiebreaks[::2], tiebreaks[1::2], strict=True)
    return Layout(Order(order), int(decimals), [Tiebreak(name, Order(each)) for name, each in pairs])


def shown_value(rule: str, value: int, decimals: int) -> int | float:
    """A rule's value, or what it saw, in the unit of the definition."""
    if rule in _OF_SCORES:
        return unscale(value, decimals)
    if rule == RuleName.MAX_SCORE_PER_S:
        return unscale(value, decimals + _RATE_PLACES)
    # An interval in milliseconds, and how far out in hundredths.
    return value / _PARTS[rule] if rule in _PARTS else value


def _pack(board: Board, role: Role) -> bytes:
    rules = []
    for rule in board.score_rules:
        if role is Role.SERVER and not rule.servers:
            continue
        value: int = scale(rule.value, board.decimals) if rule.name in _OF_SCORES else int(rule.value)
        if rule.name is RuleName.MIN_INTERVAL_S:
            value = int(rule.value * 1000)
        elif rule.name is RuleName.MAX_SCORE_PER_S:
            value = scale(rule.value, board.decimals + _RATE_PLACES)
        packed = [rule.name.value, int(rule.then is Then.HOLD), value]
        if rule.name is RuleName.MIN_SUBMISSIONS_BEFORE_TOP:
            packed += [rule.top, rule.from_entries]
        rules.append(packed)
    packed_rules: bytes = msgpack.packb([board.order.sign, layout_of(board), rules]) if rules else b""
    return packed_rules
