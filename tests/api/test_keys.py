"""Keys: what an admin key may do, how one becomes another; nobody gets more than they had, nor locks all out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.audit import by_cli
from leaderboard.callers import ALL_SCOPES, Role, Scope
from leaderboard.installation import Installation
from leaderboard.settings import Settings
from tests.api.test_authorization import VALUES, admin_routes
from tests.calls import refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.live import eventually
from tests.oracle import show_instant

KEYS = "/v1/admin/keys"
DAY_MS = 86_400_000


def make(caller: Client, role: str = "admin", **more: Any) -> tuple[str, Client]:
    """A new key: its id, and somebody who has it."""
    issued = caller.post(KEYS, {"name": f"a {role} key", "role": role} | more, expect=201)
    return issued["id"], Client(caller.http, issued["secret"])


def listed(api: Client, key_id: str) -> dict[str, Any]:
    (key,) = [one for one in api.admin.get(KEYS)["keys"] if one["id"] == key_id]
    return dict(key)


# -- scopes ----------------------------------------------------------------------------------------------------------


def scope_of(app: Flask) -> dict[tuple[str, str], Scope | None]:
    """Method and path of every operation of admins → the scope it says it needs."""
    adapter = app.url_map.bind("localhost")
    found = {}
    for method, path in admin_routes(app):
        endpoint, _ = adapter.match(path, method=method)
        found[method, path] = app.view_functions[endpoint].operation.scope  # type: ignore[attr-defined]
    return found


def test_every_operation_of_admins_demands_a_scope(app: Flask, api: Client, raw: redis.Redis) -> None:
    scopes = scope_of(app)
    assert len(scopes) >= 15
    assert not [place for place, scope in scopes.items() if scope is None]
    callers = {
        scope: make(api.admin, scopes=sorted(ALL_SCOPES - {scope}), name=f"all but {scope}")[1] for scope in Scope
    }
    with unchanged(raw):
        for (method, path), scope in scopes.items():
            assert scope is not None
            answer = callers[scope].call(method, path, None)
            assert answer.status_code == 403, (method, path)
            if method != "HEAD":
                assert f"scope {scope}" in refused(answer, 403, "forbidden")["detail"]
            # With that one and no other it is looked at.
    for (method, path), scope in scopes.items():
        _, one = make(api.admin, scopes=[scope])
        assert one.call(method, path, None).status_code != 403, (method, path)


def test_the_document_says_which_scope_a_call_needs(api: Client, app: Flask) -> None:
    paths = api.get("/openapi.json")["paths"]
    found = 0
    for path, methods in paths.items():
        for operation in methods.values():
            if path.startswith("/v1/admin"):
                ((scope,),) = [one["bearer"] for one in operation["security"]]
                assert f"admin, with the scope `{scope}`" in operation["description"]
                found += 1
            else:
                assert all(not needed for one in operation["security"] for needed in one.values())
    assert found >= 14


def test_a_key_has_the_scopes_it_was_given_or_all(api: Client) -> None:
    some, _ = make(api.admin, scopes=["boards", "audit"])
    everything, _ = make(api.admin)
    server, _ = make(api.admin, "server")
    assert listed(api, some)["scopes"] == ["audit", "boards"]
    assert listed(api, everything)["scopes"] == sorted(ALL_SCOPES)
    assert listed(api, server)["scopes"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"scopes": []}, {"scopes": ["everything"]}, {"scopes": None}, {"scopes": "keys"}, {"scopes": [1]},
        {"scopes": [["keys"]]}, {"role": "server", "scopes": ["keys"]}, {"role": "read", "scopes": ["audit"]},
        {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "soon"}, {"expires_at": 1}, {"expires_at": None},
        {"id": "0123456789ab"}, {"secret": "mine"}, {"hash": "x"}, {"created_at": "2020-01-01T00:00:00Z"},
        {"ends_with": "abcd"}, {"former": []}, {"name": ""}, {"role": "owner"},
    ],
)  # fmt: skip
def test_a_key_that_is_not_right_is_not_made(api: Client, raw: redis.Redis, more: dict[str, Any]) -> None:
    with unchanged(raw):
        refused(api.admin.call("POST", KEYS, {"name": "x", "role": "admin"} | more), 422, "invalid")


def test_nobody_makes_a_key_that_may_more_than_their_own(api: Client, raw: redis.Redis, clock: SetClock) -> None:
    _, limited = make(api.admin, scopes=["keys", "boards"])
    bigger, _ = make(api.admin)
    ends = show_instant(clock.now_ms() + DAY_MS)
    _, temporary = make(api.admin, expires_at=ends)
    later = show_instant(clock.now_ms() + DAY_MS + 1)
    with unchanged(raw):
        for body in ({}, {"scopes": ["keys", "players"]}, {"scopes": ["audit"]}):
            answer = limited.call("POST", KEYS, {"name": "x", "role": "admin"} | body)
            assert "lacks the scope" in refused(answer, 403, "forbidden")["detail"]
        # Nor takes one over.
        refused(limited.call("POST", f"{KEYS}/{bigger}/rotate", {"overlap_s": 0}), 403, "forbidden")
        for role in ("admin", "server", "read"):
            for body in ({}, {"expires_at": later}):
                answer = temporary.call("POST", KEYS, {"name": "x", "role": role} | body)
                assert "expires before" in refused(answer, 403, "forbidden")["detail"]
        refused(temporary.call("POST", f"{KEYS}/{bigger}/rotate", {}), 403, "forbidden")
    _, same = make(limited, scopes=["boards", "keys"])
    make(same, scopes=["boards"])
    make(limited, "server")
    make(temporary, expires_at=ends)


# -- expiry and rotation ---------------------------------------------------------------------------------------------


def test_a_key_works_until_the_millisecond_it_expires(api: Client, clock: SetClock) -> None:
    key_id, server = make(api.admin, "server", expires_at=show_instant(clock.now_ms() + 1000))
    server.put("/v1/players/alice", {}, expect=201)
    clock.pass_ms(999)
    server.put("/v1/players/alice", {})
    clock.pass_ms(1)
    refused(server.call("PUT", "/v1/players/alice", {}), 401, "unauthenticated")
    assert listed(api, key_id)["expires_at"] == show_instant(clock.now_ms())
    refused(api.admin.call("POST", f"{KEYS}/{key_id}/rotate", {}), 409, "key_ended")


def test_after_a_rotation_the_old_secret_works_for_as_long_as_was_said(api: Client, clock: SetClock) -> None:
    key_id, old = make(api.admin, "server")
    rotated = api.admin.post(f"{KEYS}/{key_id}/rotate", {"overlap_s": 60})
    assert (rotated["id"], rotated["name"], rotated["role"]) == (key_id, "a server key", "server")
    assert rotated["former_until"] == show_instant(clock.now_ms() + 60_000)
    new = Client(api.http, rotated["secret"])
    assert new.token != old.token
    assert listed(api, key_id)["ends_with"] == new.token[-4:] if new.token else False
    # One key: what was done with the old secret is known with the new one.
    api.define("main")
    body = {"player": "alice", "score": 1}
    old.post("/v1/boards/main/submissions", body, key="k")
    replayed = new.call("POST", "/v1/boards/main/submissions", body, {"Idempotency-Key": "k"})
    assert replayed.headers["Idempotent-Replayed"] == "true"
    clock.pass_ms(59_999)
    old.put("/v1/players/bob", {}, expect=201)
    clock.pass_ms(1)
    refused(old.call("PUT", "/v1/players/bob", {}), 401, "unauthenticated")
    new.put("/v1/players/bob", {})


def test_unless_said_otherwise_the_overlap_is_a_day(api: Client, clock: SetClock) -> None:
    key_id, old = make(api.admin, "read")
    api.admin.post(f"{KEYS}/{key_id}/rotate", {})
    clock.pass_ms(DAY_MS - 1)
    old.get("/v1/boards")
    clock.pass_ms(1)
    old.get("/v1/boards", expect=401)


def test_a_rotation_without_overlap_ends_every_secret_there_was(
    api: Client, settings: Settings, clock: SetClock
) -> None:
    key_id, first = make(api.admin, "read")
    second = Client(api.http, api.admin.post(f"{KEYS}/{key_id}/rotate", {"overlap_s": 600})["secret"])
    third = Client(api.http, api.admin.post(f"{KEYS}/{key_id}/rotate", {"overlap_s": 300})["secret"])
    clock.pass_ms(1000)
    for caller in (first, second, third):
        caller.get("/v1/boards")
    elsewhere = create_app(settings, clock)
    far = Client(elsewhere.test_client(), first.token)
    far.get("/v1/boards")
    fourth = Client(api.http, api.admin.post(f"{KEYS}/{key_id}/rotate", {"overlap_s": 0})["secret"])
    for caller in (first, second, third):
        caller.get("/v1/boards", expect=401)
    fourth.get("/v1/boards")
    eventually(lambda: far.call("GET", "/v1/boards").status_code == 401, "it is known elsewhere", within_s=5)
    elsewhere.extensions["leaderboard"].close()
    # A record does not grow for ever.
    for _ in range(12):
        last = api.admin.post(f"{KEYS}/{key_id}/rotate", {})
    Client(api.http, last["secret"]).get("/v1/boards")
    fourth.get("/v1/boards", expect=401)


@pytest.mark.parametrize("body", [{"overlap_s": -1}, {"overlap_s": 2_592_001}, {"overlap_s": 1.5}, {"secret": "x"}])
def test_a_rotation_that_is_not_right_is_refused(api: Client, raw: redis.Redis, body: dict[str, Any]) -> None:
    key_id, _ = make(api.admin, "read")
    with unchanged(raw):
        refused(api.admin.call("POST", f"{KEYS}/{key_id}/rotate", body), 422, "invalid")
        refused(api.admin.call("POST", f"{KEYS}/0123456789ab/rotate", {}), 404, "key_not_found")


def test_a_revoked_key_is_not_rotated_and_none_of_its_secrets_works(api: Client, raw: redis.Redis) -> None:
    key_id, old = make(api.admin, "read")
    new = Client(api.http, api.admin.post(f"{KEYS}/{key_id}/rotate", {})["secret"])
    api.admin.delete(f"{KEYS}/{key_id}")
    with unchanged(raw):
        refused(api.admin.call("POST", f"{KEYS}/{key_id}/rotate", {}), 409, "key_ended")
    for caller in (old, new):
        caller.get("/v1/boards", expect=401)


def test_no_rotation_brings_a_key_back_that_is_revoked_in_the_same_moment(api: Client, app: Flask) -> None:
    lb: Installation = app.extensions["leaderboard"]
    for _ in range(20):
        key_id, _ = make(api.admin, "read")
        with ThreadPoolExecutor(3) as pool:
            for act in (
                lambda: lb.credentials.rotate(key_id, 60, by_cli("rotate_key")),  # noqa: B023  done in this round
                lambda: lb.credentials.revoke(key_id, by_cli("revoke_key")),  # noqa: B023
                lambda: lb.credentials.rotate(key_id, 60, by_cli("rotate_key")),  # noqa: B023
            ):
                pool.submit(act)
        assert listed(api, key_id)["revoked_at"] is not None


# -- the last one ----------------------------------------------------------------------------------------------------


@pytest.fixture
def without_setting(app: Flask, settings: Settings, clock: SetClock) -> Iterator[Flask]:
    """Of this installation, a process without LEADERBOARD_ADMIN_KEY."""
    other = create_app(replace(settings, admin_key=None), clock)
    yield other
    other.extensions["leaderboard"].close()


def test_the_last_key_that_can_make_keys_is_not_revoked_unless_a_setting_has_one(
    api: Client, without_setting: Flask, raw: redis.Redis, clock: SetClock
) -> None:
    first_id, first = make(api.admin)
    first = Client(without_setting.test_client(), first.token)
    # None of these could make another.
    make(first, scopes=sorted(ALL_SCOPES - {Scope.KEYS}))
    make(first, "server")
    make(first, expires_at=show_instant(clock.now_ms() + 1000))
    gone, _ = make(first)
    first.delete(f"{KEYS}/{gone}")
    clock.pass_ms(1000)
    # Notes when it was used, where that is another minute by now.
    first.get(KEYS)
    with unchanged(raw):
        refused(first.call("DELETE", f"{KEYS}/{first_id}"), 409, "last_admin_key")
    # This one could, but not with every scope.
    keeper_id, keeper = make(first, scopes=["keys"])
    refused(keeper.call("DELETE", f"{KEYS}/{first_id}"), 409, "last_admin_key")
    second_id, second = make(first)
    keeper.delete(f"{KEYS}/{first_id}")
    first.get(KEYS, expect=401)
    keeper.delete(f"{KEYS}/{keeper_id}")
    refused(second.call("DELETE", f"{KEYS}/{second_id}"), 409, "last_admin_key")
    # Where there is one among the settings, and by whoever runs the machine.
    api.admin.delete(f"{KEYS}/{second_id}")


def test_two_that_revoke_each_other_at_once_leave_one(api: Client, without_setting: Flask) -> None:
    lb: Installation = without_setting.extensions["leaderboard"]
    for _ in range(10):
        ids = [make(api.admin)[0] for _ in range(2)]
        callers = [lb.credentials.check(str(make(api.admin, "read")[1].token))] * 2
        with ThreadPoolExecutor(2) as pool:
            for key_id, caller in zip(ids, callers, strict=True):
                pool.submit(lb.credentials.revoke, key_id, by_cli("revoke_key"), caller)
        left = [key for key in lb.credentials.list() if key.role is Role.ADMIN and key.revoked_ms is None]
        assert len(left) == 1
        lb.credentials.revoke(left[0].id, by_cli("revoke_key"))


def test_whoever_runs_the_machine_may_revoke_the_last_one(api: Client, app: Flask) -> None:
    key_id, _ = make(api.admin)
    lb: Installation = app.extensions["leaderboard"]
    lb.credentials.revoke(key_id, by_cli("revoke_key"))
    assert listed(api, key_id)["revoked_at"] is not None


def test_a_list_of_keys_shows_the_end_of_a_secret_and_no_more(api: Client) -> None:
    key_id, admin = make(api.admin)
    token = str(admin.token)
    api.admin.post(f"{KEYS}/{key_id}/rotate", {})
    assert VALUES["key_id"] != key_id
    shown = api.admin.call("GET", KEYS)
    assert "hash" not in shown.text
    assert token[-5:] not in shown.text
    assert len(listed(api, key_id)["ends_with"]) == 4
