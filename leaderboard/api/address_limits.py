"""Limits per address: on signing in, on what admins do, on reads without a credential, and on wrong keys.

flask-limiter counts, through `leaderboard.call_counts`. Its hooks, which look at every request, are left out, and it
decorates rare calls only: a hook takes 140 µs and a decorated call 190, as much as everything else that Flask does.
Submissions, and whatever else comes with a session or a server's key, pay nothing for limits that they do not have.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import RateLimitItemPerMinute
from limits.storage import Storage

from leaderboard.api.client_address import ClientAddresses
from leaderboard.api.problems import problem_response
from leaderboard.call_counts import MINUTE_MS, CallCounts, CallLimit
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem, rate_headers
from leaderboard.installation import Installation
from leaderboard.settings import Settings

if TYPE_CHECKING:
    from leaderboard.api.operation import Operation

log = logging.getLogger(__name__)

SIGN_INS, ADMIN_CALLS, ANONYMOUS_READS, WRONG_KEYS = "sign-ins", "admin-calls", "anonymous-reads", "wrong-keys"

#: A process tells the store of so many parts of this limit at a time: see leaderboard/call_counts.py.
READ_PARTS = 20

_EXTENSION = "leaderboard.address_limits"

View = Callable[..., Any]


def limit_of(path: str, operation: Operation) -> str | None:
    """Which limit an operation has, for the calls themselves and for the OpenAPI document."""
    if path.startswith("/v1/admin/"):
        return ADMIN_CALLS
    if operation.id == "sign_in":
        return SIGN_INS
    # Health, metrics and documents are none of the public's business, or cost nothing.
    return ANONYMOUS_READS if path.startswith("/v1/") and operation.role is Role.ANYONE else None


def limit_addresses(app: Flask) -> None:
    """Put the limits of the settings on the views of an application, which must be registered by now."""
    limits = AddressLimits(app, app.extensions["leaderboard"])
    app.extensions[_EXTENSION] = limits
    # By view: one with two paths is still counted once.
    for endpoint, path in {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}.items():
        view = app.view_functions[endpoint]
        operation: Operation | None = getattr(view, "operation", None)
        if operation is not None:
            app.view_functions[endpoint] = limits.limited(limit_of(path, operation), view)

    @app.errorhandler(RateLimitExceeded)
    def on_exceeded(error: RateLimitExceeded) -> Response:
        return problem_response(limits.exceeded(str(error.limit.scope)))


def check_key(lb: Installation, key: str) -> Caller | None:
    """Whom a key stands for; None when it is none of ours. Problem (503) without the store.

    A wrong one is counted against its address, wherever it was tried. An address with too many of them is told of a
    right admin key what it is told of a wrong one: else a key could be guessed on other calls than the admins'.
    """
    caller = lb.credentials.check(key)
    limits: AddressLimits = current_app.extensions[_EXTENSION]
    if caller is None:
        limits.count_wrong_key()
    elif caller.role is Role.ADMIN and limits.is_shut_out():
        return None
    return caller


class AddressLimits:
    """The limits of one application."""

    def __init__(self, app: Flask, lb: Installation) -> None:
        self._counts = CallCounts(lb.store, lb.keys, lb.clock)
        self._clock = lb.clock
        self._limits = _limits(lb.settings)
        self._addresses = ClientAddresses(lb.settings.trusted_proxies)
        self._warned = False
        self._limiter = Limiter(
            self.address,
            strategy="fixed-window",
            storage_uri=f"{_Counted.STORAGE_SCHEME[0]}://",
            storage_options={"counts": self._counts, "limits": self._limits},  # type: ignore[dict-item]
        )
        # It takes itself for registered, and so hooks nothing into requests.
        app.extensions.setdefault("limiter", set()).add(self._limiter)
        self._limiter.init_app(app)

    def limited(self, name: str | None, view: View) -> View:
        """The view with the limit of this name on it; itself where there is none, or it is off."""
        if name is None:
            return view
        per_minute = self._limits[name].per_minute
        if name == ANONYMOUS_READS:
            return self._limited_without_credential(view) if per_minute else view
        if per_minute:
            view = self._limiter.shared_limit(f"{per_minute}/minute", scope=name)(view)
        return self._closed_to_the_shut_out(view) if name == ADMIN_CALLS else view

    def address(self) -> str:
        """Whose request this is."""
        forwarded = request.headers.get("X-Forwarded-For")
        peer = request.remote_addr or ""
        if forwarded is not None and not self._warned and not self._addresses.trusts(peer):
            self._warned = True
            log.warning(
                "%s sends X-Forwarded-For and is not in LEADERBOARD_TRUSTED_PROXIES. If it is a proxy of yours, all "
                "who come through it are taken for one address, and share its limits.",
                peer or "a peer on the Unix socket",
            )
        return self._addresses.caller(peer, forwarded)

    def count_wrong_key(self) -> None:
        self._hit(WRONG_KEYS)

    def is_shut_out(self) -> bool:
        """Whether too many wrong keys came from this address within this minute."""
        limit = self._limits[WRONG_KEYS]
        return limit.per_minute > 0 and self._counts.known(limit, self.address()) >= limit.per_minute

    def exceeded(self, name: str) -> Problem:
        """What the call that was too many is answered."""
        quota = self._limits[name].per_minute
        reset_s = max(1, -(-(self._counts.minute_ends_ms() - self._clock.now_ms()) // 1000))
        return Problem(
            "rate_limited",
            f"from one address {quota} {name.replace('-', ' ')} a minute are taken",
            retry_after_s=reset_s,
            headers=rate_headers(name, quota=quota, window_s=MINUTE_MS // 1000, left=0, reset_s=reset_s),
        )

    def _hit(self, name: str) -> bool:
        """Count one, without flask-limiter's machinery around it; True while the limit is kept."""
        per_minute = self._limits[name].per_minute
        return not per_minute or self._limiter.limiter.hit(RateLimitItemPerMinute(per_minute), self.address(), name)

    def _limited_without_credential(self, view: View) -> View:
        @wraps(view)
        def read(**path: str) -> Any:
            if "HTTP_AUTHORIZATION" not in request.environ and not self._hit(ANONYMOUS_READS):
                raise self.exceeded(ANONYMOUS_READS)
            return view(**path)

        return read

    def _closed_to_the_shut_out(self, view: View) -> View:
        @wraps(view)
        def act(**path: str) -> Any:
            if self.is_shut_out():
                raise self.exceeded(WRONG_KEYS)
            return view(**path)

        return act


class _Counted(Storage):
    """Where flask-limiter keeps its counts: the store's, by its minutes. Its keys end in `address/limit/…`."""

    STORAGE_SCHEME = ["leaderboard"]  # noqa: RUF012  as its base class declares it

    def __init__(self, uri: str, *, counts: CallCounts, limits: dict[str, CallLimit]) -> None:
        super().__init__(uri)
        self._counts, self._limits = counts, limits

    @property
    def base_exceptions(self) -> type[Exception]:
        return Problem

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._counts.add(*self._read(key), amount)

    def get(self, key: str) -> int:
        return self._counts.known(*self._read(key))

    def get_expiry(self, key: str) -> float:
        return self._counts.minute_ends_ms() / 1000

    def check(self) -> bool:
        return True

    def reset(self) -> None:
        """The library asks for these two; nobody calls them, and no count is forgotten before its minute is over."""
        raise NotImplementedError("counts end with their minute")

    def clear(self, key: str) -> None:
        """See reset."""
        raise NotImplementedError("counts end with their minute")

    def _read(self, key: str) -> tuple[CallLimit, str]:
        _, address, name, *_ = key.split("/")
        return self._limits[name], address


def _limits(settings: Settings) -> dict[str, CallLimit]:
    reads = settings.anonymous_reads_per_minute
    limits = (
        CallLimit(SIGN_INS, settings.sign_ins_per_minute),
        CallLimit(ADMIN_CALLS, settings.admin_calls_per_minute),
        CallLimit(ANONYMOUS_READS, reads, tell_every=max(1, reads // READ_PARTS)),
        CallLimit(WRONG_KEYS, settings.wrong_keys_per_minute),
    )
    return {limit.name: limit for limit in limits}
