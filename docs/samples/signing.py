"""Submitting a signed score from Python, with nothing but the standard library."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from typing import Any


def signature_header(signing_key: str, at_s: int, method: str, target: str, idempotency_key: str, body: bytes) -> str:
    """The value of Leaderboard-Signature. `target` is the path from /v1 on, with the query where there is one."""
    text = "\n".join((str(at_s), method, target, idempotency_key, hashlib.sha256(body).hexdigest()))
    digest = hmac.new(signing_key.encode("utf-8"), text.encode("utf-8"), hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def submit(base_url: str, token: str, signing_key: str, board: str, score: int, idempotency_key: str) -> Any:
    """Sign and send one score. Raises HTTPError for a refusal.

    Call it again with the same Idempotency-Key to retry: it signs anew.
    """
    target = f"/v1/boards/{board}/submissions"
    # What is signed and what is sent must be the same bytes: serialise once.
    body = json.dumps({"score": score}).encode("utf-8")
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key,
        "Leaderboard-Signature": signature_header(signing_key, int(time.time()), "POST", target, idempotency_key, body),
    }
    request = urllib.request.Request(base_url + target, data=body, headers=headers, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the address is the caller's own
        return json.load(answer)
