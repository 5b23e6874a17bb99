"""Keys of admins, servers and read-only callers: `lbk_<id>_<secret>`, kept as a hash, named, listable, revocable.

Checked keys are remembered for half a second in each process, so a submission by a server is one call to the store;
what is revoked or rotated is so everywhere within that time.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from leaderboard.audit import Act
from leaderboard.callers import ALL_SCOPES, Caller, Role, Scope
from leaderboard.clock import TellsTime
from leaderboard.errors import Problem, invalid
from leaderboard.keys import Keys
from leaderboard.settings import Settings
from leaderboard.store.client import Store, unavailable

PREFIX = "lbk_"

#: How long a checked key is trusted without asking the store.
REMEMBER_S = 0.5
#: The most keys remembered; they are few, and a flood of ids must not grow the memory.
REMEMBER_MOST = 1000

#: How long the secrets before a rotation go on unless said otherwise, and at most.
OVERLAP_S = 24 * 3600
OVERLAP_MOST_S = 30 * 24 * 3600
#: So many former secrets of a key may go on at once; the one that ends first goes.
FORMER_MOST = 8

#: Losing a race this often in a row means something else is wrong.
TRIES = 8

ROLES = {"read": Role.READ, "server": Role.SERVER, "admin": Role.ADMIN}

_Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    name: str
    role: Role
    #: What an admin key may do; none for other roles.
    scopes: Set[Scope]
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    #: The last characters of its secret, so that one can tell which it is.
    ends_with: str
    #: Until when the last of the secrets before its rotation works, or worked; None where there is none.
    former_until_ms: int | None

    def works_at(self, now_ms: int) -> bool:
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key as it is shown once, when it is made or rotated: `secret` is the whole credential."""

    key: Key
    secret: str


class Credentials:
    def __init__(self, store: Store, keys: Keys, clock: TellsTime, settings: Settings) -> None:
        self._store, self._key, self._clock = store, keys.keys, clock
        self._remembered: dict[str, tuple[float, _Record]] = {}
        self._fixed = [
            (Caller(role, f"setting-{role.name.lower()}", name=variable, scopes=scopes), _digest(key))
            for role, key, variable, scopes in (
                (Role.ADMIN, settings.admin_key, "LEADERBOARD_ADMIN_KEY", ALL_SCOPES),
                (Role.SERVER, settings.server_key, "LEADERBOARD_SERVER_KEY", frozenset[Scope]()),
            )
            if key
        ]
        #: With an admin key among the settings nobody can lock themselves out.
        self._has_fixed_admin = settings.admin_key is not None

    # -- making and ending them --------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        role: Role,
        act: Act,
        *,
        scopes: Set[Scope] | None = None,
        expires_ms: int | None = None,
        by: Caller | None = None,
    ) -> IssuedKey:
        """Make a key; its secret is not kept and cannot be shown again.

        `scopes` are those of an admin key, None for all, also of later versions. `by` is the caller, who cannot make
        one that may more or lasts longer than its own; None for whoever runs the machine. Raises 422, forbidden.
        """
        key_id, now = secrets.token_hex(6), self._clock.now_ms()
        if scopes is not None and role is not Role.ADMIN:
            raise invalid("/scopes", "admins_only", "only keys of role admin have scopes")
        if expires_ms is not None and expires_ms <= now:
            raise invalid("/expires_at", "in_past", "expires_at is in the past")
        record: _Record = {"name": name, "role": role.name.lower(), "created_ms": now}
        if scopes is not None:
            record["scopes"] = sorted(scopes)
        if expires_ms is not None:
            record["expires_ms"] = expires_ms
        _check_may_give(by, _read(key_id, record))
        secret = _renew_secret(key_id, record)
        self._write(key_id, record, b"", now, act.on(key=key_id, after=_described(record)))
        return IssuedKey(_read(key_id, record), secret)

    def rotate(self, key_id: str, overlap_s: int, act: Act, by: Caller | None = None) -> IssuedKey:
        """Give a key another secret; those it had work for `overlap_s` seconds more, or as long as they would have.

        All else of it stays. Raises key_not_found, key_ended, forbidden for a key that may more than `by`.
        """
        secret = ""

        def rotate(record: _Record, now: int) -> None:
            nonlocal secret
            key = _read(key_id, record)
            if not key.works_at(now):
                raise Problem("key_ended")
            _check_may_give(by, key)
            until = now + overlap_s * 1000
            former = [*record.get("former", ()), {"hash": record["hash"], "until_ms": until}]
            former = [one | {"until_ms": min(one["until_ms"], until)} for one in former]
            former = sorted((one for one in former if one["until_ms"] > now), key=lambda one: one["until_ms"])
            record["former"] = former[-FORMER_MOST:]
            secret = _renew_secret(key_id, record)

        return IssuedKey(self._change(key_id, rotate, act), secret)

    def revoke(self, key_id: str, act: Act, by: Caller | None = None) -> None:
        """Stop a key within half a second, everywhere. Revoking twice is harmless.

        Raises key_not_found; last_admin_key when nobody could give its scopes to another key any more, unless it is
        whoever runs the machine that asks.
        """

        def revoke(record: _Record, now: int) -> None:
            record.setdefault("revoked_ms", now)

        self._change(key_id, revoke, act, guarded=by is not None and not self._has_fixed_admin)

    def list(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        flat = self._store.read(("HGETALL", self._key))[0]
        keys = [
            _read(key_id.decode(), orjson.loads(packed)) for key_id, packed in zip(flat[::2], flat[1::2], strict=True)
        ]
        return sorted(keys, key=lambda key: (key.created_ms, key.id))

    def _change(self, key_id: str, change: Callable[[_Record, int], None], act: Act, *, guarded: bool = False) -> Key:
        """Change the record of a key as it stands, whoever else does so in the same moment."""
        for _ in range(TRIES):
            packed = self._store.read(("HGET", self._key, key_id))[0]
            if packed is None:
                raise Problem("key_not_found")
            before, after, now = orjson.loads(packed), orjson.loads(packed), self._clock.now_ms()
            change(after, now)
            done = after == before or self._write(
                key_id,
                after,
                packed,
                now,
                act.on(key=key_id, before=_described(before), after=_described(after)),
                guarded,
            )
            self._remembered.pop(key_id, None)
            if done:
                return _read(key_id, after)
        raise unavailable("The key keeps changing.")

    def _write(
        self, key_id: str, record: _Record, expected: bytes, now_ms: int, act: bytes, guarded: bool = False
    ) -> bool:
        args: list[str | bytes | int] = [now_ms, key_id, orjson.dumps(record), expected, int(guarded)]
        reply = self._store.change("write_key", [self._key], args, act)
        if reply[0] == b"last":
            raise Problem("last_admin_key")
        return bool(reply[0] == b"written")

    # -- checking them -----------------------------------------------------------------------------------------------

    def check(self, credential: str) -> Caller | None:
        """Whom a key stands for; None when it is not one of ours, or has ended. Problem (503) without the store."""
        digest = _digest(credential)
        for caller, expected in self._fixed:
            if hmac.compare_digest(digest, expected):
                return caller
        key_id = credential[len(PREFIX) :].partition("_")[0]
        if not credential.startswith(PREFIX) or len(key_id) != 12:
            return None
        record = self._record(key_id)
        if record is None or not self._proves(digest, record):
            return None
        key = _read(key_id, record)
        return Caller(key.role, key_id, name=key.name, scopes=key.scopes, expires_ms=key.expires_ms)

    def _proves(self, digest: str, record: _Record) -> bool:
        """Whether this is a secret of a key that works."""
        if "revoked_ms" in record:
            return False
        if "expires_ms" in record and record["expires_ms"] <= self._clock.now_ms():
            return False
        if hmac.compare_digest(digest, record["hash"]):
            return True
        former = [one for one in record.get("former", ()) if hmac.compare_digest(digest, one["hash"])]
        return bool(former) and self._clock.now_ms() < former[0]["until_ms"]

    def _record(self, key_id: str) -> _Record | None:
        now = time.monotonic()
        known = self._remembered.get(key_id)
        if known and now - known[0] < REMEMBER_S:
            return known[1]
        packed = self._store.read(("HGET", self._key, key_id))[0]
        if packed is None:
            return None
        record: _Record = orjson.loads(packed)
        if len(self._remembered) >= REMEMBER_MOST:
            self._remembered.clear()
        self._remembered[key_id] = (now, record)
        return record


def _check_may_give(by: Caller | None, key: Key) -> None:
    """Whoever gets a secret of a key must not get more by it than there was before. Raises forbidden."""
    if by is None:
        return
    missing = sorted(key.scopes - by.scopes)
    if missing:
        raise Problem("forbidden", f"your own key lacks the scope {', '.join(missing)}")
    if by.expires_ms is not None and (key.expires_ms is None or key.expires_ms > by.expires_ms):
        raise Problem("forbidden", "your own key expires before this one would")


def _renew_secret(key_id: str, record: _Record) -> str:
    secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    record |= {"hash": _digest(secret), "ends_with": secret[-4:]}
    return secret


def _read(key_id: str, record: _Record) -> Key:
    role = ROLES[record["role"]]
    scopes = frozenset(map(Scope, record["scopes"])) if "scopes" in record else ALL_SCOPES
    return Key(
        key_id,
        record["name"],
        role,
        scopes if role is Role.ADMIN else frozenset(),
        record["created_ms"],
        record.get("expires_ms"),
        record.get("revoked_ms"),
        record.get("ends_with", ""),
        max((one["until_ms"] for one in record.get("former", ())), default=None),
    )


def _described(record: _Record) -> _Record:
    """A key as the audit keeps it: without what proves it."""
    described = {name: value for name, value in record.items() if name not in ("hash", "former")}
    if "former" in record:
        described["former_until_ms"] = _read("", record).former_until_ms
    return described


def _digest(credential: str) -> str:
    return sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()
