"""Keys and sessions: how they begin and end, and that a wrong one learns nothing but that it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from leaderboard import create_app
from leaderboard.settings import Settings
from tests.calls import STANDINGS, SUBMISSIONS, issue_key, refused
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.conftest import SetClock
from tests.live import eventually

DAY_MS = 86_400_000


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    api.submit("alice", 10)
    api.submit("bob", 20)
    return api


def uniform(api: Client, credential: str) -> tuple[Any, ...]:
    """What somebody with this credential is told everywhere; it must not depend on what is wrong with it."""
    given = Client(api.http, credential)
    seen = set()
    for method, path, body in (
        ("GET", STANDINGS, None),
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
    key_id, revoked = issue_key(board, "admin")
    board.admin.delete(f"/v1/admin/keys/{key_id}")
    other_id, other = issue_key(board, "server")
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
    refused(answer, 401, "unauthenticated")
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
    refused(board.server.call("DELETE", "/v1/sessions/current"), 403, "forbidden")
    for method, path in (("GET", "/v1/players/me"), ("DELETE", "/v1/players/me"), ("GET", "/v1/players/me/friends")):
        refused(board.server.call(method, path), 404, "player_not_found")
    refused(board.call("GET", "/v1/players/me"), 401, "unauthenticated")


def test_a_revoked_key_stops_at_once_here_and_soon_in_every_other_process(
    board: Client, settings: Settings, clock: SetClock
) -> None:
    key_id, server = issue_key(board, "server")
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
    old_id, old = issue_key(board, "server")
    _, new = issue_key(board, "server")
    assert old.get("/v1/players/alice/friends") == new.get("/v1/players/alice/friends")
    board.admin.delete(f"/v1/admin/keys/{old_id}")
    old.get("/v1/players/alice/friends", expect=401)
    new.get("/v1/players/alice/friends")


def test_a_secret_is_shown_once_and_kept_nowhere(board: Client, raw: redis.Redis) -> None:
    key_id, server = issue_key(board, "server")
    session = board.post("/v1/sessions", {"device_id": "secret-of-the-device-0123456789"}, expect=201)
    signed_in = board.player("alice")
    assert server.token is not None
    assert signed_in.token is not None
    server.post(SUBMISSIONS, {"player": "alice", "score": 11}, key="k")
    signed_in.post(SUBMISSIONS, {"score": 12}, key="k")
    listed = board.admin.call("GET", "/v1/admin/keys")
    assert key_id in listed.text
    secrets = [
        server.token, server.token.split("_", 2)[2], session["token"], session["token"].rpartition(".")[2],
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
            case b"stream":
                texts += [part for _, fields in raw.xrange(name) for part in fields.values()]
            case kind:
                raise AssertionError(kind)
    return texts
