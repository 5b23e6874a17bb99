"""For operators: is the process alive, and can it serve?"""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, current_app

from leaderboard.api import answers
from leaderboard.api.operation import Request, answer, operation
from leaderboard.errors import Problem
from leaderboard.installation import Installation
from leaderboard.vitals import Vitals, read_vitals, why_not_ready

blueprint = Blueprint("health", __name__)

#: The store is looked over this often at most; /readyz needs no credential, so anybody may ask.
CHECK_EVERY_S = 1.0


@blueprint.get("/livez")
@operation("get_liveness", answers={200: answers.HealthAnswer}, cached=False)
def livez(request: Request) -> Response:
    """Is the process alive? Says nothing of the store."""
    return answer({"status": "ok"})


@blueprint.get("/readyz")
@operation(
    "get_readiness",
    answers={200: answers.ReadinessAnswer},
    errors=("store_unavailable", "archive_unavailable"),
    cached=False,
)
def readyz(request: Request) -> Response:
    """Can it serve? 503 while the store is away, or must not be used as it is.

    An archive that lags, or that nobody writes, does not take the service out of rotation: the store answers all by
    itself, and the journal keeps what the archive is to have. Nor does a journal that is `full`: submissions and other
    changes are refused then, `503 journal_full`, but reads go on, and so does removing entries and players; another
    process could do no better. All of that is for an alert, not for a load balancer.
    """
    lb = request.lb
    checked_at, found = current_app.extensions.get("leaderboard.readiness", (0.0, None))
    if not checked_at or time.monotonic() - checked_at >= CHECK_EVERY_S:
        found = _check(lb)
        current_app.extensions["leaderboard.readiness"] = (time.monotonic(), found)
    if isinstance(found, Problem):
        raise found
    return answer(_shape(found))


def _check(lb: Installation) -> Vitals | Problem:
    try:
        return why_not_ready(lb) or read_vitals(lb)
    except Problem as problem:
        return problem


def _shape(vitals: Vitals) -> dict[str, Any]:
    return {
        "status": "ok",
        "journal": {
            "records": vitals.records,
            "oldest_s": vitals.oldest_s,
            "alarm": vitals.alarm,
            "full": vitals.full,
        },
        "archive": {
            "worker": vitals.archiving,
            "problem": None if vitals.worker is None else vitals.worker.problem,
        },
    }
