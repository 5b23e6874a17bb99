"""Cross-origin access: everything but what admins use, without cookies.

Written here rather than taken from a library because it runs on every request: the whole of it is three constant
headers, where flask-cors matches patterns for 15 µs.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, request

_EXPOSED = "Date, ETag, Retry-After, RateLimit, RateLimit-Policy, Idempotent-Replayed, X-Request-Id"
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Leaderboard-Signature, X-Request-Id",
    ),
    ("Access-Control-Max-Age", "86400"),
]
_CLOSED = "/v1/admin"


def allow_origins(app: Flask, origins: tuple[str, ...]) -> None:
    """Let scripts of these origins (`*` for all) call the API and read its answers, failures too."""
    app.after_request(_any_origin if "*" in origins else _only(frozenset(origins)))


def _any_origin(response: Response) -> Response:
    if not request.path.startswith(_CLOSED):
        response.headers.extend(_headers("*"))
    return response


def _only(origins: frozenset[str]) -> Callable[[Response], Response]:
    def answer_origin(response: Response) -> Response:
        if request.path.startswith(_CLOSED):
            return response
        # A cache must not give one origin what was answered to another.
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in origins:
            response.headers.extend(_headers(origin))
        return response

    return answer_origin


def _headers(origin: str) -> list[tuple[str, str]]:
    headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", _EXPOSED)]
    return headers + _PREFLIGHT if request.method == "OPTIONS" else headers
