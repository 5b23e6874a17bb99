"""Who may do what: nobody acts for another player, only admins do what admins do, and boards say who reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis
from flask import Flask

from tests.calls import STANDINGS, SUBMISSIONS, issue_key, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant

pytestmark = pytest.mark.any_store


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    api.submit("alice", 10)
    api.submit("bob", 20)
    return api


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", SUBMISSIONS, {"player": "bob", "score": 99}),
        ("POST", "/v1/boards/main/attempts", {"player": "bob"}),
        ("PATCH", "/v1/players/bob", {"display_name": "owned"}),
        ("DELETE", "/v1/players/bob", None),
        ("PUT", "/v1/players/bob", {}),
        ("PUT", "/v1/players/alice", {"display_name": "Alice"}),
        ("POST", "/v1/players/bob/sessions", None),
        ("POST", "/v1/players/alice/sessions", None),
        ("GET", "/v1/players/bob/friends", None),
        ("PUT", "/v1/players/bob/friends", {"players": ["alice"]}),
        ("PUT", "/v1/players/alice/friends", {"players": ["bob"]}),
        ("PUT", "/v1/players/bob/friends/alice", None),
        ("DELETE", "/v1/players/bob/friends/alice", None),
        ("PUT", "/v1/players/bob/blocks/alice", None),
        ("DELETE", "/v1/players/bob/blocks/alice", None),
        ("GET", "/v1/boards/main/standings/bob/friends", None),
        ("PUT", "/v1/players/alice/identities/steam", {"subject": "1"}),
        ("PUT", "/v1/players/bob/identities/steam", {"subject": "1"}),
        ("DELETE", "/v1/players/alice/identities/steam", None),
        ("GET", "/v1/identities/steam/1", None),
        ("POST", "/v1/players/alice/merge", {"into": "bob"}),
        ("POST", "/v1/players/bob/merge", {"into": "alice"}),
        ("POST", "/v1/submissions/batch", {"submissions": [{"board": "main", "player": "alice", "score": 1}]}),
    ],
)
def test_a_player_can_do_nothing_for_another_and_nothing_of_a_server(
    board: Client, raw: redis.Redis, method: str, path: str, body: Any
) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        refused(alice.call(method, path, body), 403, "forbidden")
        refused(board.call(method, path, body), 401, "unauthenticated")


@pytest.mark.parametrize(
    "more",
    [
        {"verified": True}, {"rank": 1}, {"player_id": "bob"}, {"ts": 1}, {"role": "admin"}, {"session": "x"},
        {"board": "other"}, {"policy": "latest"}, {"outcome": "applied"}, {"standings": []},
    ],
)  # fmt: skip
def test_a_player_cannot_set_what_is_not_a_players_to_set(
    board: Client, raw: redis.Redis, more: dict[str, Any]
) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        refused(alice.call("POST", SUBMISSIONS, {"score": 50} | more), 422, "invalid")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"country": "de"}, (403, "forbidden")),
        ({"platform": "ps5"}, (403, "forbidden")),
        ({"attributes": {"vip": "1"}}, (403, "forbidden")),
        ({"display_name": "Ada", "country": None}, (403, "forbidden")),
        ({"id": "bob"}, (422, "invalid")),
        ({"submissions": 0}, (422, "invalid")),
        ({"state": "erased"}, (422, "invalid")),
        ({"device": "x"}, (422, "invalid")),
        ({"s:0123": "9"}, (422, "invalid")),
    ],
)
def test_a_player_cannot_change_what_is_the_servers_of_itself(
    board: Client, raw: redis.Redis, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    alice = board.player("alice")
    with unchanged(raw):
        refused(alice.call("PATCH", "/v1/players/me", body), *expected)


def test_a_player_says_when_a_score_was_achieved_to_nobody(board: Client) -> None:
    alice = board.player("alice")
    answer = alice.call("POST", SUBMISSIONS, {"score": 50, "achieved_at": "2026-11-22T10:00:00Z"})
    refused(answer, 403, "forbidden")
    assert board.table() == [(1, "bob", 20), (2, "alice", 10)]


def test_a_player_names_itself_or_nobody(board: Client) -> None:
    alice = board.player("alice")
    assert alice.post(SUBMISSIONS, {"score": 30})["player"] == "alice"
    assert alice.post(SUBMISSIONS, {"score": 40, "player": "alice"})["player"] == "alice"
    # Ids are case-sensitive: this is another player.
    alice.post(SUBMISSIONS, {"score": 50, "player": "Alice"}, expect=403)
    assert alice.get("/v1/players/me")["id"] == "alice"


def test_what_is_private_of_a_profile_is_for_the_player_and_for_servers(board: Client) -> None:
    board.server.put("/v1/players/alice", {"platform": "ps5", "attributes": {"a": "b"}, "display_name": "Ada"})
    _, reader = issue_key(board, "read")
    for caller, sees in (
        (board, False), (board.player("bob"), False), (board.player("alice"), True), (board.server, True),
        (board.admin, True), (reader, False),
    ):  # fmt: skip
        profile = caller.get("/v1/players/alice")
        assert profile["display_name"] == "Ada"
        assert bool(PRIVATE & set(profile)) is sees


VALUES = {
    "board": "main", "player": "alice", "other": "bob", "key_id": "0123456789ab", "season": "s1", "provider": "steam",
    "subject": "subject-of-alice", "review": "0123456789abcdef.alice",
}  # fmt: skip

PRIVATE = {"platform", "attributes", "identities", "submissions", "created_at", "device_hashes"}


def readable_routes(app: Flask) -> list[str]:
    """Every path that answers GET, about alice, about bob, and about whoever asks."""
    rules = [rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    return sorted(
        {
            re.sub(r"<(?:[^:>]+:)?([^>]+)>", lambda match: values[match[1]], rule)  # noqa: B023  called at once
            for player in ("alice", "bob", "me")
            for values in [VALUES | {"player": player}]
            for rule in rules
        }
    )


def members(data: Any) -> set[str]:
    """The names of all members, however deep."""
    if isinstance(data, list):
        return {name for item in data for name in members(item)}
    return {*data, *(name for item in data.values() for name in members(item))} if isinstance(data, dict) else set()


def test_nothing_that_is_read_shows_what_is_private_of_another_player(
    api: Client, app: Flask, raw: redis.Redis, clock: SetClock
) -> None:
    api.define(periods=[{"kind": "season"}, {"kind": "weekly"}, {"kind": "alltime"}])
    device = {"device_id": "a-device-of-alice-0123456789abcdef"}
    of_device = api.post("/v1/sessions", device, expect=201)["player"]["id"]
    digest = (raw.hget(f"lb:{{0}}:player:{of_device}", "device") or b"").decode()
    profile = {"display_name": "Ada", "platform": "platform-of-alice", "attributes": {"clan": "clan-of-alice"}}
    clock.pass_ms(77)
    created_at = show_instant(clock.now_ms())
    api.server.put("/v1/players/alice", profile, expect=201)
    api.server.put("/v1/players/alice/identities/steam", {"subject": VALUES["subject"]}, expect=201)
    clock.pass_ms(1234)
    secrets = ("platform-of-alice", "clan-of-alice", VALUES["subject"], created_at, digest, device["device_id"])
    for player, score in (("alice", 5), ("bob", 4), (of_device, 3)):
        api.submit(player, score)
    api.server.put("/v1/players/bob/friends", {"players": ["alice", of_device]})
    _, reader = issue_key(api, "read")
    seen = set()
    for path in [*readable_routes(app), f"/v1/players/{of_device}", "/v1/boards/main/standings?around_score=4"]:
        # The documents are about members of these names.
        is_document = path in ("/openapi.json", "/docs", "/docs/errors")
        for name, caller in (("anyone", api), ("bob", api.player("bob")), ("read", reader)):
            answer = caller.call("GET", path)
            assert not [secret for secret in secrets if secret in answer.text], (name, path)
            is_bobs = name == "bob" and ("/bob" in path or "/me" in path)
            if answer.is_json and not is_bobs and not is_document:
                assert not PRIVATE & members(answer.get_json()), (name, path)
            if answer.status_code == 200:
                seen |= {(name, path)}
    lookup = api.post("/v1/boards/main/lookup", {"players": ["alice", of_device]})
    assert not PRIVATE & members(lookup)
    # What was looked at did show her, and to whom it may be shown it is.
    assert {("anyone", "/v1/players/alice"), ("bob", "/v1/boards/main/standings/me/friends")} <= seen
    assert {("anyone", "/v1/players/alice/entries"), ("read", "/v1/boards/main/standings/alice/around")} <= seen
    for path in ("/v1/players/alice", f"/v1/identities/steam/{VALUES['subject']}"):
        shown = api.server.get(path)
        assert PRIVATE - {"device_hashes"} <= set(shown)
        assert shown["created_at"] == created_at


def admin_routes(app: Flask) -> list[tuple[str, str]]:
    """Every method and path below /v1/admin, as the application itself knows them."""
    return sorted(
        (method, re.sub(r"<(?:[^:>]+:)?([^>]+)>", lambda match: VALUES[match[1]], rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/admin")
        for method in (rule.methods or set()) - {"OPTIONS"}
    )


def test_admin_calls_are_for_admins_alone(board: Client, app: Flask, raw: redis.Redis) -> None:
    _, reader = issue_key(board, "read")
    _, server = issue_key(board, "server")
    callers = {"player": board.player("alice"), "read": reader, "server": server, "setting": board.server}
    routes = admin_routes(app)
    assert len(routes) >= 12
    with unchanged(raw):
        for method, path in routes:
            # Neither the body nor the query is looked at before the caller is.
            for body in (None, {}, {"season": "s1"}):
                assert board.call(method, path, body).status_code == 401, (method, path)
                for name, caller in callers.items():
                    assert caller.call(method, path, body).status_code == 403, (method, path, name)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X-Original-URL"])
def test_no_header_changes_the_method_or_the_path(board: Client, header: str) -> None:
    alice = board.player("alice")
    assert alice.call("POST", "/v1/players/alice", headers={header: "DELETE"}).status_code == 405
    assert alice.call("GET", "/v1/players/bob", headers={header: "DELETE"}).status_code == 200
    assert board.call("GET", "/v1/boards?_method=DELETE").status_code == 422
    assert alice.call("GET", "/v1/boards", headers={"X-Original-URL": "/v1/admin/keys"}).get_json()["boards"]
    assert board.get("/v1/players/bob")["id"] == "bob"


def test_a_key_that_reads_submits_nothing(board: Client, raw: redis.Redis) -> None:
    _, reader = issue_key(board, "read")
    with unchanged(raw):
        for body in ({"player": "alice", "score": 99}, {"score": 99}):
            refused(reader.call("POST", SUBMISSIONS, body), 403, "forbidden")


def test_each_role_may_do_what_those_before_it_may(board: Client) -> None:
    _, reader = issue_key(board, "read")
    _, server = issue_key(board, "server")
    _, admin = issue_key(board, "admin")
    body = {"player": "alice", "score": 1}
    for caller, friends, submits, defines in (
        (reader, 403, 403, 403),
        (server, 200, 200, 403),
        (admin, 200, 200, 200),
    ):
        assert caller.call("GET", "/v1/players/alice/friends").status_code == friends
        assert caller.call("POST", SUBMISSIONS, body).status_code == submits
        assert caller.call("GET", "/v1/admin/boards/main").status_code == defines


@pytest.mark.parametrize("reads", ["public", "players", "servers"])
def test_a_board_says_who_reads_it(board: Client, reads: str) -> None:
    board.define("main", reads=reads)
    alice = board.player("alice")
    _, reader = issue_key(board, "read")
    may = {"public": 0, "players": 1, "servers": 2}[reads]
    for rank, caller in ((0, board), (1, alice), (2, reader), (2, board.server), (2, board.admin)):
        expected = 200 if rank >= may else 401 if caller is board else 403
        for method, path, body in (
            ("GET", STANDINGS, None),
            ("GET", "/v1/boards/main/standings/alice", None),
            ("GET", "/v1/boards/main/standings/bob/around", None),
            ("GET", "/v1/boards/main/distribution", None),
            ("GET", "/v1/boards/main/periods", None),
            ("POST", "/v1/boards/main/lookup", {"players": ["bob"]}),
        ):
            answer = caller.call(method, path, body)
            assert answer.status_code == expected, (path, rank, answer.text)
            if expected != 200:
                # Nor does what is refused tell anything.
                assert "bob" not in answer.text
        entries = caller.get("/v1/players/bob/entries")["entries"]
        assert bool(entries) is (rank >= may)
    friends = alice.call("GET", "/v1/boards/main/standings/me/friends")
    assert friends.status_code == (200 if may <= 1 else 403)


def test_who_may_not_read_a_board_is_not_told_whether_an_entry_or_a_period_is_there(board: Client) -> None:
    board.define("main", reads="servers")
    alice = board.player("alice")
    for path in ("standings/bob", "standings/nobody", "standings?period_id=s9", "standings?period=daily", "periods"):
        refused(alice.call("GET", f"/v1/boards/main/{path}"), 403, "forbidden")


def test_a_board_of_the_servers_takes_no_score_from_a_player(board: Client, raw: redis.Redis) -> None:
    board.define("main", writes="servers")
    alice = board.player("alice")
    with unchanged(raw):
        refused(alice.call("POST", SUBMISSIONS, {"score": 99}), 403, "forbidden")
    board.submit("alice", 30)
    # And again, when it is the players' once more: nobody goes by the old definition.
    board.define("main", writes="players")
    assert alice.post(SUBMISSIONS, {"score": 40})["outcome"] == "applied"
