"""Reviews: what is held counts nowhere and is not lost; what admins decide happens once, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis

from leaderboard import create_app
from leaderboard.model import DAY_MS
from leaderboard.settings import Settings
from tests.api.held import PERIODS, TIEBREAKS, WEEKLY, define, end_of_week, hold, play
from tests.calls import refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_same
from tests.oracle import show_instant
from tests.reviewing import HOLDS, REVIEWS, Desk, dump


@pytest.fixture
def elsewhere(settings: Settings, clock: SetClock, raw: redis.Redis) -> Iterator[Client]:
    """Another installation in the same store, whose boards have no rules."""
    app = create_app(replace(settings, namespace="other", data_dir=settings.data_dir / "other"), clock)
    yield Client(app.test_client())
    app.extensions["leaderboard"].close()
    for key in raw.scan_iter("other:*"):
        raw.delete(key)


# -- holding ---------------------------------------------------------------------------------------------------------


def test_what_is_held_is_in_no_standings_and_shows_what_an_admin_needs(
    api: Client, desk: Desk, clock: SetClock, raw: redis.Redis
) -> None:
    define(api, decimals=1)
    play(clock, api)
    table, before = api.table(), api.server.get("/v1/players/alice")
    at = show_instant(clock.now_ms())
    achieved = show_instant(clock.now_ms() - 5000)
    result = api.submit("alice", 1000.5, tiebreaks={"wins": 3}, metadata={"car": "red"}, achieved_at=achieved)
    assert (result["outcome"], result["standings"]) == ("held", [])
    assert api.table() == table
    assert api.server.get("/v1/players/alice") == before
    review = desk.newest()
    assert review == {
        "id": review["id"], "board": "main", "player": "alice", "state": "open", "at": at, "score": 1000.5,
        "tiebreaks": {"wins": 3, "losses": 0}, "metadata": {"car": "red"}, "replay": None, "achieved_at": achieved,
        "period_ids": review["period_ids"], "verdict": None, "evidence": None,
        "rules": [{"rule": "max_score", "value": 1000, "seen": 1000.5}],
    }  # fmt: skip
    assert [period_id[0] for period_id in review["period_ids"]] == ["a", "2", "s"]
    shown = desk.get(review["id"])
    assert [(one["kind"], one["score"]) for one in shown["history"]] == [
        ("held", 1000.5), ("submission", 700), ("submission", 500), ("submission", 700),
    ]  # fmt: skip


def test_a_player_that_has_only_what_is_held_is_there(api: Client, desk: Desk) -> None:
    define(api)
    review = hold(api, desk, "new")
    assert api.server.get("/v1/players/new")["submissions"] == 0
    assert api.get("/v1/players/new/entries")["entries"] == []
    desk.decide(review, "approve")
    assert api.server.get("/v1/players/new")["submissions"] == 1


def test_reviews_are_filtered_and_paged(api: Client, desk: Desk, clock: SetClock) -> None:
    rules = {"min_interval_s": {"value": 60, "then": "hold", "servers": True}}
    define(api)
    api.define("other", rules=HOLDS | rules)
    for n in range(5):
        api.submit(f"p{n}", 2000)
        clock.pass_ms(1)
    # What falls into one millisecond is in one order, too.
    for _ in range(3):
        api.submit("p0", 2000, "other")
    desk.decide(desk.list()[0]["id"], "reject")
    everything = [review["id"] for review in desk.list()]
    assert len(everything) == 7
    paged, path = [], f"{REVIEWS}?limit=2"
    page = api.admin.get(path)
    while True:
        paged += [review["id"] for review in page["reviews"]]
        if page["next_cursor"] is None:
            break
        page = api.admin.get(f"{path}&cursor={page['next_cursor']}")
    assert paged == everything
    assert [review["player"] for review in desk.list("&board=main")] == ["p1", "p2", "p3", "p4"]
    assert [review["board"] for review in desk.list("&player=p0")] == ["other"] * 3
    assert len(desk.list("&rule=min_interval_s")) == 2
    assert [review["player"] for review in desk.list("&state=rejected")] == ["p0"]
    assert desk.list("&state=approved") == []
    first = api.admin.get(f"{REVIEWS}?limit=1")
    refused(api.admin.call("GET", f"{REVIEWS}?board=main&cursor={first['next_cursor']}"), 400, "malformed_cursor")


# -- approving -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("ties", ["ordinal", "dense"])
@pytest.mark.parametrize("policy", ["best", "latest", "sum"])
def test_what_is_approved_counts_as_if_it_had_never_been_held(
    api: Client, elsewhere: Client, desk: Desk, raw: redis.Redis, clock: SetClock, policy: str, ties: str, order: str
) -> None:
    shape = {"policy": policy, "ties": ties, "order": order, "periods": [*PERIODS, {"kind": "daily"}]}
    achieved = show_instant(clock.now_ms())
    for installation in (api, elsewhere):
        define(installation, installation is api, **shape)
    play(clock, api, elsewhere)
    for player, score in (("alice", 2000), ("bob", 2000), ("dora", 3000)):
        more: dict[str, Any] = {"achieved_at": achieved, "tiebreaks": {"losses": 2}, "metadata": {"late": True}}
        assert api.submit(player, score, **more)["outcome"] == "held"
        assert elsewhere.submit(player, score, **more)["outcome"] != "held"
    play(clock, api, elsewhere, scores=(600,))
    for review in reversed(desk.list()):
        decided = desk.decide(review["id"], "approve")
        assert (decided["state"], decided["settled"], len(decided["standings"])) == ("approved", [], 4)
    kept = {key.replace("lb:", "other:", 1): one for key, one in dump(raw).items()}
    apart = (":boards", ":signing")
    assert_same(
        "keys",
        *({key: one for key, one in keys.items() if not key.endswith(apart)} for keys in (kept, dump(raw, "other"))),
    )
    assert api.table() == elsewhere.table()
    desk.assert_archived(raw)


def test_what_is_approved_says_where_it_stands_now(api: Client, desk: Desk, clock: SetClock) -> None:
    define(api)
    play(clock, api)
    decided = desk.decide(hold(api, desk, "carol"), "approve", "seen the replay")
    assert [(one["period"], one["previous_rank"], one["rank"], one["score"], one["changed"])
            for one in decided["standings"]] == [
        ("alltime", 3, 1, 2000, True), ("weekly", 3, 1, 2000, True), ("season", 3, 1, 2000, True),
    ]  # fmt: skip
    review = desk.get(decided["review"])
    assert review["state"] == "approved"
    assert review["verdict"] == {
        "by": "setting-admin", "reason": "seen the replay", "at": show_instant(clock.now_ms()),
    }  # fmt: skip
    assert [one["kind"] for one in review["history"]][:2] == ["submission", "held"]


def test_an_approval_counts_where_a_week_is_closing_but_not_where_it_is_settled(
    api: Client, desk: Desk, clock: SetClock
) -> None:
    define(api)
    first, second = hold(api, desk, "alice"), hold(api, desk, "bob")
    week = desk.get(first)["period_ids"][1]
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    clock.at_ms = end_of_week(api, week)
    decided = desk.decide(first, "approve")
    assert [one["period_id"] for one in decided["standings"]] == ["all", week]
    # The season's hour after its end is over.
    assert decided["settled"] == ["s1"]
    assert api.table(query=f"&period=weekly&period_id={week}") == [(1, "alice", 2000)]
    assert api.table(query="&period=weekly") == []
    clock.pass_ms(DAY_MS)
    decided = desk.decide(second, "approve")
    assert [one["period_id"] for one in decided["standings"]] == ["all"]
    assert sorted(decided["settled"]) == sorted([week, "s1"])
    assert api.table(query=f"&period=weekly&period_id={week}") == [(1, "alice", 2000)]


def test_where_all_is_settled_nothing_can_be_approved(
    api: Client, desk: Desk, clock: SetClock, raw: redis.Redis
) -> None:
    define(api, periods=[WEEKLY])
    review = hold(api, desk)
    clock.at_ms = end_of_week(api, desk.get(review)["period_ids"][0]) + DAY_MS
    desk.archive()
    with unchanged(raw):
        refused(desk.call(review, "approve"), 409, "period_settled")
    # It can still be rejected, and is settled also when its keys are gone.
    clock.pass_ms(40 * DAY_MS)
    refused(desk.call(review, "approve"), 409, "period_settled")
    assert desk.decide(review, "reject")["state"] == "rejected"


def test_who_approves_twice_approves_once(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api, policy="sum")
    review = hold(api, desk)
    desk.decide(review, "approve")
    desk.archive()
    with unchanged(raw):
        for decision in ("approve", "reject"):
            refused(desk.call(review, decision), 409, "review_decided")
    assert api.table() == [(1, "alice", 2000)]


def test_many_who_decide_at_once_decide_once(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api, policy="sum")
    for number in range(4):
        review = hold(api, desk, f"p{number}")
        desk.archive()

        def decide(n: int, review: str = review) -> int:
            client = Client(desk.app.test_client()).admin
            body = {"decision": "approve" if n % 2 else "reject"}
            return int(client.call("POST", f"{REVIEWS}/{review}/decision", body).status_code)

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(decide, range(8)))
        assert sorted(statuses) == [200, *[409] * 7]
        state = desk.get(review)["state"]
        assert (state == "approved") is (statuses.index(200) % 2 == 1)
        counted = {player: score for _, player, score in api.table()}.get(f"p{number}")
        assert counted == (2000 if state == "approved" else None)
    desk.assert_archived(raw)


def test_many_are_decided_the_same_way_each_for_itself(api: Client, desk: Desk) -> None:
    define(api)
    one, other, third = (hold(api, desk, player) for player in ("alice", "bob", "carol"))
    desk.decide(other, "reject")
    desk.archive()
    body = {"decision": "approve", "reviews": [one, other, one, f"{'0' * 16}.nobody", third], "reason": "seen"}
    answer = api.admin.post(f"{REVIEWS}/decisions", body)
    assert (answer["decided"], answer["failed"]) == (2, 2)
    assert [(result["review"], result["state"], result["error"] and result["error"]["code"])
            for result in answer["results"]] == [
        (one, "approved", None), (other, None, "review_decided"), (f"{'0' * 16}.nobody", None, "review_not_found"),
        (third, "approved", None),
    ]  # fmt: skip
    assert [player for _, player, _ in api.table()] == ["alice", "carol"]


@pytest.mark.parametrize("obstacle", ["frozen", "archived", "maintenance"])
def test_an_admin_decides_also_while_a_board_takes_no_submissions(api: Client, desk: Desk, obstacle: str) -> None:
    define(api)
    review = hold(api, desk)
    if obstacle == "maintenance":
        api.admin.put("/v1/admin/maintenance", {"reason": "moving house"})
    else:
        define(api, state=obstacle)
    desk.decide(review, "approve")
    assert [player for _, player, _ in api.table()] == ["alice"]
    desk.decide(review, "reopen")
    assert api.table() == []


def test_on_a_board_that_writes_scores_differently_nothing_is_approved(
    api: Client, desk: Desk, raw: redis.Redis
) -> None:
    define(api)
    review = hold(api, desk)
    for change in ({"decimals": 1}, {"order": "asc"}, {"tiebreaks": TIEBREAKS[:1]}, {"policy": "sum"}):
        define(api, **change)
        desk.archive()
        with unchanged(raw):
            refused(desk.call(review, "approve"), 409, "board_redefined")
    define(api, title="As it was")
    desk.decide(review, "approve")


def test_what_was_held_on_a_board_that_is_deleted_can_only_be_rejected(
    api: Client, desk: Desk, raw: redis.Redis
) -> None:
    define(api)
    one, other, approved = (hold(api, desk, player) for player in ("alice", "bob", "carol"))
    desk.decide(approved, "approve")
    define(api, state="archived")
    api.admin.delete("/v1/admin/boards/main")
    for again in (False, True):
        if again:
            define(api)
        desk.archive()
        with unchanged(raw):
            refused(desk.call(one, "approve"), 404, "board_not_found")
            refused(desk.call(approved, "reopen"), 404, "board_not_found")
    for review in (one, other):
        desk.decide(review, "reject")
    assert api.table() == []


def test_an_erased_player_has_no_reviews(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api)
    review, rejected, approved = (hold(api, desk) for _ in range(3))
    desk.decide(rejected, "reject")
    desk.decide(approved, "approve")
    desk.decide(rejected, "reopen")
    api.server.delete("/v1/players/alice")
    assert desk.list("&player=alice") == []
    left = [key for key in raw.scan_iter("lb:*alice*") if not key.endswith(b":player:alice")]
    assert left == []
    with desk.app.extensions["leaderboard"].archive.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM lb_reviews").scalar_one() == 0
    with unchanged(raw):
        for one in (review, rejected, approved):
            for decision in ("approve", "reject", "reopen"):
                refused(desk.call(one, decision), 404, "review_not_found")


@pytest.mark.parametrize("kind", ["ban", "shadow"])
def test_what_is_held_of_a_banned_player_counts_where_only_the_ban_hides_it(
    api: Client, desk: Desk, raw: redis.Redis, kind: str
) -> None:
    define(api, ties="dense")
    api.submit("bob", 5)
    review = hold(api, desk)
    api.admin.put("/v1/admin/players/alice/ban", {"kind": kind, "reason": "wall hack"})
    before = dump(raw)
    desk.decide(review, "approve")
    assert api.table() == [(1, "bob", 5)]
    api.admin.delete("/v1/admin/players/alice/ban?reason=appealed")
    assert api.table() == [(1, "alice", 2000), (2, "bob", 5)]
    # Shown by now: taken back, and hidden as it was.
    desk.decide(review, "reopen")
    assert api.table() == [(1, "bob", 5)]
    api.admin.put("/v1/admin/players/alice/ban", {"kind": kind, "reason": "wall hack"})
    assert_same("keys", before, dump(raw))
    desk.assert_archived(raw)


def test_a_sum_that_would_be_too_large_is_not_approved(api: Client, desk: Desk, raw: redis.Redis) -> None:
    define(api, policy="sum")
    review = hold(api, desk, score=10**15 - 1)
    api.submit("alice", 1)
    desk.archive()
    with unchanged(raw):
        refused(desk.call(review, "approve"), 422, "score_out_of_range")
    assert desk.newest()["id"] == review


# -- who may, and what is kept of it ---------------------------------------------------------------------------------


def test_only_admins_with_the_scope_see_and_decide(api: Client, desk: Desk) -> None:
    define(api)
    review = hold(api, desk)
    issued = api.admin.post("/v1/admin/keys", {"name": "x", "role": "admin", "scopes": ["players"]}, expect=201)
    alice, unscoped = api.player("alice"), Client(api.http, issued["secret"])
    for caller, status in ((api, 401), (alice, 403), (api.server, 403), (unscoped, 403)):
        caller.get(REVIEWS, expect=status)
        caller.get(f"{REVIEWS}/{review}", expect=status)
        caller.post(f"{REVIEWS}/{review}/decision", {"decision": "approve"}, expect=status)
        caller.post(f"{REVIEWS}/decisions", {"decision": "approve", "reviews": [review]}, expect=status)
    assert desk.newest()["id"] == review


def test_each_decision_is_an_act_of_its_own(api: Client, desk: Desk) -> None:
    define(api)
    one, other = hold(api, desk, "alice"), hold(api, desk, "bob")
    desk.decide(one, "approve", "seen")
    desk.decide(one, "reopen", "looked again")
    body = {"decision": "reject", "reviews": [one, other], "reason": "both"}
    api.admin.post(f"{REVIEWS}/decisions", body)
    desk.archive()
    found = api.admin.get("/v1/admin/audit?limit=4")["acts"]
    assert [
        (act["operation"], act["board"], act["player"], act["reason"], act["before"], act["after"]) for act in found
    ] == [
        (operation, "main", player, reason, {"review": review, "state": before}, {"review": review, "state": after})
        for operation, player, reason, review, before, after in (
            ("decide_reviews", "bob", "both", other, "open", "rejected"),
            ("decide_reviews", "alice", "both", one, "open", "rejected"),
            ("decide_review", "alice", "looked again", one, "approved", "open"),
            ("decide_review", "alice", "seen", one, "open", "approved"),
        )
    ]


def test_a_players_export_has_what_is_held_and_what_was_decided(api: Client, desk: Desk, clock: SetClock) -> None:
    define(api)
    alice = api.player("alice")
    one = hold(api, desk, metadata={"car": "red"})
    clock.pass_ms(1)
    hold(api, desk)
    desk.decide(one, "approve")
    desk.archive()
    for caller, path in ((api.server, "/v1/players/alice/export"), (alice, "/v1/players/me/export")):
        reviews = caller.get(path)["reviews"]
        assert [(review["state"], review["rules"], review["score"]) for review in reviews] == [
            ("approved", ["max_score"], 2000), ("open", ["max_score"], 2000),
        ]  # fmt: skip
        assert reviews[0]["metadata"] == {"car": "red"}
