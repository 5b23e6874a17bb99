"""The OpenAPI 3.1 document, made from the routes and from the very schemas that validate."""

from __future__ import annotations

import re
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema, fields

from leaderboard import __version__
from leaderboard.api import answers
from leaderboard.api.address_limits import limit_of
from leaderboard.api.examples import EXAMPLES
from leaderboard.api.fields import BOARD_ID, PLAYER_ID, PROVIDER, REVIEW_ID, SUBJECT, Instant, Metadata, Score
from leaderboard.api.openapi_headers import HEADERS, headers_of, is_conditional, parameters_of
from leaderboard.api.operation import Operation, Text
from leaderboard.api.schemas import BatchItemSchema, SeasonId
from leaderboard.callers import Role
from leaderboard.errors import CATALOGUE

DESCRIPTION = """\
Exact standings for multiplayer games. Errors are RFC 9457 problem documents; their `code` is permanent, see
[/docs/errors](/docs/errors). Version 1 only grows: ignore members and enum values that you do not know.
"""

#: Marks an enumeration until it gets its name.
_ENUM = "x-enum"

#: Errors any call may answer.
COMMON = ("malformed_request", "unauthenticated", "player_banned", "not_found", "method_not_allowed", "internal_error",
          "invalid", "store_unavailable")  # fmt: skip
WITH_BODY = ("malformed_json", "duplicate_member", "body_too_large", "unsupported_media_type")

PATH_PARAMETERS = {
    "board": {"pattern": f"^{BOARD_ID.pattern}$", "example": "main"},
    "player": {
        "pattern": f"^{PLAYER_ID.pattern}$",
        "description": "A player id; `me` is the session's player.",
        "example": "alice",
    },
    "other": {"pattern": f"^{PLAYER_ID.pattern}$", "example": "bob"},
    "provider": {"pattern": f"^{PROVIDER.pattern}$", "example": "steam"},
    "subject": {"pattern": f"^{SUBJECT.pattern}$", "example": "76561197960287930"},
    "review": {"pattern": f"^{REVIEW_ID}$", "example": "0123456789abcdef.alice"},
    "key_id": {"example": "0123456789ab"},
}


def build_document(app: Flask) -> dict[str, Any]:
    """The document of every route that is an operation."""
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    spec = APISpec(
        "Leaderboard",
        __version__,
        "3.1.0",
        info={"description": DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        servers=[{"url": "/"}],
        plugins=[plugin],
    )
    assert plugin.converter is not None  # noqa: S101  set by APISpec
    plugin.converter.add_attribute_function(_describe_field)  # type: ignore[no-untyped-call]
    spec.components.security_scheme(
        "bearer",
        {"type": "http", "scheme": "bearer", "description": "A session token (`lb1.…`) or a key (`lbk_…`)."},
    )
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    spec.components.schema("BatchItemInput", schema=BatchItemSchema)
    spec.components.schema("Problem", schema=answers.ProblemAnswer)
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        found: Operation | None = getattr(app.view_functions[rule.endpoint], "operation", None)
        if found is None:
            continue
        path = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            tag = rule.endpoint.partition(".")[0]
            shown = _operation(found, method, tag, sorted(rule.arguments), limit_of(rule.rule, found))
            spec.path(path, operations={method.lower(): shown})
    enums: dict[str, Any] = {}
    document: dict[str, Any] = _name_enums(spec.to_dict(), enums)
    for name, example in EXAMPLES.items():
        document["components"]["schemas"][name]["examples"] = [example]
    schemas = document["components"]["schemas"]
    if twice := schemas.keys() & enums.keys():
        raise ValueError(f"an enumeration and a schema have the same name: {sorted(twice)}")
    schemas |= enums
    return document


def _name_enums(node: Any, enums: dict[str, Any]) -> Any:
    """Replace each enumeration by a reference to one of its name, so that generated clients have one type for it."""
    if isinstance(node, list):
        return [_name_enums(item, enums) for item in node]
    if not isinstance(node, dict):
        return node
    if _ENUM not in node:
        return {name: _name_enums(item, enums) for name, item in node.items()}
    name = node[_ENUM]
    enums[name] = {"type": "string", "enum": node["enum"]}
    return {"$ref": f"#/components/schemas/{name}"} | {
        key: value for key, value in node.items() if key in ("description", "default")
    }


def _operation(found: Operation, method: str, tag: str, arguments: list[str], limit: str | None) -> dict[str, Any]:
    parameters: list[Any] = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"} | _pattern(name)}
        | {key: value for key, value in PATH_PARAMETERS[name].items() if key != "pattern"}
        for name in arguments
    ]
    if found.query:
        parameters.append({"in": "query", "schema": found.query})
    parameters += parameters_of(found, method)
    who = found.role.name.lower() if found.role is not Role.ANYONE else "anyone"
    scope = f", with the scope `{found.scope}`" if found.scope else ""
    caller = f"Called by: {'the player itself, ' if found.owner else ''}{who}{scope}."
    needed: dict[str, list[str]] = {"bearer": [found.scope.value] if found.scope else []}
    document: dict[str, Any] = {
        "operationId": found.id,
        "summary": found.summary,
        "description": f"{found.description}\n\n{caller}".strip(),
        "tags": [tag],
        "parameters": parameters,
        "responses": _responses(found, method, arguments, limit),
        "security": [needed] if found.role is not Role.ANYONE else [{}, needed],
    }
    if found.body:
        document["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": found.body}},
        }
    return document


def _pattern(name: str) -> dict[str, Any]:
    pattern = PATH_PARAMETERS[name].get("pattern")
    return {"pattern": pattern} if pattern else {}


def _responses(found: Operation, method: str, arguments: list[str], limit: str | None) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, schema in found.answers.items():
        if isinstance(schema, str):
            responses[str(status)] = {"description": schema}
        elif isinstance(schema, Text):
            responses[str(status)] = {
                "description": schema.description,
                "content": {schema.media_type: {"schema": {"type": "string"}}},
            }
        else:
            shown = {"anyOf": list(schema)} if isinstance(schema, tuple) else schema
            responses[str(status)] = {
                "description": "Created." if status == 201 else "Done.",
                "content": {"application/json": {"schema": shown}},
            }
    if is_conditional(found, method):
        responses["304"] = {"description": "It is what the caller has already."}
    codes = {*COMMON, *found.errors}
    if found.role is not Role.ANYONE:
        codes.add("forbidden")
    if found.body or method != "GET":
        codes |= set(WITH_BODY)
    if limit is not None:
        codes.add("rate_limited")
    if "player" in arguments:
        codes |= {"player_not_found", "player_moved"}
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(CATALOGUE[code][0], []).append(code)
    for status, named in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "; ".join(f"`{code}`: {CATALOGUE[code][1]}" for code in named),
            "content": {
                "application/problem+json": {
                    "schema": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Problem"},
                            {"properties": {"code": {"enum": named}}},
                        ]
                    },
                    "example": _example(named[0]),
                }
            },
        }
    for written, response in responses.items():
        response["headers"] = headers_of(found, method, int(written))
    return responses


def _example(code: str) -> dict[str, Any]:
    status, title = CATALOGUE[code]
    return {"type": f"/docs/errors#{code}", "title": title, "status": status, "detail": title, "code": code}


def _schema_name(schema: Any) -> str:
    found = schema if isinstance(schema, type) else type(schema)
    name = re.sub(r"Schema$", "Input", found.__name__) if issubclass(found, Schema) else ""
    return re.sub(r"(Answer|Query)$", "", name)


def _describe_field(self: Any, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    """What apispec cannot know of our own fields."""
    if isinstance(field, Score):
        return {"type": "number"}
    if isinstance(field, fields.Enum):
        return {_ENUM: field.enum.__name__}
    if isinstance(field, Instant):
        return {"type": ["string", "null"] if field.allow_none else "string", "format": "date-time"}
    if isinstance(field, Metadata):
        return {"type": "object"}
    if isinstance(field, SeasonId):
        return {"type": ["string", "integer"]}
    if isinstance(field, fields.Raw) and field.metadata.get("schema") is BatchItemSchema:
        return {"$ref": "#/components/schemas/BatchItemInput"}
    return {}
