"""What one piece of trust does while another is half done, or was undone since."""

from __future__ import annotations

from leaderboard.bans import _keys, _place_everywhere
from leaderboard.installation import Installation
from leaderboard.outlier_reviews import look_at
from leaderboard.worker.drain import Drain
from tests.calls import refused
from tests.client import Client
from tests.conftest import SetClock
from tests.trust.outliers import fill, reviews

ENTRIES = "/v1/admin/boards/main/entries"


def archive(drain: Drain) -> None:
    while drain.step():
        pass


def raise_one(api: Client, lb: Installation, drain: Drain) -> str:
    """The path of the decision on a review of an outlier, whose entry is in its place."""
    api.submit("cheat", 10**9)
    archive(drain)
    assert look_at(lb, "main") == 1
    archive(drain)
    (review,) = reviews(api)
    return f"/v1/admin/reviews/{review['id']}/decision"


def test_an_entry_that_is_put_back_while_a_ban_is_being_lifted_is_seen_afterwards(
    api: Client, lb: Installation, clock: SetClock
) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("alice", 7)
    api.admin.delete(f"{ENTRIES}/alice?reason=x")
    api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "x"})
    reply = lb.store.change("begin_lift", _keys(lb, "alice"), ["alice", clock.now_ms(), "now"])
    _place_everywhere(lb, "alice")
    at = "2020-01-01T00:00:00Z"
    body = {"score": 7, "reason": "back", "submissions": 1, "achieved_at": at, "newest_at": at}
    api.admin.put(f"{ENTRIES}/alice", body)
    lb.store.change("finish_lift", _keys(lb, "alice"), ["alice", clock.now_ms(), reply[1]])
    assert api.table() == [(1, "alice", 7)]


def test_an_outlier_of_a_board_that_is_defined_otherwise_now_is_not_taken_out(
    api: Client, lb: Installation, drain: Drain
) -> None:
    fill(api, "review", tiebreaks=[{"name": "a"}, {"name": "b"}])
    decision = raise_one(api, lb, drain)
    for _, player, _ in api.table():
        api.admin.delete(f"{ENTRIES}/{player}?reason=x")
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("cheat", 5)
    refused(api.admin.call("POST", decision, {"decision": "reject"}), 409, "entry_changed")
    assert api.table() == [(1, "cheat", 5)]


def test_the_review_of_an_entry_that_went_with_its_board_is_rejected_whatever_its_successor_has_settled(
    api: Client, lb: Installation, drain: Drain, clock: SetClock
) -> None:
    fill(api, "review", periods=[{"kind": "season"}])
    decision = raise_one(api, lb, drain)
    api.define("main", periods=[{"kind": "season"}], state="archived")
    api.admin.delete("/v1/admin/boards/main")
    api.define("main", periods=[{"kind": "season"}])
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    clock.pass_ms(10**9)
    assert api.admin.post(decision, {"decision": "reject"})["state"] == "rejected"
