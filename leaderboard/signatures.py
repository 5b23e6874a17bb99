"""Signed submissions: a key for each session, and whether what came is what was signed with it.

A session's signing key is made of the installation's secret and the digest of the session's token, so that no process
has to ask for it. The secret is made with the first session and never changes; a process reads it once. What is signed
is written down for client authors in docs/signing.md.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem

if TYPE_CHECKING:
    from leaderboard.clock import TellsTime
    from leaderboard.installation import Installation
    from leaderboard.keys import Keys
    from leaderboard.store.client import Store

HEADER = "Leaderboard-Signature"

#: How far the time of a signature may be from the store's, either way.
TOLERANCE_S = 300

#: The longest header, and the most signatures in one: enough for any rotation of keys, and cheap to refuse.
HEADER_MOST = 1024
SIGNATURES_MOST = 5

_TIME = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that came with a signature, as it came."""

    header: str
    method: str
    #: The path as the API names it, from /v1 on, and the query where there is one.
    target: bytes
    #: Its Idempotency-Key.
    key: str | None
    body: bytes


class Signing:
    """What the signing keys of one installation are made of. Never shown, never logged."""

    def __init__(self, store: Store, keys: Keys, clock: TellsTime) -> None:
        self._store, self._key, self._clock = store, keys.signing, clock
        self._secret: bytes | None = None

    def issue(self, session: str) -> str:
        """The signing key of a session that is being opened, from the secret as it stands in the store.

        Makes the secret when there is none: before the session, so that whatever has the session has the secret too.
        One round trip, two the first time. Raises Problem (503).
        """
        self._read()
        if self._secret is None:
            made = secrets.token_hex(32)
            self._secret = self._store.change("keep_signing_secret", [self._key], [self._clock.now_ms(), made])[0]
        assert self._secret is not None  # noqa: S101  the function answers the one that stands
        return _derive(self._secret, session)

    def known(self, session: str) -> Iterable[str]:
        """The signing key of a session; then, if that was not it, the one of the secret as it stands in the store.

        They differ only after the store was lost together with a secret that was not archived yet. Raises Problem
        (503).
        """
        remembered = self._secret
        if remembered is not None:
            yield _derive(remembered, session)
        # A refusal costs round trips anyway; what is right is told so without one.
        self._read()
        if self._secret is not None and self._secret != remembered:
            yield _derive(self._secret, session)

    def _read(self) -> None:
        self._secret = self._store.read(("GET", self._key))[0]


def check_signature(lb: Installation, caller: Caller, signed: SignedRequest | None, *, demanded: bool) -> int | None:
    """When a player's request was signed (ms), None where it was not and need not; servers are not asked.

    One that nobody demanded is checked all the same: whoever signs wants to know that something is wrong with it. No
    round trip for one that is right. Raises signature_required, signature_invalid, signature_expired; Problem (503).
    """
    if caller.role is not Role.PLAYER:
        return None
    if signed is None:
        if demanded:
            raise _refusal("signature_required")
        return None
    if not signed.key:
        raise _refusal("signature_invalid", "a signed submission needs an Idempotency-Key")
    time, signatures = _parse(signed.header)
    message = string_to_sign(time, signed.method, signed.target, signed.key, signed.body)
    if not any(_is_one_of(signatures, sign(key, message)) for key in lb.signing.known(caller.session)):
        # It holds nothing that the caller did not send, and comparing it with one's own is how to find a mistake.
        raise _refusal("signature_invalid", string_to_sign=message.decode("utf-8", "replace"))
    now_ms, signed_ms = lb.clock.now_ms(), int(time) * 1000
    if abs(signed_ms - now_ms) > TOLERANCE_S * 1000:
        raise _refusal("signature_expired", server_time=now_ms // 1000)
    return signed_ms


def string_to_sign(time: str, method: str, target: bytes, key: str, body: bytes) -> bytes:
    """What a signature is made of, as docs/signing.md says."""
    digest = sha256(body).hexdigest()
    return b"\n".join((time.encode(), method.encode(), target, key.encode(), digest.encode()))


def sign(signing_key: str, message: bytes) -> bytes:
    """The key is used as it is handed out, not as the bytes that its digits stand for."""
    return hmac.digest(signing_key.encode(), message, "sha256")


def _derive(secret: bytes, session: str) -> str:
    return hmac.digest(secret, b"signing-key\n" + session.encode(), "sha256").hex()


def _parse(header: str) -> tuple[str, list[bytes]]:
    """The time as it was written, and the signatures. Schemes other than v1 are for others to know."""
    if len(header) > HEADER_MOST:
        raise _malformed(f"is longer than {HEADER_MOST} characters")
    pairs = [
        (name.strip(" "), value.strip(" ")) for name, _, value in (part.partition("=") for part in header.split(","))
    ]
    times = [value for name, value in pairs if name == "t"]
    signatures = [value for name, value in pairs if name == "v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise _malformed("has one t=, in whole seconds since 1970")
    if not 1 <= len(signatures) <= SIGNATURES_MOST:
        raise _malformed(f"has 1 to {SIGNATURES_MOST} v1=")
    if not all(_SIGNATURE.fullmatch(value) for value in signatures):
        raise _malformed("has 64 hexadecimal digits after each v1=")
    return times[0], [bytes.fromhex(value) for value in signatures]


def _is_one_of(given: list[bytes], right: bytes) -> bool:
    """Takes as long whichever of them is right, and however much of one."""
    found = False
    for signature in given:
        found |= hmac.compare_digest(signature, right)
    return found


def _malformed(what: str) -> Problem:
    return _refusal("signature_invalid", f"{HEADER} {what}: t=<seconds>,v1=<hex>")


def _refusal(code: str, detail: str | None = None, **extra: object) -> Problem:
    return Problem(code, detail, headers={"WWW-Authenticate": HEADER}, extra=extra)
