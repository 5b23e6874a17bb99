"""How often an address may sign in, do what admins do, read without a credential, and try keys; and whose address."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.errors import SettingError
from leaderboard.settings import Settings, load_settings
from tests.calls import STANDINGS, SUBMISSIONS, refused, unchanged
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.conftest import SetClock
from tests.contract import Contract
from tests.faults.proxy import Proxy
from tests.live import Live

pytestmark = pytest.mark.any_store

SIGN_INS, ADMIN_CALLS, READS, WRONG_KEYS = 3, 5, 40, 4
KEYS = "/v1/admin/keys"
MINUTE_MS = 60_000

#: A household, another one, and a proxy.
HERE, ELSEWHERE, PROXY = "192.0.2.1", "198.51.100.7", "10.0.0.5"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(
        settings,
        sign_ins_per_minute=SIGN_INS,
        admin_calls_per_minute=ADMIN_CALLS,
        anonymous_reads_per_minute=READS,
        wrong_keys_per_minute=WRONG_KEYS,
        trusted_proxies=("10.0.0.0/8", "2001:db8:ff::/48"),
    )


@pytest.fixture
def clock(clock: SetClock) -> SetClock:
    """At the beginning of a minute, so that nothing here depends on when it runs."""
    clock.at_ms -= clock.at_ms % MINUTE_MS
    return clock


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    api.submit("alice", 10)
    return api


@dataclass(frozen=True)
class From:
    """Calls from an address, with what a caller or a proxy says of where they come from."""

    api: Client
    address: str = HERE
    forwarded: str | None = None

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if self.forwarded is not None:
            headers["X-Forwarded-For"] = self.forwarded
        base = {"REMOTE_ADDR": self.address}
        return self.api.http.open(path, method=method, json=body, headers=headers, environ_base=base)

    def sign_in(self) -> int:
        return int(self.call("POST", "/v1/sessions", {"device_id": "d" * 32}).status_code)


@contextmanager
def process(settings: Settings, clock: SetClock) -> Iterator[Flask]:
    """One more process on the same store."""
    app = create_app(settings, clock)
    contract = Contract(app)
    yield app
    app.extensions["leaderboard"].close()
    assert not contract.broken, contract.broken[:5]


def limited(answer: Any, name: str, quota: int, seconds: int) -> None:
    refused(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == str(seconds)
    assert answer.headers["RateLimit"] == f'"{name}";r=0;t={seconds}'
    assert answer.headers["RateLimit-Policy"] == f'"{name}";q={quota};w=60'
    assert answer.headers["Cache-Control"] == "no-store"


# -- what is limited ---------------------------------------------------------------------------------------------


def test_too_many_sign_ins_are_told_when_to_come_again(api: Client, clock: SetClock, raw: redis.Redis) -> None:
    here = From(api)
    assert [here.sign_in() for _ in range(SIGN_INS)] == [201] * SIGN_INS
    clock.pass_ms(12_345)
    with unchanged(raw):
        limited(here.call("POST", "/v1/sessions", {"device_id": "e" * 32}), "sign-ins", SIGN_INS, 48)
    assert From(api, ELSEWHERE).sign_in() == 201
    # Just before the time that was said nothing is taken, and then as many as at first.
    clock.pass_ms(MINUTE_MS - 12_345 - 1)
    limited(here.call("POST", "/v1/sessions", {"device_id": "d" * 32}), "sign-ins", SIGN_INS, 1)
    clock.pass_ms(1)
    assert [here.sign_in() for _ in range(SIGN_INS + 1)] == [201] * SIGN_INS + [429]


def test_tries_to_sign_in_count_whatever_becomes_of_them(api: Client) -> None:
    here = From(api)
    statuses = [here.call("POST", "/v1/sessions", body).status_code for body in ({}, {"device_id": "short"}, [], {})]
    assert statuses == [422, 422, 422, 429]


def test_a_servers_sign_ins_of_players_are_not_limited(api: Client) -> None:
    here = From(api)
    statuses = {here.call("POST", f"/v1/players/p{i}/sessions", token=SERVER_KEY).status_code for i in range(20)}
    assert statuses == {201}


@pytest.mark.parametrize("token", [ADMIN_KEY, SERVER_KEY, None, "lb1.alice.nonsense"])
def test_admin_calls_are_limited_whoever_makes_them(api: Client, clock: SetClock, token: str | None) -> None:
    here = From(api)
    expected = {ADMIN_KEY: 200, SERVER_KEY: 403}.get(token or "", 401)
    paths = [KEYS, "/v1/admin/maintenance", KEYS, "/v1/admin/maintenance", KEYS]
    assert [here.call("GET", path, token=token).status_code for path in paths] == [expected] * ADMIN_CALLS
    limited(here.call("GET", KEYS, token=ADMIN_KEY), "admin-calls", ADMIN_CALLS, 60)
    limited(here.call("PUT", "/v1/admin/boards/new", {}, token=ADMIN_KEY), "admin-calls", ADMIN_CALLS, 60)
    assert From(api, ELSEWHERE).call("GET", KEYS, token=ADMIN_KEY).status_code == 200
    clock.pass_ms(MINUTE_MS)
    assert here.call("GET", KEYS, token=ADMIN_KEY).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", STANDINGS, None),
        ("HEAD", STANDINGS, None),
        ("GET", "/v1/boards", None),
        ("GET", "/v1/boards/main", None),
        ("GET", "/v1/boards/main/periods", None),
        ("GET", "/v1/boards/main/distribution", None),
        ("GET", f"{STANDINGS}/alice", None),
        ("GET", f"{STANDINGS}/alice/around", None),
        ("GET", "/v1/players/alice", None),
        ("GET", "/v1/players/alice/entries", None),
        ("POST", "/v1/boards/main/lookup", {"players": ["alice"]}),
    ],
)
def test_reads_are_limited_without_a_credential_only(
    board: Client, clock: SetClock, method: str, path: str, body: Any
) -> None:
    here = From(board)
    token = board.player("alice").token
    assert [here.call(method, path, body).status_code for _ in range(READS)] == [200] * READS
    answer = here.call(method, path, body)
    assert answer.status_code == 429
    if method != "HEAD":
        limited(answer, "anonymous-reads", READS, 60)
    # All reads have one limit together; who has a credential goes on, and so does everybody else.
    assert here.call("GET", "/v1/boards").status_code == 429
    for credential in (token, SERVER_KEY):
        assert here.call(method, path, body, token=credential).status_code == 200
    assert From(board, ELSEWHERE).call(method, path, body).status_code == 200
    clock.pass_ms(MINUTE_MS)
    assert here.call(method, path, body).status_code == 200


def test_submissions_sessions_and_what_operators_read_are_not_limited(board: Client, raw: redis.Redis) -> None:
    here, token = From(board), board.player("alice").token
    board.define(rules={"rate": None})
    before = set(raw.scan_iter("lb:*:calls:*"))
    for i in range(READS + 10):
        assert here.call("POST", SUBMISSIONS, {"score": i}, token=token).status_code == 200
        assert here.call("GET", STANDINGS, token=token).status_code == 200
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs/errors"):
            assert here.call("GET", path).status_code == 200
    assert set(raw.scan_iter("lb:*:calls:*")) == before


def test_zero_is_no_limit(settings: Settings, clock: SetClock, raw: redis.Redis) -> None:
    off = replace(
        settings, sign_ins_per_minute=0, admin_calls_per_minute=0, anonymous_reads_per_minute=0, wrong_keys_per_minute=0
    )
    with process(off, clock) as app:
        here = From(Client(app.test_client()))
        for _ in range(READS + 10):
            assert here.sign_in() == 201
            assert here.call("GET", KEYS, token="wrong").status_code == 401
            assert here.call("GET", KEYS, token=ADMIN_KEY).status_code == 200
            assert here.call("GET", "/v1/boards").status_code == 200
    assert not list(raw.scan_iter("lb:*:calls:*"))


# -- wrong keys --------------------------------------------------------------------------------------------------


def test_who_tries_many_keys_is_shut_out_of_what_admins_do(board: Client, clock: SetClock) -> None:
    here, session = From(board), board.player("alice").token
    tries = [here.call("GET", path, token=f"guess-{i}") for i, path in enumerate([KEYS, STANDINGS, "/v1/boards", KEYS])]
    assert [answer.status_code for answer in tries] == [401] * WRONG_KEYS
    # Not even with the right key; and elsewhere that one is told what a wrong one is told.
    limited(here.call("GET", KEYS, token=ADMIN_KEY), "wrong-keys", WRONG_KEYS, 60)
    right, wrong = (here.call("GET", STANDINGS, token=key) for key in (ADMIN_KEY, "guess"))
    assert right.get_json() == wrong.get_json()
    refused(right, 401, "unauthenticated")
    # Servers and players who share the address go on, and so does the admin from elsewhere.
    assert here.call("POST", SUBMISSIONS, {"player": "alice", "score": 11}, token=SERVER_KEY).status_code == 200
    assert here.call("POST", SUBMISSIONS, {"score": 12}, token=session).status_code == 200
    assert here.call("GET", STANDINGS).status_code == 200
    assert From(board, ELSEWHERE).call("GET", KEYS, token=ADMIN_KEY).status_code == 200
    clock.pass_ms(MINUTE_MS)
    assert here.call("GET", KEYS, token=ADMIN_KEY).status_code == 200


def test_sessions_that_have_ended_are_no_tries_to_guess_a_key(board: Client) -> None:
    here = From(board)
    for path in (STANDINGS, "/v1/players/me"):
        for _ in range(WRONG_KEYS):
            assert here.call("GET", path, token="lb1.alice.nonsense").status_code == 401
    assert here.call("GET", KEYS, token=ADMIN_KEY).status_code == 200


def test_a_key_cannot_be_guessed_through_another_process(settings: Settings, clock: SetClock, board: Client) -> None:
    with process(settings, clock) as other:
        there = From(Client(other.test_client()))
        for i in range(WRONG_KEYS):
            assert From(board).call("GET", STANDINGS, token=f"guess-{i}").status_code == 401
        # The other process hears of it with the first wrong key that it is shown itself.
        assert there.call("GET", STANDINGS, token="guess").status_code == 401
        limited(there.call("GET", KEYS, token=ADMIN_KEY), "wrong-keys", WRONG_KEYS, 60)


# -- whose address -----------------------------------------------------------------------------------------------


def test_a_forged_header_does_not_make_another_address(api: Client) -> None:
    statuses = [From(api, HERE, f"203.0.113.{i}").sign_in() for i in range(SIGN_INS + 2)]
    assert statuses == [201] * SIGN_INS + [429] * 2
    # Nor does it use up the limit of somebody else, or go by another name.
    assert From(api, "203.0.113.0").sign_in() == 201
    for header in ("X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "CF-Connecting-IP"):
        answer = api.http.open(
            "/v1/sessions", method="POST", json={"device_id": "d" * 32}, headers={header: "for=203.0.113.9"},
            environ_base={"REMOTE_ADDR": HERE},
        )  # fmt: skip
        assert answer.status_code == 429


def test_behind_a_trusted_proxy_each_address_has_its_own_limit(api: Client) -> None:
    for client in (HERE, ELSEWHERE):
        # What a client puts in front of what the proxy appends changes nothing.
        forged = [client, f"203.0.113.1, {client}", f"{PROXY},{client}", f" nonsense,, {client} "]
        statuses = [From(api, PROXY, forwarded).sign_in() for forwarded in forged]
        assert statuses == [201] * SIGN_INS + [429]
    # It is the same address that comes without the proxy.
    assert From(api, HERE).sign_in() == 429
    # What the proxy itself asks for is its own.
    assert From(api, PROXY).sign_in() == 201


def test_one_who_changes_addresses_within_a_64_is_one(api: Client) -> None:
    statuses = [From(api, f"2001:db8:0:1::{i:x}").sign_in() for i in range(SIGN_INS + 1)]
    assert statuses == [201] * SIGN_INS + [429]
    assert From(api, "2001:db8:0:2::1").sign_in() == 201
    # Through a proxy, too.
    assert From(api, PROXY, "2001:db8:0:1:ffff::9").sign_in() == 429


def test_a_proxy_that_nobody_named_is_said_aloud_once(api: Client, caplog: pytest.LogCaptureFixture) -> None:
    for forwarded in (None, "203.0.113.1", "203.0.113.2"):
        From(api, HERE, forwarded).sign_in()
    said = [record.getMessage() for record in caplog.records if "LEADERBOARD_TRUSTED_PROXIES" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(HERE)


# -- several processes, and a store that is away -----------------------------------------------------------------


def test_processes_keep_a_limit_together(settings: Settings, clock: SetClock, board: Client) -> None:
    with process(settings, clock) as other:
        both = [From(board), From(Client(other.test_client()))]
        assert [both[i % 2].sign_in() for i in range(SIGN_INS + 2)] == [201] * SIGN_INS + [429] * 2
        # Reads are told of in twentieths: each process may let as many more through.
        statuses = [both[i % 2].call("GET", "/v1/boards").status_code for i in range(2 * READS)]
        assert READS <= statuses.count(200) <= READS + 2 * (READS // 20)
        assert statuses[-1] == statuses[-2] == 429


def test_a_flood_of_reads_costs_a_call_to_the_store_in_so_many_and_none_once_it_is_refused(
    api: Client, raw: redis.Redis
) -> None:
    here = From(api)
    for _ in range(READS):
        here.call("GET", "/v1/boards")
    raw.config_resetstat()
    for _ in range(3 * READS):
        assert here.call("GET", "/v1/boards").status_code == 429
    commands = raw.info("commandstats")
    assert commands.get("cmdstat_incrby", {"calls": 0})["calls"] <= 1
    assert "cmdstat_zrangebylex" not in commands


def test_many_at_once_are_not_more_than_the_limit(settings: Settings, clock: SetClock, raw: redis.Redis) -> None:
    with process(replace(settings, sign_ins_per_minute=25), clock) as app:
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda here: here.sign_in(), [From(Client(app.test_client())) for _ in range(60)]))
        assert (statuses.count(201), statuses.count(429)) == (25, 35)


def test_the_workers_of_gunicorn_keep_a_limit_together(store_url: str, raw: redis.Redis) -> None:
    variables = {"LEADERBOARD_SIGN_INS_PER_MINUTE": "20", "LEADERBOARD_TRUSTED_PROXIES": "127.0.0.1"}
    with Live(store_url, workers=2, **variables) as live:
        live.ready()

        def sign_in(client: str) -> int:
            headers = {"X-Forwarded-For": client, "Connection": "close"}
            body = {"device_id": "d" * 32}
            return live.http.open("/v1/sessions", method="POST", json=body, headers=headers).status_code

        # The clock is a real one: a round in which a minute ends says nothing, so another address begins anew.
        for number in range(10):
            began = raw.time()[0] // 60
            with ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(sign_in, [f"203.0.113.{number}"] * 50))
            if raw.time()[0] // 60 == began:
                break
        assert (statuses.count(201), statuses.count(429)) == (20, 30)
        assert sign_in("198.51.100.99") == 201


def test_counts_expire_and_carry_the_namespace(settings: Settings, clock: SetClock, raw: redis.Redis) -> None:
    with process(replace(settings, namespace="other"), clock) as app:
        here = From(Client(app.test_client()), "2001:db8::1")
        here.sign_in()
        here.call("GET", KEYS, token="guess")
        minute = clock.at_ms // MINUTE_MS
        keys = sorted(raw.scan_iter("*calls:*"))
        assert keys == [
            f"other:{{0}}:calls:{name}:{minute}:2001:db8::".encode()
            for name in ("admin-calls", "sign-ins", "wrong-keys")
        ]
        assert all(0 < raw.pttl(key) <= 2 * MINUTE_MS for key in keys)


def test_a_store_that_is_away_is_503_and_no_500(settings: Settings, store_url: str, raw: redis.Redis) -> None:
    with Proxy(store_url) as proxy:
        # With a clock of its own, which asks the store.
        app = create_app(replace(settings, redis_url=proxy.url))
        contract = Contract(app)
        here = From(Client(app.test_client()))
        proxy.refuse()
        for _ in range(2 * SIGN_INS):
            for path, token in ((KEYS, ADMIN_KEY), (KEYS, "guess"), (STANDINGS, None), (STANDINGS, "guess")):
                refused(here.call("GET", path, token=token), 503, "store_unavailable")
            refused(here.call("POST", "/v1/sessions", {"device_id": "d" * 32}), 503, "store_unavailable")
            assert here.call("GET", "/livez").status_code == 200
        proxy.accept()
        assert here.sign_in() == 201
        assert not contract.broken
        app.extensions["leaderboard"].close()


def test_while_the_store_is_away_each_process_counts_alone(
    settings: Settings, clock: SetClock, store_url: str, raw: redis.Redis
) -> None:
    with Proxy(store_url) as proxy, process(replace(settings, redis_url=proxy.url), clock) as app:
        here = From(Client(app.test_client()))
        assert here.sign_in() == 201
        proxy.refuse()
        assert [here.sign_in() for _ in range(SIGN_INS)] == [503] * (SIGN_INS - 1) + [429]
        proxy.accept()
        assert here.sign_in() == 429
        # What was counted alone is told once the store is back.
        (key,) = raw.scan_iter("lb:*:calls:sign-ins:*")
        assert raw.get(key) == b"%d" % (SIGN_INS + 2)


def test_a_store_that_is_full_does_not_keep_admins_from_making_room(board: Client, raw: redis.Redis) -> None:
    here = From(board)
    raw.config_set("maxmemory", 1)
    try:
        for _ in range(ADMIN_CALLS):
            path = "/v1/admin/boards/main/entries/alice?reason=x"
            assert here.call("DELETE", path, token=ADMIN_KEY).status_code in (204, 404)
        # The process counts alone meanwhile.
        limited(here.call("GET", KEYS, token=ADMIN_KEY), "admin-calls", ADMIN_CALLS, 60)
    finally:
        raw.config_set("maxmemory", 0)


# -- how it is made ----------------------------------------------------------------------------------------------


def test_the_library_hooks_nothing_into_requests(app: Flask) -> None:
    """Its hooks would cost every submission more than all of Flask does."""
    hooks = [app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs]
    names = [repr(hook) for by_blueprint in hooks for functions in by_blueprint.values() for hook in functions]
    assert names
    assert not [name for name in names if "imiter" in name]


def test_every_call_that_may_be_refused_says_so(api: Client) -> None:
    may = {
        operation["operationId"]
        for path, methods in api.get("/openapi.json")["paths"].items()
        for operation in methods.values()
        if "rate_limited" in str(operation["responses"].get("429"))
        if path.startswith("/v1/admin/") or {} in operation["security"]
    }
    assert may >= {"sign_in", "list_boards", "get_board", "list_standings", "get_entry", "lookup_entries", "get_player"}
    assert may >= {"put_board", "reset_board", "list_keys", "create_key", "put_entry", "put_maintenance"}
    assert not may & {"get_liveness", "get_readiness", "get_metrics"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "10.0.0.5/8"), ("TRUSTED_PROXIES", "proxy.example"), ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1;10.0.0.2"), ("SIGN_INS_PER_MINUTE", "-1"), ("SIGN_INS_PER_MINUTE", "many"),
        ("ADMIN_CALLS_PER_MINUTE", "-1"), ("ANONYMOUS_READS_PER_MINUTE", "1e9"),
        ("WRONG_KEYS_PER_MINUTE", "9999999999"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LEADERBOARD_{name}", value)
    with pytest.raises(SettingError, match=name):
        load_settings()


def test_proxies_are_read_from_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADERBOARD_TRUSTED_PROXIES", " 10.0.0.0/8, 2001:db8::1 ,unix,")
    assert load_settings().trusted_proxies == ("10.0.0.0/8", "2001:db8::1", "unix")
    monkeypatch.setenv("LEADERBOARD_TRUSTED_PROXIES", "")
    assert load_settings().trusted_proxies == ()
