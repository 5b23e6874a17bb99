"""Submitting scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response

from leaderboard import submissions
from leaderboard.api import answers, schemas
from leaderboard.api.operation import (
    BATCH_LIMIT,
    Request,
    answer,
    idempotency_key,
    load,
    operation,
)
from leaderboard.api.problems import problem_document
from leaderboard.api.shapes import show_result
from leaderboard.attached import attach
from leaderboard.callers import Role
from leaderboard.errors import FieldError, Problem, invalid
from leaderboard.idempotency import KEPT_KEYS, idempotent_call
from leaderboard.submission import Result, Submission, rate_headers

blueprint = Blueprint("submissions", __name__, url_prefix="/v1")

_ITEM = schemas.BatchItemSchema()

SUBMIT_ERRORS = (
    "board_not_found", "forbidden", "board_frozen", "board_archived", "period_over", "player_erased",
    "player_merged",
    "score_out_of_range", "rule_broken", "too_many_held", "idempotency_key_reused", "rate_limited", "outcome_unknown",
    "maintenance", "attempt_required", "attempt_invalid", "signature_required", "signature_invalid",
    "signature_expired",
)  # fmt: skip


@blueprint.post("/boards/<board:board>/submissions")
@operation(
    "submit_score",
    role=Role.SERVER,
    owner=True,
    body=schemas.SubmissionSchema,
    query=schemas.RanksQuery,
    answers={200: answers.SubmissionAnswer},
    errors=SUBMIT_ERRORS,
    idempotent=True,
    signed=True,
    rated=True,
    session_in_call=True,
)
def submit_score(request: Request, board: str) -> Response:
    """Submit a score.

    It counts in every period of the board at once. `applied` when it changed an entry in any of them, `kept` when a
    better one stays. `held` when a rule of the board keeps it for an admin to review: it counts once that approves.
    """
    body, ranks = request.body, request.query["ranks"]
    with request.session_first():
        player = acting_player(request, body.get("player"))
        repeatable = request.idempotent(f"submit:{board}:{player}")
    submission = replace(_submission(board, player, body, repeatable), signed=request.signed())
    result = submissions.submit(request.lb, request.caller, submission, ranks=ranks)
    headers = rate_headers(result.rate) if result.rate else {}
    if result.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(show_result(result, ranks), headers=headers)


@blueprint.post("/submissions/batch")
@operation(
    "submit_batch",
    role=Role.SERVER,
    body=schemas.BatchSchema,
    query=schemas.BatchRanksQuery,
    answers={200: answers.BatchAnswer},
    errors=("outcome_unknown", "maintenance"),
    body_limit=BATCH_LIMIT,
    idempotent=True,
)
def submit_batch(request: Request) -> Response:
    """Submit up to 1,000 scores, in order, each for itself.

    With an Idempotency-Key K, item i has the key `K:i`; a player may then have 32 submissions in it, as many as are
    remembered. An item that fails says why in `error`; the others count. When the store goes away in the middle, the
    rest has `store_unavailable` or `outcome_unknown` there; when nothing came through, so has the whole call.
    """
    items, key, ranks = request.body["submissions"], idempotency_key(), request.query["ranks"]
    results: list[Result | Problem | None] = [None] * len(items)
    valid: dict[int, Submission] = {}
    for i, item in enumerate(items):
        try:
            data = load(_ITEM, item, "/")
        except Problem as problem:
            results[i] = problem
            continue
        repeatable = None
        if key:
            repeatable = idempotent_call(request.caller, f"batch:{data['player']}", f"{key}:{i}", item)
        valid[i] = _submission(data["board"], data["player"], data, repeatable)
    if key:
        _check_rememberable(valid)
    done = submissions.submit_many(request.lb, request.caller, list(valid.values()), ranks=ranks)
    for i, result in zip(valid, done, strict=True):
        results[i] = result
    replayed = all(isinstance(result, Result) and result.replayed for result in results)
    return answer(_show_batch(results, ranks), headers={"Idempotent-Replayed": "true"} if replayed else None)


def _check_rememberable(valid: dict[int, Submission]) -> None:
    """A retry of more than is remembered of a player would count some of it twice."""
    seen = Counter[str]()
    for i, submission in valid.items():
        seen[submission.player] += 1
        if seen[submission.player] > KEPT_KEYS:
            detail = f"with an Idempotency-Key, a batch takes {KEPT_KEYS} submissions of one player"
            raise invalid(f"/submissions/{i}", "too_many_of_one_player", detail)


def acting_player(request: Request, named: str | None) -> str:
    """Whom a call of a player for itself, or of a server for anybody, is about. Raises 422, forbidden."""
    own = request.caller.player
    if own is None:
        if named is None:
            raise invalid("/player", "required", "a server names the player")
        return named
    if named not in (None, own):
        detail = "players act for themselves"
        raise Problem("forbidden", detail, errors=(FieldError("/player", "not_yours", detail),))
    return own


def _submission(board: str, player: str, data: dict[str, Any], repeatable: Any) -> Submission:
    return Submission(
        board,
        player,
        data["score"],
        data["tiebreaks"],
        attach(data.get("metadata", b""), data.get("replay")),
        data.get("achieved_at"),
        data["expect"],
        repeatable,
        data.get("attempt", ""),
    )


def _show_batch(results: list[Result | Problem | None], ranks: bool) -> dict[str, Any]:
    counts = {"applied": 0, "kept": 0, "held": 0, "failed": 0}
    shown: list[dict[str, Any]] = []
    for index, result in enumerate(results):
        assert result is not None  # noqa: S101  each item was either refused or submitted
        if isinstance(result, Problem):
            counts["failed"] += 1
            shown.append({"index": index, "outcome": None, "standings": [], "error": problem_document(result)})
            continue
        counts[result.outcome.value] += 1
        one = show_result(result, ranks)
        shown.append({"index": index, "outcome": one["outcome"], "standings": one["standings"], "error": None})
    return counts | {"results": shown}
