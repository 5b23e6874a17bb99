"""Identities: accounts elsewhere that players are known by, each by one player at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import identities
from leaderboard.errors import Problem
from leaderboard.identities import IDENTITIES_MOST, Identity, link_identity, unlink_identity
from leaderboard.installation import Installation
from leaderboard.players import erase_player, get_profile
from leaderboard.worker.drain import Drain
from tests.calls import refused, unchanged
from tests.client import Client
from tests.keeping.contents import assert_archive_is_store

STEAM = "76561197960287930"
ALICE = "/v1/players/alice/identities"
BOB = "/v1/players/bob/identities"
FIND = "/v1/identities"


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def people(api: Client) -> Client:
    for player in ("alice", "bob", "carol"):
        api.server.put(f"/v1/players/{player}", {}, expect=201)
    return api


def test_a_player_is_found_by_its_identity(people: Client) -> None:
    people.server.get(f"{FIND}/steam/{STEAM}", expect=404)
    linked = people.server.put(f"{ALICE}/steam", {"subject": STEAM}, expect=201)
    assert linked == {"provider": "steam", "subject": STEAM}
    assert people.server.put(f"{ALICE}/steam", {"subject": STEAM}) == linked
    people.server.put(f"{ALICE}/apple", {"subject": "001234.ab"}, expect=201)
    found = people.server.get(f"{FIND}/steam/{STEAM}")
    assert (found["id"], found["identities"]) == ("alice", [{"provider": "apple", "subject": "001234.ab"}, linked])
    assert people.server.get("/v1/players/alice") == people.player("alice").get("/v1/players/me") == found
    # The same subject elsewhere is somebody else.
    assert people.server.get(f"{FIND}/epic/{STEAM}", expect=404)["code"] == "identity_not_found"


@pytest.mark.parametrize(
    "subject", ["google-oauth2|1", "a b".replace(" ", "%20"), "x" * 255, "a%3Fb%23c", "%25", "a.b;c:d"]
)
def test_a_subject_may_be_anything_that_fits_a_path(people: Client, subject: str) -> None:
    plain = subject.replace("%3F", "?").replace("%23", "#").replace("%25", "%").replace("%20", "_")
    people.server.put(f"{ALICE}/auth0", {"subject": plain}, expect=201)
    assert people.server.get(f"{FIND}/auth0/{subject.replace('%20', '_')}")["id"] == "alice"


def test_an_identity_is_one_players_until_it_is_taken_from_it(people: Client, raw: redis.Redis) -> None:
    people.server.put(f"{ALICE}/steam", {"subject": STEAM}, expect=201)
    with unchanged(raw):
        answer = people.server.call("PUT", f"{BOB}/steam", {"subject": STEAM})
        refused(answer, 409, "identity_taken")
    people.server.delete(f"{ALICE}/steam")
    people.server.delete(f"{ALICE}/steam")
    assert people.server.get("/v1/players/alice")["identities"] == []
    people.server.get(f"{FIND}/steam/{STEAM}", expect=404)
    people.server.put(f"{BOB}/steam", {"subject": STEAM}, expect=201)
    assert people.server.get(f"{FIND}/steam/{STEAM}")["id"] == "bob"


def test_another_subject_takes_the_place_of_the_first_and_frees_it(people: Client, raw: redis.Redis) -> None:
    people.server.put(f"{ALICE}/steam", {"subject": "1"}, expect=201)
    people.server.put(f"{ALICE}/steam", {"subject": "2"}, expect=201)
    assert people.server.get("/v1/players/alice")["identities"] == [{"provider": "steam", "subject": "2"}]
    people.server.get(f"{FIND}/steam/1", expect=404)
    people.server.put(f"{BOB}/steam", {"subject": "1"}, expect=201)
    assert len(list(raw.scan_iter("lb:identity:*"))) == 2
    assert not [field for field in raw.hkeys("lb:{0}:player:alice") if field.startswith(b"c:")]


def test_a_player_has_so_many_identities_at_most(people: Client) -> None:
    for number in range(IDENTITIES_MOST):
        people.server.put(f"{ALICE}/p{number}", {"subject": "1"}, expect=201)
    refused(people.server.call("PUT", f"{ALICE}/more", {"subject": "1"}), 403, "quota_exceeded")
    people.server.put(f"{ALICE}/p0", {"subject": "2"}, expect=201)
    people.server.put(f"{BOB}/more", {"subject": "1"}, expect=201)


def test_who_is_not_there_has_none(people: Client, raw: redis.Redis) -> None:
    people.server.put(f"{BOB}/steam", {"subject": STEAM}, expect=201)
    people.server.delete("/v1/players/bob")
    assert not list(raw.scan_iter("lb:identity:*"))
    with unchanged(raw):
        refused(
            people.server.call("PUT", "/v1/players/nobody/identities/steam", {"subject": "1"}), 404, "player_not_found"
        )
        refused(people.server.call("PUT", f"{BOB}/steam", {"subject": "1"}), 410, "player_erased")
        refused(people.server.call("PUT", "/v1/players/me/identities/steam", {"subject": "1"}), 404, "player_not_found")
        people.server.delete("/v1/players/nobody/identities/steam")
        people.server.delete(f"{BOB}/steam")
        people.server.get(f"{FIND}/steam/{STEAM}", expect=404)
    people.server.put(f"{ALICE}/steam", {"subject": STEAM}, expect=201)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"subject": ""}, {"subject": "x" * 256}, {"subject": "a/b"}, {"subject": "a b"}, {"subject": "ä"},
        {"subject": "a\n"}, {"subject": ".."}, {"subject": 5}, {"subject": None}, {"subject": ["1"]},
        {"subject": "1", "player": "bob"}, {"subject": "1", "provider": "epic"},
    ],
)  # fmt: skip
def test_a_wrong_subject_is_refused(people: Client, raw: redis.Redis, body: Any) -> None:
    with unchanged(raw):
        refused(people.server.call("PUT", f"{ALICE}/steam", body), 422, "invalid")


@pytest.mark.parametrize("provider", ["Steam", "-a", "a" * 33, "a:b", "a%2Fb", "ä", "a%0A"])
def test_a_wrong_provider_is_no_place(people: Client, raw: redis.Redis, provider: str) -> None:
    with unchanged(raw):
        refused(people.server.call("PUT", f"{ALICE}/{provider}", {"subject": "1"}), 404, "not_found")
        refused(people.server.call("GET", f"{FIND}/{provider}/1"), 404, "not_found")


def test_only_servers_link_and_look_up(people: Client, raw: redis.Redis) -> None:
    people.server.put(f"{ALICE}/steam", {"subject": STEAM}, expect=201)
    alice = people.player("alice")
    with unchanged(raw):
        for method, path, body in (
            ("PUT", "/v1/players/me/identities/steam", {"subject": "2"}),
            ("PUT", f"{ALICE}/epic", {"subject": "2"}),
            ("DELETE", "/v1/players/me/identities/steam", None),
            ("GET", f"{FIND}/steam/{STEAM}", None),
        ):
            refused(alice.call(method, path, body), 403, "forbidden")
            refused(people.call(method, path, body), 401, "unauthenticated")
        refused(alice.call("PATCH", "/v1/players/me", {"identities": []}), 422, "invalid")
        refused(people.server.call("PUT", "/v1/players/alice", {"identities": []}), 422, "invalid")


def test_replacing_a_profile_leaves_identities_alone(people: Client) -> None:
    people.server.put(f"{ALICE}/steam", {"subject": STEAM}, expect=201)
    people.server.put("/v1/players/alice", {"display_name": "Ada"})
    assert people.server.get(f"{FIND}/steam/{STEAM}")["display_name"] == "Ada"


# -- kept --------------------------------------------------------------------------------------------------------------


def test_identities_are_archived_and_exported(people: Client, lb: Installation, raw: redis.Redis) -> None:
    drain = Drain(lb)
    people.server.put(f"{ALICE}/steam", {"subject": STEAM}, expect=201)
    people.server.put(f"{BOB}/steam", {"subject": 'quo"te'}, expect=201)
    people.server.put(f"{BOB}/epic", {"subject": "gone"}, expect=201)
    people.server.put("/v1/players/carol/identities/epic", {"subject": "gone-too"}, expect=201)
    people.server.delete("/v1/players/carol/identities/epic")
    people.server.delete(f"{BOB}/epic")
    drain.step()
    assert_archive_is_store(lb.archive, raw)
    exported = people.player("alice")
    drain.step()
    assert exported.get("/v1/players/me/export")["player"]["identities"] == [{"provider": "steam", "subject": STEAM}]
    people.server.delete("/v1/players/alice")
    drain.step()
    assert_archive_is_store(lb.archive, raw)


# -- several at once, and cut off --------------------------------------------------------------------------------------


class Interrupted(Exception):
    """A process that ended here."""


class Stepping:
    """The store, with something that happens before its n-th call."""

    def __init__(self, store: Any, at: int, then: Callable[[], None]) -> None:
        self._store, self._left, self._then = store, at, then

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self._then()
            return method(*args)

        return call

    @property
    def is_over(self) -> bool:
        """It was not called that often."""
        return self._left > 0


def interrupted() -> None:
    raise Interrupted


def stepping(lb: Installation, at: int, then: Callable[[], None]) -> tuple[Installation, Stepping]:
    store: Any = Stepping(lb.store, at, then)
    return replace(lb, store=store), store


def holders(lb: Installation, subject: str) -> list[str]:
    """Everybody whose profile has it, which must be whoever is found by it."""
    have = []
    for player in ("alice", "bob", "carol"):
        with suppress(Problem):
            if get_profile(lb, player).identities.get("steam") == subject:
                have.append(player)
    found = []
    with suppress(Problem):
        found = [identities.find_identity(lb, Identity("steam", subject)).name.id]
    assert have == found
    return have


def link(lb: Installation, player: str, subject: str = STEAM) -> str:
    try:
        link_identity(lb, player, Identity("steam", subject))
    except Problem as problem:
        return problem.code
    return "linked"


ACTS: dict[str, Callable[[Installation], Any]] = {
    "bob links it": lambda lb: link(lb, "bob"),
    "bob links it and parts with it": lambda lb: (link(lb, "bob"), unlink_identity(lb, "bob", "steam")),
    "bob is cut off": lambda lb: cut_off(lb, 4, lambda to: link(to, "bob")),
    "alice links it too": lambda lb: link(lb, "alice"),
    "alice links another": lambda lb: link(lb, "alice", "2"),
    "alice parts with it": lambda lb: unlink_identity(lb, "alice", "steam"),
    "alice parts with it and bob links it": lambda lb: (unlink_identity(lb, "alice", "steam"), link(lb, "bob")),
    "alice is erased": lambda lb: erase_player(lb, "alice", None),
    "nothing": lambda lb: None,
}

STARTS: dict[str, Callable[[Installation], Any]] = {
    "nobody has it": lambda lb: None,
    "alice has another": lambda lb: link(lb, "alice", "1"),
    "alice has it": lambda lb: link(lb, "alice"),
    "carol has it": lambda lb: link(lb, "carol"),
    "alice was cut off": lambda lb: cut_off(lb, 4, lambda to: link(to, "alice")),
    "carol was cut off": lambda lb: cut_off(lb, 4, lambda to: link(to, "carol")),
    "carol was cut off parting": lambda lb: (
        link(lb, "carol"),
        cut_off(lb, 2, lambda to: unlink_identity(to, "carol", "steam")),
    ),
}


def cut_off(lb: Installation, at: int, act: Callable[[Installation], Any]) -> bool:
    """Whether it was called that often."""
    try:
        act(stepping(lb, at, interrupted)[0])
    except Interrupted:
        return True
    return False


def steps(lb: Installation, raw: redis.Redis, start: Callable[[Installation], Any]) -> Iterator[int]:
    """1, 2, 3, … each from the start anew."""
    for at in range(1, 100):
        for key in raw.scan_iter("lb:identity:*"):
            raw.delete(key)
        for player in ("alice", "bob", "carol"):
            raw.delete(f"lb:{{0}}:player:{player}")
            raw.hset(f"lb:{{0}}:player:{player}", "created_at", lb.clock.now_ms())
        start(lb)
        yield at
    raise AssertionError("it never ends")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("start", STARTS)
def test_whatever_comes_between_its_steps_one_player_has_it_at_most(
    people: Client, lb: Installation, raw: redis.Redis, start: str, act: str
) -> None:
    for at in steps(lb, raw, STARTS[start]):
        slow, store = stepping(lb, at, lambda: ACTS[act](lb))
        outcome = link(slow, "alice")
        have = holders(lb, STEAM)
        assert len(have) <= 1, at
        if outcome == "linked" and act in ("nothing", "bob links it", "alice links it too"):
            assert have == ["alice"], at
        if outcome == "identity_taken":
            assert have in (["bob"], ["carol"]), at
        # Nothing that was cut off is in anybody's way.
        if not have:
            assert link(lb, "bob") == "linked", at
            assert holders(lb, STEAM) == ["bob"], at
        if store.is_over:
            break


@pytest.mark.parametrize("act", ["link", "replace", "unlink", "erase"])
def test_a_call_that_is_cut_off_anywhere_is_finished_by_calling_again(
    people: Client, lb: Installation, raw: redis.Redis, act: str
) -> None:
    def start(lb: Installation) -> None:
        if act != "link":
            link(lb, "alice", "1" if act == "replace" else STEAM)

    def run(lb: Installation) -> None:
        match act:
            case "unlink":
                unlink_identity(lb, "alice", "steam")
            case "erase":
                erase_player(lb, "alice", None)
            case _:
                link_identity(lb, "alice", Identity("steam", STEAM))

    for at in steps(lb, raw, start):
        ended = not cut_off(lb, at, run)
        holders(lb, STEAM)
        holders(lb, "1")
        if not ended:
            # An erasure may have come to its end.
            with suppress(Problem):
                run(lb)
        assert holders(lb, STEAM) == ([] if act in ("unlink", "erase") else ["alice"]), at
        assert holders(lb, "1") == []
        for subject in (STEAM, "1"):
            if not holders(lb, subject):
                assert link(lb, "bob", subject) == "linked", at
        if act == "erase":
            left = {raw.get(key) for key in raw.scan_iter("lb:identity:*")}
            assert not [held for held in left if held.startswith(b"alice;")], at
        if ended:
            break


def test_of_many_who_want_it_at_once_one_gets_it(people: Client, lb: Installation) -> None:
    players = [f"p{number}" for number in range(12)]
    for player in players:
        people.server.put(f"/v1/players/{player}", {}, expect=201)
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda player: link(lb, player), players))
    (winner,) = [player for player, outcome in zip(players, outcomes, strict=True) if outcome == "linked"]
    assert set(outcomes) == {"linked", "identity_taken"}
    assert identities.find_identity(lb, Identity("steam", STEAM)).name.id == winner
    assert sum(get_profile(lb, player).identities != {} for player in players) == 1
