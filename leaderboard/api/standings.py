"""Reading standings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from leaderboard import seasons, standings
from leaderboard.api import answers, schemas
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.shapes import show_bounds, show_entry, show_place
from leaderboard.callers import Role
from leaderboard.cursors import Cursor, read_cursor, read_id_cursor, write_cursor, write_id_cursor
from leaderboard.errors import FieldError, Problem, invalid
from leaderboard.model import Board, Occurrence, Period, PeriodKind
from leaderboard.scores import unscale

blueprint = Blueprint("standings", __name__, url_prefix="/v1/boards/<board:board>")

READ_ERRORS = ("board_not_found", "forbidden", "period_not_found", "period_gone")


@blueprint.get("/standings")
@operation(
    "list_standings",
    query=schemas.PageQuery,
    answers={200: answers.StandingsAnswer},
    errors=(*READ_ERRORS, "malformed_cursor"),
)
def list_standings(request: Request, board: str) -> Response:
    """A page of the standings.

    From the top, or after a `cursor`, at an `offset`, or around a score. A cursor stays on its period, also when the
    next one has begun.
    """
    query = request.query
    ways = [name for name in ("cursor", "offset", "around_score") if name in query]
    if len(ways) > 1:
        raise invalid(f"?{ways[1]}", "exclusive", f"{ways[0]} and {ways[1]} exclude each other")
    cursor = _pinned_cursor(board, query)
    found, period, occurrence, now = _find(request, board)
    if cursor:
        page = standings.page_from(request.lb, found, occurrence, query["limit"], cursor)
    elif "around_score" in query:
        page = standings.page_around_score(request.lb, found, occurrence, query["limit"], query["around_score"])
    else:
        page = standings.page_at(request.lb, found, occurrence, query["limit"], query.get("offset", 0))
    return answer(_show_page(found, period, occurrence, now, page))


@blueprint.get("/standings/<player:player>")
@operation(
    "get_entry",
    query=schemas.SegmentQuery,
    answers={200: answers.OneEntryAnswer},
    errors=(*READ_ERRORS, "entry_not_found"),
)
def get_entry(request: Request, board: str, player: str) -> Response:
    """A player's entry, with its percentile."""
    player = request.player(player)
    found, _, occurrence, _ = _find(request, board)
    entry, total, percentile = standings.find_entry(request.lb, found, occurrence, player)
    return answer(
        show_place(found, occurrence) | {"entry": show_entry(found, entry), "total": total, "percentile": percentile}
    )


@blueprint.get("/standings/<player:player>/around")
@operation(
    "list_around",
    query=schemas.AroundQuery,
    answers={200: answers.StandingsAnswer},
    errors=(*READ_ERRORS, "entry_not_found"),
)
def list_around(request: Request, board: str, player: str) -> Response:
    """The entries around a player.

    `limit` entries in all, the player in their middle where the edges allow.
    """
    player = request.player(player)
    found, period, occurrence, now = _find(request, board)
    page = standings.page_around_player(request.lb, found, occurrence, request.query["limit"], player)
    return answer(_show_page(found, period, occurrence, now, page))


@blueprint.get("/standings/<player:player>/friends")
@operation(
    "list_friends_standings",
    role=Role.READ,
    owner=True,
    query=schemas.FriendsStandingsQuery,
    answers={200: answers.FriendsStandingsAnswer},
    errors=(*READ_ERRORS, "malformed_cursor"),
)
def list_friends_standings(request: Request, board: str, player: str) -> Response:
    """The standings among a player and its friends.

    `rank` counts among them, `board_rank` on the whole board; `total` counts those of them who have an entry.
    """
    player = request.player(player)
    request.caller.require_player(player, role=Role.READ)
    cursor = _pinned_cursor(f"{board}/friends/{player}", request.query)
    found, period, occurrence, now = _find(request, board)
    page = standings.page_of_friends(request.lb, found, occurrence, player, request.query["limit"], cursor)
    return answer(
        show_place(found, occurrence)
        | show_bounds(occurrence, seasons.state_at(period, occurrence, now))
        | {
            "total": page.total,
            "entries": [show_entry(found, friend.entry) | {"board_rank": friend.board_rank} for friend in page.entries],
        }
        | _show_cursors(f"{board}/friends/{player}", page.next, page.previous)
    )


@blueprint.post("/lookup")
@operation(
    "lookup_entries",
    body=schemas.LookupSchema,
    query=schemas.SegmentQuery,
    answers={200: answers.LookupAnswer},
    errors=READ_ERRORS,
)
def lookup_entries(request: Request, board: str) -> Response:
    """The entries of up to 200 players, in the order asked for."""
    players = list(dict.fromkeys(request.body["players"]))
    found, _, occurrence, _ = _find(request, board)
    result = standings.find_entries(request.lb, found, occurrence, players)
    missing = [player for player, entry in zip(players, result.entries, strict=True) if entry is None]
    return answer(
        show_place(found, occurrence)
        | {
            "total": result.total,
            "entries": [show_entry(found, entry) for entry in result.entries if entry is not None],
            "not_found": missing,
        }
    )


@blueprint.get("/distribution")
@operation(
    "get_distribution",
    query=schemas.DistributionQuery,
    answers={200: answers.DistributionAnswer},
    errors=READ_ERRORS,
)
def get_distribution(request: Request, board: str) -> Response:
    """A histogram of the scores.

    At most `buckets` equal ranges from the lowest score to the highest, `low` and `high` both included.
    """
    found, _, occurrence, _ = _find(request, board)
    total, buckets = standings.distribution(request.lb, found, occurrence, request.query["buckets"])
    return answer(
        show_place(found, occurrence)
        | {
            "total": total,
            "buckets": [
                {
                    "low": unscale(bucket.low, found.decimals),
                    "high": unscale(bucket.high, found.decimals),
                    "count": bucket.count,
                }
                for bucket in buckets
            ],
        }
    )


@blueprint.get("/periods")
@operation(
    "list_periods",
    query=schemas.PeriodsQuery,
    answers={200: answers.PeriodsAnswer},
    errors=(*READ_ERRORS, "malformed_cursor"),
)
def list_periods(request: Request, board: str) -> Response:
    """The occurrences of a period that are kept, newest first."""
    snapshot = request.lb.boards.fresh(board)
    request.caller.require_reader(snapshot.board)
    kind: PeriodKind = request.query.get("period", snapshot.board.default_period)
    after = read_id_cursor(f"{board}/periods/{kind}", request.query.get("cursor"))
    rows = seasons.list_occurrences(request.lb, snapshot, kind, request.lb.clock.now_ms())
    if after is not None:
        ids = [occurrence.id for occurrence, _, _ in rows]
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    limit = request.query["limit"]
    shown = [
        {"period_id": occurrence.id} | show_bounds(occurrence, state) | {"total": total}
        for occurrence, state, total in rows[:limit]
    ]
    last = rows[limit - 1][0].id if len(rows) > limit else None
    return answer(
        {
            "board": board,
            "period": kind.value,
            "periods": shown,
            "next_cursor": write_id_cursor(f"{board}/periods/{kind}", last) if last else None,
        }
    )


def _find(request: Request, board_id: str) -> tuple[Board, Period, Occurrence, int]:
    """The board and occurrence a query names, and the time; for somebody who may read them."""
    query, now = request.query, request.lb.clock.now_ms()
    snapshot = request.lb.boards.fresh(board_id)
    request.caller.require_reader(snapshot.board)
    if "segment" in query:
        error = FieldError("?segment", "not_supported", "segments are not part of this version")
        raise Problem("not_supported", error.detail, errors=(error,))
    period, occurrence = seasons.find_occurrence(request.lb, snapshot, query.get("period"), query.get("period_id"), now)
    return snapshot.board, period, occurrence, now


def _pinned_cursor(list_name: str, query: dict[str, Any]) -> Cursor | None:
    """The query's cursor; it decides the period id, which a query may repeat but not contradict."""
    if "cursor" not in query:
        return None
    cursor = read_cursor(list_name, query["cursor"])
    if query.get("period_id", cursor.period_id) != cursor.period_id:
        raise invalid("?period_id", "exclusive", "the cursor is of another period id")
    query["period_id"] = cursor.period_id
    return cursor


def _show_page(board: Board, period: Period, occurrence: Occurrence, now: int, page: standings.Page) -> dict[str, Any]:
    return (
        show_place(board, occurrence)
        | show_bounds(occurrence, seasons.state_at(period, occurrence, now))
        | {"total": page.total, "entries": [show_entry(board, entry) for entry in page.entries]}
        | _show_cursors(board.id, page.next, page.previous)
    )


def _show_cursors(list_name: str, following: Cursor | None, previous: Cursor | None) -> dict[str, str | None]:
    return {
        "next_cursor": write_cursor(list_name, following) if following else None,
        "prev_cursor": write_cursor(list_name, previous) if previous else None,
    }
