"""Boards, as everybody sees them."""

from __future__ import annotations

from flask import Blueprint, Response

from leaderboard import boards
from leaderboard.api import answers, schemas
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.shapes import show_board
from leaderboard.cursors import read_id_cursor, write_id_cursor

blueprint = Blueprint("boards", __name__, url_prefix="/v1/boards")


@blueprint.get("")
@operation(
    "list_boards",
    query=schemas.BoardsQuery,
    answers={200: answers.BoardsAnswer},
    errors=("malformed_cursor",),
)
def list_boards(request: Request) -> Response:
    """Board definitions in order of id, with their current periods. `rules` are left out."""
    state = request.query.get("state")
    list_name = f"/boards/{state}"
    after = read_id_cursor(list_name, request.query.get("cursor"))
    found, last = boards.list_boards(request.lb, request.query["limit"], after, state)
    now = request.lb.clock.now_ms()
    return answer(
        {
            "boards": [show_board(snapshot, now, rules=False) for snapshot in found],
            "next_cursor": write_id_cursor(list_name, last) if last else None,
        }
    )


@blueprint.get("/<board:board>")
@operation("get_board", answers={200: answers.BoardAnswer}, errors=("board_not_found",))
def get_board(request: Request, board: str) -> Response:
    """A board's definition, with its current periods. `rules` are left out."""
    snapshot = request.lb.boards.fresh(board)
    return answer(show_board(snapshot, request.lb.clock.now_ms(), rules=False))
