"""Decisions on reviews that are taken back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard.model import DAY_MS
from leaderboard.settings import Settings
from tests.api.held import define, end_of_week, hold, play
from tests.calls import refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_same
from tests.reviewing import REVIEWS, Desk, dump


def test_what_was_rejected_is_held_again_and_then_approved(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api)
    review = hold(api, desk)
    before = dump(raw)
    desk.decide(review, "reject", "too good")
    assert not [key for key in dump(raw) if ":held:" in key]
    assert desk.decide(review, "reopen", "was too hasty")["state"] == "open"
    assert_same("keys", before, dump(raw))
    assert desk.newest()["verdict"]["reason"] == "was too hasty"
    with unchanged(raw):
        assert desk.decide(review, "reopen")["state"] == "open"
    desk.decide(review, "approve")
    assert api.table() == [(1, "alice", 2000)]


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("ties", ["ordinal", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_an_approval_is_taken_back_to_the_last_byte(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock, policy: str, ties: str, order: str
) -> None:
    define(api, policy=policy, ties=ties, order=order)
    play(clock, api)
    # Of one who has entries, one who ties with another, and one who has none.
    reviews = [hold(api, desk, player, score) for player, score in (("alice", 2000), ("bob", 2000), ("dora", 3000))]
    before = dump(raw)
    for _ in range(2):
        for review in reviews:
            desk.decide(review, "approve")
        assert dump(raw).keys() != before.keys()
        for review in reviews:
            decided = desk.decide(review, "reopen", "looked again")
            assert (decided["state"], decided["standings"], decided["settled"]) == ("open", [], [])
        assert_same("keys", before, dump(raw))
    desk.assert_archived(raw)
    history = desk.get(reviews[0])["history"]
    assert [one["kind"] for one in history[:5]] == ["reopened", "submission", "reopened", "submission", "held"]
    assert desk.get(reviews[0])["verdict"]["reason"] == "looked again"
    desk.decide(reviews[0], "approve")
    assert {player: score for _, player, score in api.table()}["alice"] != {"best": 700}.get(policy)


def test_in_standings_that_begin_with_an_approval_nothing_is_left_of_it(
    api: Client, desk: Desk, raw: redis.Redis
) -> None:
    define(api, ties="dense")
    review = hold(api, desk)
    before = dump(raw)
    desk.decide(review, "approve")
    desk.decide(review, "reopen")
    after = dump(raw)
    # That they have begun stays known.
    assert after.pop("lb:{0}:kept:main")
    assert_same("keys", before, after)


@pytest.mark.parametrize("change", ["submitted", "corrected", "removed", "approved"])
def test_what_changed_since_the_approval_is_not_put_back(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock, change: str
) -> None:
    define(api)
    play(clock, api)
    review, other = hold(api, desk), hold(api, desk, score=3000)
    desk.decide(review, "approve")
    entry = "/v1/admin/boards/main/entries/alice"
    match change:
        case "submitted":
            # It changes no score, but the number of submissions.
            api.submit("alice", 1)
        case "corrected":
            api.admin.put(f"{entry}?period=weekly", {"score": 1, "reason": "by hand"})
        case "removed":
            api.admin.delete(f"{entry}?period=season&reason=by hand")
        case "approved":
            desk.decide(other, "approve")
    desk.archive()
    with unchanged(raw):
        refused(desk.call(review, "reopen"), 409, "entry_changed")
    if change == "approved":
        # In the other order they can be.
        desk.decide(other, "reopen")
        desk.decide(review, "reopen")
        assert {player: score for _, player, score in api.table()}["alice"] == 700


def test_an_approval_is_not_taken_back_where_a_standings_is_final(
    api: Client, desk: Desk, raw: redis.Redis, clock: SetClock
) -> None:
    define(api)
    review = hold(api, desk)
    desk.decide(review, "approve")
    clock.at_ms = end_of_week(api, desk.get(review)["period_ids"][1]) + DAY_MS
    desk.archive()
    with unchanged(raw):
        refused(desk.call(review, "reopen"), 409, "period_settled")
    # Nor where the board has the kind no more.
    define(api, periods=[{"kind": "alltime"}])
    refused(desk.call(review, "reopen"), 409, "period_settled")


def test_what_was_final_before_the_approval_does_not_keep_it_from_being_taken_back(
    api: Client, desk: Desk, clock: SetClock
) -> None:
    define(api)
    review = hold(api, desk)
    clock.at_ms = end_of_week(api, desk.get(review)["period_ids"][1]) + DAY_MS
    assert len(desk.decide(review, "approve")["settled"]) == 1
    assert desk.decide(review, "reopen")["state"] == "open"
    assert api.table() == []


def test_many_who_take_back_and_approve_at_once_count_it_once(
    settings: Settings, raw: redis.Redis, clock: SetClock, api: Client, desk: Desk
) -> None:
    define(api, policy="sum")
    api.submit("alice", 1)
    review = hold(api, desk)

    def decide(n: int) -> int:
        client = Client(desk.app.test_client()).admin
        body = {"decision": ("approve", "reopen", "reject")[n % 3]}
        return int(client.call("POST", f"{REVIEWS}/{review}/decision", body).status_code)

    for _ in range(6):
        # Whoever reopens waits for the archive, so somebody archives meanwhile.
        with ThreadPoolExecutor(7) as pool:
            running = [pool.submit(decide, n) for n in range(6)]
            while not all(one.done() for one in running):
                desk.archive()
        assert {one.result() for one in running} <= {200, 409}
        state = desk.get(review)["state"]
        total = {player: score for _, player, score in api.table()}["alice"]
        assert total == (2001 if state == "approved" else 1), state
        assert bool(raw.exists("lb:{0}:held:alice")) is (state == "open")
    desk.assert_archived(raw)


def test_what_was_read_before_it_was_held_again_takes_nothing_back(
    api: Client, desk: Desk, raw: redis.Redis, app: Flask
) -> None:
    define(api, policy="sum")
    review = hold(api, desk)
    desk.decide(review, "reject")
    lb = app.extensions["leaderboard"]
    seen = raw.get(lb.keys.reopened("alice")) or b""
    held = b"what somebody read while it was rejected"
    desk.decide(review, "reopen")
    desk.decide(review, "approve")
    keys = [lb.keys.player("alice"), lb.keys.held("alice"), lb.keys.reopened("alice"), lb.keys.gate("main")]
    args = ["alice", clock_of(lb), review, held, "{}", seen, "new", "rejected", "", "", "", "", ""]
    with unchanged(raw):
        assert lb.store.change("reopen_review", keys, args) == [b"moved"]


def clock_of(lb: Any) -> int:
    return int(lb.clock.now_ms())


def test_of_one_player_no_more_are_held_again_than_may_be_held(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api)
    review = hold(api, desk)
    desk.decide(review, "reject")
    for n in range(32):
        api.submit("alice", 3000 + n)
    desk.archive()
    with unchanged(raw):
        refused(desk.call(review, "reopen"), 422, "too_many_held")


def test_without_the_archive_nothing_is_taken_back(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api)
    review = hold(api, desk)
    desk.decide(review, "approve")
    # Nobody archives it.
    with unchanged(raw):
        answer = api.admin.call("POST", f"{REVIEWS}/{review}/decision", {"decision": "reopen"})
        refused(answer, 503, "archive_unavailable")
