"""The schema of a board definition."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from leaderboard.api.fields import Flag, Integer, Number, Pattern
from leaderboard.api.json_body import dump_json
from leaderboard.definitions import KEEP_DAYS, from_definition, longest_late_s
from leaderboard.errors import FieldError, Problem
from leaderboard.model import (
    SCORE_LIMIT,
    Board,
    BoardState,
    Order,
    OutlierThen,
    PeriodKind,
    Policy,
    Readers,
    RuleName,
    Then,
    Ties,
    Weekday,
    Writers,
)
from leaderboard.rules import check_values

#: Kinds of the design that this version does not have yet.
NOT_YET_KINDS = ("cron",)

#: The longest that a player may have to wait between two submissions.
INTERVAL_MOST_S = 86_400

#: The longest that an attempt may be open: a week.
ATTEMPT_EXPIRES_MOST_S = 604_800

_CALENDAR = ("daily", "weekly", "monthly")
_MEMBERS_BY_KIND = {
    "season": {"kind", "keep_days", "settle_delay_s"},
    "alltime": {"kind"},
    "daily": {"kind", "timezone", "time_of_day", "keep_days", "settle_delay_s"},
    "weekly": {"kind", "timezone", "time_of_day", "weekday", "keep_days", "settle_delay_s"},
    "monthly": {"kind", "timezone", "time_of_day", "day", "keep_days", "settle_delay_s"},
}

DEFINITION_METADATA_LIMIT = 4096


def _not_supported(pointer: str, what: str) -> Problem:
    detail = f"{what} is not part of this version"
    return Problem("not_supported", detail, errors=(FieldError(pointer, "not_supported", detail),))


class TiebreakSchema(Schema):
    name = fields.String(
        required=True,
        validate=Pattern(r"[a-z][a-z0-9_]{0,31}", "not of the form [a-z][a-z0-9_]{0,31}"),
        metadata={"example": "wins"},
    )
    order = fields.Enum(Order, by_value=True, load_default=Order.DESC)


class PeriodSchema(Schema):
    kind = fields.String(required=True, validate=validate.OneOf([*PeriodKind, *NOT_YET_KINDS]))
    timezone = fields.String(load_default="UTC", metadata={"description": "Only UTC so far."})
    weekday = fields.Enum(Weekday, by_value=True, metadata={"description": "The day a week begins on."})
    day = Integer(validate=validate.Range(1, 28), metadata={"description": "The day a month begins on."})
    time_of_day = fields.String(
        validate=Pattern(r"([01][0-9]|2[0-3]):[0-5][0-9]", "not a time HH:MM"),
        metadata={"example": "00:00"},
    )
    cron = fields.String(metadata={"description": "Not supported yet."})
    keep_days = Integer(
        allow_none=True,
        validate=validate.Range(1, 3660),
        metadata={
            "description": "How long standings are kept after their end, for occurrences that begin after a change. "
            "Calendar periods 28 by default; null, for seasons only, is always."
        },
    )
    settle_delay_s = Integer(
        load_default=3600,
        validate=validate.Range(0, 31_536_000),
        metadata={"description": "How long after its end a period still takes late scores and corrections."},
    )

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        kind = data["kind"]
        if kind in NOT_YET_KINDS or "cron" in data:
            raise _not_supported("/periods", "a cron period")
        if data.get("timezone", "UTC") != "UTC":
            raise _not_supported("/periods", "a time zone other than UTC")
        given = {name for name in data if name not in ("timezone", "settle_delay_s")}
        for name in sorted(given - _MEMBERS_BY_KIND[kind]):
            raise ValidationError({name: f"means nothing for {kind}"})
        keep_days = data.get("keep_days", KEEP_DAYS if kind in _CALENDAR else None)
        if keep_days is None and kind in _CALENDAR:
            raise ValidationError({"keep_days": "calendar periods are kept for a number of days"})
        if keep_days is not None and keep_days * 86_400 <= data["settle_delay_s"]:
            raise ValidationError({"keep_days": "must be longer than settle_delay_s"})


def _servers() -> Flag:
    return Flag(metadata={"description": "Whether servers are asked, too; false by default."})


class RateSchema(Schema):
    burst = Integer(required=True, validate=validate.Range(1, 1_000_000))
    per_s = Number(
        required=True,
        validate=validate.Range(0.0001, 1_000_000),
        metadata={"description": "May be fractional."},
    )
    servers = _servers()


def _then() -> fields.Enum[Then]:
    return fields.Enum(
        Then,
        by_value=True,
        required=True,
        metadata={"description": "Whether what breaks it is refused, or held until an admin has reviewed it."},
    )


def _score_rule(description: str, value: fields.Field[Any], **more: fields.Field[Any]) -> fields.Nested:
    name, _, meaning = description.partition(": ")
    schema = Schema.from_dict({"value": value, "then": _then(), **more, "servers": _servers()}, name=name)
    return fields.Nested(schema, metadata={"description": meaning})


def _gain() -> Number:
    return Number(required=True, validate=validate.Range(0, SCORE_LIMIT, min_inclusive=False))


class OutlierRuleSchema(Schema):
    then = fields.Enum(
        OutlierThen,
        by_value=True,
        required=True,
        metadata={"description": "`review` leaves the entry in its place until somebody decides; `hold` takes it out."},
    )
    threshold = Number(
        validate=validate.Range(3, 1000),
        metadata={"description": "From how many robust standard deviations beyond the middle on; 6 by default."},
    )
    from_entries = Integer(
        validate=validate.Range(50, 100_000_000),
        metadata={"description": "In standings with at least so many entries; 200 by default."},
    )


class AttemptsSchema(Schema):
    required = Flag(metadata={"description": "Whether players must name an attempt; true by default."})
    expires_s = Integer(
        validate=validate.Range(1, ATTEMPT_EXPIRES_MOST_S),
        metadata={"description": "How long an attempt may be scored, in seconds; 3600 by default."},
    )
    most = Integer(
        allow_none=True,
        validate=validate.Range(1, 1_000_000),
        metadata={"description": "How many a player may open in a period; null for any number."},
    )
    period = fields.Enum(
        PeriodKind,
        by_value=True,
        metadata={"description": "Which period that is: one of the board's, `default_period` by default."},
    )
    max_score_per_s = _score_rule(
        "MaxScorePerSecondRule: How much may be scored per second since the attempt was opened. For order desc.",
        Number(required=True, validate=validate.Range(0, SCORE_LIMIT, min_inclusive=False)),
    )


class RulesSchema(Schema):
    rate = fields.Nested(
        RateSchema,
        allow_none=True,
        metadata={"description": "How often a player may submit; null for no limit."},
    )
    min_score = _score_rule("MinScoreRule: The lowest score there can be.", Number(required=True))
    max_score = _score_rule("MaxScoreRule: The highest score there can be.", Number(required=True))
    max_gain = _score_rule(
        "MaxGainRule: By how much one submission may better the player's best, or raise its total. Without an entry in "
        "any of the board's standings there is nothing to better.",
        _gain(),
    )
    max_gain_per_hour = _score_rule(
        "MaxGainPerHourRule: So much may be gained at once, and in an hour in the long run.", _gain()
    )
    min_interval_s = _score_rule(
        "MinIntervalRule: Seconds between two submissions of a player on the board.",
        Number(required=True, validate=validate.Range(0.001, INTERVAL_MOST_S)),
    )
    min_submissions_before_top = _score_rule(
        "NewcomerRule: A player with fewer submissions than this, on whatever boards, may not land in the top.",
        Integer(required=True, validate=validate.Range(1, 10_000)),
        top=Integer(required=True, validate=validate.Range(1, 10_000), metadata={"description": "So many ranks."}),
        from_entries=Integer(
            validate=validate.Range(1, 100_000_000),
            metadata={"description": "Of standings with at least so many entries; 20 × top by default."},
        ),
    )
    outliers = fields.Nested(
        OutlierRuleSchema,
        allow_none=True,
        metadata={
            "description": "Entries far better than the other entries of their standings are found once a minute, and "
            "reviewed; null for none."
        },
    )
    attempts = fields.Nested(
        AttemptsSchema,
        allow_none=True,
        metadata={"description": "That plays are opened before they are scored; null for none."},
    )
    signed = Flag(
        metadata={
            "description": "Whether players must sign what they submit (Leaderboard-Signature); false by default. "
            "Servers are not asked."
        }
    )


class BoardSchema(Schema):
    title = fields.String(validate=validate.Length(max=200))
    state = fields.Enum(BoardState, by_value=True)
    order = fields.Enum(Order, by_value=True)
    policy = fields.Enum(Policy, by_value=True)
    ties = fields.Enum(Ties, by_value=True)
    decimals = Integer(validate=validate.Range(0, 6))
    tiebreaks = fields.List(fields.Nested(TiebreakSchema), validate=validate.Length(max=4))
    periods = fields.List(fields.Nested(PeriodSchema), validate=validate.Length(min=1, max=5))
    default_period = fields.Enum(
        PeriodKind, by_value=True, metadata={"description": "The first of `periods` where it is left out."}
    )
    segments = fields.List(fields.Raw(), metadata={"description": "Must be empty: not supported yet."})
    rewards = fields.Raw(metadata={"description": "Not supported yet."})
    writes = fields.Enum(Writers, by_value=True)
    reads = fields.Enum(Readers, by_value=True)
    show_replays = Flag(
        metadata={"description": "Whether entries show the `replay` of their submission; false by default."}
    )
    late_s = Integer(
        validate=validate.Range(min=0),
        metadata={"description": "How old an achieved_at may be; at most the smallest settle_delay_s."},
    )
    rules = fields.Nested(RulesSchema)
    metadata = fields.Dict(keys=fields.String())
    revision = Integer(metadata={"description": "Ignored: it counts by itself. See If-Match."})

    def load(self, data: Any, **kwargs: Any) -> Any:
        if isinstance(data, dict):
            if data.get("segments"):
                raise _not_supported("/segments", "segments")
            if "rewards" in data:
                raise _not_supported("/rewards", "rewards")
        return super().load(data, **kwargs)

    @validates_schema(skip_on_field_errors=True)
    def check(self, data: dict[str, Any], **_: Any) -> None:
        kinds = [period["kind"] for period in data.get("periods", [])]
        if len(set(kinds)) < len(kinds):
            raise ValidationError({"periods": "one period of each kind"})
        names = [tiebreak["name"] for tiebreak in data.get("tiebreaks", [])]
        if len(set(names)) < len(names):
            raise ValidationError({"tiebreaks": "two have the same name"})
        try:
            packed = dump_json(data.get("metadata", {}))
        except TypeError as error:
            raise ValidationError({"metadata": "integers of more than 64 bits, or nested too deeply"}) from error
        if len(packed) > DEFINITION_METADATA_LIMIT:
            raise ValidationError({"metadata": f"longer than {DEFINITION_METADATA_LIMIT} bytes"})

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Board:
        data.pop("revision", None)
        # As it will be read back: exact decimals are for scores only.
        data["metadata"] = orjson.loads(dump_json(data.get("metadata", {})))
        for period in data.get("periods", []):
            period.pop("timezone")
        board = from_definition("", data)
        check_values(board)
        if board.period(board.default_period) is None:
            raise ValidationError({"default_period": "not one of the board's periods"})
        if board.attempts and board.attempts.period and board.period(board.attempts.period) is None:
            raise ValidationError({"rules": {"attempts": {"period": "not one of the board's periods"}}})
        if board.order is Order.ASC and any(rule.name is RuleName.MAX_SCORE_PER_S for rule in board.score_rules):
            raise ValidationError({"rules": {"attempts": {"max_score_per_s": "needs order desc"}}})
        if board.late_s > longest_late_s(board.periods):
            raise ValidationError({"late_s": "longer than the smallest settle_delay_s of the periods"})
        return board
