"""What every view has in common: who calls, what the query and the body hold, and what the documents say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from hashlib import blake2b
from typing import Any

from flask import Response, current_app, g, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from leaderboard import names
from leaderboard.api.address_limits import check_key
from leaderboard.api.json_body import dump_json, parse_json
from leaderboard.audit import Act
from leaderboard.callers import ANYONE, Caller, Role, Scope
from leaderboard.errors import FieldError, Problem, pointer_to, unauthenticated
from leaderboard.idempotency import IdempotentCall, idempotent_call
from leaderboard.installation import Installation
from leaderboard.sessions import caller_of, check_token
from leaderboard.signatures import HEADER, SignedRequest

BODY_LIMIT = 16 * 1024
BATCH_LIMIT = 2 * 1024 * 1024

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is not JSON."""

    media_type: str
    description: str


Answers = type[Schema] | tuple[type[Schema], ...] | Text | str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API, as the OpenAPI document shows it."""

    id: str
    summary: str
    description: str
    #: The least role that may call it; `owner` where the player itself may, too.
    role: Role
    owner: bool
    #: What an admin key needs besides; every call of admins needs something.
    scope: Scope | None
    body: type[Schema] | None
    query: type[Schema] | None
    #: status → the schema of the answer, several where a parameter decides, or words for an answer without a body
    answers: dict[int, Answers]
    errors: tuple[str, ...]
    body_limit: int
    idempotent: bool
    signed: bool
    #: Whether its answers to GET have an ETag.
    cached: bool
    #: Whether `If-Match` may name a revision.
    guarded: bool
    #: Whether its answers say what is left of a limit.
    rated: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read and found right in form."""

    lb: Installation
    caller: Caller
    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)
    operation_id: str = ""
    #: The body as it came.
    raw: bytes = b""

    def player(self, named: str) -> str:
        """The player a path names; `me` is the session's."""
        if named == "me":
            self.caller.require(Role.PLAYER)
            if self.caller.player is None:
                raise Problem("player_not_found", "a key has no player; name one")
            return self.caller.player
        return named

    @contextmanager
    def session_first(self) -> Iterator[None]:
        """For calls that leave the session to the store: who has none is told of that, not of what is wrong here."""
        try:
            yield
        except Problem:
            identify(self.lb)
            raise

    def act(self, reason: str | None = None) -> Act:
        """This call as the audit is to have it: every call of an admin's that changes something hands it on."""
        caller = self.caller
        return Act(self.operation_id, caller.credential, caller.name, caller.role.name.lower(), g.request_id, reason)

    def signed(self) -> SignedRequest | None:
        """The request as it was signed; None where it was not."""
        header = request.headers.get(HEADER)
        if header is None:
            return None
        query = request.query_string
        target = request.path.encode() + (b"?" + query if query else b"")
        return SignedRequest(header, request.method, target, idempotency_key(), self.raw)

    def idempotent(self, route: str) -> IdempotentCall | None:
        key = idempotency_key()
        return idempotent_call(self.caller, route, key, self.body) if key else None


def operation(
    operation_id: str,
    *,
    role: Role = Role.ANYONE,
    owner: bool = False,
    scope: Scope | None = None,
    body: type[Schema] | None = None,
    query: type[Schema] | None = None,
    answers: dict[int, Answers],
    errors: tuple[str, ...] = (),
    body_limit: int = BODY_LIMIT,
    idempotent: bool = False,
    signed: bool = False,
    cached: bool = True,
    guarded: bool = False,
    rated: bool = False,
    session_in_call: bool = False,
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Wrap a view `(request, **path) -> Response`; its docstring becomes the documentation.

    The caller must be of `role`, and have the `scope`; with `owner` a player may call it too, and the view
    says for whom. With `session_in_call` a session is left for the store's function to check, which saves a round trip.
    """

    def decorate(view: Callable[..., Response]) -> Callable[..., Response]:
        body_schema = body() if body else None
        query_schema = query() if query else None
        defaults = _defaults(query_schema)

        @wraps(view)
        def wrapped(**path: str) -> Response:
            lb: Installation = current_app.extensions["leaderboard"]
            g.cached = cached
            caller = identify(lb, session_in_call)
            if not (owner and caller.role is Role.PLAYER):
                caller.require(role)
            if scope is not None:
                caller.require_scope(scope)
            with Request(lb, caller).session_first() if session_in_call else nullcontext():
                values = _read_query(query_schema, defaults)
                data, raw = _read_body(body_schema, body_limit)
            return view(Request(lb, caller, data, values, operation_id, raw), **path)

        summary, _, description = (view.__doc__ or "").strip().partition("\n")
        wrapped.operation = Operation(  # type: ignore[attr-defined]
            operation_id, summary.rstrip("."), " ".join(description.split()), role, owner, scope, body, query,
            answers, errors, body_limit, idempotent, signed, cached, guarded, rated,
        )  # fmt: skip
        return wrapped

    return decorate


def identify(lb: Installation, session_in_call: bool = False) -> Caller:
    """Who is calling. A credential that is not right is refused, even where none is needed."""
    header = request.headers.get("Authorization")
    if header is None:
        caller: Caller | None = ANYONE
    else:
        scheme, _, credential = header.partition(" ")
        if scheme.lower() != "bearer":
            caller = None
        elif credential.startswith("lb1."):
            caller = caller_of(credential) if session_in_call else check_token(lb, credential)
        else:
            caller = check_key(lb, credential)
    if caller is None:
        raise unauthenticated()
    g.caller = caller
    return caller


def idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem("malformed_request", "an Idempotency-Key is 1 to 128 printable ASCII characters")
    return key


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer. Cached GETs carry an ETag; what anybody may read may be kept for a second by caches."""
    payload = dump_json(data)
    fields = [("Content-Type", "application/json")]
    if request.method in ("GET", "HEAD") and g.cached:
        fields.append(("ETag", f'"{blake2b(payload, digest_size=9).hexdigest()}"'))
        public = g.get("caller", ANYONE).role is Role.ANYONE
        fields.append(("Cache-Control", "public, max-age=1" if public else "private, no-cache"))
        # Caches that keep the public form must not give it to, or take it from, somebody who signed in.
        fields.append(("Vary", "Authorization"))
    else:
        fields.append(("Cache-Control", "no-store"))
    if headers:
        fields += headers.items()
    response = Response(payload, status, fields)
    if "If-None-Match" in request.headers:
        response.make_conditional(request)
    return response


def no_content() -> Response:
    return Response(status=204, headers={"Cache-Control": "no-store"})


def _read_query(schema: Schema | None, defaults: dict[str, Any] | None) -> dict[str, Any]:
    if defaults is not None and not request.query_string:
        return dict(defaults)
    values: dict[str, str] = {}
    errors = []
    for name, given in request.args.lists():
        if schema is None or name not in schema.fields:
            errors.append(FieldError(f"?{name[:64]}", "unknown_parameter", "this call has no such parameter"))
        elif len(given) > 1:
            errors.append(FieldError(f"?{name}", "given_twice", "the parameter is given more than once"))
        elif "\0" in given[0] and name != "cursor":
            # No database takes it into a text, and what is in the journal must get into the archive. A cursor is
            # refused as one.
            errors.append(FieldError(f"?{name}", "nul", "a NUL character is not taken"))
        values[name] = given[0]
    if errors:
        raise Problem("invalid", errors[0].detail, errors=tuple(errors))
    if schema is None:
        return {}
    loaded: dict[str, Any] = load(schema, values, "?")
    return loaded


def _defaults(schema: Schema | None) -> dict[str, Any] | None:
    """What an empty query means; None where a parameter is required."""
    if schema is None:
        return {}
    try:
        return dict(schema.load({}))
    except ValidationError:
        return None


def _read_body(schema: Schema | None, limit: int) -> tuple[Any, bytes]:
    """What the schema makes of the body, and the body as it came."""
    if schema is None:
        _refuse_body()
        return None, b""
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem("unsupported_media_type")
    raw = _read_raw(limit)
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise Problem("invalid", "the body must be a JSON object", errors=(FieldError("", "type", "not an object"),))
    return load(schema, body, "/"), raw


def _refuse_body() -> None:
    """A call without a body takes none, but for an empty object."""
    if request.method in ("GET", "HEAD"):
        return
    raw = _read_raw(BODY_LIMIT)
    if raw and parse_json(raw) != {}:
        raise Problem("invalid", "this call takes no body", errors=(FieldError("", "unknown_field", "not expected"),))


def _read_raw(limit: int) -> bytes:
    # One more than the limit: a chunked body is cut off there without a word.
    request.max_content_length = limit + 1
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raw = None
    if raw is None or len(raw) > limit:
        raise Problem("body_too_large", f"this call takes {limit} bytes")
    return raw


def load(schema: Schema, values: Any, root: str) -> Any:
    """What a schema makes of values; a 422 Problem that points at what is wrong with them."""
    try:
        return schema.load(values)
    except ValidationError as error:
        fields = tuple(field_errors(error.messages, root))
        raise Problem("invalid", f"{fields[0].pointer}: {fields[0].detail}", errors=fields) from error


def field_errors(messages: Any, pointer: str) -> Iterator[FieldError]:
    """Flatten marshmallow's nested messages; a message may say its own code before a colon."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            at = pointer if name == "_schema" else f"{pointer}{pointer_to(str(name))[1:]}/"
            yield from field_errors(inner, at)
        return
    for message in messages if isinstance(messages, list) else [messages]:
        code, detail = _CODES.get(str(message), ("invalid_value", str(message)))
        yield FieldError(pointer.rstrip("/"), code, detail)


_CODES = {
    "Missing data for required field.": ("required", "this is required"),
    "Unknown field.": ("unknown_field", "this call has no such field"),
    "Field may not be null.": ("not_null", "this may not be null"),
} | {detail: (code, detail) for code, detail in names.FAULTS.items()}
