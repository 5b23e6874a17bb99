"""Score rules as the function that asks them takes them (store/lua/rules.lua)."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgpack

from leaderboard.callers import Role
from leaderboard.model import Board, Order, RuleName, Then, Tiebreak
from leaderboard.scores import scale, unscale

#: Rules whose value is a score, or a difference of two.
_OF_SCORES = (RuleName.MIN_SCORE, RuleName.MAX_SCORE, RuleName.MAX_GAIN, RuleName.MAX_GAIN_PER_HOUR)

#: So many more places than scores has a score per second.
_RATE_PLACES = 3


def pack_rules(board: Board) -> dict[Role, bytes]:
    """What is asked of the submissions of each role; empty for nothing. Admins are asked nothing."""
    return {role: _pack(board, role) for role in (Role.PLAYER, Role.SERVER)}


def check_values(board: Board) -> None:
    """Raise a 422 Problem for a rule that the board's scores cannot be held against."""
    for rule in board.score_rules:
        if rule.name in _OF_SCORES:
            scale(rule.value, board.decimals, f"/rules/{rule.name}/value")
        elif rule.name is RuleName.MAX_SCORE_PER_S:
            scale(rule.value, board.decimals + _RATE_PLACES, f"/rules/attempts/{rule.name}/value")


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
    return value / 1000 if rule == RuleName.MIN_INTERVAL_S else value


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
