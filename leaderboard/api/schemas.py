"""The schemas of every other body and query. What is not named here is refused."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from leaderboard.api.fields import (
    BoardId,
    DisplayName,
    Instant,
    Integer,
    Metadata,
    Pattern,
    PlayerId,
    QueryInteger,
    QueryScore,
    Score,
)
from leaderboard.bans import BanKind
from leaderboard.credentials import ROLES
from leaderboard.friends import LINK_MOST
from leaderboard.model import BoardState, FriendState, PeriodKind

BATCH_MOST = 1000
LOOKUP_MOST = 200


def limit(default: int, most: int) -> QueryInteger:
    return QueryInteger(
        load_default=default,
        validate=validate.Range(1, most),
        metadata={"description": f"How many, {most} at most."},
    )


class Boolean(fields.Boolean):
    """`true` or `false`."""

    truthy = {"true"}  # noqa: RUF012  marshmallow's own way of setting this
    falsy = {"false"}  # noqa: RUF012


def cursor() -> fields.String:
    return fields.String(metadata={"description": "`next_cursor` or `prev_cursor` of a page."})


# -- bodies ------------------------------------------------------------------------------------------------------


class SubmissionSchema(Schema):
    score = Score(required=True, metadata={"example": 1200})
    player = PlayerId(metadata={"description": "Required of servers; players submit for themselves."})
    tiebreaks = fields.Dict(keys=fields.String(), values=Integer(), load_default=dict)
    metadata = Metadata(metadata={"description": "Any JSON object of at most 1 KB."})
    achieved_at = Instant(metadata={"description": "For servers: when it was achieved. Now by default."})
    expect = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        load_default=dict,
        metadata={
            "description": "period kind → the period id it must count in, else 409 `period_over`.",
            "example": {"weekly": "2026-W47"},
        },
    )


class BatchItemSchema(SubmissionSchema):
    board = BoardId(required=True)
    player = PlayerId(required=True)


class BatchSchema(Schema):
    # Each item is checked for itself, so that one that is wrong does not stop the others.
    submissions = fields.List(
        fields.Raw(allow_none=True, metadata={"schema": BatchItemSchema}),
        required=True,
        validate=validate.Length(1, BATCH_MOST),
    )


class SignInSchema(Schema):
    device_id = fields.String(
        required=True,
        validate=Pattern(r"[\x21-\x7e]{22,256}", "22 to 256 printable characters: at least 128 random bits"),
        metadata={"description": "A secret of at least 128 random bits that the device keeps."},
    )
    display_name = DisplayName(metadata={"description": "For a player that is new."})


def _check_url(value: str) -> None:
    if not re.fullmatch(r"https?://[\x21-\x7e]{1,480}", value):
        raise ValidationError("not an http(s) URL of at most 500 characters")


class OwnProfileSchema(Schema):
    """What players may change of themselves."""

    display_name = DisplayName(allow_none=True)
    avatar_url = fields.String(allow_none=True, validate=_check_url)


class ProfileSchema(OwnProfileSchema):
    country = fields.String(
        allow_none=True,
        validate=Pattern(r"[A-Za-z]{2}", "not an ISO 3166-1 alpha-2 code"),
        metadata={"example": "de"},
    )
    platform = fields.String(allow_none=True, validate=Pattern(r"[a-z0-9_-]{1,32}", "not of the form [a-z0-9_-]{1,32}"))
    attributes = fields.Dict(
        keys=fields.String(validate=Pattern(r"[a-z][a-z0-9_]{0,31}", "not of the form [a-z][a-z0-9_]{0,31}")),
        values=fields.String(validate=validate.Length(1, 64)),
        validate=validate.Length(max=16),
        allow_none=True,
    )


class LinkSchema(Schema):
    players = fields.List(PlayerId(), required=True, validate=validate.Length(1, LINK_MOST))


class LookupSchema(Schema):
    players = fields.List(PlayerId(), required=True, validate=validate.Length(1, LOOKUP_MOST))


class SeasonId(fields.Field[int]):
    """`"s3"`, or 3."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"s[1-9][0-9]{0,6}", value):
            return int(value[1:])
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 10**7:
            return value
        raise ValidationError("not a season")


class ResetSchema(Schema):
    season = SeasonId(
        required=True,
        metadata={"example": "s3", "description": "The season to close; it must be the current one."},
    )


class CorrectionSchema(Schema):
    score = Score(required=True)
    tiebreaks = fields.Dict(keys=fields.String(), values=Integer(), load_default=dict)
    metadata = Metadata()
    achieved_at = Instant()
    reason = fields.String(required=True, validate=validate.Length(1, 500))


class KeySchema(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 64))
    role = fields.String(required=True, validate=validate.OneOf(list(ROLES)))


class BanSchema(Schema):
    kind = fields.Enum(BanKind, by_value=True, required=True)
    reason = fields.String(required=True, validate=validate.Length(1, 500))
    ends_at = Instant(
        load_default=None, allow_none=True, metadata={"description": "When it ends by itself; null for never."}
    )


class MaintenanceSchema(Schema):
    reason = fields.String(load_default="", validate=validate.Length(max=500))


# -- queries -----------------------------------------------------------------------------------------------------


class RanksQuery(Schema):
    ranks = Boolean(load_default=True, metadata={"description": "false leaves ranks out."})


class BatchRanksQuery(Schema):
    ranks = Boolean(load_default=False, metadata={"description": "true answers ranks too."})


class PeriodQuery(Schema):
    period = fields.Enum(PeriodKind, by_value=True, metadata={"description": "The board's `default_period` if absent."})
    period_id = fields.String(metadata={"description": "`current`, `previous`, or an id such as `2026-W47`."})


class SegmentQuery(PeriodQuery):
    segment = fields.String(metadata={"description": "Not supported yet."})


class PageQuery(SegmentQuery):
    limit = limit(50, 200)
    cursor = cursor()
    offset = QueryInteger(validate=validate.Range(0, 10**9))
    around_score = QueryScore()


class AroundQuery(SegmentQuery):
    limit = limit(11, 101)


class FriendsStandingsQuery(SegmentQuery):
    limit = limit(50, 200)
    cursor = cursor()


class DistributionQuery(SegmentQuery):
    buckets = QueryInteger(load_default=20, validate=validate.Range(1, 100))


class PeriodsQuery(Schema):
    period = fields.Enum(PeriodKind, by_value=True)
    limit = limit(50, 200)
    cursor = cursor()


class PlayerEntriesQuery(Schema):
    limit = limit(50, 100)
    cursor = cursor()


class BoardsQuery(Schema):
    state = fields.Enum(BoardState, by_value=True, metadata={"description": "Open and frozen ones if absent."})
    limit = limit(50, 200)
    cursor = cursor()


class FriendsQuery(Schema):
    state = fields.Enum(FriendState, by_value=True, load_default=FriendState.FRIENDS)
    limit = limit(50, 200)
    cursor = cursor()


class BansQuery(Schema):
    kind = fields.Enum(BanKind, by_value=True, metadata={"description": "Of both kinds if absent."})
    limit = limit(50, 200)
    cursor = cursor()


class DryRunQuery(Schema):
    dry_run = Boolean(load_default=False, metadata={"description": "true changes nothing and answers what would."})


class LiftQuery(Schema):
    reason = fields.String(required=True, validate=validate.Length(1, 500))


class ReasonQuery(PeriodQuery, LiftQuery):
    pass
