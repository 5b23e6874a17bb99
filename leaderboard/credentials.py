"""Keys of admins, servers and read-only callers: `lbk_<id>_<secret>`, kept as a hash, named, listable, revocable.

Checked keys are remembered for a moment, so a submission by a server is one call to the store; a revoked key stops
working everywhere within that moment.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from leaderboard.audit import Act
from leaderboard.callers import Caller, Role
from leaderboard.clock import TellsTime
from leaderboard.errors import Problem
from leaderboard.keys import Keys
from leaderboard.settings import Settings
from leaderboard.store.client import Store

PREFIX = "lbk_"

#: How long a checked key is trusted without asking the store.
REMEMBER_S = 0.5
#: The most keys remembered; they are few, and a flood of ids must not grow the memory.
REMEMBER_MOST = 1000

ROLES = {"read": Role.READ, "server": Role.SERVER, "admin": Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    name: str
    role: Role
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key as it is shown once, when it is made: `secret` is the whole credential."""

    id: str
    name: str
    role: Role
    created_ms: int
    secret: str


class Credentials:
    def __init__(self, store: Store, keys: Keys, clock: TellsTime, settings: Settings) -> None:
        self._store, self._key, self._clock = store, keys.keys, clock
        self._remembered: dict[str, tuple[float, dict[str, str]]] = {}
        self._fixed = [
            (Caller(role, f"setting-{role.name.lower()}", name=f"LEADERBOARD_{role.name}_KEY"), _digest(key))
            for role, key in ((Role.ADMIN, settings.admin_key), (Role.SERVER, settings.server_key))
            if key
        ]

    def create(self, name: str, role: Role, act: Act) -> IssuedKey:
        """Make a key; its secret is not kept and cannot be shown again."""
        key_id, now = secrets.token_hex(6), self._clock.now_ms()
        secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        record = {"name": name, "role": role.name.lower(), "hash": _digest(secret), "created_ms": now}
        self._write(key_id, record, now, "new", act.on(key=key_id, after=_described(record)))
        return IssuedKey(key_id, name, role, now, secret)

    def list(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        flat = self._store.read(("HGETALL", self._key))[0]
        keys = [
            Key(key_id.decode(), data["name"], ROLES[data["role"]], data["created_ms"], data.get("revoked_ms"))
            for key_id, data in zip(flat[::2], map(orjson.loads, flat[1::2]), strict=True)
        ]
        return sorted(keys, key=lambda key: (key.created_ms, key.id))

    def revoke(self, key_id: str, act: Act) -> None:
        """Stop a key within half a second, everywhere. Revoking twice is harmless; key_not_found."""
        packed = self._store.read(("HGET", self._key, key_id))[0]
        if packed is None:
            raise Problem("key_not_found")
        record = orjson.loads(packed)
        if "revoked_ms" not in record:
            # A key never changes but for this, so reading and writing apart cannot lose anything.
            now = self._clock.now_ms()
            after = record | {"revoked_ms": now}
            self._write(
                key_id, after, now, "revoked", act.on(key=key_id, before=_described(record), after=_described(after))
            )
        self._remembered.pop(key_id, None)

    def _write(self, key_id: str, record: dict[str, Any], now_ms: int, state: str, act: bytes) -> None:
        self._store.change("write_key", [self._key], [now_ms, key_id, orjson.dumps(record), state], act)

    def check(self, credential: str) -> Caller | None:
        """Whom a key stands for; None when it is not one of ours, or revoked. Problem (503) without the store."""
        digest = _digest(credential)
        for caller, expected in self._fixed:
            if hmac.compare_digest(digest, expected):
                return caller
        key_id = credential[len(PREFIX) :].partition("_")[0]
        if not credential.startswith(PREFIX) or len(key_id) != 12:
            return None
        record = self._record(key_id)
        if record is None or "revoked_ms" in record or not hmac.compare_digest(digest, record["hash"]):
            return None
        return Caller(ROLES[record["role"]], key_id, name=record["name"])

    def _record(self, key_id: str) -> dict[str, str] | None:
        now = time.monotonic()
        known = self._remembered.get(key_id)
        if known and now - known[0] < REMEMBER_S:
            return known[1]
        packed = self._store.read(("HGET", self._key, key_id))[0]
        if packed is None:
            return None
        record: dict[str, str] = orjson.loads(packed)
        if len(self._remembered) >= REMEMBER_MOST:
            self._remembered.clear()
        self._remembered[key_id] = (now, record)
        return record


def _described(record: dict[str, Any]) -> dict[str, Any]:
    """A key as the audit keeps it: without what proves it."""
    return {name: value for name, value in record.items() if name != "hash"}


def _digest(credential: str) -> str:
    return sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()
