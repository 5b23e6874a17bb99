"""Reading standings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from leaderboard import seasons, standings
from leaderboard.api import answers, schemas
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.shapes import show_bounds, show_entry, show_found, show_place
from leaderboard.boards import Snapshot
from leaderboard.callers import Role
from leaderboard.cursors import Cursor, read_cursor, read_id_cursor, write_cursor, write_id_cursor
from leaderboard.errors import FieldError, Problem, invalid
from leaderboard.gone import check_not_merged
from leaderboard.model import Board, Occurrence, Period, PeriodKind
from leaderboard.scores import unscale

blueprint = Blueprint("standings", __name__, url_prefix="/v1/boards/<board:board>")

READ_ERRORS = ("board_not_found", "forbidden", "period_not_found", "period_gone", "not_supported")


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

    def read(asked: Asked) -> dict[str, Any]:
        where = request.lb, asked.snapshot, asked.occurrence, query["limit"]
        own = request.caller.hidden_self
        if cursor:
            page = standings.page_from(*where, cursor, hidden_self=own)
        elif "around_score" in query:
            page = standings.page_around_score(*where, query["around_score"], hidden_self=own)
        else:
            page = standings.page_at(*where, query.get("offset", 0), hidden_self=own)
        return _show_page(asked, page)

    return _answer(request, board, read)


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

    def read(asked: Asked) -> dict[str, Any]:
        own = request.caller.hidden_self
        found = standings.find_entry(request.lb, asked.snapshot, asked.occurrence, player, hidden_self=own)
        return show_found(asked.board, asked.occurrence, *found)

    return _answer(request, board, read)


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

    def read(asked: Asked) -> dict[str, Any]:
        where = request.lb, asked.snapshot, asked.occurrence, request.query["limit"]
        return _show_page(asked, standings.page_around_player(*where, player, hidden_self=request.caller.hidden_self))

    return _answer(request, board, read)


@blueprint.get("/standings/<player:player>/friends")
@operation(
    "list_friends_standings",
    role=Role.SERVER,
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
    request.caller.require_player(player)
    list_name = f"{board}/friends/{player}"
    cursor = _pinned_cursor(list_name, request.query)

    def read(asked: Asked) -> dict[str, Any]:
        where, limit = (request.lb, asked.snapshot, asked.occurrence), request.query["limit"]
        page = standings.page_of_friends(*where, player, limit, cursor, hidden_self=request.caller.hidden_self)
        if page.total == 0:
            check_not_merged(request.lb, player)
        entries = [show_entry(asked.board, friend.entry) | {"board_rank": friend.board_rank} for friend in page.entries]
        return (
            _show_heading(asked)
            | {"total": page.total, "entries": entries}
            | _show_cursors(list_name, page.next, page.previous)
        )

    return _answer(request, board, read)


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

    def read(asked: Asked) -> dict[str, Any]:
        own = request.caller.hidden_self
        found = standings.find_entries(request.lb, asked.snapshot, asked.occurrence, players, hidden_self=own)
        return show_place(asked.board, asked.occurrence) | {
            "total": found.total,
            "entries": [show_entry(asked.board, entry) for entry in found.entries if entry is not None],
            "not_found": [player for player, entry in zip(players, found.entries, strict=True) if entry is None],
        }

    return _answer(request, board, read)


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

    def read(asked: Asked) -> dict[str, Any]:
        wanted, decimals = request.query["buckets"], asked.board.decimals
        where, own = (request.lb, asked.snapshot, asked.occurrence), request.caller.hidden_self
        total, buckets = standings.distribution(*where, wanted, hidden_self=own)
        shown = [
            {"low": unscale(bucket.low, decimals), "high": unscale(bucket.high, decimals), "count": bucket.count}
            for bucket in buckets
        ]
        return show_place(asked.board, asked.occurrence) | {"total": total, "buckets": shown}

    return _answer(request, board, read)


@blueprint.get("/periods")
@operation(
    "list_periods",
    query=schemas.PeriodsQuery,
    answers={200: answers.PeriodsAnswer},
    errors=(*READ_ERRORS, "malformed_cursor"),
)
def list_periods(request: Request, board: str) -> Response:
    """The occurrences of a period that are kept, newest first."""

    def read(snapshot: Snapshot) -> dict[str, Any]:
        request.caller.require_reader(snapshot.board)
        kind: PeriodKind = request.query.get("period", snapshot.board.default_period)
        list_name, limit = f"{board}/periods/{kind}", request.query["limit"]
        after = read_id_cursor(list_name, request.query.get("cursor"))
        rows = seasons.list_occurrences(request.lb, snapshot, kind, request.lb.clock.now_ms())
        if after is not None:
            ids = [occurrence.id for occurrence, _, _ in rows]
            rows = rows[ids.index(after) + 1 :] if after in ids else []
        last = rows[limit - 1][0].id if len(rows) > limit else None
        rows = rows[:limit]
        if own := request.caller.hidden_self:
            occurrences, states, _ = zip(*rows, strict=True) if rows else ((), (), ())
            totals = standings.count_entries(request.lb, snapshot, occurrences, hidden_self=own)
            rows = list(zip(occurrences, states, totals, strict=True))
        return {
            "board": board,
            "period": kind.value,
            "periods": [
                {"period_id": occurrence.id} | show_bounds(occurrence, state) | {"total": total}
                for occurrence, state, total in rows
            ],
            "next_cursor": write_id_cursor(list_name, last) if last else None,
        }

    return answer(request.lb.boards.use(board, read))


@dataclass(frozen=True, slots=True)
class Asked:
    """The standings that a query names, to somebody who may read them."""

    snapshot: Snapshot
    period: Period
    occurrence: Occurrence
    now_ms: int

    @property
    def board(self) -> Board:
        return self.snapshot.board


def _answer(request: Request, board_id: str, read: Callable[[Asked], dict[str, Any]]) -> Response:
    """Answer what `read` makes of the standings that the query names; again when the board is another by then."""
    return answer(request.lb.boards.use(board_id, lambda snapshot: read(_find(request, snapshot))))


def _find(request: Request, snapshot: Snapshot) -> Asked:
    query, now = request.query, request.lb.clock.now_ms()
    request.caller.require_reader(snapshot.board)
    if "segment" in query:
        error = FieldError("?segment", "not_supported", "segments are not part of this version")
        raise Problem("not_supported", error.detail, errors=(error,))
    period, occurrence = seasons.find_occurrence(request.lb, snapshot, query.get("period"), query.get("period_id"), now)
    return Asked(snapshot, period, occurrence, now)


def _pinned_cursor(list_name: str, query: dict[str, Any]) -> Cursor | None:
    """The query's cursor. It decides the period id: a client may keep its `current`, but not name another one."""
    if "cursor" not in query:
        return None
    cursor = read_cursor(list_name, query["cursor"])
    if query.get("period_id") not in (None, "current", "previous", cursor.period_id):
        raise invalid("?period_id", "exclusive", "the cursor is of another period id")
    query["period_id"] = cursor.period_id
    return cursor


def _show_heading(asked: Asked) -> dict[str, Any]:
    state = seasons.state_at(asked.period, asked.occurrence, asked.now_ms)
    return show_place(asked.board, asked.occurrence) | show_bounds(asked.occurrence, state)


def _show_page(asked: Asked, page: standings.Page) -> dict[str, Any]:
    entries = [show_entry(asked.board, entry) for entry in page.entries]
    cursors = _show_cursors(asked.board.id, page.next, page.previous)
    return _show_heading(asked) | {"total": page.total, "entries": entries} | cursors


def _show_cursors(list_name: str, following: Cursor | None, previous: Cursor | None) -> dict[str, str | None]:
    return {
        "next_cursor": write_cursor(list_name, following) if following else None,
        "prev_cursor": write_cursor(list_name, previous) if previous else None,
    }
