"""Reviews: what a board's rules held, and what admins decide about it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from werkzeug.routing import BaseConverter

from leaderboard import decisions, reviews
from leaderboard.api import admin_answers, schemas
from leaderboard.api.fields import REVIEW_ID, show_instant
from leaderboard.api.operation import Request, answer, operation
from leaderboard.api.problems import problem_document
from leaderboard.api.shapes import show_held, show_kept, show_result
from leaderboard.callers import Role, Scope
from leaderboard.cursors import read_time_cursor, write_time_cursor
from leaderboard.decisions import Decided
from leaderboard.errors import Problem
from leaderboard.held import Outlier
from leaderboard.reviews import Review
from leaderboard.rules import Layout, shown_value
from leaderboard.scores import unscale

blueprint = Blueprint("reviews", __name__, url_prefix="/v1/admin/reviews")

DECIDE_ERRORS = (
    "review_not_found", "review_decided", "player_erased", "player_merged", "board_not_found", "board_redefined",
    "period_settled", "score_out_of_range", "too_many_held", "entry_changed", "archive_unavailable", "outcome_unknown",
)  # fmt: skip


class ReviewConverter(BaseConverter):
    regex = REVIEW_ID


@blueprint.get("")
@operation(
    "list_reviews",
    role=Role.ADMIN,
    scope=Scope.REVIEWS,
    query=schemas.ReviewsQuery,
    answers={200: admin_answers.ReviewsAnswer},
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
    answers={200: admin_answers.ReviewAnswer},
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
    answers={200: admin_answers.DecidedAnswer},
    errors=DECIDE_ERRORS,
)
def decide_review(request: Request, review: str) -> Response:
    """Approve or reject what is held, or reopen what was decided.

    Approved, it counts as of when it was achieved, in every standings that it belonged to and that is not settled;
    `settled` names the others. A second decision is 409 `review_decided` and changes nothing. Reopened, it is held as
    before, and what an approval made of entries is taken back: 409 `entry_changed` where one has changed since, 409
    `period_settled` where it is final.
    An outlier that is approved stays in its standings, or comes back to them; one that is rejected is removed, if the
    entry still is the one that was found (409 `entry_changed`).
    """
    decided = decisions.decide(request.lb, review, request.body["decision"], request.act(request.body.get("reason")))
    return answer(_show_decided(decided))


@blueprint.post("/decisions")
@operation(
    "decide_reviews",
    role=Role.ADMIN,
    scope=Scope.REVIEWS,
    body=schemas.DecisionsSchema,
    answers={200: admin_answers.DecisionsAnswer},
    errors=("archive_unavailable", "outcome_unknown"),
)
def decide_reviews(request: Request) -> Response:
    """Decide on up to 100 reviews the same way, each for itself. One that fails says why in `error`."""
    body = request.body
    chosen = list(dict.fromkeys(body["reviews"]))
    decided = decisions.decide_many(request.lb, chosen, body["decision"], request.act(body.get("reason")))
    results = [
        {"review": review, "state": None, "standings": [], "settled": [], "error": problem_document(result)}
        if isinstance(result, Problem)
        else _show_decided(result) | {"error": None}
        for review, result in zip(chosen, decided, strict=True)
    ]
    failed = sum(isinstance(result, Problem) for result in decided)
    return answer({"decided": len(results) - failed, "failed": failed, "results": results})


def _show_review(review: Review) -> dict[str, Any]:
    held, layout = review.held, review.layout
    return {
        "id": review.id,
        "board": held.board,
        "player": review.player,
        "state": review.state.value,
        "at": show_instant(held.at_ms),
        **show_held(held),
        "period_ids": held.period_ids,
        "rules": [
            {
                "rule": broken.rule,
                "value": shown_value(broken.rule, broken.value, layout.decimals),
                "seen": shown_value(broken.rule, broken.seen, layout.decimals),
            }
            for broken in held.broken
        ],
        "evidence": held.outlier and _show_evidence(held.outlier, layout),
        "verdict": review.verdict
        and {
            "by": review.verdict.by,
            "reason": review.verdict.reason,
            "at": show_instant(review.verdict.at_ms),
        },
    }


def _show_evidence(outlier: Outlier, layout: Layout) -> dict[str, Any]:
    sign, decimals = layout.order.sign, layout.decimals
    return {
        "taken_out": outlier.taken,
        "entries": outlier.entries,
        "median": unscale(outlier.median * sign, decimals),
        "spread": unscale(outlier.spread, decimals),
        "power": outlier.power / 1000,
        "limit": unscale(outlier.limit * sign, decimals),
    }


def _show_decided(decided: Decided) -> dict[str, Any]:
    return {
        "review": decided.review,
        "state": decided.state.value,
        "standings": show_result(decided.result, ranks=True)["standings"] if decided.result else [],
        "settled": list(decided.settled),
    }
