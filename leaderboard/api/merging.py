"""Merging two accounts of one player."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import merging
from leaderboard.api import answers, schemas
from leaderboard.api.operation import Request, answer, operation
from leaderboard.callers import Role

blueprint = Blueprint("merging", __name__, url_prefix="/v1")


@blueprint.post("/players/<player:player>/merge")
@operation(
    "merge_player",
    role=Role.SERVER,
    body=schemas.MergeSchema,
    answers={200: answers.MergeAnswer},
    errors=(
        "player_not_found", "player_erased", "player_merged", "merge_running", "merge_banned", "reviews_open",
        "identity_taken", "quota_exceeded", "friends_limit", "score_out_of_range", "idempotency_key_reused",
        "outcome_unknown",
    ),
    idempotent=True,
)  # fmt: skip
def merge_player(request: Request, player: str) -> Response:
    """Make one player of two.

    `into` stays. In standings that are not settled their entries become one by the board's policy: the better one, the
    newer one, the sum. Friends, identities, devices and what its profile lacks become those of `into`; sessions of
    `player` end. Settled standings stay as they are. From then on a path with the id of `player` answers 308 with the
    same for `into`. It cannot be undone. A call that was cut off is finished by calling again.
    """
    player, into = request.player(player), request.body["into"]
    call = request.idempotent(f"merge:{player}")
    replayed = merging.merge_players(request.lb, player, into, call, request.act())
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return answer({"player": player, "into": into}, headers=headers)
