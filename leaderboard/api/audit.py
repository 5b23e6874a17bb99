"""What admins did."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import audit
from leaderboard.api import admin_answers, schemas
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.shapes import show_act
from leaderboard.audit import Wanted
from leaderboard.callers import Role, Scope
from leaderboard.cursors import read_number_cursor, write_id_cursor

blueprint = Blueprint("audit", __name__, url_prefix="/v1/admin")


@blueprint.get("/audit")
@operation(
    "list_audit",
    role=Role.ADMIN,
    scope=Scope.AUDIT,
    query=schemas.AuditQuery,
    answers={200: admin_answers.AuditAnswer},
    errors=("malformed_cursor", "archive_unavailable"),
    cached=False,
)
def list_audit(request: Request) -> Response:
    """Every act of an admin, newest first.

    Who it was, what was done to what and why, and how that stood before and after. It is read from the archive, which
    follows within a second while a worker runs: `waiting` says how much it has not got yet.
    """
    query = dict(request.query)
    limit, cursor = query.pop("limit"), query.pop("cursor", None)
    wanted = Wanted(
        query.get("board"), query.get("player"), query.get("operation"), query.get("actor"), query.get("since"),
        query.get("until"),
    )  # fmt: skip
    # A cursor goes on in the list that it is of.
    list_name = f"/admin/audit {wanted}"
    before = read_number_cursor(list_name, cursor)
    page = audit.list_acts(request.lb, wanted, limit, before)
    return answer(
        {
            "acts": [show_act(act) for act in page.acts],
            "waiting": page.waiting,
            "next_cursor": write_id_cursor(list_name, str(page.next)) if page.next else None,
        },
    )
