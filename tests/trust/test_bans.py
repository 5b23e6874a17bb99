"""Bans: what they hide, whom they refuse, and that everything comes back as it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from leaderboard import bans
from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.rebuild import rebuild
from leaderboard.worker.drain import Drain
from tests.calls import SUBMISSIONS, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, assert_same, every_key, lasting
from tests.oracle import show_instant

PERIODS = [
    {"kind": "season", "keep_days": 30, "settle_delay_s": 86_400},
    {"kind": "weekly", "settle_delay_s": 0},
    {"kind": "alltime"},
]


def path_of(player: str) -> str:
    return f"/v1/admin/players/{player}/ban"


def ban(api: Client, player: str, kind: str = "ban", ends_ms: int | None = None) -> Any:
    ends_at = None if ends_ms is None else show_instant(ends_ms)
    return api.admin.put(path_of(player), {"kind": kind, "reason": "cheated", "ends_at": ends_at})


def lift(api: Client, player: str) -> None:
    api.admin.delete(f"{path_of(player)}?reason=mistake")


def populate(api: Client, **definition: Any) -> None:
    """Many of equal results; one season that is closing, with entries of the same players, and one that runs."""
    api.define("main", **{"periods": PERIODS, "late_s": 0, "tiebreaks": [{"name": "wins"}]} | definition)
    for season in (1, 2):
        for i in range(12):
            api.submit(f"p{i}", i % 4, tiebreaks={"wins": i % 2}, metadata={"season": season})
        if season == 1:
            api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})


def held(raw: redis.Redis, drain: Drain, clock: SetClock) -> dict[str, Any]:
    """All that lasts, byte by byte, with every expiry."""
    while drain.step():
        pass
    return lasting(every_key(raw), clock.now_ms())


def places(raw: redis.Redis, player: str) -> list[str]:
    """The orders that a player stands in."""
    orders = raw.scan_iter("lb:{0}:order:*", count=1000)
    return sorted(
        order.decode() for order in orders if any(m.endswith(player.encode()) for m in raw.zrange(order, 0, -1))
    )


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ban", "shadow"])
@pytest.mark.parametrize("ties", ["ordinal", "competition", "dense"])
@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_lifted_ban_brings_back_exactly_what_was_there(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, ties: str, kind: str, rebuilt: bool
) -> None:
    populate(api, ties=ties)
    before = held(raw, drain, clock)
    # p3 and p7 are equal, and alone with their result then; p0 is equal to others.
    banned = ("p3", "p7", "p11", "p0")
    for player in banned:
        ban(api, player, kind, clock.now_ms() + DAY_MS if player == "p0" else None)
    for query in ("&period=season", "&period=season&period_id=previous", "&period=weekly", "&period=alltime"):
        table = api.table(query=query)
        assert not {player for _, player, _ in table} & set(banned)
        assert len(table) == 8
    meanwhile = held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
    if rebuilt:
        drain.finish()
        raw.flushdb()
        rebuild(lb)
        drain = Drain(lb)
        assert_same("keys", meanwhile, held(raw, drain, clock))
    for player in banned:
        lift(api, player)
    assert_same("keys", before, held(raw, drain, clock))
    assert_archive_is_store(lb.archive, raw)


def test_standings_that_only_the_banned_are_in_keep_their_expiry(
    api: Client, raw: redis.Redis, drain: Drain, clock: SetClock
) -> None:
    api.define("main", ties="dense", periods=[{"kind": "weekly"}])
    api.submit("alice", 5)
    before = held(raw, drain, clock)
    ban(api, "alice")
    assert api.table() == []
    assert not list(raw.scan_iter("lb:{0}:order:*"))
    lift(api, "alice")
    assert_same("keys", before, held(raw, drain, clock))


def test_a_board_whose_entries_are_all_hidden_is_not_taken_for_empty(api: Client) -> None:
    api.define("main", tiebreaks=[{"name": "wins"}])
    api.submit("alice", 5, tiebreaks={"wins": 1})
    ban(api, "alice")
    answer = api.admin.call("PUT", "/v1/admin/boards/main", {"decimals": 2})
    refused(answer, 409, "board_has_entries")
    refused(api.admin.call("PUT", "/v1/admin/boards/main?dry_run=true", {"decimals": 2}), 409, "board_has_entries")


@pytest.mark.parametrize("ties", ["ordinal", "dense"])
def test_who_comes_back_stands_among_what_the_others_have_done_meanwhile(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, ties: str
) -> None:
    api.define("main", ties=ties)
    for player, score in (("a", 10), ("b", 20), ("c", 30)):
        api.submit(player, score)
    ban(api, "b")
    clock.pass_ms(1)
    api.submit("d", 20)
    api.submit("a", 25)
    api.admin.delete("/v1/admin/boards/main/entries/c?reason=cheated")
    lift(api, "b")
    third = 3 if ties == "ordinal" else 2
    assert api.table() == [(1, "a", 25), (2, "b", 20), (third, "d", 20)]
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)


# -- what is settled ---------------------------------------------------------------------------------------------------


def test_settled_standings_stay_as_they_are(api: Client, clock: SetClock) -> None:
    api.define("main", periods=[{"kind": "weekly", "settle_delay_s": 3600}, {"kind": "alltime"}])
    for player in ("a", "b", "c"):
        api.submit(player, 10)
    clock.pass_ms(8 * DAY_MS)
    settled = api.table(query="&period=weekly&period_id=previous")
    ban(api, "b")
    assert api.table(query="&period=weekly&period_id=previous") == settled
    assert [player for _, player, _ in api.table(query="&period=alltime")] == ["a", "c"]
    lift(api, "b")
    assert api.table(query="&period=weekly&period_id=previous") == settled


@pytest.mark.parametrize("erased", [False, True])
def test_standings_that_are_settled_during_a_ban_are_settled_without_the_banned(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, erased: bool
) -> None:
    api.define("main", periods=[{"kind": "weekly", "settle_delay_s": 3600}, {"kind": "alltime"}])
    for player in ("a", "b", "c"):
        api.submit(player, 10)
    ban(api, "b")
    clock.pass_ms(8 * DAY_MS)
    week = [(1, "a", 10), (2, "c", 10)]
    if erased:
        # Nobody sees a place there, so nothing nameless is to stay in it.
        api.server.delete("/v1/players/b")
        assert not raw.exists("lb:{0}:bans", "lb:{0}:bans:ends")
        refused(api.admin.call("GET", path_of("b")), 410, "player_erased")
    else:
        lift(api, "b")
        assert [player for _, player, _ in api.table(query="&period=alltime")] == ["a", "b", "c"]
    assert api.table(query="&period=weekly&period_id=previous") == week
    while drain.step():
        pass
    entries = lb.archive.tables.entries
    with lb.archive.read() as connection:
        kept = {(row.player, row.hidden) for row in connection.execute(entries.select()) if row.period_id != "all"}
    assert kept == {("a", 0), ("c", 0)} | (set() if erased else {("b", 1)})


def test_an_erased_ban_leaves_nothing_where_the_store_has_the_standings_no_more(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain
) -> None:
    api.define("main", periods=[{"kind": "weekly"}])
    for player in ("a", "b"):
        api.submit(player, 10)
    ban(api, "b", ends_ms=lb.clock.now_ms() + DAY_MS)
    while drain.step():
        pass
    raw.delete(*raw.scan_iter("lb:{0}:order:*"), *raw.scan_iter("lb:{0}:entries:*"))
    api.server.delete("/v1/players/b")
    while drain.step():
        pass
    with lb.archive.read() as connection:
        assert [row.player for row in connection.execute(lb.archive.tables.entries.select())] == ["a"]
    assert not raw.exists("lb:{0}:bans", "lb:{0}:bans:ends")


# -- who is refused ----------------------------------------------------------------------------------------------------


def test_a_banned_player_is_refused_and_told_until_when_but_not_why(
    api: Client, raw: redis.Redis, clock: SetClock
) -> None:
    api.define("main")
    device = {"device_id": "a-device-of-somebody-0123456789"}
    signed_in = api.post("/v1/sessions", device, expect=201)
    player, own = signed_in["player"]["id"], Client(api.http, signed_in["token"])
    own.post(SUBMISSIONS, {"score": 5}, key="first")
    ends_ms = clock.now_ms() + DAY_MS
    ban(api, player, ends_ms=ends_ms)
    with unchanged(raw):
        for caller, method, path, body in (
            (own, "POST", SUBMISSIONS, {"score": 9}),
            (own, "GET", "/v1/players/me", None),
            (own, "GET", "/v1/boards/main/standings", None),
            (own, "PATCH", "/v1/players/me", {"display_name": "Innocent"}),
            (own, "PUT", "/v1/players/me/friends/somebody", None),
            (own, "DELETE", "/v1/players/me", None),
            (api, "POST", "/v1/sessions", device),
            (api.server, "POST", f"/v1/players/{player}/sessions", None),
            (api.server, "POST", SUBMISSIONS, {"player": player, "score": 9}),
        ):
            problem = refused(caller.call(method, path, body), 403, "player_banned")
            assert problem["ends_at"] == show_instant(ends_ms)
            assert "cheated" not in str(problem)
        # A retry of what was applied, too.
        answer = own.call("POST", SUBMISSIONS, {"score": 5}, {"Idempotency-Key": "first"})
        refused(answer, 403, "player_banned")
    items = [{"board": "main", "player": name, "score": 9} for name in (player, "honest", player)]
    batch = api.server.post("/v1/submissions/batch", {"submissions": items})
    assert [item["error"] and item["error"]["code"] for item in batch["results"]] == [
        "player_banned", None, "player_banned",
    ]  # fmt: skip
    # Who has no session is told that, not whether a player is banned.
    stranger = Client(api.http, f"lb1.{player}.made-up")
    for method, path, body in (("GET", "/v1/players/me", None), ("POST", SUBMISSIONS, {"score": 9})):
        refused(stranger.call(method, path, body), 401, "unauthenticated")


def test_no_read_shows_a_banned_player(api: Client) -> None:
    api.define("main", ties="dense")
    for player, score in (("a", 40), ("b", 30), ("c", 30), ("d", 20)):
        api.submit(player, score)
    api.server.put("/v1/players/a/friends", {"players": ["b", "c", "d"]})
    for player in ("b", "c"):
        ban(api, player)
    a, standings = api.player("a"), "/v1/boards/main/standings"
    page = a.get(standings)
    assert [(entry["rank"], entry["player"]["id"]) for entry in page["entries"]] == [(1, "a"), (2, "d")]
    assert page["total"] == 2
    entry = a.get(f"{standings}/d")
    assert (entry["entry"]["rank"], entry["total"], entry["percentile"]) == (2, 2, 0)
    for path in ("b", "b/around"):
        refused(api.call("GET", f"{standings}/{path}"), 404, "entry_not_found")
    friends = a.get(f"{standings}/me/friends")
    assert [(one["rank"], one["board_rank"], one["player"]["id"]) for one in friends["entries"]] == [
        (1, 1, "a"), (2, 2, "d"),
    ]  # fmt: skip
    assert friends["total"] == 2
    found = api.post("/v1/boards/main/lookup", {"players": ["a", "b", "d"]})
    assert ([one["player"]["id"] for one in found["entries"]], found["not_found"]) == (["a", "d"], ["b"])
    assert api.get("/v1/boards/main/distribution?buckets=3")["total"] == 2
    assert api.get("/v1/boards/main/periods")["periods"][0]["total"] == 2
    assert api.get("/v1/players/b/entries")["entries"] == []
    assert [player for _, player, _ in api.table(query="&around_score=30")] == ["a", "d"]


# -- an end ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ban", "shadow"])
@pytest.mark.parametrize("by", ["submission", "batch", "sign-in", "session", "admin", "correction", "worker"])
def test_when_a_ban_is_over_whoever_notices_brings_everything_back(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, by: str, kind: str
) -> None:
    for board in ("main", "other"):
        api.define(board, ties="dense")
        api.submit("alice", 10, board)
        api.submit("bob", 5, board)
    alice = api.player("alice")
    ban(api, "alice", kind, clock.now_ms() + 1000)
    clock.pass_ms(999)
    bans.lift_due(lb)
    assert api.table("other") == [(1, "bob", 5)]
    clock.pass_ms(1)
    match by:
        case "submission":
            standings = alice.post(SUBMISSIONS, {"score": 12})["standings"]
            assert [(one["previous_rank"], one["rank"]) for one in standings] == [(1, 1), (1, 1)]
        case "batch":
            items = [{"board": "main", "player": "alice", "score": score} for score in (11, 12)]
            batch = api.server.post("/v1/submissions/batch", {"submissions": items})
            assert (batch["applied"], batch["failed"]) == (2, 0)
        case "sign-in":
            api.player("alice")
        case "session":
            alice.get("/v1/players/me")
        case "admin":
            refused(api.admin.call("GET", path_of("alice")), 404, "ban_not_found")
        case "correction":
            api.admin.put("/v1/admin/boards/main/entries/alice", {"score": 12, "reason": "replay checked"})
        case "worker":
            bans.lift_due(lb)
    assert api.table("other") == [(1, "alice", 10), (2, "bob", 5)]
    assert [player for _, player, _ in api.table()] == ["alice", "bob"]
    assert not raw.exists("lb:{0}:bans", "lb:{0}:bans:ends")
    assert not raw.hexists("lb:{0}:player:alice", "ban")
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)


def test_the_worker_looks_for_bans_that_are_over(api: Client, lb: Installation, drain: Drain, clock: SetClock) -> None:
    api.define("main")
    api.submit("alice", 10)
    ban(api, "alice", ends_ms=clock.now_ms() + 1000)
    clock.pass_ms(1000)
    asked = iter([False, True])
    drain.run(lambda: next(asked, True))
    assert api.table() == [(1, "alice", 10)]


@pytest.mark.parametrize("kind", ["ban", "shadow"])
def test_a_lifting_that_was_cut_off_is_finished_before_anything_is_written(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, kind: str
) -> None:
    api.define("main", ties="dense")
    api.submit("alice", 10)
    ban(api, "alice", kind)
    lb.store.change(
        "begin_lift", [lb.keys.player("alice"), lb.keys.bans, lb.keys.ban_ends], ["alice", clock.now_ms(), "now"]
    )
    assert api.table() == []
    # The entry does not move by this one, and yet it is there afterwards.
    assert api.submit("alice", 1)["standings"][0]["rank"] == 1
    assert api.table() == [(1, "alice", 10)]
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)


def test_a_ban_in_the_middle_of_a_lifting_stays(api: Client, lb: Installation, clock: SetClock) -> None:
    api.define("main")
    api.submit("alice", 10)
    ban(api, "alice")
    keys = [lb.keys.player("alice"), lb.keys.bans, lb.keys.ban_ends]
    lifting = lb.store.change("begin_lift", keys, ["alice", clock.now_ms(), "now"])
    clock.pass_ms(1)
    ban(api, "alice", "shadow")
    assert lb.store.change("finish_lift", keys, ["alice", clock.now_ms(), lifting[1]]) == [b"another"]
    assert api.admin.get(path_of("alice"))["kind"] == "shadow"
    assert api.table() == []


@pytest.mark.parametrize("ties", ["ordinal", "dense"])
def test_a_submission_before_the_walk_comes_to_its_standings_hides_what_was_there(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, ties: str
) -> None:
    api.define("main", ties=ties)
    api.submit("alice", 10)
    api.submit("bob", 5)
    # The first step of a shadow ban, and nothing of the second.
    keys = [lb.keys.player("alice"), lb.keys.bans, lb.keys.ban_ends]
    lb.store.change("set_ban", keys, ["alice", clock.now_ms(), "shadow", "", "a key", '"x"'])
    assert places(raw, "alice") != []
    (season, _) = api.submit("alice", 12)["standings"]
    assert (season["previous_rank"], season["rank"]) == (1, 1)
    assert places(raw, "alice") == []
    assert api.table() == [(1, "bob", 5)]
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
    lift(api, "alice")
    assert api.table() == [(1, "alice", 12), (2, "bob", 5)]


# -- at once -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ban", "shadow"])
@pytest.mark.parametrize("ties", ["ordinal", "dense"])
def test_submissions_that_race_a_ban_end_hidden_and_those_that_race_its_lifting_shown(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock, kind: str, ties: str
) -> None:
    boards = [f"b{i}" for i in range(4)]
    for board in boards:
        api.define(board, ties=ties, policy="latest")
    app = api.http.application

    def play(seed: int) -> int:
        own = Client(app.test_client())
        done = 0
        for i in range(40):
            body = {"player": "alice", "score": (seed * 7 + i) % 9}
            answer = own.server.call("POST", f"/v1/boards/{boards[i % 4]}/submissions", body)
            assert answer.status_code in (200, 403), answer.text
            done += answer.status_code == 200
        return done

    for board in boards:
        api.submit("alice", 1, board)
        api.submit("bob", 1, board)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            playing = [pool.submit(play, seed) for seed in range(3)]
            ban(Client(app.test_client()), "alice", kind)
            assert places(raw, "alice") == []
            done = sum(one.result() for one in playing)
            assert (done == 120) is (kind == "shadow")
            assert places(raw, "alice") == []
            playing = [pool.submit(play, seed) for seed in range(3)]
            lift(Client(app.test_client()), "alice")
            for one in playing:
                one.result()
            assert len(places(raw, "alice")) == 8
    held(raw, drain, clock)
    assert_archive_is_store(lb.archive, raw)
