"""`/openapi.json` and `/docs`: the API's description of itself."""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, render_template
from markupsafe import Markup, escape

from leaderboard.api.openapi import build_document
from leaderboard.errors import CATALOGUE

blueprint = Blueprint("documents", __name__, template_folder="templates")

_CODE = re.compile(r"`([^`]+)`")


@blueprint.app_template_filter("prose")
def prose(text: str) -> Markup:
    """A sentence of the documents, its `code` set as such."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


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
