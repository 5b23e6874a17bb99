"""The schemas of answers about keys, the audit and reviews."""

from __future__ import annotations

from marshmallow import fields, validate

from leaderboard.api.answers import Answer, NextAnswer, ProblemAnswer, StandingAnswer, instant, number
from leaderboard.api.board_schemas import BoardSchema
from leaderboard.api.export_answers import ActOnPlayerAnswer, KeptSubmissionAnswer, SubmittedAnswer
from leaderboard.audit import CLI, WORKER
from leaderboard.callers import Scope
from leaderboard.credentials import ROLES
from leaderboard.model import RuleName
from leaderboard.reviews import ReviewState


class KeyAnswer(Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(list(ROLES)))
    scopes = fields.List(
        fields.Enum(Scope, by_value=True),
        required=True,
        metadata={"description": "What an admin key may do; none for other roles."},
    )
    created_at = instant()
    expires_at = instant(nullable=True)
    revoked_at = instant(nullable=True)
    ends_with = fields.String(required=True, metadata={"description": "The last four characters of its secret."})
    former_until = instant(
        nullable=True, description="Until when the secrets before its rotation work; null where there is none."
    )


class IssuedKeyAnswer(KeyAnswer):
    secret = fields.String(required=True, metadata={"description": "The whole credential; shown this once."})


class KeysAnswer(Answer):
    keys = fields.List(fields.Nested(KeyAnswer), required=True)


class ActorAnswer(Answer):
    id = fields.String(
        required=True,
        metadata={"description": "The id of a key; `setting-admin` for LEADERBOARD_ADMIN_KEY, `cli` for a command."},
    )
    name = fields.String(required=True, allow_none=True, metadata={"description": "What the key is called."})
    role = fields.String(required=True, validate=validate.OneOf([*ROLES, CLI, WORKER]))


class ActAnswer(ActOnPlayerAnswer):
    """What is null was not there, or was about a player that was erased since."""

    id = fields.Integer(required=True)
    actor = fields.Nested(ActorAnswer, required=True)
    player = fields.String(required=True, allow_none=True)
    key = fields.String(required=True, allow_none=True, metadata={"description": "The id of the key it is done to."})
    request_id = fields.String(required=True, allow_none=True, metadata={"description": "X-Request-Id of the call."})


class AuditAnswer(NextAnswer):
    acts = fields.List(fields.Nested(ActAnswer), required=True, metadata={"description": "Newest first."})
    waiting = fields.Integer(
        required=True,
        metadata={"description": "How many changes have happened that are not archived yet; 0: all acts are here."},
    )


class RevisionAnswer(Answer):
    revision = fields.Integer(required=True)
    at = instant()
    actor = fields.Nested(ActorAnswer, required=True)
    definition = fields.Nested(BoardSchema, required=True)


class RevisionsAnswer(NextAnswer):
    revisions = fields.List(fields.Nested(RevisionAnswer), required=True)
    waiting = fields.Integer(required=True)


class BrokenAnswer(Answer):
    """A rule that a submission broke: its value, and what was seen instead."""

    rule = fields.Enum(RuleName, by_value=True, required=True)
    value = number()
    seen = number()


class VerdictAnswer(Answer):
    by = fields.String(required=True, metadata={"description": "The key of the admin."})
    reason = fields.String(required=True, allow_none=True)
    at = instant()


class EvidenceAnswer(Answer):
    """What an outlier was held against: the other entries of its standings."""

    taken_out = fields.Boolean(
        required=True, metadata={"description": "Whether this took the entry out of its standings."}
    )
    entries = fields.Integer(required=True)
    median = number()
    spread = number("How much better than the median the best quarter is.")
    power = number("Of which the scores were taken: 1 as they are, 0 by their logarithm.")
    limit = number("The score that is as far out as the threshold.")


class ReviewAnswer(SubmittedAnswer):
    id = fields.String(required=True)
    player = fields.String(required=True)
    state = fields.Enum(ReviewState, by_value=True, required=True)
    at = instant()
    period_ids = fields.List(fields.String(), required=True)
    rules = fields.List(fields.Nested(BrokenAnswer), required=True)
    evidence = fields.Nested(
        EvidenceAnswer, required=True, allow_none=True, metadata={"description": "Of an outlier alone."}
    )
    verdict = fields.Nested(VerdictAnswer, required=True, allow_none=True)
    history = fields.List(fields.Nested(KeptSubmissionAnswer), metadata={"description": "With one review alone."})


class ReviewsAnswer(NextAnswer):
    reviews = fields.List(fields.Nested(ReviewAnswer), required=True)


class DecidedAnswer(Answer):
    review = fields.String(required=True)
    state = fields.Enum(ReviewState, by_value=True, required=True)
    standings = fields.List(fields.Nested(StandingAnswer), required=True)
    settled = fields.List(fields.String(), required=True)


class OneOfDecisionsAnswer(DecidedAnswer):
    state = fields.String(  # type: ignore[assignment]
        required=True,
        allow_none=True,
        validate=validate.OneOf([*ReviewState]),
        metadata={"description": "null on error"},
    )
    error = fields.Nested(ProblemAnswer, required=True, allow_none=True)


class DecisionsAnswer(Answer):
    decided = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    results = fields.List(fields.Nested(OneOfDecisionsAnswer), required=True)
