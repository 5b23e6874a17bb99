"""Banning players."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import bans
from leaderboard.api import answers, schemas
from leaderboard.api.operation import Request, answer, no_content, operation
from leaderboard.api.shapes import show_ban
from leaderboard.callers import Role, Scope
from leaderboard.cursors import read_id_cursor, write_id_cursor
from leaderboard.errors import invalid

blueprint = Blueprint("bans", __name__, url_prefix="/v1/admin")

PLAYER_ERRORS = ("player_not_found", "player_erased", "outcome_unknown")


@blueprint.get("/bans")
@operation(
    "list_bans",
    role=Role.ADMIN,
    scope=Scope.PLAYERS,
    query=schemas.BansQuery,
    answers={200: answers.BansAnswer},
    errors=("malformed_cursor",),
)
def list_bans(request: Request) -> Response:
    """The bans there are, in order of player id."""
    query = request.query
    list_name = "/admin/bans"
    after = read_id_cursor(list_name, query.get("cursor"))
    found, last = bans.list_bans(request.lb, query.get("kind"), query["limit"], after)
    return answer(
        {
            "bans": [show_ban(ban) for ban in found],
            "next_cursor": write_id_cursor(list_name, last) if last else None,
        }
    )


@blueprint.put("/players/<player:player>/ban")
@operation(
    "put_ban",
    role=Role.ADMIN,
    scope=Scope.PLAYERS,
    body=schemas.BanSchema,
    answers={200: answers.BanAnswer},
    errors=PLAYER_ERRORS,
)
def put_ban(request: Request, player: str) -> Response:
    """Ban a player, or change its ban.

    Its entries leave every standings that is not settled, and come back as they are when the ban is lifted or ends.
    With `ban` it cannot sign in nor submit, and its sessions are refused. With `shadow` it notices nothing: its
    submissions go on counting, and it sees its entries in their place; nobody else does. The same ban once more changes
    nothing; a call that was cut off is finished by calling again.
    """
    player, body = request.player(player), request.body
    ends_ms = body["ends_at"]
    if ends_ms is not None and ends_ms <= request.lb.clock.now_ms():
        raise invalid("/ends_at", "in_past", "ends_at is not in the future")
    act = request.act(body["reason"])
    made = bans.set_ban(request.lb, player, body["kind"], body["reason"], ends_ms, act)
    return answer(show_ban(made))


@blueprint.get("/players/<player:player>/ban")
@operation(
    "get_ban",
    role=Role.ADMIN,
    scope=Scope.PLAYERS,
    answers={200: answers.BanAnswer},
    errors=("ban_not_found", *PLAYER_ERRORS),
)
def get_ban(request: Request, player: str) -> Response:
    """A player's ban, and who made it when and why."""
    return answer(show_ban(bans.get_ban(request.lb, request.player(player))))


@blueprint.delete("/players/<player:player>/ban")
@operation(
    "delete_ban",
    role=Role.ADMIN,
    scope=Scope.PLAYERS,
    query=schemas.LiftQuery,
    answers={204: "The ban is lifted."},
    errors=("ban_not_found", *PLAYER_ERRORS),
)
def delete_ban(request: Request, player: str) -> Response:
    """Lift a ban.

    What it hid is there again as it was, in every standings that was not settled meanwhile. A call that was cut off is
    finished by calling again, or by the worker.
    """
    bans.lift_ban(request.lb, request.player(player), request.act(request.query["reason"]))
    return no_content()
