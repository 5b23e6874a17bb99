"""The headers in the OpenAPI document: what calls take, and what answers carry."""

from __future__ import annotations

from typing import Any

from leaderboard.api.operation import Operation, Text
from leaderboard.signatures import HEADER, HEADER_MOST

#: Of answers, by name.
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The `X-Request-Id` of the call, or one made for it; logs and the audit have it.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Names the answer; give it as `If-None-Match` to hear whether it has changed.",
        "schema": {"type": "string"},
        "example": '"mUsXtZDHFsRu"',
    },
    "Idempotent-Replayed": {
        "description": "Nothing was done now: this repeats what was answered before under the Idempotency-Key; of a "
        "batch, in all of its items.",
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit": {
        "description": "What is left of the limit, and in how many seconds all of it is there again "
        "(draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string"},
        "example": '"board";r=9;t=1',
    },
    "RateLimit-Policy": {
        "description": "The limit: how many calls in a window of how many seconds.",
        "schema": {"type": "string"},
        "example": '"board";q=10;w=10',
    },
    "Retry-After": {
        "description": "In how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {"description": "What was missing or wrong.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods there are.", "schema": {"type": "string"}},
    "Location": {
        "description": "The same call for the player that this one was merged into.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
}

_RATE = ("RateLimit", "RateLimit-Policy")
#: Those of problems, by status.
_OF_PROBLEMS = {
    308: ("Location",),
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After", *_RATE),
    503: ("Retry-After",),
}


def is_conditional(found: Operation, method: str) -> bool:
    """Whether its answer has an ETag."""
    return method == "GET" and found.cached and not isinstance(found.answers[200], str | Text)


def headers_of(found: Operation, method: str, status: int) -> dict[str, Any]:
    """What an answer of this status may carry."""
    names = ["X-Request-Id", *_OF_PROBLEMS.get(status, ())]
    if status in (200, 304) and is_conditional(found, method):
        names.append("ETag")
    if status < 300 and found.idempotent:
        names.append("Idempotent-Replayed")
    if status == 200 and found.rated:
        names += _RATE
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def parameters_of(found: Operation, method: str) -> list[dict[str, Any]]:
    """What a call takes in headers."""
    taken: list[dict[str, Any]] = []
    if found.idempotent:
        taken.append(
            {
                "name": "Idempotency-Key",
                "description": "Makes a retry safe for 48 hours: a repeat answers the same and changes nothing.",
                "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
            }
        )
    if found.signed:
        taken.append(
            {
                "name": HEADER,
                "description": "A player's signature, with the `signing_key` of its sign-in, over the time in whole "
                "seconds, the method, the path with its query, the Idempotency-Key and the hexadecimal SHA-256 of the "
                "body, joined by line feeds. Boards may demand it; one that is wrong is refused by any.",
                "schema": {"type": "string", "maxLength": HEADER_MOST},
                "example": f"t=1795716000,v1={'0' * 64}",
            }
        )
    if found.guarded:
        taken.append(
            {
                "name": "If-Match",
                "description": "The revision that the board must have still, 0 for a new one; else 412.",
                "schema": {"type": "string", "pattern": '^(W/)?"?[0-9]{1,15}"?$'},
                "example": "3",
            }
        )
    if is_conditional(found, method):
        taken.append(
            {
                "name": "If-None-Match",
                "description": "The `ETag` of an answer that the caller has: 304 while it is the same.",
                "schema": {"type": "string"},
            }
        )
    return [{"in": "header"} | one for one in taken]
