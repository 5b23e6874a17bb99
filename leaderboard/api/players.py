"""Players: sessions, profiles and their entries."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import boards, players, privacy, sessions, standings
from leaderboard.api import answers, export_answers, schemas
from leaderboard.api.fields import show_instant
from leaderboard.api.operation import Request, answer, no_content, operation
from leaderboard.api.shapes import show_entry, show_export, show_place, show_profile
from leaderboard.callers import Role
from leaderboard.cursors import read_id_cursor, write_id_cursor
from leaderboard.errors import Problem
from leaderboard.gone import check_not_merged
from leaderboard.store.client import after_write

blueprint = Blueprint("players", __name__, url_prefix="/v1")

PLAYER_ERRORS = ("player_not_found", "player_erased")


@blueprint.post("/sessions")
@operation(
    "sign_in",
    body=schemas.SignInSchema,
    answers={201: answers.SessionAnswer},
    errors=("player_banned", "player_erased", "outcome_unknown"),
)
def sign_in(request: Request) -> Response:
    """Sign in with a device.

    The device's player is made at the first time. `device_id` is a secret: only its hash is kept.
    """
    signed_in = sessions.sign_in(request.lb, request.body["device_id"], request.body.get("display_name"))
    return _show_session(signed_in)


@blueprint.post("/players/<player:player>/sessions")
@operation(
    "create_session",
    role=Role.SERVER,
    answers={201: answers.SessionAnswer},
    errors=("player_banned", "player_erased", "outcome_unknown"),
)
def create_session(request: Request, player: str) -> Response:
    """Sign a player in, on a server's word.

    How players of Steam, Apple or one's own accounts sign in. A missing player is made.
    """
    return _show_session(sessions.create_session(request.lb, request.player(player)))


@blueprint.delete("/sessions/current")
@operation("sign_out", role=Role.PLAYER, answers={204: "The session has ended."}, errors=("outcome_unknown",))
def sign_out(request: Request) -> Response:
    """End the session this call is made with."""
    if request.caller.player is None:
        raise Problem("forbidden", "only a player has a session")
    sessions.sign_out(request.lb, request.caller)
    return no_content()


@blueprint.get("/players/<player:player>")
@operation("get_player", answers={200: answers.ProfileAnswer}, errors=PLAYER_ERRORS)
def get_player(request: Request, player: str) -> Response:
    """A player's profile.

    The public part for anybody, all of it for the player itself and for servers.
    """
    player = request.player(player)
    profile = players.get_profile(request.lb, player)
    return answer(show_profile(profile, private=request.caller.owns_or(player, Role.SERVER)))


@blueprint.put("/players/<player:player>")
@operation(
    "put_player",
    role=Role.SERVER,
    body=schemas.ProfileSchema,
    answers={200: answers.ProfileAnswer, 201: answers.ProfileAnswer},
    errors=("player_erased", "outcome_unknown"),
)
def put_player(request: Request, player: str) -> Response:
    """Create a player or replace its profile; fields left out are emptied."""
    player = request.player(player)
    fields = dict.fromkeys(players.FIELDS) | request.body
    created = players.write_profile(request.lb, player, _normal(fields), create=True)
    with after_write():
        profile = players.get_profile(request.lb, player)
    return answer(show_profile(profile, private=True), 201 if created else 200)


@blueprint.patch("/players/<player:player>")
@operation(
    "patch_player",
    role=Role.SERVER,
    owner=True,
    body=schemas.ProfileSchema,
    answers={200: answers.ProfileAnswer},
    errors=("forbidden", *PLAYER_ERRORS, "outcome_unknown"),
)
def patch_player(request: Request, player: str) -> Response:
    """Change some fields of a profile; null empties one.

    Players may change their `display_name` and `avatar_url`, servers everything.
    """
    player = request.player(player)
    request.caller.require_player(player)
    if request.caller.role < Role.SERVER:
        foreign = sorted(set(request.body) - set(schemas.OwnProfileSchema().fields))
        if foreign:
            raise Problem("forbidden", f"{', '.join(foreign)}: servers set this")
    players.write_profile(request.lb, player, _normal(request.body), create=False)
    with after_write():
        return answer(show_profile(players.get_profile(request.lb, player), private=True))


@blueprint.delete("/players/<player:player>")
@operation(
    "delete_player",
    role=Role.SERVER,
    owner=True,
    answers={204: "The player is erased."},
    errors=(*PLAYER_ERRORS, "outcome_unknown"),
)
def delete_player(request: Request, player: str) -> Response:
    """Erase a player.

    Its entries leave every standings, on every board, but for settled ones: there they stay without name, id and
    metadata, so that nobody else's rank changes. Its profile, sessions, friendships and submissions go; from journal
    and archive within seconds. The id is refused for 30 days. A call that was cut off is finished by calling again.
    """
    player = request.player(player)
    request.caller.require_player(player)
    players.erase_player(request.lb, player, None if request.caller.player else request.act())
    return no_content()


@blueprint.get("/players/<player:player>/export")
@operation(
    "export_player",
    role=Role.SERVER,
    owner=True,
    answers={200: export_answers.ExportAnswer},
    errors=(*PLAYER_ERRORS, "archive_unavailable"),
    cached=False,
)
def export_player(request: Request, player: str) -> Response:
    """Everything stored about a player.

    Its profile, sessions, friends and blocks, its entries in every standings, past ones too, and its submissions for
    as long as they are kept one by one; for servers its ban, too. What others keep about the player, such as that they
    block it, is theirs.
    """
    player = request.player(player)
    request.caller.require_player(player)
    data = privacy.export_player(request.lb, player, with_ban=request.caller.role >= Role.SERVER)
    return answer(show_export(data))


@blueprint.get("/players/<player:player>/entries")
@operation(
    "list_player_entries",
    query=schemas.PlayerEntriesQuery,
    answers={200: answers.PlayerEntriesAnswer},
    errors=("malformed_cursor",),
)
def list_player_entries(request: Request, player: str) -> Response:
    """A player's entries in the current periods of all boards.

    `limit` counts boards. Boards that the caller may not read are left out.
    """
    player, lb = request.player(player), request.lb
    list_name = f"/players/{player}/entries"
    after = read_id_cursor(list_name, request.query.get("cursor"))
    snapshots, last = boards.list_boards(lb, request.query["limit"], after, None)
    now, own = lb.clock.now_ms(), request.caller.hidden_self
    rows = standings.find_player_entries(lb, snapshots, request.caller.may_read, player, now, hidden_self=own)
    if not rows:
        check_not_merged(lb, player)
    return answer(
        {
            "entries": [
                show_place(board, occurrence) | {"total": total, "entry": show_entry(board, entry)}
                for board, occurrence, entry, total in rows
            ],
            "next_cursor": write_id_cursor(list_name, last) if last else None,
        }
    )


def _show_session(signed_in: sessions.SignedIn) -> Response:
    return answer(
        {
            "token": signed_in.token,
            "signing_key": signed_in.signing_key,
            "player": show_profile(signed_in.profile, private=True),
            "expires_at": show_instant(signed_in.expires_ms),
            "created": signed_in.created,
        },
        201,
    )


def _normal(fields: dict[str, object]) -> dict[str, object]:
    country = fields.get("country")
    return fields | {"country": country.lower()} if isinstance(country, str) else fields
