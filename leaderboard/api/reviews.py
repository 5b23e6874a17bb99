"""Reviews: what a board's rules held, and what admins decide about it."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response
from werkzeug.routing import BaseConverter

from leaderboard import reviews
from leaderboard.api import answers, schemas
from leaderboard.api.fields import REVIEW_ID, show_instant
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.problems import problem_document
from leaderboard.api.shapes import show_kept, show_result
from leaderboard.callers import Role, Scope
from leaderboard.cursors import read_time_cursor, write_time_cursor
from leaderboard.errors import Problem
from leaderboard.reviews import Decided, Review
from leaderboard.rules import shown_value
from leaderboard.scores import unscale

blueprint = Blueprint("reviews", __name__, url_prefix="/v1/admin/reviews")

DECIDE_ERRORS = (
    "review_not_found", "review_decided", "player_erased", "player_merged", "board_not_found", "board_redefined",
    "period_settled", "score_out_of_range", "too_many_held", "archive_unavailable", "outcome_unknown",
)  # fmt: skip


class ReviewConverter(BaseConverter):
    regex = REVIEW_ID


@blueprint.get("")
@operation(
    "list_reviews",
    role=Role.ADMIN,
    scope=Scope.REVIEWS,
    query=schemas.ReviewsQuery,
    answers={200: answers.ReviewsAnswer},
    errors=("malformed_cursor", "archive_unavailable"),
)
def list_reviews(request: Request) -> Response:
    """Reviews, oldest first.

    They come from the archive, which follows by some tenths of a second.
    """
    query = request.query
    filters = {name: query.get(name) for name in ("state", "board", "player", "rule")}
    list_name = f"/admin/reviews?{filters}"
    after = read_time_cursor(list_name, query.get("cursor"))
    found, last = reviews.list_reviews(request.lb, **filters, limit=query["limit"], after=after)
    return answer(
        {
            "reviews": [_show_review(review) for review in found],
            "next_cursor": write_time_cursor(list_name, last) if last else None,
        }
    )


@blueprint.get("/<review:review>")
@operation(
    "get_review",
    role=Role.ADMIN,
    scope=Scope.REVIEWS,
    answers={200: answers.ReviewAnswer},
    errors=("review_not_found", "archive_unavailable"),
)
def get_review(request: Request, review: str) -> Response:
    """A review, with what its player submitted to the board lately, newest first."""
    found, history = reviews.get_review(request.lb, review)
    return answer(_show_review(found) | {"history": [show_kept(kept) for kept in history]})


@blueprint.post("/<review:review>/decision")
@operation(
    "decide_review",
    role=Role.ADMIN,
    scope=Scope.REVIEWS,
    body=schemas.DecisionSchema,
    answers={200: answers.DecidedAnswer},
    errors=DECIDE_ERRORS,
)
def decide_review(request: Request, review: str) -> Response:
    """Approve or reject what is held, or reopen what was rejected.

    Approved, it counts as of when it was achieved, in every standings that it belonged to and that is not settled;
    `settled` names the others. A second decision is 409 `review_decided` and changes nothing.
    """
    decided = reviews.decide(request.lb, review, request.body["decision"], request.act(request.body.get("reason")))
    return answer(_show_decided(decided))


@blueprint.post("/decisions")
@operation(
    "decide_reviews",
    role=Role.ADMIN,
    scope=Scope.REVIEWS,
    body=schemas.DecisionsSchema,
    answers={200: answers.DecisionsAnswer},
    errors=("outcome_unknown",),
)
def decide_reviews(request: Request) -> Response:
    """Decide on up to 100 reviews the same way, each for itself. One that fails says why in `error`."""
    body = request.body
    results: list[dict[str, Any]] = []
    for review in dict.fromkeys(body["reviews"]):
        try:
            decided = reviews.decide(request.lb, review, body["decision"], request.act(body.get("reason")))
            results.append(_show_decided(decided) | {"error": None})
        except Problem as problem:
            results.append(
                {"review": review, "state": None, "standings": [], "settled": [], "error": problem_document(problem)}
            )
    failed = sum(result["error"] is not None for result in results)
    return answer({"decided": len(results) - failed, "failed": failed, "results": results})


def _show_review(review: Review) -> dict[str, Any]:
    held, layout = review.held, review.layout
    return {
        "id": review.id,
        "board": held.board,
        "player": review.player,
        "state": review.state.value,
        "at": show_instant(held.at_ms),
        "score": unscale(held.score * layout.order.sign, layout.decimals),
        "tiebreaks": {
            tiebreak.name: value * tiebreak.order.sign
            for tiebreak, value in zip(layout.tiebreaks, held.tiebreaks, strict=True)
        },
        "metadata": orjson.loads(held.metadata) if held.metadata else None,
        "achieved_at": show_instant(held.achieved_ms),
        "period_ids": held.period_ids,
        "rules": [
            {
                "rule": broken.rule,
                "value": shown_value(broken.rule, broken.value, layout.decimals),
                "seen": shown_value(broken.rule, broken.seen, layout.decimals),
            }
            for broken in held.broken
        ],
        "verdict": review.verdict
        and {
            "by": review.verdict.by,
            "reason": review.verdict.reason,
            "at": show_instant(review.verdict.at_ms),
        },
    }


def _show_decided(decided: Decided) -> dict[str, Any]:
    return {
        "review": decided.review,
        "state": decided.state.value,
        "standings": show_result(decided.result, ranks=True)["standings"] if decided.result else [],
        "settled": list(decided.settled),
    }
