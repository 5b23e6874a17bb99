"""How much may be scored per second of an attempt: at the limit, just beyond it, and what becomes of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from tests.api.test_attempts import UNLIMITED, opened, played
from tests.calls import SUBMISSIONS, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock

SERVERS_TOO = {"servers": True}


def define(api: Client, value: float, then: str, **more: Any) -> None:
    rule = {"value": value, "then": then} | more.pop("rule", {})
    attempts = {"max_score_per_s": rule} | more.pop("attempts", {})
    api.define("main", **more, rules=UNLIMITED | {"attempts": attempts})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without the limit on all boards together: what counts for that expires by the store's own clock."""
    return replace(settings, player_burst=0)


@pytest.fixture
def drain(app: Flask) -> Iterator[Drain]:
    drain = Drain(app.extensions["leaderboard"])
    yield drain
    drain.finish()


@pytest.mark.parametrize(
    ("value", "decimals", "elapsed_ms", "most", "more"),
    [
        (10, 0, 1000, 10, 11),
        (10, 0, 1099, 10, 11),
        (10, 0, 1100, 11, 12),
        # As doubles, 100 times 0.29 is less than 29.
        (0.29, 0, 100_000, 29, 30),
        (0.1, 0, 30_000, 3, 4),
        (0.001, 0, 3_000_000, 3, 4),
        (2.5, 2, 1010, 2.52, 2.53),
        (0.001, 6, 2000, 0.002, 0.002001),
        (10**12 - 1, 0, 3_000_000, 10**15 - 1, None),
        (333_333_333_333, 0, 3_000, 999_999_999_999, 1_000_000_000_000),
        # Nothing takes less than a millisecond.
        (5000, 0, 0, 5, 6),
    ],
)
def test_what_is_at_the_limit_counts_and_what_is_beyond_it_is_rejected(
    api: Client, clock: SetClock, raw: redis.Redis, value: float, decimals: int, elapsed_ms: int, most: Any, more: Any
) -> None:
    define(api, value, "reject", decimals=decimals)
    alice = api.player("alice")
    attempt = opened(alice)
    clock.pass_ms(elapsed_ms)
    if more is not None:
        with unchanged(raw):
            problem = refused(played(alice, more, attempt), 422, "rule_broken")
        assert problem["rule"] == "max_score_per_s"
    assert played(alice, most, attempt).status_code == 200
    assert api.table() == [(1, "alice", most)]


def test_what_is_held_spends_the_attempt_and_shows_what_was_seen(
    api: Client, clock: SetClock, drain: Drain, raw: redis.Redis
) -> None:
    define(api, 2.5, "hold", decimals=1)
    alice = api.player("alice")
    attempt = opened(alice)
    clock.pass_ms(4000)
    body, key = {"score": 10.1, "attempt": attempt}, {"Idempotency-Key": "k"}
    assert alice.call("POST", SUBMISSIONS, body, key).get_json()["outcome"] == "held"
    refused(played(alice, 1, attempt), 409, "attempt_invalid")
    with unchanged(raw):
        again = alice.call("POST", SUBMISSIONS, body, key)
        assert (again.get_json()["outcome"], again.headers["Idempotent-Replayed"]) == ("held", "true")
    drain.step()
    (review,) = api.admin.get("/v1/admin/reviews?rule=max_score_per_s")["reviews"]
    assert review["rules"] == [{"rule": "max_score_per_s", "value": 2.5, "seen": 2.525}]
    # What an admin approves names no attempt.
    api.admin.post(f"/v1/admin/reviews/{review['id']}/decision", {"decision": "approve"})
    assert api.table() == [(1, "alice", 10.1)]


def test_where_no_more_can_be_held_the_attempt_stays(api: Client, raw: redis.Redis) -> None:
    define(api, 1, "hold", rule=SERVERS_TOO)
    alice = api.player("alice")
    for _ in range(32):
        attempt = opened(api.server, player="alice")
        assert api.submit("alice", 99, attempt=attempt)["outcome"] == "held"
    attempt = opened(alice)
    with unchanged(raw):
        refused(played(alice, 99, attempt), 422, "too_many_held")


@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_it_is_the_submitted_score_whatever_the_policy(api: Client, clock: SetClock, policy: str) -> None:
    define(api, 1, "reject", policy=policy)
    alice = api.player("alice")
    for score in (10, 10):
        attempt = opened(alice)
        clock.pass_ms(10_000)
        refused(played(alice, 11, attempt), 422, "rule_broken")
        assert played(alice, score, attempt).status_code == 200
    assert api.table() == [(1, "alice", 20 if policy == "sum" else 10)]


def test_servers_and_admins_are_asked_where_the_rule_says_so(api: Client) -> None:
    define(api, 1, "reject", rule=SERVERS_TOO)
    attempt = opened(api.server, player="alice")
    for by in (api.server, api.admin):
        tried = by.call("POST", SUBMISSIONS, {"player": "alice", "score": 99, "attempt": attempt})
        assert refused(tried, 422, "rule_broken")["rule"] == "max_score_per_s"
    # Without an attempt there is no time to hold it against.
    api.submit("bob", 99)
    define(api, 1, "reject")
    api.submit("alice", 99, attempt=attempt)
    alice = api.player("alice")
    refused(played(alice, 99, opened(alice)), 422, "rule_broken")


def test_only_what_names_an_attempt_is_asked(api: Client) -> None:
    define(api, 1, "reject", attempts={"required": False})
    alice = api.player("alice")
    assert alice.post(SUBMISSIONS, {"score": 99})["outcome"] == "applied"
    refused(played(alice, 99, opened(alice)), 422, "rule_broken")


def test_a_play_of_which_others_are_told_late_was_not_faster(api: Client, clock: SetClock) -> None:
    """A server says when it was achieved; what counts is when it reaches us."""
    define(api, 1, "reject", rule=SERVERS_TOO)
    attempt = opened(api.server, player="alice")
    clock.pass_ms(5000)
    achieved = "2026-11-22T10:00:00Z"
    assert api.submit("alice", 6, attempt=attempt, expect=422)["rule"] == "max_score_per_s"
    assert api.submit("alice", 5, attempt=attempt, achieved_at=achieved, expect=422)["code"] == "invalid"
    api.submit("alice", 5, attempt=attempt)
