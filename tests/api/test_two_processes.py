"""What one process believes of a board while another changes it: `api` and `other` are two of them on one store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from leaderboard import create_app
from leaderboard.settings import Settings
from tests.client import Client
from tests.conftest import SetClock

DAY_MS = 86_400_000


@pytest.fixture
def other_app(settings: Settings, clock: SetClock) -> Iterator[Flask]:
    app = create_app(settings, clock)
    yield app
    app.extensions["leaderboard"].store.close()


@pytest.fixture
def other(other_app: Flask) -> Client:
    return Client(other_app.test_client())


def between(monkeypatch: pytest.MonkeyPatch, app: Flask, function: str, act: Callable[[], Any]) -> None:
    """Do something just before the process first calls a function of the store."""
    store = app.extensions["leaderboard"].store
    original, done = store._functions, []

    def call(verb: str, calls: Any, exchange: Any) -> Any:
        if not done and any(name == function for name, _, _ in calls):
            done.append(1)
            act()
        return original(verb, calls, exchange)

    monkeypatch.setattr(type(store), "_functions", lambda self, *args: (call if self is store else original)(*args))


def test_a_changed_definition_holds_everywhere_at_once(api: Client, other: Client) -> None:
    api.define("main", ties="dense")
    for player, score in (("a", 9), ("b", 9), ("c", 5)):
        api.submit(player, score)
    assert [rank for rank, _, _ in other.table()] == [1, 1, 2]
    api.define("main", ties="competition")
    assert [rank for rank, _, _ in other.table()] == [1, 1, 3]
    assert other.get("/v1/boards/main/standings/b")["entry"]["rank"] == 1
    api.define("main", reads="servers")
    other.get("/v1/boards/main/standings", expect=401)


def test_a_reset_holds_everywhere_at_once(api: Client, other: Client) -> None:
    api.define("main")
    other.submit("alice", 1)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    assert other.table() == []
    body = {"player": "alice", "score": 2, "expect": {"season": "s2"}}
    other.server.post("/v1/boards/main/submissions", body)
    assert api.table() == [(1, "alice", 2)]


def test_removing_by_an_old_definition_leaves_nothing_behind(api: Client, other: Client) -> None:
    api.define("main")
    other.get("/v1/boards/main/standings")
    api.define("main", tiebreaks=[{"name": "wins"}])
    for player in ("alice", "bob"):
        api.submit(player, 5, tiebreaks={"wins": 1})
    other.admin.delete("/v1/admin/boards/main/entries/bob?reason=x")
    assert other.table() == [(1, "alice", 5)]
    other.server.delete("/v1/players/alice")
    assert api.table() == []


def test_a_correction_that_meets_a_reset_is_of_the_season_that_runs(
    api: Client, app: Flask, other: Client, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.define("main", periods=[{"kind": "season", "keep_days": 1, "settle_delay_s": 0}])
    api.submit("alice", 1)
    between(monkeypatch, app, "submit", lambda: other.admin.post("/v1/admin/boards/main/reset", {"season": "s1"}))
    api.admin.put("/v1/admin/boards/main/entries/alice", {"score": 7, "reason": "x"})
    assert api.table(query="&period_id=s1") == [(1, "alice", 1)]
    assert api.table(query="&period_id=s2") == [(1, "alice", 7)]
    assert raw.pttl("lb:{0}:order:main:s1") > 0


def test_a_correction_that_meets_the_deletion_of_its_board_leaves_nothing(
    api: Client, app: Flask, other: Client, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.define("main", state="archived")
    between(
        monkeypatch,
        app,
        "delete_board",
        lambda: other.admin.put("/v1/admin/boards/main/entries/ghost", {"score": 5, "reason": "x"}),
    )
    api.admin.delete("/v1/admin/boards/main")
    assert not [key for key in raw.scan_iter() if b":main:" in key]
    api.define("main")
    assert api.table() == []


def test_an_erasure_finds_a_board_whose_state_changes_meanwhile(
    api: Client, app: Flask, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for board in ("a", "b"):
        api.define(board)
        api.submit("alice", 1, board)
    api.define("b", state="archived")
    between(monkeypatch, app, "remove_entries", lambda: other.define("b", state="open"))
    api.server.delete("/v1/players/alice")
    assert api.table("b") == []


def test_a_key_is_not_good_for_a_board_that_was_defined_again(api: Client, other: Client) -> None:
    api.define("main", order="asc")
    other.submit("alice", 5, key="k")
    assert other.submit("alice", 5, key="k")["standings"][0]["score"] == 5
    api.define("main", order="asc", state="archived")
    api.admin.delete("/v1/admin/boards/main")
    api.define("main", order="desc")
    result = other.submit("alice", 5, key="k")
    assert (result["outcome"], result["standings"][0]["score"]) == ("applied", 5)
    assert api.table() == [(1, "alice", 5)]


def test_a_repeat_says_of_each_period_what_it_did_there(api: Client, other: Client) -> None:
    api.define("main", periods=[{"kind": "season"}, {"kind": "alltime"}])
    api.submit("alice", 5)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    first = other.submit("alice", 3, key="k")
    api.define("main", periods=[{"kind": "alltime"}, {"kind": "season"}])
    again = other.submit("alice", 3, key="k")

    def changed(result: Any) -> dict[str, bool]:
        return {standing["period"]: standing["changed"] for standing in result["standings"]}

    assert changed(first) == changed(again) == {"season": True, "alltime": False}


def test_a_kind_that_comes_back_may_not_begin_on_another_day(api: Client) -> None:
    """Else a week that is over would be open again."""
    weekly = {"kind": "weekly", "weekday": "monday"}
    api.define("main", periods=[{"kind": "alltime"}, weekly])
    api.submit("alice", 1)
    api.define("main", periods=[{"kind": "alltime"}])
    problem = api.admin.put(
        "/v1/admin/boards/main", {"periods": [{"kind": "alltime"}, weekly | {"weekday": "sunday"}]}, expect=409
    )
    assert problem["members"] == ["periods (weekly)"]
    api.define("main", periods=[{"kind": "alltime"}, weekly])
    assert api.table(query="&period=weekly") == [(1, "alice", 1)]


def test_standings_go_by_the_expiry_they_were_begun_with(api: Client, clock: SetClock) -> None:
    api.define("main", periods=[{"kind": "daily", "keep_days": 5}])
    day = api.get("/v1/boards/main")["current"][0]["period_id"]
    api.submit("alice", 1)
    clock.pass_ms(4 * DAY_MS)
    api.define("main", periods=[{"kind": "daily", "keep_days": 2}])
    assert api.table(query=f"&period_id={day}") == [(1, "alice", 1)]
    clock.pass_ms(4 * DAY_MS)
    api.define("main", periods=[{"kind": "daily", "keep_days": 30}])
    assert api.get(f"/v1/boards/main/standings?period_id={day}", expect=410)["code"] == "period_gone"


@pytest.mark.parametrize("per_s", [0.6, 1.5, 6, 7])
def test_a_burst_is_whole_at_any_rate(api: Client, per_s: float) -> None:
    api.define("main", rules={"rate": {"burst": 10, "per_s": per_s}})
    alice = api.player("alice")
    statuses = [alice.call("POST", "/v1/boards/main/submissions", {"score": score}).status_code for score in range(11)]
    assert statuses == [200] * 10 + [429]


def test_a_rate_that_is_loosened_frees_players_at_once(api: Client) -> None:
    api.define("main", rules={"rate": {"burst": 1, "per_s": 0.0001}})
    alice = api.player("alice")
    alice.post("/v1/boards/main/submissions", {"score": 1})
    alice.post("/v1/boards/main/submissions", {"score": 2}, expect=429)
    api.define("main", rules={"rate": {"burst": 100, "per_s": 100}})
    for _ in range(3):
        # A rule that is loosened forgives what was owed, up to its own burst.
        response = alice.call("POST", "/v1/boards/main/submissions", {"score": 3})
    assert response.headers["RateLimit-Policy"] == '"submissions";q=100;w=1'
    assert int(response.headers.get("Retry-After", "0")) <= 1


def test_a_correction_cannot_be_of_the_future(api: Client) -> None:
    api.define("main")
    path = "/v1/admin/boards/main/entries/alice"
    for instant in ("9999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        api.admin.put(path, {"score": 1, "reason": "x", "achieved_at": instant}, expect=422)
    assert api.table() == []


def test_a_removal_is_of_the_season_that_runs(api: Client, other: Client) -> None:
    """A process that has not heard of the reset must not take the closed season for the running one."""
    api.define("main", periods=[{"kind": "season", "settle_delay_s": 0}])
    api.submit("alice", 1)
    assert other.table() == [(1, "alice", 1)]
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    api.submit("alice", 2)
    other.admin.delete("/v1/admin/boards/main/entries/alice?reason=x")
    assert api.table(query="&period_id=s1") == [(1, "alice", 1)]
    assert api.table() == []
    problem = other.admin.delete("/v1/admin/boards/main/entries/alice?period_id=previous&reason=x", expect=409)
    assert problem["code"] == "period_settled"


def test_a_correction_is_made_once_though_the_board_changes_before_it_is_read(
    api: Client, app: Flask, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.define("main")
    api.submit("alice", 1)
    between(monkeypatch, app, "lookup", lambda: other.admin.post("/v1/admin/boards/main/reset", {"season": "s1"}))
    answer = api.admin.put("/v1/admin/boards/main/entries/alice", {"score": 7, "reason": "x"})
    assert (answer["period_id"], answer["entry"]["score"]) == ("s1", 7)
    assert api.table(query="&period_id=s1") == [(1, "alice", 7)]
    assert api.table() == []


@pytest.mark.parametrize("act", ["reset", "define", "delete"])
def test_a_players_entries_are_read_of_boards_as_they_are(
    api: Client, app: Flask, other: Client, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    for board in ("a", "b"):
        api.define(board)
        api.submit("alice", 1, board)
    api.define("b", state="frozen")

    def change() -> None:
        if act == "reset":
            other.admin.post("/v1/admin/boards/a/reset", {"season": "s1"})
        elif act == "define":
            other.define("a", title="New")
        else:
            other.define("a", state="archived")
            other.admin.delete("/v1/admin/boards/a")

    between(monkeypatch, app, "lookup", change)
    rows = [(e["board"], e["period"]) for e in api.get("/v1/players/alice/entries")["entries"]]
    of_a = {"reset": [("a", "weekly")], "define": [("a", "season"), ("a", "weekly")], "delete": []}
    assert rows == [*of_a[act], ("b", "season"), ("b", "weekly")]


def test_a_key_used_for_two_boards_is_reused_whatever_became_of_them(api: Client) -> None:
    def batch(board: str, expect: int = 200) -> Any:
        items = {"submissions": [{"board": board, "player": "alice", "score": 10}]}
        return api.server.post("/v1/submissions/batch", items, key="k", expect=expect)

    for board in ("x", "y"):
        api.define(board, policy="sum")
    api.define("y", policy="sum", state="archived")
    api.admin.delete("/v1/admin/boards/y")
    api.define("y", policy="sum")
    assert batch("x")["applied"] == 1
    assert batch("y")["results"][0]["error"]["code"] == "idempotency_key_reused"
    assert batch("x")["applied"] == 1
    assert api.table("x") == [(1, "alice", 10)]


def test_a_batch_stays_in_order_when_a_definition_changes(api: Client, other: Client) -> None:
    api.define("main", policy="latest")
    other.submit("alice", 0)
    api.define("main", policy="latest", title="New")
    items = [
        {"board": "main", "player": "alice", "score": 1},
        {"board": "main", "player": "bob", "score": 1, "tiebreaks": {"nonsense": 1}},
        {"board": "main", "player": "alice", "score": 2},
    ]
    assert other.server.post("/v1/submissions/batch", {"submissions": items})["failed"] == 1
    assert api.table() == [(1, "alice", 2)]


def test_a_missing_board_is_looked_for_once_in_a_batch(api: Client, raw: Any) -> None:
    items = [{"board": "nope", "player": f"p{i}", "score": 1} for i in range(200)]
    raw.config_resetstat()
    answer = api.server.post("/v1/submissions/batch", {"submissions": items})
    assert answer["failed"] == 200
    assert raw.info("commandstats")["cmdstat_hmget"]["calls"] <= 2


def test_an_erasure_that_is_finished_later_leaves_the_devices_new_player_alone(api: Client, raw: Any) -> None:
    device = "d" * 32
    first = api.post("/v1/sessions", {"device_id": device}, expect=201)["player"]["id"]
    # As it stands when the erasure was cut off after the device was forgotten.
    raw.hset(f"lb:{{0}}:player:{first}", "state", "erasing")
    raw.delete(*raw.scan_iter("lb:device:*"))
    second = api.post("/v1/sessions", {"device_id": device}, expect=201)["player"]["id"]
    api.server.delete(f"/v1/players/{first}")
    assert api.post("/v1/sessions", {"device_id": device}, expect=201)["player"]["id"] == second != first


def test_the_answer_to_a_reset_is_kept_for_its_board_only(api: Client) -> None:
    def reset(expect: int = 200) -> Any:
        return api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"}, key="k", expect=expect)

    api.define("main", periods=[{"kind": "season"}, {"kind": "alltime"}])
    assert reset()["opened"] == "s2"
    api.define("main", periods=[{"kind": "alltime"}])
    assert reset()["opened"] == "s2"
    assert api.admin.post("/v1/admin/boards/main/reset", {"season": "s2"}, expect=409)["code"] == "no_season"
    api.define("main", periods=[{"kind": "alltime"}], state="archived")
    api.admin.delete("/v1/admin/boards/main")
    api.define("main")
    assert reset()["opened"] == "s2"
    assert api.get("/v1/boards/main")["current"][0]["period_id"] == "s2"


def test_periods_are_shown_by_the_board_as_it_is(api: Client, other: Client) -> None:
    api.define("main")
    assert other.get("/v1/boards/main/periods")["periods"][0]["period_id"] == "s1"
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    assert [p["state"] for p in other.get("/v1/boards/main/periods")["periods"]] == ["open", "closing"]
    api.define("main", reads="servers")
    other.get("/v1/boards/main/periods", expect=401)


def test_a_client_may_keep_its_query_beside_a_cursor(api: Client) -> None:
    api.define("main")
    for player in ("a", "b"):
        api.submit(player, 1)
    path = "/v1/boards/main/standings?period=weekly&period_id=current&limit=1"
    page = api.get(path)
    assert api.get(f"{path}&cursor={page['next_cursor']}")["entries"][0]["player"]["id"] == "b"


def test_metadata_that_python_calls_equal_is_another(api: Client) -> None:
    api.define("main", metadata={"on": 1})
    assert api.define("main", metadata={"on": True})["metadata"]["on"] is True


def test_a_fast_rate_has_its_burst_and_no_more(api: Client) -> None:
    api.define("main", rules={"rate": {"burst": 2, "per_s": 100_000}})
    response = api.player("alice").call("POST", "/v1/boards/main/submissions", {"score": 1})
    assert response.headers["RateLimit"].startswith('"submissions";r=1;')


@pytest.mark.parametrize(
    ("body", "headers"), [({"score": 1, "player": "bob"}, {}), ({"score": 1}, {"Idempotency-Key": "a b"})]
)
def test_a_bad_session_is_told_of_that_first(api: Client, body: Any, headers: dict[str, str]) -> None:
    api.define("main")
    nobody = Client(api.http, "lb1.alice.nonsense")
    assert nobody.call("POST", "/v1/boards/main/submissions", body, headers).status_code == 401
