"""Board definitions as plain data: what the store keeps and the API shows, to and from `model.Board`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from leaderboard.model import (
    AttemptRule,
    Board,
    BoardState,
    Order,
    OutlierRule,
    OutlierThen,
    Period,
    PeriodKind,
    Policy,
    RateRule,
    Readers,
    RuleName,
    ScoreRule,
    Then,
    Tiebreak,
    Ties,
    Weekday,
    Writers,
)
from leaderboard.periods import FIRST_MS, LAST_MS

#: Calendar periods are kept this long after their end unless the board says otherwise.
KEEP_DAYS = 28
SETTLE_DELAY_S = 3600


def to_definition(board: Board) -> dict[str, Any]:
    """The definition as the API shows it, without the board's id."""
    return {
        "title": board.title,
        "state": board.state.value,
        "order": board.order.value,
        "policy": board.policy.value,
        "ties": board.ties.value,
        "decimals": board.decimals,
        "tiebreaks": [{"name": t.name, "order": t.order.value} for t in board.tiebreaks],
        "periods": [_period_data(period) for period in board.periods],
        "default_period": board.default_period.value,
        "segments": [],
        "writes": board.writes.value,
        "reads": board.reads.value,
        "show_replays": board.show_replays,
        "late_s": board.late_s,
        "rules": _rules_data(board),
        "metadata": board.metadata,
        "revision": board.revision,
    }


def from_definition(board_id: str, data: dict[str, Any]) -> Board:
    """The board of a definition that is right in form; what is left out takes its default."""
    default = Board(board_id)
    periods = tuple(_period(item) for item in data["periods"]) if data.get("periods") else default.periods
    kinds = [period.kind for period in periods]
    rules = data.get("rules", {})
    return Board(
        id=board_id,
        title=data.get("title", default.title),
        state=BoardState(data.get("state", default.state)),
        order=Order(data.get("order", default.order)),
        policy=Policy(data.get("policy", default.policy)),
        ties=Ties(data.get("ties", default.ties)),
        decimals=data.get("decimals", default.decimals),
        tiebreaks=tuple(Tiebreak(t["name"], Order(t.get("order", Order.DESC))) for t in data.get("tiebreaks", [])),
        periods=periods,
        default_period=PeriodKind(data.get("default_period", kinds[0])),
        writes=Writers(data.get("writes", default.writes)),
        reads=Readers(data.get("reads", default.reads)),
        show_replays=data.get("show_replays", default.show_replays),
        late_s=data.get("late_s", min(default.late_s, longest_late_s(periods))),
        rate=_rate(rules["rate"]) if "rate" in rules else default.rate,
        signed=rules.get("signed", default.signed),
        score_rules=_score_rules(rules),
        attempts=_attempts(rules.get("attempts")),
        outliers=_outliers(rules["outliers"]) if rules.get("outliers") else None,
        metadata=data.get("metadata", {}),
        revision=data.get("revision", 0),
    )


def longest_late_s(periods: tuple[Period, ...]) -> int:
    """A late score must find its period not settled yet. A board whose standings never end takes any age."""
    return min(
        (period.settle_delay_s for period in periods if period.kind is not PeriodKind.ALLTIME),
        default=(LAST_MS - FIRST_MS) // 1000,
    )


def dump(board: Board) -> bytes:
    return orjson.dumps(to_definition(board))


def load(board_id: str, definition: bytes) -> Board:
    return from_definition(board_id, orjson.loads(definition))


def _period(item: dict[str, Any]) -> Period:
    kind = PeriodKind(item["kind"])
    ends_by_calendar = kind not in (PeriodKind.SEASON, PeriodKind.ALLTIME)
    return Period(
        kind=kind,
        time_of_day=item.get("time_of_day", "00:00"),
        weekday=Weekday(item.get("weekday", Weekday.MONDAY)),
        day=item.get("day", 1),
        keep_days=item.get("keep_days", KEEP_DAYS if ends_by_calendar else None),
        settle_delay_s=item.get("settle_delay_s", SETTLE_DELAY_S),
    )


def _period_data(period: Period) -> dict[str, Any]:
    """Only the members that mean something for the kind."""
    data: dict[str, Any] = {"kind": period.kind.value}
    if period.kind is PeriodKind.ALLTIME:
        return data
    if period.kind is not PeriodKind.SEASON:
        data["timezone"] = "UTC"
        data["time_of_day"] = period.time_of_day
    if period.kind is PeriodKind.WEEKLY:
        data["weekday"] = period.weekday.value
    if period.kind is PeriodKind.MONTHLY:
        data["day"] = period.day
    return data | {"keep_days": period.keep_days, "settle_delay_s": period.settle_delay_s}


#: What is asked of a submission.
_SUBMISSION_RULES = tuple(name for name in RuleName if name is not RuleName.OUTLIERS)

#: A rank among so many times as many entries says something.
_ENTRIES_PER_TOP = 20


def _rate(data: dict[str, Any] | None) -> RateRule | None:
    return RateRule(data["burst"], data["per_s"], data.get("servers", False)) if data else None


#: So far out is next to none of honest entries of any distribution that was tried; see docs/outliers.md.
_OUTLIER_THRESHOLD = 6
_OUTLIERS_FROM = 200


def _outliers(data: dict[str, Any]) -> OutlierRule:
    return OutlierRule(
        data.get("threshold", _OUTLIER_THRESHOLD),
        OutlierThen(data["then"]),
        data.get("from_entries", _OUTLIERS_FROM),
    )


def _attempts(data: dict[str, Any] | None) -> AttemptRule | None:
    if data is None:
        return None
    default = AttemptRule()
    period = data.get("period")
    return AttemptRule(
        data.get("required", default.required),
        data.get("expires_s", default.expires_s),
        data.get("most"),
        PeriodKind(period) if period else None,
    )


def _score_rules(rules: dict[str, Any]) -> tuple[ScoreRule, ...]:
    of_attempts = rules.get("attempts") or {}
    found = {name: (of_attempts if name is RuleName.MAX_SCORE_PER_S else rules).get(name) for name in _SUBMISSION_RULES}
    return tuple(_score_rule(name, data) for name, data in found.items() if data)


def _score_rule(name: RuleName, data: dict[str, Any]) -> ScoreRule:
    value = data["value"]
    top = data.get("top", 0)
    return ScoreRule(
        name,
        # Exact: a definition is read as JSON with doubles, whose shortest form has the digits that were given.
        Decimal(str(value)) if isinstance(value, float) else value,
        Then(data["then"]),
        top,
        data.get("from_entries", top * _ENTRIES_PER_TOP),
        data.get("servers", False),
    )


def _rules_data(board: Board) -> dict[str, Any]:
    rate = board.rate
    data: dict[str, Any] = {
        "rate": rate and {"burst": rate.burst, "per_s": rate.per_s, "servers": rate.servers},
        "signed": board.signed,
    }
    attempts = board.attempts
    if attempts:
        of_attempts = {"required": attempts.required, "expires_s": attempts.expires_s, "most": attempts.most}
        data["attempts"] = of_attempts | ({"period": attempts.period.value} if attempts.period else {})
    for rule in board.score_rules:
        shown: dict[str, Any] = {
            "value": int(rule.value) if rule.value == int(rule.value) else float(rule.value),
            "then": rule.then.value,
            "servers": rule.servers,
        }
        if rule.name is RuleName.MIN_SUBMISSIONS_BEFORE_TOP:
            shown |= {"top": rule.top, "from_entries": rule.from_entries}
        (data["attempts"] if rule.name is RuleName.MAX_SCORE_PER_S else data)[rule.name.value] = shown
    if board.outliers:
        data[RuleName.OUTLIERS.value] = {
            "threshold": board.outliers.threshold,
            "then": board.outliers.then.value,
            "from_entries": board.outliers.from_entries,
        }
    return data
