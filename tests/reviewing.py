"""Holding submissions, and deciding on them as an admin does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
from flask import Flask

from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.keeping.contents import PASSING, Kept, assert_archive_is_store, every_key

REVIEWS = "/v1/admin/reviews"

#: What everybody breaks who submits more than 1000, servers too.
HOLDS = {"rate": None, "max_score": {"value": 1000, "then": "hold", "servers": True}}


def dump(raw: redis.Redis, namespace: str = "lb") -> dict[str, Kept]:
    """Everything in the store, but for what passes, and how far the archive is."""
    home = f"{namespace}:{{0}}:"
    left_out = tuple(f"{home}{name}" for name in (*PASSING, "journal", "store"))
    return {key: kept for key, kept in every_key(raw, namespace).items() if not key.startswith(left_out)}


@dataclass
class Desk:
    """Where an admin sits."""

    app: Flask
    admin: Client

    def __post_init__(self) -> None:
        self._drain = Drain(self.app.extensions["leaderboard"])

    def archive(self) -> None:
        """Archive what the journal holds."""
        while self._drain.step():
            pass

    def assert_archived(self, raw: redis.Redis) -> None:
        """The archive holds what the store does."""
        self.archive()
        assert_archive_is_store(self.app.extensions["leaderboard"].archive, raw)

    def list(self, query: str = "") -> list[dict[str, Any]]:
        self.archive()
        reviews: list[dict[str, Any]] = self.admin.get(f"{REVIEWS}?limit=200{query}")["reviews"]
        return reviews

    def newest(self) -> dict[str, Any]:
        """Of those that are open."""
        return self.list()[-1]

    def get(self, review: str) -> Any:
        self.archive()
        return self.admin.get(f"{REVIEWS}/{review}")

    def call(self, review: str, decision: str, reason: str | None = None) -> Any:
        """The raw response."""
        self.archive()
        body = {"decision": decision} | ({"reason": reason} if reason else {})
        return self.admin.call("POST", f"{REVIEWS}/{review}/decision", body)

    def decide(self, review: str, decision: str, reason: str | None = None) -> Any:
        answer = self.call(review, decision, reason)
        assert answer.status_code == 200, answer.text
        return answer.get_json()
