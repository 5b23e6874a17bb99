"""For operators: is the process alive, and can it serve?"""

from __future__ import annotations

import logging
import time

from flask import Blueprint, Response, current_app

from leaderboard.api import answers
from leaderboard.api.operation import Request, answer, operation
from leaderboard.errors import Problem, SettingError
from leaderboard.installation import Installation

log = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)

#: The store is looked over this often at most; /readyz needs no credential, so anybody may ask.
CHECK_EVERY_S = 1.0


@blueprint.get("/livez")
@operation("get_liveness", answers={200: answers.HealthAnswer})
def livez(request: Request) -> Response:
    """Is the process alive? Says nothing of the store."""
    return answer({"status": "ok"}, cached=False)


@blueprint.get("/readyz")
@operation("get_readiness", answers={200: answers.HealthAnswer}, errors=("store_unavailable",))
def readyz(request: Request) -> Response:
    """Can it serve? 503 while the store is away, or must not be used as it is."""
    lb = request.lb
    checked_at, failure = current_app.extensions.get("leaderboard.readiness", (0.0, None))
    if not checked_at or time.monotonic() - checked_at >= CHECK_EVERY_S:
        failure = _check(lb)
        current_app.extensions["leaderboard.readiness"] = (time.monotonic(), failure)
    if failure is not None:
        raise failure
    return answer({"status": "ok"}, cached=False)


def _check(lb: Installation) -> Problem | None:
    try:
        lb.claim.check()
    except Problem as problem:
        return problem
    except SettingError as error:
        log.error("the store cannot be used: %s", error)
        return Problem("store_unavailable", str(error), retry_after_s=30)
    return None
