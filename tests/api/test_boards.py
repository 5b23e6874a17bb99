"""Definitions: defaults, what may change, what may not, and what is refused until it is built."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.client import Client
from tests.conftest import SetClock

DAY_MS = 86_400_000


def test_a_board_without_wishes_has_the_defaults(api: Client) -> None:
    board = api.define("main")
    assert {name: board[name] for name in ("state", "order", "policy", "ties", "decimals", "writes", "reads")} == {
        "state": "open",
        "order": "desc",
        "policy": "best",
        "ties": "ordinal",
        "decimals": 0,
        "writes": "players",
        "reads": "public",
    }
    assert [period["kind"] for period in board["periods"]] == ["season", "weekly"]
    assert board["default_period"] == "season"
    assert board["revision"] == 1
    assert board["rules"] == {"rate": {"burst": 10, "per_s": 1.0, "servers": False}, "signed": False}


def test_putting_twice_is_created_then_ok_and_the_same_changes_nothing(api: Client) -> None:
    api.admin.put("/v1/admin/boards/main", {"title": "A"}, expect=201)
    assert api.admin.put("/v1/admin/boards/main", {"title": "A"})["revision"] == 1
    assert api.admin.put("/v1/admin/boards/main", {"title": "B"})["revision"] == 2


def test_what_is_shown_can_be_put_again(api: Client) -> None:
    shown = api.define("main", tiebreaks=[{"name": "wins"}], periods=[{"kind": "monthly", "day": 15}], decimals=2)
    definition = {name: value for name, value in shown.items() if name not in ("id", "current")}
    assert api.define("main", **definition)["revision"] == shown["revision"]


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({"segments": ["country"]}, "/segments"),
        ({"rewards": []}, "/rewards"),
        ({"periods": [{"kind": "cron", "cron": "0 0 * * *"}]}, "/periods"),
        ({"periods": [{"kind": "weekly", "timezone": "Europe/Berlin"}]}, "/periods"),
    ],
)
def test_features_that_are_not_built_are_refused_not_ignored(api: Client, definition: Any, pointer: str) -> None:
    problem = api.admin.put("/v1/admin/boards/main", definition, expect=422)
    assert problem["code"] == "not_supported"
    assert problem["errors"][0]["pointer"] == pointer
    api.get("/v1/boards/main", expect=404)


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({"nonsense": 1}, "/nonsense"),
        ({"order": "up"}, "/order"),
        ({"decimals": 7}, "/decimals"),
        ({"decimals": True}, "/decimals"),
        ({"decimals": "2"}, "/decimals"),
        ({"tiebreaks": [{"name": "a"}] * 5}, "/tiebreaks"),
        ({"tiebreaks": [{"name": "a"}, {"name": "a"}]}, "/tiebreaks"),
        ({"tiebreaks": [{"name": "A b"}]}, "/tiebreaks/0/name"),
        ({"periods": []}, "/periods"),
        ({"periods": [{"kind": "daily"}, {"kind": "daily"}]}, "/periods"),
        ({"periods": [{"kind": "season", "weekday": "monday"}]}, "/periods/0/weekday"),
        ({"periods": [{"kind": "monthly", "day": 29}]}, "/periods/0/day"),
        ({"periods": [{"kind": "daily", "time_of_day": "24:00"}]}, "/periods/0/time_of_day"),
        ({"periods": [{"kind": "daily", "time_of_day": "06:00\n"}]}, "/periods/0/time_of_day"),
        ({"periods": [{"kind": "daily", "keep_days": None}]}, "/periods/0/keep_days"),
        ({"periods": [{"kind": "daily", "keep_days": 1, "settle_delay_s": 86400}]}, "/periods/0/keep_days"),
        ({"default_period": "daily"}, "/default_period"),
        ({"late_s": 3601}, "/late_s"),
        ({"rules": {"rate": {"burst": 0, "per_s": 1}}}, "/rules/rate/burst"),
        ({"rules": {"rate": {"burst": 1, "per_s": 0}}}, "/rules/rate/per_s"),
        ({"rules": {"signed": "true"}}, "/rules/signed"),
        ({"rules": {"signed": 1}}, "/rules/signed"),
        ({"rules": {"signed": None}}, "/rules/signed"),
        ({"metadata": {"a": "x" * 5000}}, "/metadata"),
        ({"title": "x" * 201}, "/title"),
    ],
)
def test_a_wrong_definition_names_the_member_at_fault(api: Client, definition: Any, pointer: str) -> None:
    problem = api.admin.put("/v1/admin/boards/main", definition, expect=422)
    assert problem["code"] == "invalid"
    assert problem["errors"][0]["pointer"] == pointer
    api.get("/v1/boards/main", expect=404)


@pytest.mark.parametrize(
    "change",
    [
        {"order": "asc"},
        {"decimals": 1},
        {"tiebreaks": [{"name": "wins"}]},
        {"ties": "dense"},
        {"periods": [{"kind": "season"}, {"kind": "weekly", "weekday": "tuesday"}]},
        {"order": "asc", "decimals": 1, "ties": "dense"},
    ],
)
def test_what_entries_depend_on_changes_only_while_there_are_none(api: Client, change: Any) -> None:
    api.define("main")
    api.define("main", **change)
    api.define("main")
    api.submit("alice", 1)
    problem = api.admin.put("/v1/admin/boards/main", change, expect=409)
    assert problem["code"] == "board_has_entries"
    assert [member.split(" ")[0] for member in problem["members"]] == list(change)
    assert "archive and delete" in problem["detail"]
    assert api.table() == [(1, "alice", 1)]
    api.server.delete("/v1/players/alice")
    api.define("main", **change)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"order": "asc"}, "order"),
        ({"tiebreaks": [{"name": "wins"}]}, "tiebreaks"),
        # By this, a month could get the name of one whose entries the archive keeps.
        ({"periods": [{"kind": "monthly", "keep_days": 1, "day": 28}]}, "periods (monthly)"),
    ],
)
def test_entries_that_have_expired_are_entries(
    api: Client, raw: redis.Redis, clock: SetClock, change: Any, member: str
) -> None:
    api.define("main", periods=[{"kind": "monthly", "keep_days": 1}])
    api.submit("alice", 1)
    month = api.get("/v1/boards/main/standings")["period_id"]
    clock.pass_ms(33 * DAY_MS)
    for key in raw.scan_iter(f"lb:{{0}}:*:main:{month}"):
        raw.delete(key)
    api.get(f"/v1/boards/main/standings?period_id={month}", expect=410)
    for query in ("", "?dry_run=true"):
        problem = api.admin.put(f"/v1/admin/boards/main{query}", change, expect=409)
        assert (problem["code"], problem["members"]) == ("board_has_entries", [member])
    # What only numbers them may change, and what has names of its own begin as it likes.
    api.define("main", ties="dense", periods=[{"kind": "monthly", "keep_days": 1}])
    api.define("main", periods=[{"kind": "monthly", "keep_days": 1}])
    daily = {"kind": "daily", "time_of_day": "05:00"}
    api.define("main", periods=[{"kind": "monthly", "keep_days": 1}, {"kind": "daily"}])
    api.define("main", periods=[{"kind": "monthly", "keep_days": 1}, daily])


@pytest.mark.parametrize(
    "change",
    [
        {"title": "New"},
        {"policy": "latest"},
        {"ties": "competition"},
        {"reads": "players"},
        {"writes": "servers"},
        {"late_s": 0},
        {"rules": {"rate": None}},
        {"rules": {"signed": True}},
        {"metadata": {"art": "x.png"}},
        {"periods": [{"kind": "season"}, {"kind": "weekly"}, {"kind": "alltime"}]},
        {"periods": [{"kind": "season"}]},
    ],
)
def test_everything_else_changes_under_live_entries(api: Client, change: Any) -> None:
    api.define("main")
    api.submit("alice", 1)
    api.define("main", **change)
    assert api.server.get("/v1/boards/main/standings/alice")["entry"]["score"] == 1


def test_leaving_dense_and_coming_back_empty_numbers_anew(api: Client, raw: Any) -> None:
    api.define("main", ties="dense")
    for player, score in (("a", 9), ("b", 9), ("c", 5)):
        api.submit(player, score)
    assert [rank for rank, _, _ in api.table()] == [1, 1, 2]
    api.define("main", ties="competition")
    assert [rank for rank, _, _ in api.table()] == [1, 1, 3]
    assert not list(raw.scan_iter("lb:{0}:distinct:*"))


def test_a_dry_run_says_what_would_change_and_changes_nothing(api: Client) -> None:
    answer = api.admin.put("/v1/admin/boards/main?dry_run=true", {"title": "A"})
    assert answer["action"] == "create"
    api.get("/v1/boards/main", expect=404)
    api.define("main", title="A")
    api.submit("alice", 1)
    answer = api.admin.put("/v1/admin/boards/main?dry_run=true", {"title": "B"})
    assert answer == {"action": "change", "changes": [{"member": "title", "before": "A", "after": "B"}]}
    assert api.admin.put("/v1/admin/boards/main?dry_run=true", {"title": "A"})["action"] == "nothing"
    api.admin.put("/v1/admin/boards/main?dry_run=true", {"order": "asc"}, expect=409)
    assert api.get("/v1/boards/main")["title"] == "A"


def test_if_match_refuses_to_overwrite_another_change(api: Client) -> None:
    def put(title: str, revision: str) -> int:
        headers = {"If-Match": revision}
        return int(api.admin.call("PUT", "/v1/admin/boards/main", {"title": title}, headers).status_code)

    assert put("A", "0") == 201
    assert put("B", "0") == 412
    assert put("B", '"1"') == 200
    assert put("C", "1") == 412
    assert put("C", "rubbish") == 400
    assert api.get("/v1/boards/main")["title"] == "B"


def test_a_frozen_board_takes_nothing_until_it_is_opened(api: Client) -> None:
    api.define("main")
    api.submit("alice", 1)
    api.define("main", state="frozen")
    assert api.submit("alice", 2, expect=409)["code"] == "board_frozen"
    assert api.table() == [(1, "alice", 1)]
    api.define("main", state="open")
    api.submit("alice", 2)
    assert api.table() == [(1, "alice", 2)]


def test_an_archived_board_is_readable_but_not_listed(api: Client) -> None:
    api.define("main")
    api.define("other")
    api.submit("alice", 1)
    api.define("main", state="archived")
    assert api.submit("alice", 2, expect=409)["code"] == "board_archived"
    assert api.table() == [(1, "alice", 1)]
    assert [board["id"] for board in api.get("/v1/boards")["boards"]] == ["other"]
    assert [board["id"] for board in api.get("/v1/boards?state=archived")["boards"]] == ["main"]


def test_only_an_archived_board_can_be_deleted_and_nothing_of_it_stays(api: Client, raw: Any) -> None:
    api.define("main", periods=[{"kind": "season"}, {"kind": "daily"}, {"kind": "alltime"}])
    api.submit("alice", 1)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    api.submit("alice", 2)
    assert api.admin.delete("/v1/admin/boards/main", expect=409)["code"] == "board_not_archived"
    api.define("main", state="archived", periods=[{"kind": "season"}])
    api.admin.delete("/v1/admin/boards/main")
    api.admin.delete("/v1/admin/boards/main", expect=404)
    assert api.submit("alice", 3, expect=404)["code"] == "board_not_found"
    left = {key for key in raw.scan_iter() if b":main" in key}
    assert left == {b"lb:{0}:gate:main"}


def test_a_board_that_was_deleted_and_defined_again_is_another_one(api: Client) -> None:
    """A process that still believes in the old definition must not write by it."""
    api.define("main", order="desc")
    api.submit("alice", 5)
    api.define("main", state="archived")
    api.admin.delete("/v1/admin/boards/main")
    board = api.define("main", order="asc")
    assert board["revision"] > 1
    assert board["current"][0]["period_id"] == "s1"
    api.submit("alice", 5)
    api.submit("alice", 4)
    assert api.table() == [(1, "alice", 4)]


def test_boards_are_listed_in_order_of_id_page_by_page(api: Client) -> None:
    for board in ("c", "a", "e", "b", "d"):
        api.define(board)
    api.define("b", state="archived")
    found, path = [], "/v1/boards?limit=2"
    while path:
        page = api.get(path)
        assert len(page["boards"]) <= 2
        found += [board["id"] for board in page["boards"]]
        path = page["next_cursor"] and f"/v1/boards?limit=2&cursor={page['next_cursor']}"
    assert found == ["a", "c", "d", "e"]


def test_rules_are_for_admins_only(api: Client) -> None:
    api.define("main")
    assert "rules" not in api.get("/v1/boards/main")
    assert "rules" not in api.get("/v1/boards")["boards"][0]
    assert "rules" in api.admin.get("/v1/admin/boards/main")


def test_there_may_be_only_so_many_boards(api: Client, app: Any) -> None:
    object.__setattr__(app.extensions["leaderboard"].settings, "max_boards", 2)
    api.define("a")
    api.define("b")
    assert api.admin.put("/v1/admin/boards/c", {}, expect=403)["code"] == "quota_exceeded"
    api.define("b", title="still changes")


def test_maintenance_stops_every_board_at_once_and_reads_go_on(api: Client) -> None:
    api.define("main")
    api.submit("alice", 1)
    assert api.admin.put("/v1/admin/maintenance", {"reason": "moving"})["active"] is True
    response = api.server.call("POST", "/v1/boards/main/submissions", {"player": "alice", "score": 2})
    assert response.status_code == 503
    assert response.get_json()["code"] == "maintenance"
    assert int(response.headers["Retry-After"]) > 0
    assert api.table() == [(1, "alice", 1)]
    assert api.admin.get("/v1/admin/maintenance")["reason"] == "moving"
    api.admin.delete("/v1/admin/maintenance")
    api.submit("alice", 2)


def test_calendar_keys_expire_keep_days_after_their_end_and_nothing_moves_that(
    api: Client, raw: Any, clock: SetClock
) -> None:
    api.define("main", periods=[{"kind": "daily", "keep_days": 3}, {"kind": "alltime"}], ties="dense")
    api.submit("alice", 1)
    day = api.get("/v1/boards/main")["current"][0]
    keys = [key for key in raw.scan_iter() if key.endswith(day["period_id"].encode())]
    assert len(keys) == 3
    expected = (clock.now_ms() // DAY_MS + 1 + 3) * DAY_MS
    assert {raw.pexpiretime(key) for key in keys} == {expected}
    api.submit("alice", 5)
    api.submit("bob", 5)
    api.define("main", periods=[{"kind": "daily", "keep_days": 30}, {"kind": "alltime"}], ties="dense")
    api.submit("alice", 6)
    assert {raw.pexpiretime(key) for key in keys} == {expected}
    # A zset that empties is gone, and its expiry with it; the next entry must bring the expiry back.
    for player in ("alice", "bob"):
        api.admin.delete(f"/v1/admin/boards/main/entries/{player}?period=daily&reason=x")
    assert not raw.exists(*keys)
    api.submit("carol", 1)
    assert all(raw.pexpiretime(key) > 0 for key in keys)
