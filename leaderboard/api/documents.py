"""`/openapi.json` and `/docs`: the API's description of itself."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, current_app, render_template

from leaderboard.api.openapi import build_document
from leaderboard.errors import CATALOGUE

blueprint = Blueprint("documents", __name__, template_folder="templates")


def document() -> dict[str, Any]:
    """The OpenAPI document; routes do not change while a process runs, so it is made once."""
    known: dict[str, Any] | None = current_app.extensions.get("leaderboard.openapi")
    if known is None:
        known = current_app.extensions["leaderboard.openapi"] = build_document(current_app)
    return known


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return Response(orjson.dumps(document()), mimetype="application/json")


@blueprint.get("/docs")
def docs() -> str:
    paths = document()["paths"]
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append({"path": path, "method": method.upper()} | operation)
    schemas = document()["components"]["schemas"]
    return render_template("docs.html", by_tag=by_tag, schemas=schemas, info=document()["info"])


@blueprint.get("/docs/errors")
def errors() -> str:
    return render_template("errors.html", catalogue=CATALOGUE)
