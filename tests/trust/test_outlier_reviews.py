"""Reviews of outliers: what deciding on them does, what comes in between, and that nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.outlier_reviews import look_at
from leaderboard.rebuild import rebuild
from leaderboard.rebuild.archive import fill_archive
from leaderboard.worker.drain import Drain
from tests.calls import unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, assert_same, every_key, lasting
from tests.trust.outliers import decide, fill, reviews


def contents(raw: redis.Redis, drain: Drain, clock: SetClock) -> dict[str, Any]:
    while drain.step():
        pass
    return lasting(every_key(raw), clock.now_ms())


def without_marks(keys: dict[str, Any]) -> dict[str, Any]:
    """But for what says for a day that something was held again."""
    return {key: kept for key, kept in keys.items() if ":reopened:" not in key}


# -- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", ["ordinal", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
@pytest.mark.parametrize("rebuilt", [False, True])
def test_what_is_held_and_approved_is_as_if_nothing_had_been(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, clock: SetClock, look: Any, policy: str, ties: str,
    rebuilt: bool,
) -> None:  # fmt: skip
    periods = [{"kind": "weekly"}, {"kind": "season"}]
    fill(api, policy=policy, ties=ties, tiebreaks=[{"name": "wins"}], periods=periods)
    for score in (10**9, 0, 10**9 + 5):
        clock.pass_ms(10)
        api.submit("cheat", score, tiebreaks={"wins": -3}, metadata={"nth": score})
    before = contents(raw, drain, clock)
    assert look() == 2
    assert "cheat" not in {player for _, player, _ in api.table()}
    meanwhile = contents(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
    if rebuilt:
        drain.finish()
        raw.flushdb()
        rebuild(lb)
        drain = Drain(lb)
        assert_same("keys", meanwhile, contents(raw, drain, clock))
        assert look_at(lb, "main") == 0
    for review in reviews(api):
        assert decide(api, review["id"], "approve")["state"] == "approved"
        with unchanged(raw):
            decide(api, review["id"], "approve", expect=409)
    assert_same("keys", before, contents(raw, drain, clock))
    assert_archive_is_store(lb.archive, raw)
    # Nor is it raised again.
    assert look_at(lb, "main") == 0


@pytest.mark.parametrize("then", ["review", "hold"])
@pytest.mark.parametrize("rebuilt", [False, True])
def test_what_is_rejected_is_gone_until_it_is_opened_again(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, clock: SetClock, look: Any, then: str, rebuilt: bool
) -> None:
    fill(api, then, ties="dense")
    api.submit("cheat", 10**9, metadata={"a": "b"})
    before = contents(raw, drain, clock)
    assert look() == 1
    (review,) = reviews(api)
    assert decide(api, review["id"], "reject")["state"] == "rejected"
    decide(api, review["id"], "reject", expect=409)
    decide(api, review["id"], "approve", expect=409)
    gone = {key: kept for key, kept in before.items() if "held" not in key}
    assert contents(raw, drain, clock).keys() == gone.keys()
    assert "cheat" not in {player for _, player, _ in api.table()}
    assert look() == 0
    (rejected,) = reviews(api, state="rejected")
    assert rejected["evidence"]["taken_out"]
    decide(api, review["id"], "reopen")
    held = contents(raw, drain, clock)
    assert "cheat" not in {player for _, player, _ in api.table()}
    if rebuilt:
        drain.finish()
        raw.flushdb()
        rebuild(lb)
        drain = Drain(lb)
        assert_same("keys", without_marks(held), contents(raw, drain, clock))
    decide(api, review["id"], "approve")
    assert_same("keys", before, without_marks(contents(raw, drain, clock)))
    assert_archive_is_store(lb.archive, raw)


@pytest.mark.parametrize("then", ["review", "hold"])
@pytest.mark.parametrize("meanwhile", [False, True])
def test_an_approval_is_taken_back(
    api: Client,
    lb: Installation,
    raw: redis.Redis,
    drain: Drain,
    clock: SetClock,
    look: Any,
    then: str,
    meanwhile: bool,
) -> None:
    fill(api, then, policy="sum", ties="dense")
    api.submit("cheat", 10**9)
    look()
    if meanwhile:
        clock.pass_ms(1)
        api.submit("cheat", 600)
    before = contents(raw, drain, clock)
    (review,) = reviews(api)
    decide(api, review["id"], "approve")
    contents(raw, drain, clock)
    decide(api, review["id"], "reopen")
    assert_same("keys", before, without_marks(contents(raw, drain, clock)))
    assert_archive_is_store(lb.archive, raw)
    assert look() == 0
    (again,) = reviews(api)
    assert {**again, "verdict": None} == review


def test_an_approved_review_that_took_nothing_out_changes_nothing(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, clock: SetClock, look: Any
) -> None:
    fill(api, "review")
    api.submit("cheat", 10**9)
    before = contents(raw, drain, clock)
    look()
    (review,) = reviews(api)
    decide(api, review["id"], "approve")
    assert_same("keys", before, contents(raw, drain, clock))
    assert look() == 0
    contents(raw, drain, clock)
    # Somebody was wrong.
    decide(api, review["id"], "reopen")
    decide(api, review["id"], "reject")
    assert "cheat" not in {player for _, player, _ in api.table()}
    contents(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)


@pytest.mark.parametrize(
    ("policy", "score", "submissions"), [("best", 10**9, 2), ("latest", 700, 2), ("sum", 10**9 + 700, 2)]
)
def test_what_comes_back_is_united_with_what_came_meanwhile(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, clock: SetClock, look: Any, policy: str, score: int,
    submissions: int,
) -> None:  # fmt: skip
    fill(api, policy=policy, ties="dense")
    api.submit("cheat", 10**9)
    look()
    clock.pass_ms(1000)
    api.submit("cheat", 700)
    assert {player: score for _, player, score in api.table()}["cheat"] == 700
    decide(api, reviews(api)[0]["id"], "approve")
    assert {player: score for _, player, score in api.table()}["cheat"] == score
    while drain.step():
        pass
    entry = api.server.get("/v1/players/cheat/export")["entries"][0]
    assert (entry["score"], entry["submissions"]) == (score, submissions)
    assert_archive_is_store(lb.archive, raw)
    rebuilt = contents(raw, drain, clock)
    raw.flushdb()
    drain.finish()
    rebuild(lb)
    assert_same("keys", rebuilt, contents(raw, Drain(lb), clock))


def test_a_sum_that_would_leave_the_range_stays_held(api: Client, raw: redis.Redis, look: Any) -> None:
    fill(api, policy="sum", tiebreaks=[{"name": "wins"}])
    most = 10**15 - 1
    api.submit("cheat", most - 10, tiebreaks={"wins": most})
    look()
    api.submit("cheat", 10, tiebreaks={"wins": 1})
    (review,) = reviews(api)
    with unchanged(raw):
        problem = decide(api, review["id"], "approve", expect=422)
    assert problem["errors"][0]["pointer"] == "/tiebreaks/wins"
    api.submit("cheat", 1)
    with unchanged(raw):
        assert decide(api, review["id"], "approve", expect=422)["errors"][0]["pointer"] == "/score"


# -- what others do meanwhile ----------------------------------------------------------------------------------------


def test_an_entry_that_is_another_by_now_is_not_removed(api: Client, raw: redis.Redis, look: Any) -> None:
    fill(api, "review")
    api.submit("cheat", 10**9)
    look()
    (review,) = reviews(api)
    # Not a better one: it still is that entry.
    api.submit("cheat", 5)
    api.submit("cheat", 10**9 + 1)
    # One at a time: until this is decided the other has none.
    assert look() == 0
    with unchanged(raw):
        assert decide(api, review["id"], "reject", expect=409)["code"] == "entry_changed"
    decide(api, review["id"], "approve")
    assert look() == 1
    (again,) = reviews(api)
    assert (again["score"], again["id"] != review["id"]) == (10**9 + 1, True)
    api.submit("cheat", 5)
    decide(api, again["id"], "reject")
    assert "cheat" not in {player for _, player, _ in api.table()}
    # What is kept is the entry as it was removed.
    assert look() == 0
    decide(api, again["id"], "reopen")
    decide(api, again["id"], "approve")
    assert {player: score for _, player, score in api.table()}["cheat"] == 10**9 + 1
    assert look() == 0
    assert api.server.get("/v1/players/cheat/export")["entries"][0]["submissions"] == 4


def test_who_sends_a_held_score_again_is_found_again(api: Client, clock: SetClock, look: Any) -> None:
    fill(api)
    for nth in range(3):
        clock.pass_ms(1)
        api.submit("cheat", 10**9)
        assert look() == 1, nth
    assert "cheat" not in {player for _, player, _ in api.table()}
    for review in reviews(api):
        decide(api, review["id"], "reject")
    clock.pass_ms(1)
    api.submit("cheat", 10**9)
    assert look() == 1


def test_an_entry_that_changes_between_the_look_and_the_call_is_left_alone(
    api: Client, lb: Installation, raw: redis.Redis, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(api)
    api.submit("cheat", 10**9)
    look_first = lb.store.ask_many

    def and_then_something_happens(calls: Any) -> Any:
        replies = look_first(calls)
        monkeypatch.undo()
        api.submit("cheat", 10**9 + 1)
        return replies

    monkeypatch.setattr(lb.store, "ask_many", and_then_something_happens)
    assert look() == 0
    assert api.table()[0][1:] == ("cheat", 10**9 + 1)
    assert look() == 1


def test_two_workers_raise_it_once(api: Client, lb: Installation, raw: redis.Redis, drain: Drain) -> None:
    fill(api, "review")
    api.submit("cheat", 10**9)
    while drain.step():
        pass
    # The second does not know from the archive yet what the first has done.
    assert [look_at(lb, "main"), look_at(lb, "main")] == [1, 0]
    assert raw.hlen("lb:{0}:held:cheat") == 1


def test_only_the_worker_that_archives_looks(api: Client, lb: Installation, drain: Drain) -> None:
    fill(api, "review")
    api.submit("cheat", 10**9)
    other = Drain(lb)
    assert drain.step()
    other._turn()
    assert reviews(api) == []
    drain._turn()
    drain._turn()
    assert len(reviews(api)) == 1


def test_in_maintenance_nobody_is_taken_out(api: Client, drain: Drain) -> None:
    fill(api)
    api.submit("cheat", 10**9)
    api.admin.put("/v1/admin/maintenance", {"reason": "moving"})
    for _ in range(3):
        drain._turn()
    assert reviews(api) == []


def test_who_is_erased_leaves_nothing(api: Client, lb: Installation, raw: redis.Redis, drain: Drain, look: Any) -> None:
    fill(api)
    api.submit("cheat", 10**9)
    look()
    (review,) = reviews(api)
    export = api.server.get("/v1/players/cheat/export")
    (shown,) = export["reviews"]
    assert (shown["id"], shown["state"], shown["score"]) == (review["id"], "open", 10**9)
    api.server.delete("/v1/players/cheat", expect=204)
    assert look() == 0
    assert not list(raw.scan_iter("lb:*held*"))
    decide(api, review["id"], "approve", expect=404)
    assert reviews(api) == []
    assert all(act["player"] is None for act in api.admin.get("/v1/admin/audit")["acts"] if act["actor"] == "worker")


def test_a_banned_player_gets_it_back_hidden(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, clock: SetClock, look: Any
) -> None:
    fill(api, ties="dense")
    api.submit("cheat", 10**9)
    before = contents(raw, drain, clock)
    look()
    api.admin.put("/v1/admin/players/cheat/ban", {"kind": "shadow", "reason": "cheated", "ends_at": None})
    decide(api, reviews(api)[0]["id"], "approve")
    assert "cheat" not in {player for _, player, _ in api.table()}
    contents(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
    api.admin.delete("/v1/admin/players/cheat/ban?reason=mistake")
    assert_same("keys", before, contents(raw, drain, clock))


def test_what_is_final_or_gone_is_neither_put_back_nor_removed(
    api: Client, raw: redis.Redis, clock: SetClock, look: Any
) -> None:
    weekly = [{"kind": "weekly", "settle_delay_s": 0}]
    fill(api, periods=weekly, late_s=0)
    fill(api, "review", board="second", periods=weekly, late_s=0)
    for board in ("main", "second"):
        api.submit("cheat", 10**9, board=board)
        assert look(board) == 1
    held, standing = sorted(reviews(api), key=lambda review: review["board"])
    clock.pass_ms(8 * DAY_MS)
    with unchanged(raw):
        assert decide(api, held["id"], "approve", expect=409)["code"] == "period_settled"
        assert decide(api, standing["id"], "reject", expect=409)["code"] == "period_settled"
    decide(api, held["id"], "reject")
    decide(api, standing["id"], "approve")


def test_a_board_that_was_deleted_or_is_another_takes_nothing_back(api: Client, raw: redis.Redis, look: Any) -> None:
    for then, board in (("hold", "main"), ("review", "second")):
        fill(api, then, board=board)
        api.submit("cheat", 10**9, board=board)
        assert look(board) == 1
    held, standing = sorted(reviews(api), key=lambda review: review["board"])
    api.admin.put("/v1/admin/boards/main", {"periods": [{"kind": "alltime"}], "policy": "latest"})
    with unchanged(raw):
        assert decide(api, held["id"], "approve", expect=409)["code"] == "board_redefined"
    for board in ("main", "second"):
        api.admin.put(f"/v1/admin/boards/{board}", {"state": "archived"})
        api.admin.delete(f"/v1/admin/boards/{board}")
    decide(api, held["id"], "approve", expect=404)
    for board in ("main", "second"):
        fill(api, board=board)
    api.submit("cheat", 10**9, board="second")
    with unchanged(raw):
        assert decide(api, held["id"], "approve", expect=404)["code"] == "board_not_found"
    # The entry that it was about went with the board; the one of now is another.
    decide(api, standing["id"], "reject")
    assert api.table("second")[0][1] == "cheat"
    assert look("second") == 1


# -- what is said about it -------------------------------------------------------------------------------------------


def test_the_audit_says_what_the_worker_did(api: Client, look: Any) -> None:
    fill(api)
    api.submit("cheat", 10**9)
    look()
    (review,) = reviews(api)
    (act,) = api.admin.get("/v1/admin/audit?actor=worker")["acts"]
    assert act["actor"] == {"id": "worker", "name": None, "role": "worker"}
    assert (act["operation"], act["board"], act["period_id"]) == ("find_outlier", "main", "all")
    assert (act["player"], act["before"]["score"]) == ("cheat", 10**9)
    assert act["after"] == {"review": review["id"], "state": "open"}
    decide(api, review["id"], "reject")
    look()
    acts = api.admin.get("/v1/admin/audit?player=cheat")["acts"]
    assert [act["operation"] for act in acts] == ["decide_review", "find_outlier"]
    assert acts[0]["after"]["state"] == "rejected"


def test_what_a_player_has_held_by_itself_shields_it_from_nothing(api: Client, clock: SetClock, look: Any) -> None:
    fill(api)
    api.define("other", rules={"rate": None, "max_score": {"value": 10, "then": "hold"}})
    cheat = api.player("cheat")
    for _ in range(32):
        clock.pass_ms(1)
        assert cheat.post("/v1/boards/other/submissions", {"score": 11})["outcome"] == "held"
    cheat.post("/v1/boards/main/submissions", {"score": 10**9})
    assert look() == 1
    assert api.table()[0][1] != "cheat"


def test_players_with_too_many_reviews_get_no_more(
    api: Client, raw: redis.Redis, clock: SetClock, look: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api)
    api.submit("cheat", 10**9)
    assert look() == 1
    ((review, packed),) = raw.hgetall("lb:{0}:held:cheat").items()
    raw.hset("lb:{0}:held:cheat", mapping={f"{n:016x}.cheat": packed for n in range(1023)})
    clock.pass_ms(1)
    api.submit("cheat", 10**9)
    with caplog.at_level("WARNING"):
        assert look() == 0
    assert "too many reviews of this player are open" in caplog.text
    assert api.table()[0][1] == "cheat"
    decide(api, review.decode(), "reject")
    assert look() == 1


def test_an_archive_filled_anew_knows_what_was_decided(
    api: Client, lb: Installation, raw: redis.Redis, drain: Drain, clock: SetClock, look: Any
) -> None:
    fill(api)
    scores = {"approved": 10**9, "rejected": 10**9 + 1, "open": 10**9 + 2, "erased": 10**9 + 3}
    for player, score in scores.items():
        api.submit(player, score)
    assert look() == 4
    of = {review["player"]: review["id"] for review in reviews(api)}
    decide(api, of["approved"], "approve")
    decide(api, of["rejected"], "reject")
    decide(api, of["erased"], "reject")
    while drain.step():
        pass
    clock.pass_ms(DAY_MS)
    api.server.delete("/v1/players/erased")
    while drain.step():
        pass
    fill_archive(lb, replacing=True)
    assert look() == 0
    assert api.table()[0][1] == "approved"
    for state in ("approved", "rejected", "open"):
        assert [review["player"] for review in reviews(api, state=state)] == [state]
    decide(api, of["rejected"], "reopen")
    decide(api, of["rejected"], "approve")
    assert [row[1] for row in api.table()[:2]] == ["rejected", "approved"]
    # The former one lost its lease to the filling.
    drain = Drain(lb)
    while drain.step():
        pass
    assert_archive_is_store(lb.archive, raw)
