"""Who else gets at the store."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from leaderboard.addresses import store_options
from leaderboard.doctor.case import Case
from leaderboard.doctor.check import CannotLookError, Finding, ok, problem, warning

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_ASK_FOR_ONE = (
    "Give the server a user for the service (docker/valkey.conf has one), turn its default user off, and put user and "
    "password into LEADERBOARD_REDIS_URL."
)


def look_at_access(case: Case) -> Finding:
    """Knock without a password: a server that answers lets everybody in who reaches it."""
    options = store_options(case.sight.url)
    if "path" in options:
        return ok("a socket on this machine")
    host, port = str(options.get("host", "localhost")), int(str(options.get("port", 6379)))
    tls, addresses = case.sight.url.startswith("rediss:"), _addresses(host, port)
    is_open = _lets_anybody_in(case, options)
    if all(address.is_loopback for address in addresses):
        return _here(case, is_open=is_open)
    return judge_access(addresses, is_open=is_open, tls=tls)


def judge_access(addresses: Sequence[Address], *, is_open: bool, tls: bool) -> Finding:
    """What to say of a store on another machine, which lets anybody in or does not."""
    public = any(address.is_global for address in addresses)
    summary = f"over the {'internet' if public else 'network'}, {'TLS' if tls else 'no TLS'}"
    if is_open:
        detail = "The store asks for no password: whoever reaches it can read, change and delete everything."
        return (problem if public else warning)(summary, detail, _ASK_FOR_ONE)
    if public and not tls:
        return warning(
            summary,
            "The password and all data cross the internet in the clear.",
            "Use rediss:// or a private network.",
        )
    return ok(f"{summary}, with a password")


def _here(case: Case, *, is_open: bool) -> Finding:
    """Reached over this machine alone by us; it may listen to others too."""
    if not is_open:
        return ok("on this machine, with a password")
    try:
        bound, protected = case.sight.config("bind").split(), case.sight.config("protected-mode")
    except CannotLookError:
        return ok("on this machine, without a password")
    # A hyphen before an address only means that it may be missing.
    beyond = [name for name in bound or ["*"] if not _is_loopback(name.lstrip("-"))]
    if beyond and protected == "no":
        return warning(
            f"on this machine, without a password, listening to {' '.join(beyond)}",
            "The store asks for no password, and listens beyond this machine with protected-mode no.",
            f"CONFIG SET bind 127.0.0.1. Or: {_ASK_FOR_ONE}",
        )
    return ok("on this machine, without a password")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CannotLookError(f"the address of {host} is not known here: {error.strerror}") from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _lets_anybody_in(case: Case, options: dict[str, Any]) -> bool:
    """Whether a stranger is let in. A client's certificate counts as a password."""
    if not options.get("password") and "ssl_certfile" not in options:
        return True
    # Where it is and how TLS is checked, and nothing that says who we are.
    wanted = ("host", "port", "ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_check_hostname")
    client = Redis(
        **{name: options[name] for name in wanted if name in options},
        ssl=case.sight.url.startswith("rediss:"),
        socket_timeout=case.settings.store_timeout_s,
        socket_connect_timeout=case.settings.store_connect_timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    try:
        return bool(client.ping())
    except (RedisError, OSError):
        return False
    finally:
        client.close()
