"""Every failure as an RFC 9457 problem document, written in one place."""

from __future__ import annotations

import logging

import orjson
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from leaderboard.api.merged import lead_on
from leaderboard.errors import Problem

log = logging.getLogger(__name__)

_CODES = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}

#: What is not there, or not accepted, may have been there before the store was emptied: then it is not denied.
_DENIALS = (401, 404)


def problem_document(problem: Problem) -> dict[str, object]:
    document: dict[str, object] = {
        "type": f"/docs/errors#{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    if problem.errors:
        document["errors"] = [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail} for error in problem.errors
        ]
    return document | problem.extra


def problem_response(problem: Problem) -> Response:
    response = Response(orjson.dumps(problem_document(problem)), problem.status, mimetype="application/problem+json")
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def register_error_handlers(app: Flask) -> None:
    @app.errorhandler(Problem)
    def on_problem(problem: Problem) -> Response:
        problem = lead_on(problem)
        if problem.status in _DENIALS:
            try:
                app.extensions["leaderboard"].claim.confirm(trusting_s=0.0)
            except Problem as lost:
                return problem_response(lost)
        return problem_response(problem)

    @app.errorhandler(HTTPException)
    def on_http_exception(error: HTTPException) -> Response:
        code = _CODES.get(error.code or 500)
        if code is None:
            code = "internal_error" if (error.code or 500) >= 500 else "malformed_request"
        problem = Problem(code)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            problem.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return problem_response(problem)

    @app.errorhandler(Exception)
    def on_failure(error: Exception) -> Response:
        log.exception("request %s failed", g.get("request_id", "-"), exc_info=error)
        return problem_response(Problem("internal_error"))
