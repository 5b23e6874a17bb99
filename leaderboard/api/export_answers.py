"""The schemas of what is stored about a player, as its export and reviews show it."""

from __future__ import annotations

from marshmallow import fields, validate

from leaderboard.api.answers import Answer, BanAnswer, ProfileAnswer, instant, number
from leaderboard.model import FriendState
from leaderboard.reviews import ReviewState


class SubmittedAnswer(Answer):
    board = fields.String(required=True)
    score = number()
    tiebreaks = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    metadata = fields.Dict(required=True, allow_none=True)
    replay = fields.String(required=True, allow_none=True)
    achieved_at = instant()


class KeptEntryAnswer(SubmittedAnswer):
    period_id = fields.String(required=True)
    submissions = fields.Integer(required=True)


class KeptSubmissionAnswer(SubmittedAnswer):
    at = instant()
    kind = fields.String(required=True, validate=validate.OneOf(["submission", "correction", "held", "reopened"]))


class KeptSessionAnswer(Answer):
    expires_at = instant()


class KeptFriendAnswer(Answer):
    player = fields.String(required=True)
    state = fields.Enum(FriendState, by_value=True, required=True)
    since = instant()
    by = fields.String(required=True, metadata={"description": "Whose act it was: a player, or `server`."})


def _state(when: str) -> fields.Dict:
    description = f"What the act is done to, as it was {when} it: an entry, a definition, …; null for nothing."
    return fields.Dict(required=True, allow_none=True, metadata={"description": description})


class ActOnPlayerAnswer(Answer):
    """An act as the player that it was done to sees it."""

    at = instant()
    operation = fields.String(required=True, metadata={"example": "delete_entry"})
    board = fields.String(required=True, allow_none=True)
    period_id = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    before = _state("before")
    after = _state("after")


class KeptReviewAnswer(SubmittedAnswer):
    id = fields.String(required=True)
    at = instant()
    state = fields.Enum(ReviewState, by_value=True, required=True)
    rules = fields.List(fields.String(), required=True)


class KeptAttemptAnswer(Answer):
    """An attempt that is open."""

    attempt = fields.String(required=True)
    board = fields.String(required=True)
    seed = fields.Integer(required=True)
    opened_at = instant()
    expires_at = instant()


class AttemptsOpenedAnswer(Answer):
    """How many attempts it has opened on a board since the period began in which they are counted."""

    board = fields.String(required=True)
    since = instant()
    opened = fields.Integer(required=True)


class ExportAnswer(Answer):
    player = fields.Nested(ProfileAnswer, required=True)
    exported_at = instant()
    device_hashes = fields.List(
        fields.String(), required=True, metadata={"description": "SHA-256 of the device ids it signs in with."}
    )
    merged = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The players that were merged into it; what is theirs still is in here, too."},
    )
    ban = fields.Nested(
        BanAnswer, required=True, allow_none=True, metadata={"description": "null for none, and for the player itself."}
    )
    sessions = fields.List(fields.Nested(KeptSessionAnswer), required=True)
    friends = fields.List(fields.Nested(KeptFriendAnswer), required=True)
    entries = fields.List(fields.Nested(KeptEntryAnswer), required=True)
    submissions = fields.List(fields.Nested(KeptSubmissionAnswer), required=True)
    acts = fields.List(
        fields.Nested(ActOnPlayerAnswer), required=True, metadata={"description": "What admins did to it."}
    )
    reviews = fields.List(fields.Nested(KeptReviewAnswer), required=True)
    attempts = fields.List(fields.Nested(KeptAttemptAnswer), required=True)
    attempts_opened = fields.List(fields.Nested(AttemptsOpenedAnswer), required=True)
