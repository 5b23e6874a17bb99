"""Who may do what: nobody acts for another player, and only admins do what admins do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.settings import Settings
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.conftest import SetClock
from tests.live import eventually

SUBMISSIONS = "/v1/boards/main/submissions"
DAY_MS = 86_400_000


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    api.submit("alice", 10)
    api.submit("bob", 20)
    return api


def key(api: Client, role: str) -> tuple[str, Client]:
    """A new key: its id, and somebody who has it."""
    issued = api.admin.post("/v1/admin/keys", {"name": f"a {role} key", "role": role}, expect=201)
    return issued["id"], Client(api.http, issued["secret"])


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def contents(raw: redis.Redis) -> dict[bytes, bytes | None]:
    return {name: raw.dump(name) for name in raw.scan_iter("lb:*", count=1000)}


# -- players ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", SUBMISSIONS, {"player": "bob", "score": 99}),
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
        ("POST", "/v1/submissions/batch", {"submissions": [{"board": "main", "player": "alice", "score": 1}]}),
    ],
)
def test_a_player_can_do_nothing_for_another_and_nothing_of_a_server(
    board: Client, raw: redis.Redis, method: str, path: str, body: Any
) -> None:
    alice = board.player("alice")
    before = contents(raw)
    assert code(alice.call(method, path, body)) == (403, "forbidden")
    assert code(board.call(method, path, body)) == (401, "unauthenticated")
    assert contents(raw) == before


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
    before = contents(raw)
    assert code(alice.call("POST", SUBMISSIONS, {"score": 50} | more)) == (422, "invalid")
    assert contents(raw) == before


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
    before = contents(raw)
    assert code(alice.call("PATCH", "/v1/players/me", body)) == expected
    assert contents(raw) == before


def test_a_player_says_when_a_score_was_achieved_to_nobody(board: Client) -> None:
    alice = board.player("alice")
    answer = alice.call("POST", SUBMISSIONS, {"score": 50, "achieved_at": "2026-11-22T10:00:00Z"})
    assert code(answer) == (403, "forbidden")
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
    private = {"platform", "attributes", "submissions", "created_at"}
    _, reader = key(board, "read")
    for caller, sees in (
        (board, False), (board.player("bob"), False), (board.player("alice"), True), (board.server, True),
        (board.admin, True), (reader, False),
    ):  # fmt: skip
        profile = caller.get("/v1/players/alice")
        assert profile["display_name"] == "Ada"
        assert bool(private & set(profile)) is sees


# -- admins ----------------------------------------------------------------------------------------------------------

VALUES = {"board": "main", "player": "alice", "other": "bob", "key_id": "0123456789ab", "season": "s1"}


def admin_routes(app: Flask) -> list[tuple[str, str]]:
    """Every method and path below /v1/admin, as the application itself knows them."""
    return sorted(
        (method, re.sub(r"<(?:[^:>]+:)?([^>]+)>", lambda match: VALUES[match[1]], rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/admin")
        for method in (rule.methods or set()) - {"OPTIONS"}
    )


def test_admin_calls_are_for_admins_alone(board: Client, app: Flask, raw: redis.Redis) -> None:
    _, reader = key(board, "read")
    _, server = key(board, "server")
    callers = {"player": board.player("alice"), "read": reader, "server": server, "setting": board.server}
    routes = admin_routes(app)
    assert len(routes) >= 12
    before = contents(raw)
    for method, path in routes:
        # Neither the body nor the query is looked at before the caller is.
        for body in (None, {}, {"season": "s1"}):
            assert board.call(method, path, body).status_code == 401, (method, path)
            for name, caller in callers.items():
                assert caller.call(method, path, body).status_code == 403, (method, path, name)
    assert contents(raw) == before


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X-Original-URL"])
def test_no_header_changes_the_method_or_the_path(board: Client, header: str) -> None:
    alice = board.player("alice")
    assert alice.call("POST", "/v1/players/alice", headers={header: "DELETE"}).status_code == 405
    assert alice.call("GET", "/v1/players/bob", headers={header: "DELETE"}).status_code == 200
    assert board.call("GET", "/v1/boards?_method=DELETE").status_code == 422
    assert alice.call("GET", "/v1/boards", headers={"X-Original-URL": "/v1/admin/keys"}).get_json()["boards"]
    assert board.get("/v1/players/bob")["id"] == "bob"


# -- credentials -----------------------------------------------------------------------------------------------------


def uniform(api: Client, credential: str) -> tuple[Any, ...]:
    """What somebody with this credential is told everywhere; it must not depend on what is wrong with it."""
    given = Client(api.http, credential)
    seen = set()
    for method, path, body in (
        ("GET", "/v1/boards/main/standings", None),
        ("GET", "/v1/boards", None),
        ("GET", "/v1/players/me", None),
        ("GET", "/v1/boards/main/standings/me", None),
        ("POST", SUBMISSIONS, {"score": 99}),
        ("DELETE", "/v1/sessions/current", None),
        ("DELETE", "/v1/players/me", None),
        ("GET", "/v1/admin/keys", None),
        ("POST", "/v1/sessions", {"device_id": "d" * 32}),
    ):
        answer = given.call(method, path, body)
        problem = answer.get_json()
        seen.add((answer.status_code, problem["code"], problem["detail"], answer.headers.get("WWW-Authenticate")))
    assert len(seen) == 1, seen
    return seen.pop()


def test_a_credential_that_is_not_right_is_refused_alike_whatever_is_wrong_with_it(
    board: Client, clock: SetClock
) -> None:
    alice, bob = board.player("alice"), board.player("bob")
    assert alice.token is not None
    assert bob.token is not None
    secret = alice.token.rpartition(".")[2]
    signed_out = board.player("alice")
    signed_out.delete("/v1/sessions/current")
    key_id, revoked = key(board, "admin")
    board.admin.delete(f"/v1/admin/keys/{key_id}")
    other_id, other = key(board, "server")
    assert other.token is not None
    assert revoked.token is not None
    wrong = [
        alice.token[:-1],
        alice.token + "x",
        alice.token.lower(),
        f"lb1.bob.{secret}",
        f"lb1.nobody.{secret}",
        f"lb1..{secret}",
        f"lb1.{secret}",
        "lb1.alice.",
        "lb1.alice",
        "lb1.",
        "lb1..",
        "lb1.a:b{0}*.x",
        "lb1.alice." + "x" * 10_240,
        "lb1." + "a" * 150 + ".x",
        "lb1.alice.\x80\xff",
        "lb2.alice.x",
        str(signed_out.token),
        revoked.token,
        other.token[:-1],
        other.token + "x",
        other.token.replace(other_id, key_id),
        f"lbk_{other_id}_",
        f"lbk_{other_id}",
        "lbk_0123456789ab_x",
        "lbk_" + "x" * 10_240,
        "lbk_\x80\xff_x",
        ADMIN_KEY[:-1],
        ADMIN_KEY + "x",
        ADMIN_KEY.upper(),
        " ",
        " " + ADMIN_KEY,
        "x" * 10_240,
        "\xff",
    ]
    answers = {credential: uniform(board, credential) for credential in wrong}
    status, name, _, challenge = next(iter(answers.values()))
    assert (status, name) == (401, "unauthenticated")
    assert challenge.startswith("Bearer")
    assert len(set(answers.values())) == 1
    # And the right ones are right.
    assert alice.get("/v1/players/me")["id"] == "alice"
    assert other.get("/v1/players/alice")["submissions"] == 1


@pytest.mark.parametrize(
    "header",
    [f"Basic {ADMIN_KEY}", ADMIN_KEY, f"Bearer\t{ADMIN_KEY}", "Bearer", "", f"Token {ADMIN_KEY}", ", Bearer x"],
)
def test_another_scheme_is_refused_also_where_none_is_needed(board: Client, header: str) -> None:
    answer = board.call("GET", "/v1/boards", headers={"Authorization": header})
    assert code(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_name_of_the_scheme_is_the_same_in_any_case(board: Client) -> None:
    for scheme in ("bearer", "BEARER"):
        assert (
            board.call("GET", "/v1/admin/keys", headers={"Authorization": f"{scheme} {ADMIN_KEY}"}).status_code == 200
        )


def test_a_session_ends_when_it_was_not_used_for_its_days(board: Client, settings: Settings, clock: SetClock) -> None:
    alice = board.player("alice")
    clock.pass_ms(settings.session_days * DAY_MS - 1)
    # Used in its last millisecond, by a submission: that renews it.
    alice.post(SUBMISSIONS, {"score": 30})
    clock.pass_ms(settings.session_days * DAY_MS - 1)
    # By any other call: that too.
    alice.get("/v1/players/me")
    clock.pass_ms(settings.session_days * DAY_MS)
    assert uniform(board, str(alice.token))[:2] == (401, "unauthenticated")
    assert board.table()[0] == (1, "alice", 30)


def test_signing_out_ends_one_session_and_no_other(board: Client) -> None:
    phone, tablet = board.player("alice"), board.player("alice")
    phone.delete("/v1/sessions/current")
    assert uniform(board, str(phone.token))[:2] == (401, "unauthenticated")
    assert tablet.get("/v1/players/me")["id"] == "alice"
    tablet.post(SUBMISSIONS, {"score": 31})


def test_the_eleventh_session_ends_the_one_closest_to_its_end(board: Client, clock: SetClock) -> None:
    sessions = []
    for _ in range(11):
        sessions.append(board.player("alice"))
        clock.pass_ms(1000)
    assert [session.call("GET", "/v1/players/me").status_code for session in sessions] == [401] + [200] * 10


def test_a_players_sessions_end_with_the_player(board: Client) -> None:
    alice = board.player("alice")
    alice.delete("/v1/players/me")
    assert uniform(board, str(alice.token))[:2] == (401, "unauthenticated")
    assert board.server.call("POST", "/v1/players/alice/sessions").get_json()["code"] == "player_erased"


def test_a_key_has_no_session_to_end_and_no_me(board: Client) -> None:
    assert code(board.server.call("DELETE", "/v1/sessions/current")) == (403, "forbidden")
    for method, path in (("GET", "/v1/players/me"), ("DELETE", "/v1/players/me"), ("GET", "/v1/players/me/friends")):
        assert code(board.server.call(method, path)) == (404, "player_not_found")
    assert code(board.call("GET", "/v1/players/me")) == (401, "unauthenticated")


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_that_reads_submits_nothing(board: Client, raw: redis.Redis) -> None:
    _, reader = key(board, "read")
    before = contents(raw)
    for body in ({"player": "alice", "score": 99}, {"score": 99}):
        assert code(reader.call("POST", SUBMISSIONS, body)) == (403, "forbidden")
    assert contents(raw) == before


def test_each_role_may_do_what_those_before_it_may(board: Client) -> None:
    _, reader = key(board, "read")
    _, server = key(board, "server")
    _, admin = key(board, "admin")
    body = {"player": "alice", "score": 1}
    for caller, friends, submits, defines in (
        (reader, 403, 403, 403),
        (server, 200, 200, 403),
        (admin, 200, 200, 200),
    ):
        assert caller.call("GET", "/v1/players/alice/friends").status_code == friends
        assert caller.call("POST", SUBMISSIONS, body).status_code == submits
        assert caller.call("GET", "/v1/admin/boards/main").status_code == defines


def test_a_revoked_key_stops_at_once_here_and_soon_in_every_other_process(
    board: Client, settings: Settings, clock: SetClock
) -> None:
    key_id, server = key(board, "server")
    elsewhere = create_app(settings, clock)
    far = Client(elsewhere.test_client(), server.token)
    body = {"player": "alice", "score": 11}
    server.post(SUBMISSIONS, body)
    far.post(SUBMISSIONS, body)
    board.admin.delete(f"/v1/admin/keys/{key_id}")
    assert uniform(board, str(server.token))[:2] == (401, "unauthenticated")
    eventually(lambda: far.call("POST", SUBMISSIONS, body).status_code == 401, "it is known elsewhere", within_s=5)
    # Twice is harmless, and it stays in the list.
    board.admin.delete(f"/v1/admin/keys/{key_id}")
    listed = [one for one in board.admin.get("/v1/admin/keys")["keys"] if one["id"] == key_id]
    assert listed[0]["revoked_at"] is not None
    elsewhere.extensions["leaderboard"].store.close()


def test_two_keys_are_good_while_one_replaces_the_other(board: Client) -> None:
    old_id, old = key(board, "server")
    _, new = key(board, "server")
    assert old.get("/v1/players/alice/friends") == new.get("/v1/players/alice/friends")
    board.admin.delete(f"/v1/admin/keys/{old_id}")
    old.get("/v1/players/alice/friends", expect=401)
    new.get("/v1/players/alice/friends")


def test_a_secret_is_shown_once_and_kept_nowhere(board: Client, raw: redis.Redis) -> None:
    key_id, server = key(board, "server")
    session = board.post("/v1/sessions", {"device_id": "secret-of-the-device-0123456789"}, expect=201)
    signed_in = board.player("alice")
    assert server.token is not None
    assert signed_in.token is not None
    server.post(SUBMISSIONS, {"player": "alice", "score": 11}, key="k")
    signed_in.post(SUBMISSIONS, {"score": 12}, key="k")
    listed = board.admin.call("GET", "/v1/admin/keys")
    assert key_id in listed.text
    secrets = [
        server.token, server.token.rpartition("_")[2], session["token"], session["token"].rpartition(".")[2],
        signed_in.token, signed_in.token.rpartition(".")[2], "secret-of-the-device-0123456789", ADMIN_KEY, SERVER_KEY,
    ]  # fmt: skip
    assert not [secret for secret in secrets if secret in listed.text]
    assert not [secret for secret in secrets if any(secret.encode() in text for text in everything(raw))]
    # A look at the right place: what is there instead is there.
    assert any(key_id.encode() in text for text in everything(raw))


def everything(raw: redis.Redis) -> list[bytes]:
    """Every key, field and value in the store."""
    texts: list[bytes] = []
    for name in raw.scan_iter(count=1000):
        texts.append(name)
        match raw.type(name):
            case b"string":
                texts.append(raw.get(name))
            case b"hash":
                texts += [part for pair in raw.hgetall(name).items() for part in pair]
            case b"zset":
                texts += raw.zrange(name, 0, -1)
            case kind:
                raise AssertionError(kind)
    return texts


# -- boards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", ["public", "players", "servers"])
def test_a_board_says_who_reads_it(board: Client, reads: str) -> None:
    board.define("main", reads=reads)
    alice = board.player("alice")
    _, reader = key(board, "read")
    may = {"public": 0, "players": 1, "servers": 2}[reads]
    for rank, caller in ((0, board), (1, alice), (2, reader), (2, board.server), (2, board.admin)):
        expected = 200 if rank >= may else 401 if caller is board else 403
        for method, path, body in (
            ("GET", "/v1/boards/main/standings", None),
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
        assert code(alice.call("GET", f"/v1/boards/main/{path}")) == (403, "forbidden"), path


def test_a_board_of_the_servers_takes_no_score_from_a_player(board: Client, raw: redis.Redis) -> None:
    board.define("main", writes="servers")
    alice = board.player("alice")
    before = contents(raw)
    assert code(alice.call("POST", SUBMISSIONS, {"score": 99})) == (403, "forbidden")
    assert contents(raw) == before
    board.submit("alice", 30)
    # And again, when it is the players' once more: nobody goes by the old definition.
    board.define("main", writes="players")
    assert alice.post(SUBMISSIONS, {"score": 40})["outcome"] == "applied"
