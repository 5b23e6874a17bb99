"""Signing as a client does it, written from docs/signing.md and not from the code of the service."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from tests.calls import SUBMISSIONS
from tests.client import Client


def signature(key: str, at_s: int | str, method: str, target: str, idempotency_key: str, body: bytes) -> str:
    """The hexadecimal digits that follow `v1=`."""
    text = f"{at_s}\n{method}\n{target}\n{idempotency_key}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Signer:
    """A player's session with its signing key."""

    http: Any
    token: str
    key: str

    @classmethod
    def of(cls, api: Client, player: str) -> Signer:
        opened = api.server.post(f"/v1/players/{player}/sessions", expect=201)
        return cls(api.http, opened["token"], opened["signing_key"])

    def header(self, at_s: int, body: bytes, key: str, target: str = SUBMISSIONS, method: str = "POST") -> str:
        return f"t={at_s},v1={signature(self.key, at_s, method, target, key, body)}"

    def send(self, header: str | None, body: bytes, key: str | None, target: str = SUBMISSIONS) -> Any:
        """A submission with whatever header there is."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        headers |= {"Leaderboard-Signature": header} if header is not None else {}
        headers |= {"Idempotency-Key": key} if key is not None else {}
        return self.http.open(target, method="POST", data=body, headers=headers)

    def submit(self, score: int, key: str, at_s: int, target: str = SUBMISSIONS) -> Any:
        """Signed as it should be."""
        body = json.dumps({"score": score}).encode()
        return self.send(self.header(at_s, body, key, target), body, key, target)
