"""Keys of admins, servers and read-only callers."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard.api import admin_answers, schemas
from leaderboard.api.fields import show_instant
from leaderboard.api.operation import Request, answer, no_content, operation
from leaderboard.callers import Role, Scope
from leaderboard.credentials import ROLES, IssuedKey, Key

blueprint = Blueprint("keys", __name__, url_prefix="/v1/admin")


@blueprint.get("/keys")
@operation("list_keys", role=Role.ADMIN, scope=Scope.KEYS, answers={200: admin_answers.KeysAnswer})
def list_keys(request: Request) -> Response:
    """All keys, revoked ones too, oldest first; never their secrets."""
    return answer({"keys": [_show_key(key) for key in request.lb.credentials.list()]})


@blueprint.post("/keys")
@operation(
    "create_key",
    role=Role.ADMIN,
    scope=Scope.KEYS,
    body=schemas.KeySchema,
    answers={201: admin_answers.IssuedKeyAnswer},
    errors=("outcome_unknown",),
)
def create_key(request: Request) -> Response:
    """Make a key. Its secret is in this answer and nowhere else.

    An admin key has all scopes unless `scopes` says which. Nobody can make one that may more, or lasts longer, than the
    key this is called with.
    """
    body = request.body
    issued = request.lb.credentials.create(
        body["name"],
        ROLES[body["role"]],
        request.act(),
        scopes=frozenset(body["scopes"]) if "scopes" in body else None,
        expires_ms=body.get("expires_at"),
        by=request.caller,
    )
    return _show_issued(issued, 201)


@blueprint.post("/keys/<key_id>/rotate")
@operation(
    "rotate_key",
    role=Role.ADMIN,
    scope=Scope.KEYS,
    body=schemas.RotationSchema,
    answers={200: admin_answers.IssuedKeyAnswer},
    errors=("key_not_found", "key_ended", "outcome_unknown"),
)
def rotate_key(request: Request, key_id: str) -> Response:
    """Give a key a new secret, which is in this answer and nowhere else.

    The secret it had works for `overlap_s` seconds more, so that it can be replaced wherever it is used; with 0 it ends
    within half a second. Id, name, role, scopes and expiry stay.
    """
    overlap_s = request.body["overlap_s"]
    return _show_issued(request.lb.credentials.rotate(key_id, overlap_s, request.act(), request.caller), 200)


@blueprint.delete("/keys/<key_id>")
@operation(
    "revoke_key",
    role=Role.ADMIN,
    scope=Scope.KEYS,
    answers={204: "The key is revoked."},
    errors=("key_not_found", "last_admin_key", "outcome_unknown"),
)
def revoke_key(request: Request, key_id: str) -> Response:
    """Revoke a key; it stops working within half a second.

    The last one that can make keys is not revoked, unless there is LEADERBOARD_ADMIN_KEY.
    """
    request.lb.credentials.revoke(key_id, request.act(), request.caller)
    return no_content()


def _show_issued(issued: IssuedKey, status: int) -> Response:
    return answer(_show_key(issued.key) | {"secret": issued.secret}, status)


def _show_key(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.name.lower(),
        "scopes": sorted(key.scopes),
        "created_at": show_instant(key.created_ms),
        "expires_at": show_instant(key.expires_ms),
        "revoked_at": show_instant(key.revoked_ms),
        "ends_with": key.ends_with,
        "former_until": show_instant(key.former_until_ms),
    }
