"""Friends and blocks."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import friends
from leaderboard.api import answers, schemas
from leaderboard.api.fields import show_instant
from leaderboard.api.operation import Request, answer, no_content, operation
from leaderboard.api.shapes import show_name
from leaderboard.callers import Role
from leaderboard.cursors import read_id_cursor, write_id_cursor
from leaderboard.errors import invalid
from leaderboard.gone import check_not_merged

blueprint = Blueprint("friends", __name__, url_prefix="/v1/players/<player:player>")

#: A thousand ids of the longest.
LINK_BODY_LIMIT = 128 * 1024

ACT_ERRORS = ("invalid", "player_not_found", "player_erased", "blocked", "friends_limit", "outcome_unknown")


@blueprint.get("/friends")
@operation(
    "list_friends",
    role=Role.SERVER,
    owner=True,
    query=schemas.FriendsQuery,
    answers={200: answers.FriendsAnswer},
    errors=("malformed_cursor",),
)
def list_friends(request: Request, player: str) -> Response:
    """A player's friends, invitations or blocks, in order of id."""
    player = request.player(player)
    request.caller.require_player(player)
    state = request.query["state"]
    list_name = f"/players/{player}/friends/{state}"
    after = read_id_cursor(list_name, request.query.get("cursor"))
    found, last = friends.list_friends(request.lb, player, state, request.query["limit"], after)
    if not found:
        check_not_merged(request.lb, player)
    return answer(
        {
            "friends": [
                {
                    "player": show_name(friend.player),
                    "state": friend.state.value,
                    "since": show_instant(friend.since_ms),
                }
                for friend in found
            ],
            "next_cursor": write_id_cursor(list_name, last) if last else None,
        }
    )


@blueprint.put("/friends")
@operation(
    "link_friends",
    role=Role.SERVER,
    body=schemas.LinkSchema,
    body_limit=LINK_BODY_LIMIT,
    answers={200: answers.LinkedAnswer},
    errors=(*ACT_ERRORS, "player_merged"),
)
def link_friends(request: Request, player: str) -> Response:
    """Make up to 1,000 players friends of a player at once; its other friends stay."""
    player, others = request.player(player), list(dict.fromkeys(request.body["players"]))
    if player in others:
        raise invalid(f"/players/{others.index(player)}", "oneself", "nobody is a friend of oneself")
    return answer({"linked": friends.link(request.lb, player, others)})


@blueprint.put("/friends/<player:other>")
@operation(
    "put_friend",
    role=Role.SERVER,
    owner=True,
    answers={200: answers.FriendshipAnswer},
    errors=ACT_ERRORS,
)
def put_friend(request: Request, player: str, other: str) -> Response:
    """Invite a player or accept its invitation; a server links the two at once."""
    player = _other_than(request, player, other)
    if request.caller.player == player:
        return answer({"state": friends.invite(request.lb, player, other).value})
    friends.link_one(request.lb, player, other)
    return answer({"state": "friends"})


@blueprint.delete("/friends/<player:other>")
@operation(
    "delete_friend",
    role=Role.SERVER,
    owner=True,
    answers={204: "They are no friends."},
    errors=("invalid", "outcome_unknown"),
)
def delete_friend(request: Request, player: str, other: str) -> Response:
    """End a friendship, decline an invitation or withdraw one."""
    friends.part(request.lb, _other_than(request, player, other), other)
    return no_content()


@blueprint.put("/blocks/<player:other>")
@operation(
    "put_block",
    role=Role.SERVER,
    owner=True,
    answers={204: "The other is blocked."},
    errors=ACT_ERRORS,
)
def put_block(request: Request, player: str, other: str) -> Response:
    """Block a player.

    Ends a friendship and refuses invitations; the other is not told.
    """
    friends.block(request.lb, _other_than(request, player, other), other)
    return no_content()


@blueprint.delete("/blocks/<player:other>")
@operation(
    "delete_block",
    role=Role.SERVER,
    owner=True,
    answers={204: "The other is not blocked."},
    errors=("invalid", "outcome_unknown"),
)
def delete_block(request: Request, player: str, other: str) -> Response:
    """Lift a block."""
    friends.unblock(request.lb, _other_than(request, player, other), other)
    return no_content()


def _other_than(request: Request, player: str, other: str) -> str:
    player = request.player(player)
    request.caller.require_player(player)
    if other in (player, "me"):
        raise invalid("", "oneself", "nobody is a friend of oneself")
    return player
