"""Players: signing in, profiles, erasure, friends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.conftest import SetClock

DEVICE = "d" * 32
DAY_MS = 86_400_000


def befriend(api: Client, one: str, other: str) -> None:
    api.server.put(f"/v1/players/{one}/friends", {"players": [other]})


def people(api: Client, *players: str) -> None:
    for player in players:
        api.server.put(f"/v1/players/{player}", {}, expect=201)


def test_a_device_always_signs_the_same_player_in(api: Client, raw: Any) -> None:
    first = api.post("/v1/sessions", {"device_id": DEVICE, "display_name": "Ada"}, expect=201)
    again = api.post("/v1/sessions", {"device_id": DEVICE, "display_name": "Other"}, expect=201)
    assert (first["created"], again["created"]) == (True, False)
    assert first["player"]["id"] == again["player"]["id"]
    assert first["player"]["id"].startswith("p_")
    assert again["player"]["display_name"] == "Ada"
    assert first["token"] != again["token"]
    kept = b"".join(key + (raw.dump(key) or b"") for key in raw.scan_iter())
    assert DEVICE.encode() not in kept
    assert first["token"].rpartition(".")[2].encode() not in kept


@pytest.mark.parametrize("device_id", ["short", "x" * 257, "x" * 30 + "\n", "ä" * 32, 5, None])
def test_a_device_id_that_can_be_guessed_is_refused(api: Client, device_id: Any) -> None:
    api.post("/v1/sessions", {"device_id": device_id}, expect=422)


def test_signing_out_ends_this_session_only(api: Client) -> None:
    one, other = api.player("alice"), api.player("alice")
    one.delete("/v1/sessions/current")
    one.get("/v1/players/me", expect=401)
    other.get("/v1/players/me")


def test_a_session_lives_30_days_from_its_last_use(api: Client, clock: SetClock) -> None:
    api.define("main")
    reading, submitting, idle = api.player("alice"), api.player("alice"), api.player("alice")
    clock.pass_ms(29 * DAY_MS)
    reading.get("/v1/players/me")
    submitting.post("/v1/boards/main/submissions", {"score": 1})
    clock.pass_ms(2 * DAY_MS)
    reading.get("/v1/players/me")
    submitting.get("/v1/players/me")
    idle.get("/v1/players/me", expect=401)
    idle.post("/v1/boards/main/submissions", {"score": 2}, expect=401)


def test_an_eleventh_session_ends_the_oldest(api: Client, clock: SetClock) -> None:
    sessions = []
    for _ in range(11):
        sessions.append(api.player("alice"))
        clock.pass_ms(1)
    sessions[0].get("/v1/players/me", expect=401)
    for session in sessions[1:]:
        session.get("/v1/players/me")


def test_others_see_the_public_profile_only(api: Client) -> None:
    profile = {"display_name": "Alice", "country": "de", "platform": "steam", "attributes": {"clan": "owls"}}
    api.server.put("/v1/players/alice", profile, expect=201)
    public = {"id": "alice", "display_name": "Alice", "avatar_url": None, "country": "de"}
    assert api.get("/v1/players/alice") == public
    assert api.player("bob").get("/v1/players/alice") == public
    for caller in (api.server, api.player("alice")):
        assert caller.get("/v1/players/alice")["attributes"] == {"clan": "owls"}


def test_putting_replaces_and_patching_changes(api: Client) -> None:
    api.server.put("/v1/players/alice", {"display_name": "Alice", "platform": "steam"}, expect=201)
    api.server.patch("/v1/players/alice", {"country": "FR"})
    shown = api.server.get("/v1/players/alice")
    assert (shown["display_name"], shown["platform"], shown["country"]) == ("Alice", "steam", "fr")
    api.server.patch("/v1/players/alice", {"platform": None})
    assert api.server.get("/v1/players/alice")["platform"] is None
    api.server.put("/v1/players/alice", {"country": "it"})
    assert api.server.get("/v1/players/alice")["display_name"] is None
    api.server.patch("/v1/players/nobody", {"country": "it"}, expect=404)


def test_players_change_their_name_and_picture_and_nothing_else(api: Client) -> None:
    alice = api.player("alice")
    alice.patch("/v1/players/me", {"display_name": "Al", "avatar_url": "https://example.org/a.png"})
    for body in ({"country": "de"}, {"platform": "x"}, {"attributes": {"rank": "gm"}}):
        assert alice.patch("/v1/players/me", body, expect=403)["code"] == "forbidden"
    assert api.server.get("/v1/players/alice")["country"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"display_name": ""},
        {"display_name": "  "},
        {"display_name": "x" * 41},
        {"display_name": "a\u0007b"},
        {"avatar_url": "javascript:alert(1)"},
        {"country": "deu"},
        {"attributes": {"A": "x"}},
        {"attributes": {f"a{i}": "x" for i in range(17)}},
        {"created_at": "2026-01-01T00:00:00Z"},
        {"state": "erased"},
    ],
)
def test_a_wrong_profile_is_refused(api: Client, body: Any) -> None:
    api.server.put("/v1/players/alice", body, expect=422)
    api.get("/v1/players/alice", expect=404)


def test_erasing_leaves_no_trace_on_any_board(api: Client, raw: Any, clock: SetClock) -> None:
    session = api.post("/v1/sessions", {"device_id": DEVICE, "display_name": "Ada"}, expect=201)
    ada, player = Client(api.http, session["token"]), session["player"]["id"]
    api.define("one", ties="dense")
    api.define("two", periods=[{"kind": "daily"}, {"kind": "alltime"}], tiebreaks=[{"name": "wins"}])
    api.define("old")
    for board in ("one", "two", "old"):
        ada.post(f"/v1/boards/{board}/submissions", {"score": 5})
        api.submit("bob", 5, board)
    # In a closed season, on a kind the board no longer has, and on an archived board.
    api.admin.post("/v1/admin/boards/one/reset", {"season": "s1"})
    api.define("two", periods=[{"kind": "alltime"}], tiebreaks=[{"name": "wins"}])
    api.define("old", state="archived")
    befriend(api, "bob", player)
    ada.delete("/v1/players/me")
    # Of the journal, which is erased by and by, tests/test_privacy.py speaks.
    keys = [key for key in raw.scan_iter() if key != b"lb:{0}:journal"]
    left = [key for key in keys if player.encode() in key or player.encode() in (raw.dump(key) or b"")]
    assert left == [f"lb:{{0}}:player:{player}".encode()]
    assert raw.hgetall(left[0]) == {b"state": b"erased"}
    assert api.table("one", "&period_id=s1") == [(1, "bob", 5)]
    assert api.server.get("/v1/players/bob/friends")["friends"] == []
    ada.get("/v1/players/me", expect=401)
    assert api.get(f"/v1/players/{player}", expect=410)["code"] == "player_erased"
    assert api.submit(player, 9, "one", expect=410)["code"] == "player_erased"
    api.server.put(f"/v1/players/{player}", {}, expect=410)
    api.server.post(f"/v1/players/{player}/sessions", expect=410)
    assert api.server.delete(f"/v1/players/{player}", expect=410)["code"] == "player_erased"
    assert raw.pexpiretime(left[0]) == clock.now_ms() + 30 * DAY_MS
    assert api.post("/v1/sessions", {"device_id": DEVICE}, expect=201)["player"]["id"] != player


def test_an_erasure_that_was_cut_off_is_finished_by_calling_again(api: Client, raw: Any) -> None:
    api.define("main")
    api.submit("alice", 1)
    # As it stands after the first step: the state is written, the entries are still there.
    raw.hset("lb:{0}:player:alice", "state", "erasing")
    assert api.submit("alice", 2, expect=410)["code"] == "player_erased"
    api.server.delete("/v1/players/alice")
    assert api.table() == []


def test_a_players_entries_on_all_boards(api: Client) -> None:
    for board in ("a", "b", "c"):
        api.define(board, periods=[{"kind": "season"}, {"kind": "alltime"}])
    api.define("secret", reads="servers")
    for board in ("a", "c", "secret"):
        api.submit("alice", 1, board)
    page = api.get("/v1/players/alice/entries?limit=2")
    assert [(e["board"], e["period"]) for e in page["entries"]] == [("a", "season"), ("a", "alltime")]
    page = api.get(f"/v1/players/alice/entries?limit=2&cursor={page['next_cursor']}")
    assert [e["board"] for e in page["entries"]] == ["c", "c"]
    assert page["next_cursor"] is None
    assert {e["board"] for e in api.server.get("/v1/players/alice/entries")["entries"]} == {"a", "c", "secret"}


def test_an_invitation_is_accepted_declined_or_withdrawn(api: Client) -> None:
    alice, bob = api.player("alice"), api.player("bob")

    def sides() -> tuple[str | None, str | None]:
        return tuple(  # type: ignore[return-value]
            next(
                (
                    state
                    for state in ("friends", "invited", "invitation", "blocked")
                    if session.get(f"/v1/players/me/friends?state={state}")["friends"]
                ),
                None,
            )
            for session in (alice, bob)
        )

    assert alice.put("/v1/players/me/friends/bob") == {"state": "invited"}
    assert sides() == ("invited", "invitation")
    bob.delete("/v1/players/me/friends/alice")
    assert sides() == (None, None)
    alice.put("/v1/players/me/friends/bob")
    alice.delete("/v1/players/me/friends/bob")
    assert sides() == (None, None)
    alice.put("/v1/players/me/friends/bob")
    assert bob.put("/v1/players/me/friends/alice") == {"state": "friends"}
    assert bob.put("/v1/players/me/friends/alice") == {"state": "friends"}
    assert sides() == ("friends", "friends")
    alice.delete("/v1/players/me/friends/bob")
    assert sides() == (None, None)


def test_a_block_ends_a_friendship_and_is_not_told(api: Client) -> None:
    alice, bob = api.player("alice"), api.player("bob")
    befriend(api, "alice", "bob")
    alice.put("/v1/players/me/blocks/bob", expect=204)
    assert bob.get("/v1/players/me/friends")["friends"] == []
    assert bob.put("/v1/players/me/friends/alice") == {"state": "invited"}
    assert alice.get("/v1/players/me/friends?state=invitation")["friends"] == []
    assert alice.put("/v1/players/me/friends/bob", expect=403)["code"] == "blocked"
    assert api.server.put("/v1/players/bob/friends", {"players": ["alice"]}, expect=403)["code"] == "blocked"
    alice.delete("/v1/players/me/friends/bob")
    assert alice.get("/v1/players/me/friends?state=blocked")["friends"][0]["player"]["id"] == "bob"
    alice.delete("/v1/players/me/blocks/bob")
    assert alice.put("/v1/players/me/friends/bob")["state"] in ("invited", "friends")


def test_friends_are_made_with_those_who_exist(api: Client) -> None:
    people(api, "alice", "bob")
    alice = api.player("alice")
    assert alice.put("/v1/players/me/friends/nobody", expect=404)["code"] == "player_not_found"
    assert alice.put("/v1/players/me/friends/alice", expect=422)["code"] == "invalid"
    problem = api.server.put("/v1/players/alice/friends", {"players": ["bob", "nobody"]}, expect=404)
    assert problem["errors"][0]["pointer"] == "/players/1"
    assert [f["player"]["id"] for f in alice.get("/v1/players/me/friends")["friends"]] == ["bob"]


def test_who_is_missing_is_said_without_a_place_in_a_body_that_is_not_there(api: Client) -> None:
    people(api, "alice", "bob")
    for path, body in (
        ("nobody/friends", {"players": ["bob"]}),
        ("nobody/friends/bob", None),
        ("bob/friends/nobody", None),
    ):
        problem = api.server.put(f"/v1/players/{path}", body, expect=404)
        assert (problem["detail"], "errors" in problem) == ("there is no player nobody", False)
    api.server.delete("/v1/players/bob")
    for path, body in (("bob/friends", {"players": ["alice"]}), ("bob/friends/alice", None)):
        problem = api.server.put(f"/v1/players/{path}", body, expect=410)
        assert (problem["detail"], "errors" in problem) == ("the player bob was erased", False)


def test_a_thousand_friends_are_linked_at_once_and_paged(api: Client) -> None:
    api.define("main")
    names = [f"f{i:04}" for i in range(1000)]
    items = [{"board": "main", "player": player, "score": i} for i, player in enumerate([*names[:999], "alice"])]
    api.server.post("/v1/submissions/batch", {"submissions": items})
    people(api, names[999])
    assert api.server.put("/v1/players/alice/friends", {"players": names})["linked"] == 1000
    found, path = [], "/v1/players/alice/friends?limit=200"
    while path:
        page = api.server.get(path)
        found += [friend["player"]["id"] for friend in page["friends"]]
        path = page["next_cursor"] and f"/v1/players/alice/friends?limit=200&cursor={page['next_cursor']}"
    assert found == names
    ranks, path = [], "/v1/boards/main/standings/alice/friends?limit=200"
    while path:
        page = api.server.get(path)
        assert page["total"] == 1000
        ranks += [entry["rank"] for entry in page["entries"]]
        base = "/v1/boards/main/standings/alice/friends?limit=200"
        path = page["next_cursor"] and f"{base}&cursor={page['next_cursor']}"
    assert ranks == list(range(1, 1001))
    last = page["prev_cursor"]
    assert api.server.get(f"{base}&cursor={last}")["entries"][0]["rank"] == 601


def test_who_has_no_entry_is_not_among_the_friends_standings(api: Client) -> None:
    api.define("main")
    api.submit("alice", 1)
    people(api, "bob")
    befriend(api, "alice", "bob")
    page = api.server.get("/v1/boards/main/standings/alice/friends")
    assert [entry["player"]["id"] for entry in page["entries"]] == ["alice"]
