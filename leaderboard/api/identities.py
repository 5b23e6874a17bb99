"""Identities: accounts elsewhere that players are known by."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import identities
from leaderboard.api import answers, schemas
from leaderboard.api.operation import Request, answer, no_content, operation
from leaderboard.api.shapes import show_profile
from leaderboard.callers import Role
from leaderboard.identities import Identity

blueprint = Blueprint("identities", __name__, url_prefix="/v1")


@blueprint.put("/players/<player:player>/identities/<provider:provider>")
@operation(
    "put_identity",
    role=Role.SERVER,
    body=schemas.IdentitySchema,
    answers={200: answers.IdentityAnswer, 201: answers.IdentityAnswer},
    errors=(
        "identity_taken", "quota_exceeded", "player_not_found", "player_erased", "outcome_unknown",
    ),
)  # fmt: skip
def put_identity(request: Request, player: str, provider: str) -> Response:
    """Link an account elsewhere to a player.

    `provider` names where that is, such as `steam`; `subject` who it is there. A player has one of each provider, and
    16 in all; another subject takes its place. While a player has an identity, no other can have it. 201 when it is
    new to the player, 200 when it had it.
    """
    identity = Identity(provider, request.body["subject"])
    is_new = identities.link_identity(request.lb, request.player(player), identity)
    return answer({"provider": provider, "subject": identity.subject}, 201 if is_new else 200)


@blueprint.delete("/players/<player:player>/identities/<provider:provider>")
@operation(
    "delete_identity",
    role=Role.SERVER,
    answers={204: "The player has no identity of this provider."},
    errors=("outcome_unknown",),
)
def delete_identity(request: Request, player: str, provider: str) -> Response:
    """Take an identity from a player; another may have it then."""
    identities.unlink_identity(request.lb, request.player(player), provider)
    return no_content()


@blueprint.get("/identities/<provider:provider>/<subject:subject>")
@operation("find_identity", role=Role.SERVER, answers={200: answers.ProfileAnswer}, errors=("identity_not_found",))
def find_identity(request: Request, provider: str, subject: str) -> Response:
    """The player who has an identity.

    With `POST /v1/players/{player}/sessions` it is how a player of Steam, Apple or one's own accounts signs in.
    """
    profile = identities.find_identity(request.lb, Identity(provider, subject))
    return answer(show_profile(profile, private=True))
