"""The schemas of every other body and query. What is not named here is refused."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from leaderboard.api.fields import (
    ATTEMPT_ID,
    REVIEW_ID,
    SUBJECT,
    BoardId,
    DisplayName,
    Instant,
    Integer,
    Metadata,
    Pattern,
    PlayerId,
    QueryInteger,
    QueryScore,
    Replay,
    Score,
)
from leaderboard.bans import BanKind
from leaderboard.callers import Scope
from leaderboard.credentials import OVERLAP_MOST_S, OVERLAP_S, ROLES
from leaderboard.decisions import Decision
from leaderboard.friends import LINK_MOST
from leaderboard.model import BoardState, FriendState, PeriodKind, RuleName
from leaderboard.reviews import ReviewState

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
    replay = Replay()
    attempt = fields.String(
        validate=Pattern(ATTEMPT_ID, "not the id of an attempt"),
        metadata={"description": "The attempt it was played in; the submission spends it. A board may demand one."},
    )
    expect = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        load_default=dict,
        metadata={
            "description": "period kind → the period id it must count in, else 409 `period_over`.",
            "example": {"weekly": "2026-W47"},
        },
    )


class AttemptSchema(Schema):
    player = PlayerId(metadata={"description": "Required of servers; players open their own."})


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
    display_name = DisplayName(
        metadata={"description": "For a player that is new: 1 to 40 characters as people count them; kept as NFKC."}
    )


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


class IdentitySchema(Schema):
    subject = fields.String(
        required=True,
        validate=Pattern(SUBJECT.pattern, "not 1 to 255 printable ASCII characters, without a slash or a dot at first"),
        metadata={
            "description": "Who it is there: 1 to 255 printable ASCII characters, no slash, and no dot at first."
        },
    )


class MergeSchema(Schema):
    into = PlayerId(required=True, metadata={"description": "The player that stays."})


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
    metadata = Metadata(allow_none=True)
    replay = Replay(allow_none=True)
    achieved_at = Instant()
    reason = fields.String(required=True, validate=validate.Length(1, 500))
    submissions = Integer(
        validate=validate.Range(1, 2**31 - 1),
        metadata={"description": "With `newest_at` and `achieved_at` of the audit: the entry is put back as it was."},
    )
    newest_at = Instant(metadata={"description": "When the newest of them was achieved."})

    @validates_schema
    def _whole(self, data: dict[str, Any], **_: Any) -> None:
        together = ("submissions", "newest_at", "achieved_at")
        missing = [name for name in together if name not in data]
        if missing and any(name in data for name in together[:2]):
            raise ValidationError("submissions, newest_at and achieved_at come together", missing[0])


class KeySchema(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 64))
    role = fields.String(required=True, validate=validate.OneOf(list(ROLES)))
    scopes = fields.List(
        fields.Enum(Scope, by_value=True),
        validate=validate.Length(1, len(Scope)),
        metadata={"description": "What an admin key may do: all if absent. Other roles have none."},
    )
    expires_at = Instant(metadata={"description": "When it stops working: never if absent."})


class RotationSchema(Schema):
    overlap_s = Integer(
        load_default=OVERLAP_S,
        validate=validate.Range(0, OVERLAP_MOST_S),
        metadata={"description": "How long the secret that it had goes on, in seconds."},
    )


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


class AuditQuery(Schema):
    board = BoardId()
    player = PlayerId()
    operation = fields.String(
        validate=Pattern(r"[a-z_]{1,64}", "not of the form [a-z_]{1,64}"),
        metadata={"description": "The operationId of a call, or what a command is called."},
    )
    actor = fields.String(
        validate=Pattern(r"[A-Za-z0-9_-]{1,64}", "not of the form [A-Za-z0-9_-]{1,64}"),
        metadata={"description": "The id of a key, `setting-admin`, `setting-server` or `cli`."},
    )
    since = Instant(metadata={"description": "From this instant on."})
    until = Instant(metadata={"description": "Before this instant."})
    limit = limit(50, 200)
    cursor = cursor()


class RevisionsQuery(Schema):
    limit = limit(20, 100)
    cursor = cursor()


class LiftQuery(Schema):
    reason = fields.String(required=True, validate=validate.Length(1, 500))


class ReasonQuery(PeriodQuery, LiftQuery):
    pass


class ReviewsQuery(Schema):
    state = fields.Enum(ReviewState, by_value=True, load_default=ReviewState.OPEN)
    board = BoardId()
    player = PlayerId()
    rule = fields.Enum(RuleName, by_value=True, metadata={"description": "One of those that are broken."})
    limit = limit(50, 200)
    cursor = cursor()


class DecisionSchema(Schema):
    decision = fields.Enum(
        Decision,
        by_value=True,
        required=True,
        metadata={"description": "`reopen` holds again what was rejected, or approved."},
    )
    reason = fields.String(validate=validate.Length(1, 500))


class DecisionsSchema(DecisionSchema):
    reviews = fields.List(
        fields.String(validate=Pattern(REVIEW_ID, "not the id of a review")),
        required=True,
        validate=validate.Length(1, 100),
    )
