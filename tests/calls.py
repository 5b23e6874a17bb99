"""Calls sent as they are written, keys to make them with, and what there is to say of one that is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.client import SERVER_KEY, Client

SUBMISSIONS = "/v1/boards/main/submissions"
STANDINGS = "/v1/boards/main/standings"

#: Names that must not leave their place in a key, nor a path or a header.
ODD_IDS = [
    "a:b", "{0}", "a{b}", "a*", "a?b", "a b", "a\r\nb", "a\n", "../boards", "/../", "a/b", "", " ", "-a", ".a",
    "é", "a" * 65, "a" * 10_240, "%00", "a\u202eb",
]  # fmt: skip


def issue_key(api: Client, role: str) -> tuple[str, Client]:
    """A new key: its id, and somebody who has it."""
    issued = api.admin.post("/v1/admin/keys", {"name": f"a {role} key", "role": role}, expect=201)
    return issued["id"], Client(api.http, issued["secret"])


def send(
    api: Client,
    method: str,
    path: str,
    body: bytes | str,
    token: str | None = SERVER_KEY,
    headers: dict[str, str] | None = None,
) -> Any:
    """A body as it is, not as a JSON library would write it."""
    given = {"Content-Type": "application/json"}
    if token:
        given["Authorization"] = f"Bearer {token}"
    return api.http.open(path, method=method, data=body, headers=given | (headers or {}))


def submission(**members: str) -> str:
    """A submission whose members are given as JSON text."""
    given = {"player": '"alice"', "score": "11"} | members
    return "{" + ",".join(f'"{name}":{value}' for name, value in given.items()) + "}"


def refused(answer: Any, status: int, code: str) -> Any:
    """The problem, which is this one."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status, answer.text
    assert problem["type"] == f"/docs/errors#{code}", answer.text
    return problem


@contextmanager
def unchanged(raw: redis.Redis) -> Iterator[None]:
    """Whatever is called meanwhile, every key of the installation stays as it is, byte for byte.

    But for how often each address has called: that counts what is refused, too. And a key may come to its end.
    """
    begun = time.monotonic()
    before, ends = _contents(raw)
    yield
    after, _ = _contents(raw)
    passed_ms = (time.monotonic() - begun) * 1000
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    ended = {key for key, end_ms in ends.items() if after.get(key) is None and end_ms != -1 and end_ms <= passed_ms}
    changed = differing - ended
    assert not changed, f"changed: {sorted(changed)}"


def refused_without_a_trace(board: Client, raw: redis.Redis, body: bytes | str, status: int, code: str) -> None:
    """With and without an Idempotency-Key; a try that was not valid does not use one up."""
    with unchanged(raw):
        refused(send(board, "POST", SUBMISSIONS, body), status, code)
        refused(send(board, "POST", SUBMISSIONS, body, headers={"Idempotency-Key": "k"}), status, code)
    assert board.submit("alice", 11, key="k")["outcome"] == "applied"


def _contents(raw: redis.Redis) -> tuple[dict[bytes, bytes | None], dict[bytes, int]]:
    """What each key holds, and how many ms until it expires: -1 for one that does not, -2 for one that just has."""
    keys = [key for key in raw.scan_iter("lb:*", count=1000) if not key.startswith(b"lb:{0}:calls:")]
    with raw.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.dump(key)
        for key in keys:
            pipeline.pttl(key)
        found = pipeline.execute()
    return dict(zip(keys, found, strict=False)), dict(zip(keys, found[len(keys) :], strict=True))
