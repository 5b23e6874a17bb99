"""Merging two accounts of one player: friends, identities, devices; cut off anywhere; erased afterwards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard.audit import by_cli
from leaderboard.errors import Problem
from leaderboard.installation import Installation
from leaderboard.merging import merge_players
from leaderboard.model import DAY_MS
from leaderboard.players import erase_player
from leaderboard.rebuild import rebuild
from leaderboard.worker.drain import Drain
from tests.api.test_merge import MERGE, PERIODS, drained, merge
from tests.calls import STANDINGS, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, assert_same, every_key, lasting

FRIENDS = "/v1/players/{}/friends"


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def drain(lb: Installation) -> Drain:
    return Drain(lb)


@pytest.fixture
def people(api: Client) -> Client:
    for player in ("old", "new", "x"):
        api.server.put(f"/v1/players/{player}", {}, expect=201)
    return api


# -- friends -----------------------------------------------------------------------------------------------------------


def sees(api: Client, player: str) -> dict[str, str]:
    """What a player sees of others."""
    found = {}
    for state in ("friends", "invited", "invitation", "blocked"):
        for friend in api.server.get(f"{FRIENDS.format(player)}?state={state}")["friends"]:
            found[friend["player"]["id"]] = state
    return found


def act(api: Client, who: str, what: str, whom: str) -> None:
    if what == "link":
        api.server.put(f"{FRIENDS.format(who)}", {"players": [whom]})
    elif what == "block":
        api.player(who).put(f"/v1/players/me/blocks/{whom}", expect=204)
    else:
        api.player(who).put(f"/v1/players/me/friends/{whom}")


#: What is done, then what the one that stays and the other one see of each other.
BETWEEN: dict[str, tuple[list[tuple[str, str, str]], str | None, str | None]] = {
    "friends of the old": ([("old", "link", "x")], "friends", "friends"),
    "friends of both": ([("old", "link", "x"), ("new", "link", "x")], "friends", "friends"),
    "a friend beats an invitation": ([("old", "link", "x"), ("x", "invite", "new")], "friends", "friends"),
    "a friend beats an invitation that was made": (
        [("new", "invite", "x"), ("x", "link", "old")],
        "friends",
        "friends",
    ),
    "the old invited": ([("old", "invite", "x")], "invited", "invitation"),
    "the old was invited": ([("x", "invite", "old")], "invitation", "invited"),
    "both invited": ([("x", "invite", "old"), ("x", "invite", "new")], "invitation", "invited"),
    "each invited the other": ([("x", "invite", "old"), ("new", "invite", "x")], "friends", "friends"),
    "each invited the other, turned round": ([("old", "invite", "x"), ("x", "invite", "new")], "friends", "friends"),
    "the old blocks a friend of the new": ([("new", "link", "x"), ("old", "block", "x")], "blocked", None),
    "the new blocks a friend of the old": ([("old", "link", "x"), ("new", "block", "x")], "blocked", None),
    "a friend of the new blocks the old": ([("new", "link", "x"), ("x", "block", "old")], None, "blocked"),
    "a friend of the old blocks the new": ([("old", "link", "x"), ("x", "block", "new")], None, "blocked"),
    "each blocks the other": ([("old", "block", "x"), ("x", "block", "new")], "blocked", "blocked"),
    "who is blocked has invited": ([("x", "block", "old"), ("new", "invite", "x")], "invited", "blocked"),
    "nothing": ([], None, None),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_friends_invitations_and_blocks_are_united_on_both_sides(
    people: Client, raw: redis.Redis, lb: Installation, drain: Drain, name: str
) -> None:
    acts, mine, theirs = BETWEEN[name]
    for who, what, whom in acts:
        act(people, who, what, whom)
    # They are friends of each other, too: nobody is a friend of oneself.
    act(people, "old", "link", "new")
    merge(people)
    assert sees(people, "new") == ({"x": mine} if mine else {})
    assert sees(people, "x") == ({"new": theirs} if theirs else {})
    left = {key.decode().partition("}:")[2] for key in raw.scan_iter("lb:*") if b"old" in key}
    assert left == {"player:old"}
    assert not [value for key in raw.scan_iter("lb:{0}:friends:*") for value in raw.hvals(key) if b";old" in value]
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
    # What is united can be undone as ever.
    act(people, "new", "block", "x")
    people.server.delete("/v1/players/new/blocks/x")
    assert sees(people, "new") == {}


def test_who_blocks_the_other_loses_nothing_by_it(people: Client) -> None:
    act(people, "old", "block", "new")
    merge(people)
    assert sees(people, "new") == {}
    act(people, "new", "invite", "x")
    assert sees(people, "x") == {"new": "invitation"}


def test_many_friends_are_united_up_to_the_limit(people: Client, raw: redis.Redis) -> None:
    side = "friends;1;server"
    others = [f"f{number}" for number in range(4002)]
    for player, some in (("old", others[:2001]), ("new", others[2000:4000])):
        raw.hset(f"lb:{{0}}:friends:{player}", mapping=dict.fromkeys(some, side))
        for other in some:
            raw.hset(f"lb:{{0}}:friends:{other}", player, side)
    raw.hset("lb:{0}:friends:new", "f4001", side)
    with unchanged(raw):
        refused(people.server.call("POST", MERGE, {"into": "new"}), 409, "friends_limit")
    raw.hdel("lb:{0}:friends:new", "f4001")
    merge(people)
    assert raw.hlen("lb:{0}:friends:new") == 4000
    assert raw.hgetall("lb:{0}:friends:f7") == {b"new": side.encode()}


def test_friends_who_are_merged_at_the_same_time_stay_friends(people: Client, app: Flask, raw: redis.Redis) -> None:
    pairs = [(f"{side}{number}", f"{side}{number}-stays") for side in "ab" for number in range(6)]
    for old, into in pairs:
        for player in (old, into):
            people.server.put(f"/v1/players/{player}", {}, expect=201)
    for number in range(6):
        people.server.put(FRIENDS.format(f"a{number}"), {"players": [f"b{other}" for other in range(6)]})
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda pair: merge(Client(app.test_client()), *pair), pairs))
    assert len(done) == 12
    for number in range(6):
        assert sees(people, f"a{number}-stays") == {f"b{other}-stays": "friends" for other in range(6)}
        assert sees(people, f"b{number}-stays") == {f"a{other}-stays": "friends" for other in range(6)}
    assert len(list(raw.scan_iter("lb:{0}:friends:*"))) == 12


# -- profile, identities, devices --------------------------------------------------------------------------------------


def test_the_profile_stays_and_takes_what_it_lacks(people: Client, clock: SetClock) -> None:
    created_at = people.server.get("/v1/players/old")["created_at"]
    clock.pass_ms(5000)
    people.server.put("/v1/players/late", {"display_name": "Late", "attributes": {"a": "1"}}, expect=201)
    everything = {"display_name": "Old", "country": "de", "platform": "ps5", "attributes": {"b": "2"}}
    people.server.put("/v1/players/old", everything)
    merge(people, "old", "late")
    profile = people.server.get("/v1/players/late")
    assert profile["display_name"] == "Late"
    assert (profile["country"], profile["platform"], profile["attributes"]) == ("de", "ps5", {"a": "1"})
    assert profile["created_at"] == created_at
    assert people.get("/v1/players/late")["country"] == "de"


def test_identities_are_those_of_the_one_that_stays(people: Client, raw: redis.Redis) -> None:
    people.server.put("/v1/players/old/identities/steam", {"subject": "1"}, expect=201)
    people.server.put("/v1/players/new/identities/epic", {"subject": "2"}, expect=201)
    merge(people)
    for provider, subject in (("steam", "1"), ("epic", "2")):
        assert people.server.get(f"/v1/identities/{provider}/{subject}")["id"] == "new"
    refused(people.server.call("PUT", "/v1/players/x/identities/steam", {"subject": "1"}), 409, "identity_taken")
    people.server.delete("/v1/players/new/identities/steam")
    people.server.put("/v1/players/x/identities/steam", {"subject": "1"}, expect=201)
    assert people.server.get("/v1/identities/steam/1")["id"] == "x"


def test_a_device_signs_in_as_the_one_that_stays_and_its_sessions_end(api: Client, raw: redis.Redis) -> None:
    devices = ["a" * 32, "b" * 32]
    signed_in = [api.post("/v1/sessions", {"device_id": device}, expect=201) for device in devices]
    old, new = (one["player"]["id"] for one in signed_in)
    before = Client(api.http, signed_in[0]["token"])
    merge(api, old, new)
    refused(before.call("GET", "/v1/players/me"), 401, "unauthenticated")
    refused(before.call("POST", "/v1/boards/main/submissions", {"score": 1}), 401, "unauthenticated")
    for device in devices * 2:
        again = api.post("/v1/sessions", {"device_id": device}, expect=201)
        assert (again["player"]["id"], again["created"]) == (new, False)
    assert Client(api.http, signed_in[1]["token"]).get("/v1/players/me")["id"] == new
    api.server.delete(f"/v1/players/{new}")
    assert not list(raw.scan_iter("lb:device:*"))
    assert api.post("/v1/sessions", {"device_id": devices[0]}, expect=201)["created"]


def test_one_player_of_many_accounts(people: Client, raw: redis.Redis, lb: Installation, drain: Drain) -> None:
    people.define("main", policy="sum", periods=[{"kind": "alltime"}])
    for player in ("a", "b", "c", "new"):
        people.submit(player, 1)
    merge(people, "a", "b")
    merge(people, "c", "new")
    merge(people, "b", "new")
    assert people.table() == [(1, "new", 4)]
    for player in ("a", "b", "c"):
        assert people.call("GET", f"/v1/players/{player}").headers["Location"] == "/v1/players/new"
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
    exported = people.server.get("/v1/players/new/export")
    assert sorted(exported["merged"]) == ["a", "b", "c"]
    assert len(exported["submissions"]) == 4
    people.server.delete("/v1/players/new")
    for player in ("a", "b", "c", "new"):
        refused(people.call("GET", f"/v1/players/{player}"), 410, "player_erased")


# -- erased ------------------------------------------------------------------------------------------------------------


def test_an_erasure_takes_what_is_under_the_old_id_too(
    people: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock
) -> None:
    people.define("main", periods=[{"kind": "weekly", "settle_delay_s": 0}, {"kind": "alltime"}])
    for player, score in (("old", 20), ("x", 10), ("new", 5)):
        people.server.put(f"/v1/players/{player}", {"display_name": f"Name of {player}"})
        people.submit(player, score, metadata={"by": player})
    clock.pass_ms(8 * DAY_MS)
    merge(people)
    drained(drain)
    exported = people.server.get("/v1/players/new/export")
    weekly = [entry["score"] for entry in exported["entries"] if entry["period_id"] != "all"]
    assert sorted(weekly) == [5, 20]
    assert [kept["metadata"]["by"] for kept in exported["submissions"]] == ["old", "new"]
    assert [made["operation"] for made in exported["acts"]] == ["merge_player"]
    people.server.delete("/v1/players/new")
    drained(drain)
    page = people.get(f"{STANDINGS}?period=weekly&period_id=previous")
    assert [(entry["rank"], entry["score"]) for entry in page["entries"]] == [(1, 20), (2, 10), (3, 5)]
    assert "old" not in str(page).lower()
    assert "new" not in str(page)
    assert_archive_is_store(lb.archive, raw)
    with lb.archive.read() as connection:
        rows = [
            str(tuple(row))
            for table in lb.archive.tables.metadata.sorted_tables
            if table is not lb.archive.tables.players
            for row in connection.execute(table.select())
        ]
    assert not [row for row in rows if "'old'" in row or "'new'" in row or "Name of old" in row]
    assert people.admin.get("/v1/admin/audit?player=old")["acts"] == []
    for player in ("old", "new"):
        refused(people.call("GET", f"/v1/players/{player}"), 410, "player_erased")
        refused(people.server.call("PUT", f"/v1/players/{player}", {}), 410, "player_erased")


# -- cut off -----------------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    """A process that ended here."""


class Stepping:
    """The store, for so many calls."""

    def __init__(self, store: Any, calls: int) -> None:
        self._store, self.left = store, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Interrupted
            return method(*args)

        return call


def cut_off(lb: Installation, calls: int, act: Callable[[Installation], Any]) -> bool:
    store: Any = Stepping(lb.store, calls)
    try:
        act(replace(lb, store=store))
    except Interrupted:
        return True
    return False


def run_merge(lb: Installation) -> None:
    merge_players(lb, "old", "new", None, by_cli("merge_player"))


def furnish(api: Client, raw: redis.Redis, lb: Installation) -> None:
    """Two who have everything there is to merge, and somebody who was merged before."""
    for key in raw.scan_iter("lb:*"):
        if not key.endswith((b":store", b":journal", b":signing")):
            raw.delete(key)
    for board in ("a", "b"):
        lb.boards.forget(board)
        api.define(board, policy="sum", ties="dense", periods=PERIODS)
    for player in ("former", "old", "new", "x"):
        api.server.put(f"/v1/players/{player}", {"display_name": player, "platform": player}, expect=201)
        for board in ("a", "b"):
            api.submit(player, 5, board)
    api.server.put("/v1/players/old/identities/steam", {"subject": "1"}, expect=201)
    for other, player in (("x", "old"), ("former", "old"), ("x", "new")):
        api.server.put(FRIENDS.format(player), {"players": [other]})
    raw.set("lb:device:d1", "old")
    raw.hset("lb:{0}:player:old", "device", "d1")
    merge(api, "former", "old")


def test_a_merge_that_is_cut_off_anywhere_is_finished_by_calling_again(
    api: Client, raw: redis.Redis, lb: Installation, clock: SetClock
) -> None:
    began_ms = clock.at_ms
    furnish(api, raw, lb)
    run_merge(lb)
    whole = lasting(every_key(raw), clock.now_ms())
    journal = whole.pop("lb:{0}:journal")
    assert journal
    began = False
    for calls in range(1, 100):
        clock.at_ms = began_ms
        furnish(api, raw, lb)
        running = cut_off(lb, calls, run_merge)
        # Whoever looks meanwhile is led on, or finds all as it was.
        leads = api.call("GET", "/v1/players/old").status_code
        assert leads in ((308,) if began else (200, 308))
        began = leads == 308
        assert api.server.get("/v1/identities/steam/1")["id"] == ("new" if began else "old")
        if running:
            if began:
                answer = api.server.call("POST", "/v1/players/x/merge", {"into": "new"})
                refused(answer, 409, "merge_running")
                refused(api.server.call("POST", "/v1/players/new/merge", {"into": "x"}), 409, "merge_running")
                refused(api.server.call("POST", MERGE, {"into": "x"}), 409, "player_merged")
            run_merge(lb)
        found = lasting(every_key(raw), clock.now_ms())
        del found["lb:{0}:journal"]
        assert_same(f"keys after {calls} calls", whole, found)
        if not running:
            return
    raise AssertionError("it never ends")


def test_a_merge_that_is_cut_off_is_finished_on_a_store_that_was_rebuilt(
    api: Client, raw: redis.Redis, lb: Installation, drain: Drain, clock: SetClock
) -> None:
    furnish(api, raw, lb)
    assert cut_off(lb, 23, run_merge)
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
    before = lasting(every_key(raw), clock.now_ms())
    assert before["lb:{0}:player:old"].value[b"state"] == b"merging;new"
    drain.finish()
    raw.flushdb()
    rebuild(lb)
    assert_same("keys", before, lasting(every_key(raw), clock.now_ms()))
    run_merge(lb)
    drain = Drain(lb)
    drained(drain)
    assert_archive_is_store(lb.archive, raw)
    assert api.call("GET", "/v1/players/former").headers["Location"] == "/v1/players/new"


def test_a_merge_that_is_cut_off_can_be_erased_in_the_middle(api: Client, raw: redis.Redis, lb: Installation) -> None:
    for calls in range(8, 200, 3):
        furnish(api, raw, lb)
        running = cut_off(lb, calls, run_merge)
        if not raw.hexists("lb:{0}:player:old", "state"):
            continue
        if cut_off(lb, calls, lambda lb: erase_player(lb, "new", None)):
            erase_player(lb, "new", None)
        names = [f"lb:{{0}}:player:{player}" for player in ("former", "old", "new")]
        assert [raw.hgetall(name) for name in names] == [{b"state": b"erased"}] * 3, calls
        for key in raw.scan_iter("lb:*"):
            if not key.endswith((b":store", b":journal", b":signing")) and key.decode() not in names:
                value = str(every_key(raw, "lb")[key.decode()].value)
                assert not [player for player in ("former", "'old'", "'new'") if player in value], (calls, key)
        with pytest.raises(Problem, match="player_erased"):
            run_merge(lb)
        if not running:
            return
    raise AssertionError("it never ends")
