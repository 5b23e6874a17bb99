"""Holds every answer of an application against its own OpenAPI document."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs
from flask import Flask, Response, request

from leaderboard.api.openapi import build_document


class Contract:
    """Watches an application; `broken` says which answers were not as documented."""

    def __init__(self, app: Flask) -> None:
        self.broken: list[str] = []
        app.after_request(self._check)
        self._document = _document(app)

    def _check(self, response: Response) -> Response:
        operation = self._operation()
        if operation is None:
            return response
        name = f"{operation['operationId']} {response.status_code}"
        documented = operation["responses"].get(str(response.status_code))
        if documented is None:
            self.broken.append(f"{name} is not documented: {response.get_data(as_text=True)[:200]}")
            return response
        for header in _documented_headers():
            if header in response.headers and header not in documented["headers"]:
                self.broken.append(f"{name} has a {header}")
        if response.status_code == 304:
            # The server sends no body with it.
            return response
        if response.status_code == 204:
            if response.data:
                self.broken.append(f"{name} has a body")
        elif response.mimetype not in documented["content"]:
            self.broken.append(f"{name} is {response.mimetype}")
        else:
            validator = _validator(operation["operationId"], response.status_code, response.mimetype)
            given = response.get_json() if response.is_json else response.get_data(as_text=True)
            self.broken += [f"{name}: {error.instance_path} {error.message}" for error in validator.iter_errors(given)]
        return response

    def _operation(self) -> dict[str, Any] | None:
        if request.url_rule is None or request.method in ("HEAD", "OPTIONS"):
            return None
        operation: dict[str, Any] | None = _operations().get((request.url_rule.endpoint, request.method))
        return operation


_known: dict[str, Any] = {}


def _document(app: Flask) -> dict[str, Any]:
    """The same for every application, so it is built once."""
    if not _known:
        _known["document"] = document = build_document(app)
        # Clients must expect members that are not documented; we must not have any, but in problems.
        for name, schema in document["components"]["schemas"].items():
            if schema.get("additionalProperties") is True and name != "Problem":
                schema["additionalProperties"] = False
        by_id = {
            operation["operationId"]: operation
            for methods in _known["document"]["paths"].values()
            for operation in methods.values()
        }
        _known["operations"] = {
            (rule.endpoint, method): by_id[view.operation.id]
            for rule in app.url_map.iter_rules()
            for view in [app.view_functions[rule.endpoint]]
            if hasattr(view, "operation")
            for method in rule.methods or ()
        }
    known: dict[str, Any] = _known["document"]
    return known


def _operations() -> dict[tuple[str, str], Any]:
    operations: dict[tuple[str, str], Any] = _known["operations"]
    return operations


def _documented_headers() -> dict[str, Any]:
    headers: dict[str, Any] = _known["document"]["components"]["headers"]
    return headers


@cache
def _validator(operation_id: str, status: int, mimetype: str) -> Any:
    operation = next(item for item in _operations().values() if item["operationId"] == operation_id)
    schema = operation["responses"][str(status)]["content"][mimetype]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": _known["document"]["components"]})
