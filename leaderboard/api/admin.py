"""What admins do: boards, seasons, entries, maintenance."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response
from flask import request as http

from leaderboard import audit, boards, corrections, maintenance, seasons, standings
from leaderboard.api import admin_answers, answers, schemas
from leaderboard.api.board_schemas import BoardSchema
from leaderboard.api.fields import show_instant
from leaderboard.api.operation import Request, answer, no_content, operation
from leaderboard.api.shapes import show_board, show_found, show_revision
from leaderboard.attached import attach
from leaderboard.boards import Defined, Snapshot
from leaderboard.callers import Role, Scope
from leaderboard.corrections import Counted
from leaderboard.cursors import read_number_cursor, write_id_cursor
from leaderboard.definitions import to_definition
from leaderboard.errors import Problem
from leaderboard.model import Occurrence, Period
from leaderboard.store.client import after_write
from leaderboard.submission import Submission

blueprint = Blueprint("admin", __name__, url_prefix="/v1/admin")


# -- boards ------------------------------------------------------------------------------------------------------


@blueprint.get("/boards/<board:board>")
@operation(
    "get_board_definition",
    role=Role.ADMIN,
    scope=Scope.BOARDS,
    answers={200: answers.BoardAnswer},
    errors=("board_not_found",),
)
def get_board_definition(request: Request, board: str) -> Response:
    """A board's whole definition, rules included."""
    snapshot = request.lb.boards.fresh(board)
    return _show_definition(request, 200, snapshot)


@blueprint.put("/boards/<board:board>")
@operation(
    "put_board",
    role=Role.ADMIN,
    scope=Scope.BOARDS,
    body=BoardSchema,
    query=schemas.DryRunQuery,
    answers={200: (answers.BoardAnswer, answers.DryRunAnswer), 201: answers.BoardAnswer},
    errors=("board_has_entries", "revision_mismatch", "not_supported", "quota_exceeded", "outcome_unknown"),
    guarded=True,
)
def put_board(request: Request, board: str) -> Response:
    """Define a board, or change its definition.

    What is left out takes its default. `order`, `decimals`, `tiebreaks`, where periods begin, and `ties` to `dense`
    cannot change while the board has entries. `If-Match` with a revision refuses to overwrite another change (0: it
    must be new). With `dry_run` the answer says what would change.
    """
    definition = replace(request.body, id=board)
    defined = boards.define_board(
        request.lb, definition, request.act(), expected_revision=_expected_revision(), dry_run=request.query["dry_run"]
    )
    if request.query["dry_run"]:
        return answer(_show_changes(defined))
    with after_write():
        snapshot = request.lb.boards.reload(board)
    return _show_definition(request, 200 if defined.before else 201, snapshot)


@blueprint.delete("/boards/<board:board>")
@operation(
    "delete_board",
    role=Role.ADMIN,
    scope=Scope.BOARDS,
    answers={204: "The board is gone."},
    errors=("board_not_found", "board_not_archived", "revision_mismatch", "outcome_unknown"),
    guarded=True,
)
def delete_board(request: Request, board: str) -> Response:
    """Delete an archived board with everything kept for it."""
    boards.delete_board(request.lb, board, request.act(), expected_revision=_expected_revision())
    return no_content()


@blueprint.get("/boards/<board:board>/revisions")
@operation(
    "list_revisions",
    role=Role.ADMIN,
    scope=Scope.BOARDS,
    query=schemas.RevisionsQuery,
    answers={200: admin_answers.RevisionsAnswer},
    errors=("board_not_found", "malformed_cursor", "archive_unavailable"),
    cached=False,
)
def list_revisions(request: Request, board: str) -> Response:
    """A board's definitions as they were, newest first; also of one that was deleted.

    To take a change back, PUT an earlier `definition`, with the present revision as `If-Match`. They are read from the
    audit; see `list_audit` for `waiting`.
    """
    list_name = f"/admin/boards/{board}/revisions"
    before = read_number_cursor(list_name, request.query.get("cursor"))
    page = audit.list_definitions(request.lb, board, request.query["limit"], before)
    if not page.acts and before is None:
        request.lb.boards.fresh(board)
    return answer(
        {
            "revisions": [show_revision(act) for act in page.acts],
            "waiting": page.waiting,
            "next_cursor": write_id_cursor(list_name, str(page.next)) if page.next else None,
        },
    )


@blueprint.post("/boards/<board:board>/reset")
@operation(
    "reset_board",
    role=Role.ADMIN,
    scope=Scope.BOARDS,
    body=schemas.ResetSchema,
    answers={200: answers.ResetAnswer},
    errors=(
        "board_not_found",
        "season_not_current",
        "no_season",
        "idempotency_key_reused",
        "outcome_unknown",
    ),
    idempotent=True,
)
def reset_board(request: Request, board: str) -> Response:
    """Close the current season and open the next.

    In one step for every player: no submission is lost or counted twice, and the closed standings never change.
    """
    call = request.idempotent(f"reset:{board}")
    reset = seasons.reset_season(request.lb, board, request.body["season"], call, request.act())
    return answer(
        {
            "board": reset.board,
            "closed": reset.closed,
            "opened": reset.opened,
            "at": show_instant(reset.at_ms),
        },
        headers={"Idempotent-Replayed": "true"} if reset.replayed else None,
    )


# -- entries -----------------------------------------------------------------------------------------------------


@blueprint.put("/boards/<board:board>/entries/<player:player>")
@operation(
    "put_entry",
    role=Role.ADMIN,
    scope=Scope.PLAYERS,
    body=schemas.CorrectionSchema,
    query=schemas.PeriodQuery,
    answers={200: answers.OneEntryAnswer},
    errors=(
        "board_not_found",
        "period_not_found",
        "period_gone",
        "period_settled",
        "player_erased",
        "outcome_unknown",
    ),
)
def put_entry(request: Request, board: str, player: str) -> Response:
    """Correct a player's entry in one standings, whatever the board's policy; also while it is frozen.

    The `before` of an act in the audit, sent with a `reason`, puts an entry back as it was.
    """
    player, body = request.player(player), request.body
    attached = attach(body.get("metadata") or b"", body.get("replay"))
    submission = Submission(board, player, body["score"], body["tiebreaks"], attached, body.get("achieved_at"))
    counted = Counted(body["submissions"], body["newest_at"]) if "submissions" in body else None
    act = request.act(body["reason"])

    def correct(snapshot: Snapshot) -> Occurrence:
        period, occurrence = _find(request, snapshot)
        corrections.correct_entry(request.lb, snapshot, period, occurrence, submission, act, counted)
        return occurrence

    def read(snapshot: Snapshot) -> dict[str, Any]:
        # Also where it is hidden, as its player is banned.
        found = standings.find_entry(request.lb, snapshot, occurrence, player, hidden_self=player)
        return show_found(snapshot.board, occurrence, *found)

    # Apart, as `use` repeats what it is given when the board changes meanwhile.
    occurrence = request.lb.boards.use(board, correct)
    with after_write():
        return answer(request.lb.boards.use(board, read))


@blueprint.delete("/boards/<board:board>/entries/<player:player>")
@operation(
    "delete_entry",
    role=Role.ADMIN, scope=Scope.PLAYERS,
    query=schemas.ReasonQuery,
    answers={204: "The entry is removed."},
    errors=("board_not_found", "period_not_found", "period_gone", "period_settled", "entry_not_found",
            "outcome_unknown"),
)  # fmt: skip
def delete_entry(request: Request, board: str, player: str) -> Response:
    """Remove a player's entry from one standings."""
    player = request.player(player)
    act = request.act(request.query["reason"])
    request.lb.boards.use(
        board, lambda snapshot: corrections.remove_entry(request.lb, snapshot, *_find(request, snapshot), player, act)
    )
    return no_content()


# -- maintenance -------------------------------------------------------------------------------------------------


@blueprint.get("/maintenance")
@operation("get_maintenance", role=Role.ADMIN, scope=Scope.MAINTENANCE, answers={200: answers.MaintenanceAnswer})
def get_maintenance(request: Request) -> Response:
    """Whether the service is in maintenance."""
    return answer(_show_maintenance(maintenance.get_maintenance(request.lb)))


@blueprint.put("/maintenance")
@operation(
    "put_maintenance",
    role=Role.ADMIN,
    scope=Scope.MAINTENANCE,
    body=schemas.MaintenanceSchema,
    answers={200: answers.MaintenanceAnswer},
    errors=("outcome_unknown",),
)
def put_maintenance(request: Request) -> Response:
    """Begin maintenance: no board takes a submission, until it is ended. Reads go on."""
    reason = request.body["reason"]
    return answer(_show_maintenance(maintenance.begin_maintenance(request.lb, reason, request.act(reason))))


@blueprint.delete("/maintenance")
@operation(
    "delete_maintenance",
    role=Role.ADMIN,
    scope=Scope.MAINTENANCE,
    answers={204: "Maintenance has ended."},
    errors=("outcome_unknown",),
)
def delete_maintenance(request: Request) -> Response:
    """End maintenance."""
    maintenance.end_maintenance(request.lb, request.act())
    return no_content()


def _find(request: Request, snapshot: Snapshot) -> tuple[Period, Occurrence]:
    """The standings that a correction names."""
    query, now = request.query, request.lb.clock.now_ms()
    return seasons.find_occurrence(request.lb, snapshot, query.get("period"), query.get("period_id"), now)


def _expected_revision() -> int | None:
    header = http.headers.get("If-Match")
    if header is None:
        return None
    match = re.fullmatch(r'(?:W/)?"?([0-9]{1,15})"?', header.strip())
    if match is None:
        raise Problem("malformed_request", "If-Match names a revision, such as 3")
    return int(match[1])


def _show_definition(request: Request, status: int, snapshot: Snapshot) -> Response:
    return answer(show_board(snapshot, request.lb.clock.now_ms(), rules=True), status)


def _show_changes(defined: Defined) -> dict[str, object]:
    before = to_definition(defined.before) if defined.before else {}
    after = to_definition(defined.board)
    changes = [
        {"member": name, "before": before.get(name), "after": value}
        for name, value in after.items()
        if name != "revision" and (name not in before or before[name] != value)
    ]
    action = "create" if defined.before is None else "change" if changes else "nothing"
    return {"action": action, "changes": changes}


def _show_maintenance(now: maintenance.Maintenance | None) -> dict[str, object]:
    if now is None:
        return {"active": False, "reason": None, "since": None}
    return {"active": True, "reason": now.reason, "since": show_instant(now.since_ms)}
