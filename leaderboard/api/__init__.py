"""The HTTP API: blueprints by noun; each view reads a request, calls one domain function and answers."""

from __future__ import annotations

import re
import secrets

from flask import Flask, Response, current_app, g, request
from werkzeug.routing import BaseConverter

from leaderboard.api import (
    admin,
    attempts,
    audit,
    bans,
    boards,
    documents,
    friends,
    health,
    identities,
    keys,
    merging,
    metrics,
    players,
    reviews,
    standings,
    submissions,
)
from leaderboard.api.address_limits import limit_addresses
from leaderboard.api.cors import allow_origins
from leaderboard.api.fields import BOARD_ID, PLAYER_ID, PROVIDER, RESERVED_PLAYERS, SUBJECT
from leaderboard.api.problems import register_error_handlers
from leaderboard.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BoardConverter(BaseConverter):
    regex = BOARD_ID.pattern


class PlayerConverter(BaseConverter):
    """A player id, or `me`; the other reserved ids are no players and never will be."""

    regex = rf"(?!(?:{'|'.join(sorted(RESERVED_PLAYERS - {'me'}))})\Z){PLAYER_ID.pattern}"


class ProviderConverter(BaseConverter):
    regex = PROVIDER.pattern


class SubjectConverter(BaseConverter):
    regex = SUBJECT.pattern


def register_api(app: Flask, settings: Settings) -> None:
    app.url_map.converters.update(
        board=BoardConverter,
        player=PlayerConverter,
        provider=ProviderConverter,
        subject=SubjectConverter,
        review=reviews.ReviewConverter,
    )
    # Redirecting `//v1` would answer HTML, and nobody should rely on it.
    app.url_map.merge_slashes = False
    register_error_handlers(app)
    app.before_request(_name_request)
    app.before_request(_confirm_claim)
    app.after_request(_show_request_name)
    allow_origins(app, settings.cors_origins)
    for module in (
        health,
        metrics,
        boards,
        submissions,
        attempts,
        standings,
        players,
        identities,
        merging,
        friends,
        bans,
        admin,
        reviews,
        keys,
        audit,
        documents,
    ):
        app.register_blueprint(module.blueprint)
    limit_addresses(app)


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _confirm_claim() -> None:
    if request.path.startswith("/v1/"):
        current_app.extensions["leaderboard"].claim.confirm()


def _show_request_name(response: Response) -> Response:
    response.headers.extend([("X-Request-Id", g.get("request_id", "-")), ("X-Content-Type-Options", "nosniff")])
    return response
