"""The audit: every act of an admin is in it, with what was before and what is since, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import redis
from flask import Flask

from leaderboard.callers import Role
from leaderboard.installation import Installation
from leaderboard.worker.drain import Drain
from tests.calls import issue_key, refused, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant
from tests.reviewing import HOLDS

ENTRY = "/v1/admin/boards/main/entries/alice"
ACHIEVED = "2026-11-20T10:00:00.000Z"


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def archive(lb: Installation) -> Callable[[], None]:
    """Archives what the journal holds."""
    drain = Drain(lb)

    def archive() -> None:
        while drain.step():
            pass

    return archive


@pytest.fixture
def board(api: Client, archive: Callable[[], None]) -> Client:
    api.define("main", periods=[{"kind": "season"}, {"kind": "weekly"}])
    api.define("old", state="archived")
    api.submit("alice", 10, metadata={"car": "red"})
    api.server.put("/v1/players/carol", {}, expect=201)
    archive()
    return api


def acts(api: Client, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.admin.get(f"/v1/admin/audit?limit=200{query}")["acts"]
    return found


#: One call that changes something for each operation of admins: method, path, body.
CHANGES: dict[str, tuple[str, str, Any]] = {
    "put_board": ("PUT", "/v1/admin/boards/new", {}),
    "delete_board": ("DELETE", "/v1/admin/boards/old", None),
    "reset_board": ("POST", "/v1/admin/boards/main/reset", {"season": "s1"}),
    "put_entry": ("PUT", ENTRY, {"score": 7, "reason": "replay checked"}),
    "delete_entry": ("DELETE", f"{ENTRY}?reason=cheated", None),
    "create_key": ("POST", "/v1/admin/keys", {"name": "another", "role": "read"}),
    "rotate_key": ("POST", "/v1/admin/keys/{key}/rotate", {}),
    "revoke_key": ("DELETE", "/v1/admin/keys/{key}", None),
    "put_maintenance": ("PUT", "/v1/admin/maintenance", {"reason": "moving house"}),
    "delete_maintenance": ("DELETE", "/v1/admin/maintenance", None),
    "put_ban": ("PUT", "/v1/admin/players/alice/ban", {"kind": "shadow", "reason": "wall hack"}),
    "delete_ban": ("DELETE", "/v1/admin/players/alice/ban?reason=appealed", None),
    "decide_review": ("POST", "/v1/admin/reviews/{review}/decision", {"decision": "approve", "reason": "seen it"}),
    "decide_reviews": ("POST", "/v1/admin/reviews/decisions", {"decision": "reject", "reviews": ["{other}"]}),
    # A server's, as they cannot be undone.
    "merge_player": ("POST", "/v1/players/carol/merge", {"into": "alice"}),
    "delete_player": ("DELETE", "/v1/players/alice", None),
}


def changing_operations(app: Flask) -> set[str]:
    """Every operation of admins that is no read, as the application itself knows them."""
    return {
        operation.id
        for rule in app.url_map.iter_rules()
        for operation in [getattr(app.view_functions[rule.endpoint], "operation", None)]
        if operation is not None and operation.role is Role.ADMIN and not (rule.methods or set()) & {"GET"}
    }


def test_every_operation_of_admins_that_changes_something_leaves_an_act(
    app: Flask, board: Client, archive: Callable[[], None], clock: SetClock
) -> None:
    operations = changing_operations(app)
    assert len(operations) >= 9
    assert operations == CHANGES.keys() - {"delete_player", "merge_player"}, (
        "an operation of admins without a call in CHANGES"
    )
    admin_id, admin = issue_key(board, "admin")
    ids = {"key": issue_key(board, "server")[0]}
    board.define("strict", rules=HOLDS)
    board.submit("carol", 2000, "strict")
    board.submit("carol", 2000, "strict")
    archive()
    ids["review"], ids["other"] = (review["id"] for review in board.admin.get("/v1/admin/reviews")["reviews"])
    for operation, (method, path, body) in CHANGES.items():
        known = {act["id"] for act in acts(board)}
        clock.pass_ms(1000)
        call = json.dumps([path, body])
        for name, value in ids.items():
            call = call.replace(f"{{{name}}}", value)
        answer = admin.call(method, *json.loads(call), {"X-Request-Id": f"for-{operation}"})
        assert answer.status_code < 300, (operation, answer.text)
        archive()
        left = [act for act in acts(board) if act["id"] not in known]
        assert [act["operation"] for act in left] == [operation]
        assert left[0]["actor"] == {"id": admin_id, "name": "a admin key", "role": "admin"}
        assert left[0]["request_id"] == f"for-{operation}"
        assert left[0]["at"] == show_instant(clock.now_ms())


def test_an_act_says_what_it_is_done_to_and_how_that_was_and_is(
    board: Client, archive: Callable[[], None], clock: SetClock
) -> None:
    since = show_instant(clock.now_ms())
    board.admin.put(ENTRY, {"score": 7, "reason": "replay checked"})
    board.admin.delete(f"{ENTRY}?reason=cheated&period=weekly")
    board.define("main", title="Main", periods=[{"kind": "season"}, {"kind": "weekly"}])
    board.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    board.admin.put("/v1/admin/maintenance", {"reason": "moving house"})
    board.admin.delete("/v1/admin/maintenance")
    archive()
    ended, begun, reset, defined, removed, corrected, *_ = acts(board)

    entry = {
        "score": 10, "tiebreaks": {}, "metadata": {"car": "red"}, "replay": None, "achieved_at": since,
        "submissions": 1, "newest_at": since,
    }  # fmt: skip
    assert (corrected["board"], corrected["period_id"], corrected["player"]) == ("main", "s1", "alice")
    assert corrected["reason"] == "replay checked"
    assert corrected["before"] == entry
    assert corrected["after"] == entry | {"score": 7, "metadata": None}
    assert corrected["actor"] == {"id": "setting-admin", "name": "LEADERBOARD_ADMIN_KEY", "role": "admin"}
    assert removed["period_id"].startswith("2")
    assert (removed["player"], removed["reason"]) == ("alice", "cheated")
    assert (removed["before"], removed["after"]) == (entry, None)
    assert (defined["before"]["title"], defined["after"]["title"]) == ("", "Main")
    assert (defined["before"]["revision"], defined["after"]["revision"]) == (1, 2)
    assert (reset["before"], reset["after"]) == ({"season": "s1"}, {"season": "s2"})
    assert (begun["before"], begun["after"]) == (None, {"reason": "moving house", "since_at": since})
    assert (ended["before"], ended["after"]) == ({"reason": "moving house", "since_at": since}, None)


def test_an_entry_of_a_board_with_decimals_and_tiebreaks_is_shown_as_it_was_submitted(
    api: Client, archive: Callable[[], None]
) -> None:
    tiebreaks = [{"name": "wins"}, {"name": "losses", "order": "asc"}]
    api.define("main", order="asc", policy="sum", decimals=2, tiebreaks=tiebreaks)
    api.submit("alice", 12.25, tiebreaks={"wins": 3, "losses": -4})
    api.submit("alice", 0.25)
    api.admin.delete(f"{ENTRY}?reason=cheated")
    # The board is another by the time that it is archived.
    api.define("main", order="asc", policy="sum", decimals=2, tiebreaks=tiebreaks, state="archived")
    api.admin.delete("/v1/admin/boards/main")
    api.define("main")
    archive()
    (removed,) = acts(api, "&operation=delete_entry")
    assert (removed["before"]["score"], removed["before"]["submissions"]) == (12.5, 2)
    assert removed["before"]["tiebreaks"] == {"wins": 3, "losses": -4}


def test_an_act_is_recorded_in_the_step_that_does_it(board: Client, raw: redis.Redis) -> None:
    def kinds() -> list[str]:
        return [msgpack.unpackb(fields[b"r"], raw=True)[0].decode() for _, fields in raw.xrange("lb:{0}:journal")]

    board.define("new")
    board.admin.delete(f"{ENTRY}?reason=cheated")
    assert kinds() == ["board", "audit", "remove", "audit"]


def test_what_is_refused_or_changes_nothing_is_no_act(board: Client, raw: redis.Redis) -> None:
    definition = {"periods": [{"kind": "season"}, {"kind": "weekly"}]}
    board.admin.call("POST", "/v1/admin/boards/main/reset", {"season": "s1"}, {"Idempotency-Key": "once"})
    with unchanged(raw):
        for method, path, body, status in (
            ("PUT", "/v1/admin/boards/main", definition, 200),
            ("PUT", "/v1/admin/boards/main?dry_run=true", definition | {"title": "x"}, 200),
            ("PUT", "/v1/admin/boards/main", definition | {"order": "asc"}, 409),
            ("DELETE", "/v1/admin/boards/main", None, 409),
            ("POST", "/v1/admin/boards/main/reset", {"season": "s1"}, 409),
            ("DELETE", "/v1/admin/boards/main/entries/nobody?reason=cheated", None, 404),
            ("PUT", ENTRY, {"score": 1}, 422),
            ("DELETE", "/v1/admin/keys/0123456789ab", None, 404),
            ("DELETE", "/v1/players/nobody", None, 404),
        ):
            assert board.admin.call(method, path, body).status_code == status, path
        replay = board.admin.call("POST", "/v1/admin/boards/main/reset", {"season": "s1"}, {"Idempotency-Key": "once"})
        assert replay.headers["Idempotent-Replayed"] == "true"


def test_nobody_writes_into_the_audit_what_is_not_so(board: Client, raw: redis.Redis) -> None:
    with unchanged(raw):
        for more in ({"actor": "somebody"}, {"before": {}}, {"operation": "put_board"}, {"at": ACHIEVED}):
            refused(board.admin.call("PUT", ENTRY, {"score": 1, "reason": "x"} | more), 422, "invalid")
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert board.admin.call(method, "/v1/admin/audit", {}).status_code == 405


def test_the_audit_is_filtered_and_paged_newest_first(
    board: Client, archive: Callable[[], None], clock: SetClock
) -> None:
    admin_id, admin = issue_key(board, "admin")
    started = clock.now_ms()
    for score in range(7):
        clock.pass_ms(1000)
        caller = admin if score % 2 else board.admin
        caller.put(f"/v1/admin/boards/main/entries/p{score % 3}", {"score": score, "reason": str(score)})
    archive()

    def reasons(query: str) -> list[str]:
        return [act["reason"] for act in acts(board, f"&operation=put_entry{query}")]

    assert reasons("") == list("6543210")
    assert reasons("&player=p0") == list("630")
    assert reasons(f"&actor={admin_id}") == list("531")
    assert reasons("&actor=setting-admin&player=p1") == ["4"]
    assert reasons("&board=old") == []
    assert reasons("&board=main&player=p2") == list("52")
    third = show_instant(started + 3000)
    assert reasons(f"&since={third}") == list("65432")
    assert reasons(f"&until={third}") == list("10")
    # Acts that come in meanwhile are not among those that are still to come.
    path, seen = "/v1/admin/audit?operation=put_entry&limit=3", []
    page = board.admin.get(path)
    while True:
        seen += [act["reason"] for act in page["acts"]]
        if page["next_cursor"] is None:
            break
        board.admin.put(ENTRY, {"score": 1, "reason": "meanwhile"})
        archive()
        cursor = page["next_cursor"]
        page = board.admin.get(f"{path}&cursor={cursor}")
    assert seen == list("6543210")
    # A cursor is of one list.
    refused(board.admin.call("GET", f"/v1/admin/audit?limit=3&cursor={cursor}"), 400, "malformed_cursor")


@pytest.mark.parametrize(
    "query",
    ["board=a:b", "player=me", "actor=%00", "actor=", "operation=A", "since=yesterday", "limit=201", "who=me",
     "cursor=x" * 2, "since=2026-11-22T10:00:00"],
)  # fmt: skip
def test_a_filter_that_is_not_right_is_refused(board: Client, query: str) -> None:
    assert board.admin.call("GET", f"/v1/admin/audit?{query}").status_code in (400, 422)


def test_the_audit_says_how_much_it_has_not_got_yet(
    api: Client, raw: redis.Redis, lb: Installation, archive: Callable[[], None]
) -> None:
    # Before a worker ever ran.
    api.define("main")
    page = api.admin.get("/v1/admin/audit")
    assert (page["acts"], page["waiting"]) == ([], raw.xlen("lb:{0}:journal"))
    archive()
    assert [act["operation"] for act in acts(api)] == ["put_board"]
    assert api.admin.get("/v1/admin/audit")["waiting"] == 0
    api.submit("alice", 1)
    assert api.admin.get("/v1/admin/audit")["waiting"] == raw.xlen("lb:{0}:journal") > 0


def test_an_archive_of_another_store_is_not_taken_for_ours(board: Client, lb: Installation, raw: redis.Redis) -> None:
    with lb.archive.write() as connection:
        connection.execute(lb.archive.tables.readers.update().values(generation="another"))
    refused(board.admin.call("GET", "/v1/admin/audit"), 503, "archive_unavailable")


@pytest.mark.parametrize("archived_between", [True, False])
def test_of_an_erased_player_the_audit_keeps_who_did_what_and_when_but_nothing_of_the_player(
    board: Client, lb: Installation, archive: Callable[[], None], archived_between: bool
) -> None:
    board.submit("bob", 5)
    for player in ("alice", "bob"):
        path = f"/v1/admin/boards/main/entries/{player}"
        board.admin.put(path, {"score": 777, "metadata": {"car": "blue"}, "reason": f"{player} asked"})
        board.admin.delete(f"{path}?reason=cheated")
    if archived_between:
        archive()
    board.server.delete("/v1/players/alice")
    archive()
    erased, *others = acts(board)
    assert (erased["operation"], erased["actor"]["id"]) == ("delete_player", "setting-server")
    assert [erased[name] for name in ("player", "reason", "before", "after")] == [None] * 4
    of_bob = [act for act in others if act["player"] == "bob"]
    of_alice = [act for act in others if act["operation"].endswith("_entry") and act not in of_bob]
    assert [act["reason"] for act in of_bob] == ["cheated", "bob asked"]
    assert [act["operation"] for act in of_alice] == ["delete_entry", "put_entry"]
    for act in of_alice:
        assert (act["board"], act["period_id"]) == ("main", "s1")
        assert [act[name] for name in ("player", "reason", "before", "after")] == [None] * 4
    assert "alice" not in board.admin.call("GET", "/v1/admin/audit").text


def test_a_player_that_erases_itself_is_no_act(board: Client, archive: Callable[[], None]) -> None:
    board.player("alice").delete("/v1/players/me")
    archive()
    assert not acts(board, "&operation=delete_player")


def test_a_player_is_told_what_was_done_to_it_but_not_by_whom(board: Client, archive: Callable[[], None]) -> None:
    board.admin.put(ENTRY, {"score": 7, "reason": "replay checked"})
    board.submit("bob", 5)
    board.admin.delete("/v1/admin/boards/main/entries/bob?reason=cheated")
    alice = board.player("alice")
    archive()
    (act,) = alice.get("/v1/players/me/export")["acts"]
    assert (act["operation"], act["reason"], act["before"]["score"]) == ("put_entry", "replay checked", 10)
    assert not {"actor", "request_id"} & act.keys()
