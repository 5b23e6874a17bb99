"""The schemas of answers about keys and the audit."""

from __future__ import annotations

from marshmallow import fields, validate

from leaderboard.api.answers import ActOnPlayerAnswer, Answer, NextAnswer
from leaderboard.api.answers import _instant as instant
from leaderboard.api.board_schemas import BoardSchema
from leaderboard.audit import CLI
from leaderboard.callers import Scope
from leaderboard.credentials import ROLES


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
    role = fields.String(required=True, validate=validate.OneOf([*ROLES, CLI]))


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
