"""The HTTP API: blueprints by noun; each view reads a request, calls one domain function and answers."""

from __future__ import annotations

import re
import secrets

from flask import Flask, Response, current_app, g, request
from werkzeug.routing import BaseConverter

from leaderboard.api import admin, bans, boards, documents, friends, health, metrics, players, standings, submissions
from leaderboard.api.cors import allow_origins
from leaderboard.api.fields import BOARD_ID, PLAYER_ID, RESERVED_PLAYERS
from leaderboard.api.problems import register_error_handlers
from leaderboard.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BoardConverter(BaseConverter):
    regex = BOARD_ID.pattern


class PlayerConverter(BaseConverter):
    """A player id, or `me`; the other reserved ids are no players and never will be."""

    regex = rf"(?!(?:{'|'.join(sorted(RESERVED_PLAYERS - {'me'}))})\Z){PLAYER_ID.pattern}"


def register_api(app: Flask, settings: Settings) -> None:
    app.url_map.converters.update(board=BoardConverter, player=PlayerConverter)
    # Redirecting `//v1` would answer HTML, and nobody should rely on it.
    app.url_map.merge_slashes = False
    register_error_handlers(app)
    app.before_request(_name_request)
    app.before_request(_confirm_claim)
    app.after_request(_show_request_name)
    allow_origins(app, settings.cors_origins)
    for module in (health, metrics, boards, submissions, standings, players, friends, bans, admin, documents):
        app.register_blueprint(module.blueprint)


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _confirm_claim() -> None:
    if request.path.startswith("/v1/"):
        current_app.extensions["leaderboard"].claim.confirm()


def _show_request_name(response: Response) -> Response:
    response.headers.extend([("X-Request-Id", g.get("request_id", "-")), ("X-Content-Type-Options", "nosniff")])
    return response
