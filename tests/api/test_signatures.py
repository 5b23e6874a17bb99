"""Signed submissions: only what was signed with the session's own key counts, and what is refused leaves no trace."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.rebuild import rebuild
from leaderboard.sessions import caller_of
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from tests.calls import SUBMISSIONS, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.killed_worker import end_lease
from tests.signing import Signer, signature

BODY = b'{"score": 10}'
MINUTES_5_S = 300
OPEN = "/v1/boards/open/submissions"

#: The whole burst but the one that was just made.
FRESH = '"submissions";r=9;t=1'


@pytest.fixture
def board(api: Client) -> Client:
    """`main` demands signatures, `open` does not."""
    api.define("main", policy="sum", periods=[{"kind": "alltime"}], rules={"signed": True})
    api.define("open", policy="sum", periods=[{"kind": "alltime"}])
    return api


@pytest.fixture
def now_s(clock: SetClock) -> int:
    return clock.now_ms() // 1000


@pytest.fixture
def alice(board: Client) -> Signer:
    return Signer.of(board, "alice")


def refused_without_a_trace(
    raw: redis.Redis, alice: Signer, now_s: int, answer: Any, code: str, key: str = "k"
) -> dict[str, Any]:
    """`answer()` is refused; then the right one counts under the same key, as the first that the rate limit sees."""
    with unchanged(raw):
        problem: dict[str, Any] = refused(answer(), 401, code)
    right = alice.submit(7, key, now_s)
    assert right.status_code == 200, right.text
    assert right.headers["RateLimit"] == FRESH
    assert "Idempotent-Replayed" not in right.headers
    return problem


# -- what counts -----------------------------------------------------------------------------------------------------


def test_a_submission_that_is_signed_counts(board: Client, alice: Signer, now_s: int) -> None:
    assert alice.submit(10, "k", now_s).status_code == 200
    assert alice.submit(10, "k2", now_s, f"{SUBMISSIONS}?ranks=false").status_code == 200
    assert board.table() == [(1, "alice", 20)]


def test_every_sign_in_has_a_key_of_its_own_and_none_is_kept(api: Client, raw: redis.Redis) -> None:
    device = {"device_id": "a-device-of-somebody-0123456789"}
    opened = [api.post("/v1/sessions", device, expect=201) for _ in range(2)]
    opened.append(api.server.post("/v1/players/alice/sessions", expect=201))
    keys = {one["signing_key"] for one in opened}
    assert len(keys) == 3
    stored = [raw.dump(key) or b"" for key in raw.scan_iter("lb:*")]
    assert not [key for key in keys if any(key.encode() in value for value in stored)]


def test_five_minutes_either_way_are_right_and_a_second_more_is_not(
    board: Client, alice: Signer, raw: redis.Redis, now_s: int
) -> None:
    for i, off_s in enumerate((-MINUTES_5_S, MINUTES_5_S)):
        assert alice.submit(1, f"k{i}", now_s + off_s).status_code == 200
    for off_s in (-MINUTES_5_S - 1, MINUTES_5_S + 1, -(10**9), 10**11):
        with unchanged(raw):
            problem = refused(alice.submit(1, "late", now_s + off_s), 401, "signature_expired")
        assert problem["server_time"] == now_s
    # What the answer says is all that a client with a wrong clock needs.
    assert alice.submit(1, "late", problem["server_time"]).status_code == 200
    assert board.table() == [(1, "alice", 3)]


@pytest.mark.parametrize(
    "shape",
    [
        "t={t},v1={right}",
        "v1={right},t={t}",
        " t = {t} , v1 = {right} ",
        "t={t},v1={wrong},v1={right}",
        "t={t},v1={right},v1={wrong},v1={wrong},v1={wrong},v1={wrong}",
        "t={t},v2=whatever,v1={right},v0={wrong},,=,x",
        "t={t},v1={RIGHT}",
    ],
)
def test_a_header_may_be_written_in_several_ways(alice: Signer, now_s: int, shape: str) -> None:
    right = signature(alice.key, now_s, "POST", SUBMISSIONS, "k", BODY)
    header = shape.format(t=now_s, right=right, RIGHT=right.upper(), wrong="0" * 64)
    answer = alice.send(header, BODY, "k")
    assert answer.status_code == 200, answer.text


def test_servers_are_not_asked(board: Client) -> None:
    board.submit("alice", 5)
    for client in (board.server, board.admin):
        headers = {"Leaderboard-Signature": "nonsense"}
        assert client.call("POST", SUBMISSIONS, {"player": "alice", "score": 5}, headers).status_code == 200
    batch = {"submissions": [{"board": "main", "player": "alice", "score": 5}]}
    assert board.server.post("/v1/submissions/batch", batch)["applied"] == 1
    assert board.table() == [(1, "alice", 20)]


# -- what does not ---------------------------------------------------------------------------------------------------


def test_without_a_signature_nothing_counts(board: Client, alice: Signer, raw: redis.Redis, now_s: int) -> None:
    with unchanged(raw):
        refused(alice.send(None, BODY, None), 401, "signature_required")
    refused_without_a_trace(raw, alice, now_s, lambda: alice.send(None, BODY, "k"), "signature_required")
    assert board.table() == [(1, "alice", 7)]


@pytest.mark.parametrize(
    "signed",
    [
        {"body": b'{"score": 9}'},
        {"body": b'{"score":10}'},
        {"body": b""},
        {"target": "/v1/boards/open/submissions"},
        {"target": f"{SUBMISSIONS}?ranks=false"},
        {"target": f"{SUBMISSIONS}?"},
        {"target": f"{SUBMISSIONS}/"},
        {"target": f"http://localhost{SUBMISSIONS}"},
        {"at_s": 1},
        {"at_s": -1},
        {"key": "another"},
        {"key": "K"},
        {"method": "PUT"},
        {"method": "post"},
    ],
    ids=str,
)
def test_a_signature_of_something_else_is_refused(
    board: Client, alice: Signer, raw: redis.Redis, now_s: int, signed: dict[str, Any]
) -> None:
    at_s = now_s + signed.get("at_s", 0)
    made = signature(
        alice.key, at_s, signed.get("method", "POST"), signed.get("target", SUBMISSIONS), signed.get("key", "k"),
        signed.get("body", BODY),
    )  # fmt: skip
    header = f"t={now_s},v1={made}"
    problem = refused_without_a_trace(raw, alice, now_s, lambda: alice.send(header, BODY, "k"), "signature_invalid")
    # It says what it takes for signed, so that whoever writes a client finds the difference.
    time, method, target, key, _ = problem["string_to_sign"].split("\n")
    assert (time, method, target, key) == (str(now_s), "POST", SUBMISSIONS, "k")
    assert board.table() == [(1, "alice", 7)]


def test_a_query_that_was_not_signed_is_refused(alice: Signer, raw: redis.Redis, now_s: int) -> None:
    header = alice.header(now_s, BODY, "k")
    with unchanged(raw):
        refused(alice.send(header, BODY, "k", f"{SUBMISSIONS}?ranks=false"), 401, "signature_invalid")


@pytest.mark.parametrize("whose", ["another player's", "another session's", "the token", "none", "the digest's"])
def test_another_key_is_refused(board: Client, alice: Signer, raw: redis.Redis, now_s: int, whose: str) -> None:
    other = {
        "another player's": lambda: Signer.of(board, "mallory").key,
        "another session's": lambda: Signer.of(board, "alice").key,
        "the token": lambda: alice.token,
        "none": lambda: "",
        # A key is used as it is handed out, and not as what its digits stand for.
        "the digest's": lambda: bytes.fromhex(alice.key).decode("latin-1"),
    }[whose]()
    header = Signer(board.http, alice.token, other).header(now_s, BODY, "k")
    refused_without_a_trace(raw, alice, now_s, lambda: alice.send(header, BODY, "k"), "signature_invalid")


WRONG = "0" * 64
MALFORMED = [
    "", " ", ",", "=", "t", "t=", "v1=", "nonsense", "t={t}", "v1={right}", "t={t},v2={right}", "t={t},V1={right}",
    "T={t},v1={right}", "t={t},t={t},v1={right}", "t={t},v1={right},t=1", "t={t}.0,v1={right}", "t=+{t},v1={right}",
    "t=-{t},v1={right}", "t={t}\u00b2,v1={right}", "t= ,v1={right}", "t=1e9,v1={right}", "t=0x1,v1={right}",
    "t={t}000,v1={right}", "t=" + "9" * 13 + ",v1={right}", "t={t},v1=", "t={t},v1=0", "t={t},v1={right}0",
    "t={t},v1=" + "g" * 64, "t={t},v1=" + "é" * 64, "t={t},v1={right},v1=", "t={t},v1={right},v1=zz",
    "t={t};v1={right}", '"t={t},v1={right}"', "t={t},v1={right}," + ",".join(["v1=" + WRONG] * 5),
    "t={t},v1={right}" + ",x=" + "y" * 10_240, "t={t},v1={right}" + "," * 1024, "Bearer {right}", "\t",
    "t={t},v1={right}=",
]  # fmt: skip


@pytest.mark.parametrize("header", MALFORMED, ids=[header[:40] for header in MALFORMED])
def test_a_header_that_is_not_of_its_form_is_refused(alice: Signer, raw: redis.Redis, now_s: int, header: str) -> None:
    right = signature(alice.key, now_s, "POST", SUBMISSIONS, "k", BODY)
    given = header.format(t=now_s, right=right)
    refused_without_a_trace(raw, alice, now_s, lambda: alice.send(given, BODY, "k"), "signature_invalid")


def test_two_headers_are_refused(alice: Signer, raw: redis.Redis, now_s: int) -> None:
    right = alice.header(now_s, BODY, "k")
    headers = [("Authorization", f"Bearer {alice.token}"), ("Content-Type", "application/json")]
    headers += [("Idempotency-Key", "k"), ("Leaderboard-Signature", right), ("Leaderboard-Signature", right)]

    def twice() -> Any:
        return alice.http.open(SUBMISSIONS, method="POST", data=BODY, headers=headers)

    refused_without_a_trace(raw, alice, now_s, twice, "signature_invalid")


def test_a_signature_needs_an_idempotency_key(alice: Signer, raw: redis.Redis, now_s: int) -> None:
    header = alice.header(now_s, BODY, "")
    with unchanged(raw):
        assert "Idempotency-Key" in refused(alice.send(header, BODY, None), 401, "signature_invalid")["detail"]
        refused(alice.send(header, BODY, ""), 400, "malformed_request")


def test_a_refusal_names_the_scheme_it_asks_for(alice: Signer) -> None:
    assert alice.send(None, BODY, "k").headers["WWW-Authenticate"] == "Leaderboard-Signature"


def test_a_board_that_does_not_demand_it_takes_what_is_not_signed_and_refuses_what_is_signed_wrongly(
    board: Client, alice: Signer, raw: redis.Redis, now_s: int
) -> None:
    assert alice.send(None, BODY, None, OPEN).status_code == 200
    assert alice.submit(5, "k", now_s, OPEN).status_code == 200
    with unchanged(raw):
        refused(alice.send(f"t={now_s},v1={WRONG}", BODY, "k2", OPEN), 401, "signature_invalid")
        refused(alice.submit(5, "k2", now_s - 301, OPEN), 401, "signature_expired")
        refused(alice.submit(5, "k2", now_s, "/v1/boards/nowhere/submissions"), 404, "board_not_found")
    assert board.table("open") == [(1, "alice", 15)]


# -- sessions --------------------------------------------------------------------------------------------------------


def test_who_has_signed_out_is_told_that_first(board: Client, alice: Signer, raw: redis.Redis, now_s: int) -> None:
    Client(board.http, alice.token).delete("/v1/sessions/current")
    with unchanged(raw):
        for header in (None, "nonsense", alice.header(now_s, BODY, "k"), f"t={now_s},v1={WRONG}"):
            refused(alice.send(header, BODY, "k"), 401, "unauthenticated")


def test_a_token_that_was_made_up_is_no_session(board: Client, alice: Signer, raw: redis.Redis, now_s: int) -> None:
    for token in ("lb1.alice.made-up", "lb1.nobody.made-up", "lb1."):
        forged = Signer(board.http, token, alice.key)
        with unchanged(raw):
            refused(forged.submit(5, "k", now_s), 401, "unauthenticated")


def test_before_anybody_has_signed_in_no_signature_is_right(board: Client, raw: redis.Redis, now_s: int) -> None:
    assert not raw.exists("lb:{0}:signing")
    refused(Signer(board.http, "lb1.alice.made-up", "").submit(5, "k", now_s), 401, "unauthenticated")
    # And right after it is known everywhere.
    assert Signer.of(board, "alice").submit(5, "k", now_s).status_code == 200


def test_a_signing_key_outlives_the_store(
    app: Flask, board: Client, alice: Signer, raw: redis.Redis, now_s: int
) -> None:
    alice.submit(5, "before", now_s)
    lb = app.extensions["leaderboard"]
    drain = Drain(lb)
    while drain.step():
        pass
    end_lease(lb)
    secret = raw.get("lb:{0}:signing")
    raw.flushdb()
    rebuild(lb)
    assert secret is not None
    assert raw.get("lb:{0}:signing") == secret
    assert alice.submit(5, "before", now_s).headers["Idempotent-Replayed"] == "true"
    assert alice.submit(6, "after", now_s).status_code == 200
    assert board.table() == [(1, "alice", 11)]


def test_a_secret_that_was_lost_with_the_store_is_remembered_by_no_process(
    app: Flask, board: Client, settings: Settings, clock: SetClock, raw: redis.Redis, now_s: int
) -> None:
    elsewhere = create_app(settings, clock)
    other = Client(elsewhere.test_client())
    old = [Signer.of(board, "old"), Signer.of(other, "old")]
    assert [one.submit(5, f"k{i}", now_s).status_code for i, one in enumerate(old)] == [200, 200]
    # What a store holds that was made anew from an archive that had not got the secret.
    raw.delete("lb:{0}:signing")
    opened = Signer.of(other, "new")
    caller, lb = caller_of(opened.token), app.extensions["leaderboard"]
    assert caller is not None
    assert opened.key in list(lb.signing.known(caller.session))
    assert Signer(board.http, opened.token, opened.key).submit(5, "k", now_s).status_code == 200
    with unchanged(raw):
        refused(old[0].submit(5, "k3", now_s), 401, "signature_invalid")
    elsewhere.extensions["leaderboard"].close()


def test_processes_that_sign_in_at_once_agree_on_one_secret(
    board: Client, settings: Settings, clock: SetClock, now_s: int
) -> None:
    apps = [create_app(settings, clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        signers = list(pool.map(lambda i: Signer.of(Client(apps[i].test_client()), f"p{i}"), range(4)))
    for i, one in enumerate(signers):
        answer = Signer(board.http, one.token, one.key).submit(i, "k", now_s)
        assert answer.status_code == 200, answer.text
    for made in apps:
        made.extensions["leaderboard"].close()


# -- again -----------------------------------------------------------------------------------------------------------


def test_a_repeat_changes_nothing_and_must_be_signed_too(
    board: Client, alice: Signer, raw: redis.Redis, clock: SetClock, now_s: int
) -> None:
    header = alice.header(now_s, BODY, "k")
    first = alice.send(header, BODY, "k")
    assert first.status_code == 200
    with unchanged(raw):
        again = alice.send(header, BODY, "k")
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.get_json()["outcome"] == first.get_json()["outcome"]
        for wrong, code in ((None, "signature_required"), (f"t={now_s},v1={WRONG}", "signature_invalid")):
            refused(alice.send(wrong, BODY, "k"), 401, code)
        clock.pass_ms((MINUTES_5_S + 1) * 1000)
        refused(alice.send(header, BODY, "k"), 401, "signature_expired")
        # Signed anew it is the same submission; another one under its key is refused, signed or not.
        anew = alice.header(clock.now_ms() // 1000, BODY, "k")
        assert alice.send(anew, BODY, "k").headers["Idempotent-Replayed"] == "true"
        other = b'{"score": 11}'
        signed = alice.header(clock.now_ms() // 1000, other, "k")
        refused(alice.send(signed, other, "k"), 422, "idempotency_key_reused")
    assert board.table() == [(1, "alice", 10)]


@pytest.mark.parametrize("state", ["frozen", "archived", "deleted"])
def test_what_a_closed_board_took_is_told_to_those_who_can_sign(
    board: Client, alice: Signer, now_s: int, state: str
) -> None:
    rules = {"policy": "sum", "periods": [{"kind": "alltime"}], "rules": {"signed": True}}
    alice.submit(10, "k", now_s)
    board.define("main", **rules, state="archived" if state == "deleted" else state)
    if state == "deleted":
        board.admin.delete("/v1/admin/boards/main")
    body = json.dumps({"score": 10}).encode()
    refused(alice.send(f"t={now_s},v1={WRONG}", body, "k"), 401, "signature_invalid")
    if state == "deleted":
        refused(alice.submit(10, "k", now_s), 404, "board_not_found")
    else:
        refused(alice.send(None, body, "k"), 401, "signature_required")
        assert alice.submit(10, "k", now_s).headers["Idempotent-Replayed"] == "true"


def test_a_request_that_was_caught_counts_once_also_when_its_key_was_forgotten_for_newer_ones(
    board: Client, alice: Signer, raw: redis.Redis, clock: SetClock, now_s: int
) -> None:
    board.define("main", policy="sum", periods=[{"kind": "alltime"}], rules={"signed": True, "rate": None})
    # Signed by a clock that is ahead as far as it may be: good for ten minutes.
    caught = alice.header(now_s + MINUTES_5_S, BODY, "caught")
    assert alice.send(caught, BODY, "caught").status_code == 200
    for i in range(31):
        assert alice.submit(1, f"k{i}", now_s + MINUTES_5_S).status_code == 200
    # Of 32 it is still remembered, and one more would push it out.
    assert alice.send(caught, BODY, "caught").headers["Idempotent-Replayed"] == "true"
    assert board.table() == [(1, "alice", 41)]
    # A server's submissions are remembered beside them.
    board.submit("alice", 100, key="servers")
    with unchanged(raw):
        problem = refused(alice.send(caught, BODY, "caught"), 429, "rate_limited")
    assert "signed" in problem["detail"]
    clock.pass_ms(2 * MINUTES_5_S * 1000)
    with unchanged(raw):
        refused(alice.send(caught, BODY, "caught"), 429, "rate_limited")
        refused(alice.submit(1, "k31", now_s + MINUTES_5_S), 429, "rate_limited")
    # What cannot have come before, as it is signed now, is in no doubt.
    assert alice.submit(1, "k31", now_s + 2 * MINUTES_5_S).status_code == 200
    assert board.table() == [(1, "alice", 142)]


def test_who_waits_as_long_as_it_is_told_may_go_on(board: Client, alice: Signer, clock: SetClock, now_s: int) -> None:
    board.define("main", policy="sum", periods=[{"kind": "alltime"}], rules={"signed": True, "rate": None})
    for i in range(32):
        assert alice.submit(1, f"k{i}", now_s).status_code == 200
    wait_s = int(alice.submit(1, "k32", now_s).headers["Retry-After"])
    assert wait_s == MINUTES_5_S + 2
    clock.pass_ms((wait_s - 1) * 1000)
    assert alice.submit(1, "k32", now_s + wait_s - 1).status_code == 429
    clock.pass_ms(1000)
    assert alice.submit(1, "k32", now_s + wait_s).status_code == 200


def test_where_it_is_not_demanded_as_many_may_be_signed_as_one_likes(board: Client, alice: Signer, now_s: int) -> None:
    board.define("open", policy="sum", periods=[{"kind": "alltime"}], rules={"rate": None})
    for i in range(40):
        assert alice.submit(1, f"k{i}", now_s, OPEN).status_code == 200


# -- the rule --------------------------------------------------------------------------------------------------------


def test_a_rule_that_changes_counts_at_once_in_every_process(
    board: Client, alice: Signer, settings: Settings, clock: SetClock
) -> None:
    elsewhere = create_app(settings, clock)
    admin = Client(elsewhere.test_client())
    definition = {"policy": "sum", "periods": [{"kind": "alltime"}]}
    assert alice.send(None, BODY, "k", OPEN).status_code == 200
    for signed in (True, False, True):
        admin.define("open", **definition, rules={"signed": signed})
        answer = alice.send(None, BODY, f"after-{signed}", OPEN)
        assert answer.status_code == (401 if signed else 200), answer.text
    elsewhere.extensions["leaderboard"].close()


def test_a_board_written_by_servers_stays_closed_to_players_who_sign(
    board: Client, alice: Signer, raw: redis.Redis, now_s: int
) -> None:
    board.define("main", policy="sum", periods=[{"kind": "alltime"}], writes="servers", rules={"signed": True})
    with unchanged(raw):
        refused(alice.submit(5, "k", now_s), 403, "forbidden")


def test_a_page_may_send_the_header(api: Client) -> None:
    headers = {"Origin": "https://game.example", "Access-Control-Request-Method": "POST"}
    answer = api.call("OPTIONS", SUBMISSIONS, headers=headers)
    assert "Leaderboard-Signature" in answer.headers["Access-Control-Allow-Headers"]
