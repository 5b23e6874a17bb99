"""The HTTP API: blueprints by noun; each view reads a request, calls one domain function and answers."""

from __future__ import annotations

import re
import secrets

from flask import Flask, Response, g, request
from flask_cors import CORS
from werkzeug.routing import BaseConverter

from leaderboard.api import admin, boards, documents, friends, health, players, standings, submissions
from leaderboard.api.fields import BOARD_ID, PLAYER_ID
from leaderboard.api.problems import register_error_handlers
from leaderboard.settings import Settings

EXPOSED_HEADERS = (
    "ETag",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "Idempotent-Replayed",
    "X-Request-Id",
)
ALLOWED_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-Id")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BoardConverter(BaseConverter):
    regex = BOARD_ID.pattern


class PlayerConverter(BaseConverter):
    regex = PLAYER_ID.pattern


def register_api(app: Flask, settings: Settings) -> None:
    app.url_map.converters.update(board=BoardConverter, player=PlayerConverter)
    # Redirecting `//v1` would answer HTML, and nobody should rely on it.
    app.url_map.merge_slashes = False
    register_error_handlers(app)
    app.before_request(_name_request)
    app.after_request(_show_request_name)
    CORS(
        app,
        resources={r"/(?!v1/admin|console).*": {"origins": list(settings.cors_origins)}},
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=list(ALLOWED_HEADERS),
        expose_headers=list(EXPOSED_HEADERS),
        send_wildcard="*" in settings.cors_origins,
        max_age=86_400,
    )
    for module in (health, boards, submissions, standings, players, friends, admin, documents):
        app.register_blueprint(module.blueprint)


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _show_request_name(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "-")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
