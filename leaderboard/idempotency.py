"""Idempotency keys: what a repeat is recognised by.

A key is scoped to the credential, the route and, for submissions, the player (its records live with the player). The
digests are short because a player keeps 32 of them in one string; 80 bits among 32 do not collide by chance. So a batch
with a key has at most 32 submissions of one player.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from leaderboard.callers import Caller

#: How many keys of a player's submissions are remembered (store/lua/replay.lua).
KEPT_KEYS = 32

#: How long the whole answer to a call is kept.
ANSWER_KEPT_MS = 48 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    #: 10 bytes of the key within its scope, 6 bytes of the body; together what lb_submit takes.
    key_digest: bytes
    body_digest: bytes
    #: The first moment it can have come, where it must not count twice even after it was forgotten for newer ones.
    first_ms: int | None = None

    @property
    def packed(self) -> bytes:
        """As `submit` takes it (store/lua/submit.lua)."""
        first = b"" if self.first_ms is None else b"%d" % self.first_ms
        return self.key_digest + self.body_digest + first


def idempotent_call(caller: Caller, route: str, key: str, body: Any) -> IdempotentCall:
    """`body` as parsed: another order of members or other white space is the same body."""
    scope = "\0".join((caller.credential, route, key))
    # The standard library's, as orjson refuses integers beyond 64 bits, which are for a schema to refuse.
    canonical = json.dumps(body, default=str, sort_keys=True)
    return IdempotentCall(sha256(scope.encode()).digest()[:10], sha256(canonical.encode()).digest()[:6])
