"""Attempts: opening a play before it is scored."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import attempts
from leaderboard.api import answers, schemas
from leaderboard.api.fields import show_instant
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.submissions import acting_player
from leaderboard.callers import Role

blueprint = Blueprint("attempts", __name__, url_prefix="/v1")


@blueprint.post("/boards/<board:board>/attempts")
@operation(
    "open_attempt",
    role=Role.SERVER,
    owner=True,
    body=schemas.AttemptSchema,
    answers={201: answers.AttemptAnswer},
    errors=(
        "board_not_found", "no_attempts", "attempts_used_up", "forbidden", "board_frozen", "board_archived",
        "player_banned", "player_erased", "player_merged", "rate_limited", "outcome_unknown", "maintenance",
    ),
    session_in_call=True,
)  # fmt: skip
def open_attempt(request: Request, board: str) -> Response:
    """Open an attempt.

    One play of a player on a board: a submission that names it spends it, once, before it expires. A player may have 16
    open on a board; the oldest gives way to one more.
    """
    with request.session_first():
        player = acting_player(request, request.body.get("player"))
        opened = attempts.open_attempt(request.lb, request.caller, board, player)
    return answer(
        {
            "attempt": opened.id,
            "board": opened.board,
            "player": opened.player,
            "seed": opened.seed,
            "opened_at": show_instant(opened.opened_ms),
            "expires_at": show_instant(opened.expires_ms),
            "left": opened.left,
        },
        201,
    )
