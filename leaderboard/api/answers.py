"""The schemas of answers, for the OpenAPI document and the tests. `api/shapes.py` builds the data."""

from __future__ import annotations

from marshmallow import INCLUDE, Schema, fields, validate

from leaderboard.api.board_schemas import BoardSchema, RulesSchema
from leaderboard.bans import BanKind
from leaderboard.model import FriendState, PeriodKind, PeriodState
from leaderboard.submission import Outcome
from leaderboard.vitals import ARCHIVING, NONE, STUCK


def _kind() -> fields.Enum[PeriodKind]:
    return fields.Enum(PeriodKind, by_value=True, required=True)


def instant(*, nullable: bool = False, description: str = "") -> fields.String:
    example = "2026-11-22T18:00:00.000Z"
    metadata = {"format": "date-time", "example": example} | ({"description": description} if description else {})
    return fields.String(required=True, allow_none=nullable, metadata=metadata)


def number(description: str = "") -> fields.Float:
    return fields.Float(required=True, metadata={"description": description} if description else {})


class Answer(Schema):
    class Meta:
        # Version 1 only grows: the document tells clients to expect members that it does not name.
        unknown = INCLUDE


class FieldErrorAnswer(Answer):
    pointer = fields.String(required=True, metadata={"description": "JSON pointer, or ?name of a parameter."})
    code = fields.String(required=True)
    detail = fields.String(required=True)


class ProblemAnswer(Answer):
    """RFC 9457. `code` is permanent; further members may say more."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorAnswer))


class PlayerAnswer(Answer):
    id = fields.String(required=True)
    display_name = fields.String(required=True, allow_none=True)
    avatar_url = fields.String(required=True, allow_none=True)
    country = fields.String(required=True, allow_none=True)


class IdentityAnswer(Answer):
    """An account elsewhere."""

    provider = fields.String(required=True)
    subject = fields.String(required=True)


class MergeAnswer(Answer):
    """`player` is `into` from now on."""

    player = fields.String(required=True)
    into = fields.String(required=True)


class ProfileAnswer(PlayerAnswer):
    """The public profile; what follows `country` is for the player itself and for servers."""

    platform = fields.String(allow_none=True)
    attributes = fields.Dict(keys=fields.String(), values=fields.String())
    identities = fields.List(fields.Nested(IdentityAnswer))
    submissions = fields.Integer()
    created_at = fields.String(metadata={"format": "date-time"})


class SessionAnswer(Answer):
    token = fields.String(required=True, metadata={"example": "lb1.p_0123456789abcdef.…"})
    signing_key = fields.String(
        required=True,
        metadata={
            "description": "What this session signs submissions with, where a board asks for it; shown this once.",
            "example": "5f0c…",
        },
    )
    player = fields.Nested(ProfileAnswer, required=True)
    expires_at = instant()
    created = fields.Boolean(required=True, metadata={"description": "Whether the player is new."})


class EntryAnswer(Answer):
    rank = fields.Integer(required=True)
    player = fields.Nested(PlayerAnswer, required=True)
    score = number()
    tiebreaks = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    metadata = fields.Dict(required=True, allow_none=True)
    replay = fields.String(allow_none=True, metadata={"description": "Where the board says `show_replays`."})
    achieved_at = instant()


class BanAnswer(Answer):
    player = fields.String(required=True)
    kind = fields.Enum(BanKind, by_value=True, required=True)
    reason = fields.String(required=True)
    author = fields.String(required=True, metadata={"description": "The id of the key it was made with."})
    created_at = instant()
    ends_at = instant(nullable=True)


class FriendEntryAnswer(EntryAnswer):
    board_rank = fields.Integer(required=True)


class _PlaceAnswer(Answer):
    board = fields.String(required=True)
    period = _kind()
    period_id = fields.String(required=True)
    segment = fields.String(required=True, allow_none=True)


class _PeriodAnswer(_PlaceAnswer):
    starts_at = instant(nullable=True)
    ends_at = instant(nullable=True)
    state = fields.Enum(PeriodState, by_value=True, required=True)
    total = fields.Integer(required=True)


class CursorsAnswer(Answer):
    next_cursor = fields.String(required=True, allow_none=True)
    prev_cursor = fields.String(required=True, allow_none=True)


class NextAnswer(Answer):
    next_cursor = fields.String(required=True, allow_none=True)


class StandingsAnswer(_PeriodAnswer, CursorsAnswer):
    entries = fields.List(fields.Nested(EntryAnswer), required=True)


class FriendsStandingsAnswer(_PeriodAnswer, CursorsAnswer):
    entries = fields.List(fields.Nested(FriendEntryAnswer), required=True)


class OneEntryAnswer(_PlaceAnswer):
    entry = fields.Nested(EntryAnswer, required=True)
    total = fields.Integer(required=True)
    percentile = number("100 × worse ÷ (total − 1); 100 when alone.")


class LookupAnswer(_PlaceAnswer):
    total = fields.Integer(required=True)
    entries = fields.List(fields.Nested(EntryAnswer), required=True)
    not_found = fields.List(fields.String(), required=True)


class BucketAnswer(Answer):
    low = number()
    high = number()
    count = fields.Integer(required=True)


class DistributionAnswer(_PlaceAnswer):
    total = fields.Integer(required=True)
    buckets = fields.List(fields.Nested(BucketAnswer), required=True)


class OccurrenceAnswer(Answer):
    period_id = fields.String(required=True)
    starts_at = instant(nullable=True)
    ends_at = instant(nullable=True)
    state = fields.Enum(PeriodState, by_value=True, required=True)
    total = fields.Integer(required=True)


class PeriodsAnswer(NextAnswer):
    board = fields.String(required=True)
    period = _kind()
    periods = fields.List(fields.Nested(OccurrenceAnswer), required=True)


class PlayerEntryAnswer(_PlaceAnswer):
    total = fields.Integer(required=True)
    entry = fields.Nested(EntryAnswer, required=True)


class PlayerEntriesAnswer(NextAnswer):
    entries = fields.List(fields.Nested(PlayerEntryAnswer), required=True)


class StandingAnswer(Answer):
    period = _kind()
    period_id = fields.String(required=True)
    segment = fields.String(required=True, allow_none=True)
    rank = fields.Integer(allow_none=True)
    previous_rank = fields.Integer(allow_none=True)
    score = number()
    changed = fields.Boolean(required=True, metadata={"description": "Whether the stored entry changed."})
    ends_at = instant(nullable=True)


class SubmissionAnswer(Answer):
    board = fields.String(required=True)
    player = fields.String(required=True)
    outcome = fields.Enum(Outcome, by_value=True, required=True)
    standings = fields.List(fields.Nested(StandingAnswer), required=True)


class AttemptAnswer(Answer):
    attempt = fields.String(required=True, metadata={"example": "5f2c8e1a7b3d9046c1e2f3a4"})
    board = fields.String(required=True)
    player = fields.String(required=True)
    seed = fields.Integer(
        required=True, metadata={"description": "Chosen by the server at random, below 2^53.", "example": 1234567890123}
    )
    opened_at = instant()
    expires_at = instant()
    left = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "How many more may be opened in this period; null for any number."},
    )


class BatchItemAnswer(Answer):
    index = fields.Integer(required=True)
    outcome = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([*Outcome]),
        metadata={"description": "null on error"},
    )
    standings = fields.List(fields.Nested(StandingAnswer), required=True)
    error = fields.Nested(ProblemAnswer, required=True, allow_none=True)


class BatchAnswer(Answer):
    applied = fields.Integer(required=True)
    kept = fields.Integer(required=True)
    held = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    results = fields.List(fields.Nested(BatchItemAnswer), required=True)


class CurrentAnswer(Answer):
    period = _kind()
    period_id = fields.String(required=True)
    starts_at = instant(nullable=True)
    ends_at = instant(nullable=True)


class BoardAnswer(BoardSchema):
    """A board definition. `rules` are shown to admins only."""

    class Meta(Answer.Meta):
        pass

    id = fields.String(required=True)
    rules = fields.Nested(RulesSchema)
    current = fields.List(fields.Nested(CurrentAnswer), required=True)


class BoardsAnswer(NextAnswer):
    boards = fields.List(fields.Nested(BoardAnswer), required=True)


class ChangeAnswer(Answer):
    member = fields.String(required=True)
    before = fields.Raw(required=True, allow_none=True)
    after = fields.Raw(required=True, allow_none=True)


class DryRunAnswer(Answer):
    action = fields.String(required=True, validate=validate.OneOf(["create", "change", "nothing"]))
    changes = fields.List(fields.Nested(ChangeAnswer), required=True)


class ResetAnswer(Answer):
    board = fields.String(required=True)
    closed = fields.String(required=True, metadata={"example": "s3"})
    opened = fields.String(required=True, metadata={"example": "s4"})
    at = instant()


class FriendAnswer(Answer):
    player = fields.Nested(PlayerAnswer, required=True)
    state = fields.Enum(FriendState, by_value=True, required=True)
    since = instant()


class FriendsAnswer(NextAnswer):
    friends = fields.List(fields.Nested(FriendAnswer), required=True)


class FriendshipAnswer(Answer):
    state = fields.Enum(FriendState, by_value=True, required=True)


class LinkedAnswer(Answer):
    linked = fields.Integer(required=True)


class MaintenanceAnswer(Answer):
    active = fields.Boolean(required=True)
    reason = fields.String(required=True, allow_none=True)
    since = instant(nullable=True)


class BansAnswer(NextAnswer):
    bans = fields.List(fields.Nested(BanAnswer), required=True)


class HealthAnswer(Answer):
    status = fields.String(required=True)


class JournalAnswer(Answer):
    """What the archive has not got yet."""

    records = fields.Integer(required=True)
    oldest_s = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "How long the oldest of them has waited; null without any."},
    )
    alarm = fields.Boolean(required=True, metadata={"description": "There are many: the archive does not keep up."})
    full = fields.Boolean(required=True, metadata={"description": "Changes are refused; reads go on."})


class ArchivingAnswer(Answer):
    worker = fields.String(required=True, validate=validate.OneOf([ARCHIVING, NONE, STUCK]))
    problem = fields.String(
        required=True, allow_none=True, metadata={"description": "What stands in the worker's way; null for nothing."}
    )


class ReadinessAnswer(HealthAnswer):
    journal = fields.Nested(JournalAnswer, required=True)
    archive = fields.Nested(ArchivingAnswer, required=True)
