"""Bodies, queries, cursors and ids that are not right are refused with a code, and nothing changes in the store."""

from __future__ import annotations

import json

import pytest
import redis

from leaderboard.audit import Wanted
from leaderboard.cursors import Cursor, Direction, write_cursor, write_id_cursor
from leaderboard.entries import Place
from tests.calls import ODD_IDS, STANDINGS, refused, send, unchanged
from tests.client import ADMIN_KEY, SERVER_KEY, Client

pytestmark = pytest.mark.any_store

DEVICE = "x" * 32


@pytest.fixture
def board(api: Client) -> Client:
    api.define("main", tiebreaks=[{"name": "wins"}], decimals=0)
    api.submit("alice", 10)
    return api


BAD_CALLS: list[tuple[str, str, str | None, str, int, str]] = [
    # method, path, token, body, status, code
    ("POST", "/v1/sessions", None, '{"device_id":"short"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "x" * 257 + '"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "é" * 32 + '"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":12345678901234567890123}', 422, "invalid"),
    ("POST", "/v1/sessions", None, f'{{"device_id":"{DEVICE}","player":"alice"}}', 422, "invalid"),
    ("POST", "/v1/sessions", None, f'{{"device_id":"{DEVICE}","display_name":""}}', 422, "invalid"),
    ("POST", "/v1/sessions", None, f'{{"device_id":"{DEVICE}","display_name":"a\\nb"}}', 422, "invalid"),
    ("POST", "/v1/sessions", None, json.dumps({"device_id": DEVICE, "display_name": "x" * 41}), 422, "invalid"),
    ("POST", "/v1/sessions", None, f'{{"device_id":"{DEVICE}","display_name":"\\ud800"}}', 400, "malformed_json"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"country":"Germany"}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"country":"d\\n"}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"avatar_url":"javascript:alert(1)"}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"avatar_url":"https://x/\\n"}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"attributes":{"a":1}}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"attributes":{"A B":"x"}}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"submissions":5}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"state":"erased"}', 422, "invalid"),
    ("PUT", "/v1/players/bob", SERVER_KEY, '{"created_at":"x"}', 422, "invalid"),
    ("PUT", "/v1/players/batch", SERVER_KEY, "{}", 404, "not_found"),
    ("PUT", "/v1/players/current", SERVER_KEY, "{}", 404, "not_found"),
    ("POST", "/v1/players/batch/sessions", SERVER_KEY, "", 404, "not_found"),
    ("POST", "/v1/players/current/sessions", SERVER_KEY, "", 404, "not_found"),
    ("PATCH", "/v1/players/alice", SERVER_KEY, '{"name":"x"}', 422, "invalid"),
    ("PATCH", "/v1/players/nobody", SERVER_KEY, "{}", 404, "player_not_found"),
    ("PUT", "/v1/players/alice/friends", SERVER_KEY, '{"players":[]}', 422, "invalid"),
    ("PUT", "/v1/players/alice/friends", SERVER_KEY, '{"players":["alice"]}', 422, "invalid"),
    ("PUT", "/v1/players/alice/friends", SERVER_KEY, '{"players":["a:b"]}', 422, "invalid"),
    ("PUT", "/v1/players/alice/friends", SERVER_KEY, '{"players":["me"]}', 422, "invalid"),
    ("PUT", "/v1/players/alice/friends", SERVER_KEY, json.dumps({"players": ["b"] * 1001}), 422, "invalid"),
    ("PUT", "/v1/players/alice/friends", SERVER_KEY, '{"players":["nobody"]}', 404, "player_not_found"),
    ("PUT", "/v1/players/alice/friends/alice", SERVER_KEY, "", 422, "invalid"),
    ("PUT", "/v1/players/alice/friends/me", SERVER_KEY, "", 422, "invalid"),
    ("POST", "/v1/boards/main/lookup", None, '{"players":[]}', 422, "invalid"),
    ("POST", "/v1/boards/main/lookup", None, '{"players":["{0}"]}', 422, "invalid"),
    ("POST", "/v1/boards/main/lookup", None, json.dumps({"players": ["b"] * 201}), 422, "invalid"),
    ("POST", "/v1/boards/main/lookup", None, '{"players":"alice"}', 422, "invalid"),
    ("POST", "/v1/admin/boards/main/reset", ADMIN_KEY, "{}", 422, "invalid"),
    *(
        ("POST", "/v1/admin/boards/main/reset", ADMIN_KEY, f'{{"season":{season}}}', 422, "invalid")
        for season in (
            '"s0"', '"s01"', '"1"', '"s1 "', '"s1\\n"', "0", "-1", "1.0", "true", "null", '"s99999999"', "1e3",
        )
    ),
    ("POST", "/v1/admin/boards/main/reset", ADMIN_KEY, '{"season":"s2"}', 409, "season_not_current"),
    ("POST", "/v1/admin/boards/nope/reset", ADMIN_KEY, '{"season":"s1"}', 404, "board_not_found"),
    ("POST", "/v1/admin/keys", ADMIN_KEY, '{"name":"x","role":"owner"}', 422, "invalid"),
    ("POST", "/v1/admin/keys", ADMIN_KEY, '{"name":"","role":"admin"}', 422, "invalid"),
    ("POST", "/v1/admin/keys", ADMIN_KEY, '{"name":"x","role":"admin","secret":"mine"}', 422, "invalid"),
    ("PUT", "/v1/admin/boards/main/entries/me", ADMIN_KEY, '{"score":5,"reason":"x"}', 404, "player_not_found"),
    ("PUT", "/v1/admin/boards/main/entries/batch", ADMIN_KEY, '{"score":5,"reason":"x"}', 404, "not_found"),
    ("PUT", "/v1/admin/boards/main/entries/alice", ADMIN_KEY, '{"score":5}', 422, "invalid"),
    ("PUT", "/v1/admin/boards/main/entries/alice", ADMIN_KEY, '{"score":1e15,"reason":"x"}', 422, "invalid"),
    ("PUT", "/v1/admin/boards/main/entries/alice", ADMIN_KEY, '{"score":5,"reason":"x","ts":1}', 422, "invalid"),
    ("DELETE", "/v1/admin/boards/main/entries/alice", ADMIN_KEY, "", 422, "invalid"),
    ("DELETE", "/v1/admin/boards/main/entries/nobody?reason=x", ADMIN_KEY, "", 404, "entry_not_found"),
    ("DELETE", "/v1/admin/boards/main", ADMIN_KEY, "", 409, "board_not_archived"),
    *(
        ("PUT", "/v1/admin/boards/second", ADMIN_KEY, definition, 422, "invalid")
        for definition in (
            '{"order":"up"}', '{"policy":"max"}', '{"ties":"none"}', '{"decimals":7}', '{"decimals":-1}',
            '{"decimals":"0"}', '{"decimals":true}', '{"decimals":1.0}', '{"periods":[]}', '{"periods":[{}]}',
            '{"periods":[{"kind":"hourly"}]}', '{"periods":[{"kind":"daily"},{"kind":"daily"}]}',
            '{"periods":[{"kind":"weekly","day":1}]}', '{"periods":[{"kind":"weekly","keep_days":0}]}',
            '{"periods":[{"kind":"weekly","keep_days":null}]}', '{"periods":[{"kind":"daily","time_of_day":"24:00"}]}',
            '{"periods":[{"kind":"monthly","day":29}]}', '{"default_period":"daily"}', '{"late_s":-1}',
            '{"late_s":99999999999}', '{"tiebreaks":[{"name":"a"},{"name":"a"}]}', '{"tiebreaks":[{"name":"a:b"}]}',
            '{"tiebreaks":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"},{"name":"e"}]}', '{"id":"second"}',
            '{"rules":{"rate":{"burst":0,"per_s":1}}}', '{"rules":{"rate":{"burst":1,"per_s":0}}}',
            '{"rules":{"rate":{"burst":1,"per_s":"2"}}}', '{"rules":{"rate":{"burst":1}}}', '{"rules":{"nope":1}}',
            '{"rules":{"max_score":{"value":1}}}', '{"rules":{"max_gain":{"value":-1,"then":"hold"}}}',
            '{"title":"' + "x" * 201 + '"}', '{"metadata":[]}', f'{{"metadata":{{"a":{10**30}}}}}',
            '{"metadata":{"a":' + "[" * 300 + "]" * 300 + "}}", '{"state":"deleted"}', '{"writes":"anyone"}',
        )
    ),
    *(
        ("PUT", "/v1/admin/boards/second", ADMIN_KEY, definition, 422, "not_supported")
        for definition in (
            '{"segments":["country"]}', '{"rewards":[]}',
            '{"periods":[{"kind":"cron","cron":"* * * * *"}]}',
            '{"periods":[{"kind":"daily","timezone":"Europe/Berlin"}]}',
        )
    ),
    *(
        ("POST", "/v1/admin/reviews/0123456789abcdef.alice/decision", ADMIN_KEY, body, 422, "invalid")
        for body in (
            "{}", '{"decision":"forget"}', '{"decision":null}', '{"decision":"approve","reason":""}',
            '{"decision":"approve","reason":"' + "x" * 501 + '"}', '{"decision":"approve","player":"bob"}',
        )
    ),
    *(
        ("POST", "/v1/admin/reviews/decisions", ADMIN_KEY, f'{{"decision":"reject","reviews":{ids}}}', 422, "invalid")
        for ids in (
            "[]", "null", '"0123456789abcdef.alice"', "[1]", '["alice"]', '["0123456789abcdef."]',
            '["0123456789ABCDEF.alice"]', '["0123456789abcdef.a:b"]', '["0123456789abcdef.alice\\n"]',
            "[" + ",".join(['"0123456789abcdef.alice"'] * 101) + "]",
        )
    ),
    ("POST", "/v1/admin/reviews/0123456789abcdef.nobody/decision", ADMIN_KEY, '{"decision":"approve"}', 404,
     "review_not_found"),
    ("PUT", "/v1/admin/maintenance", ADMIN_KEY, '{"reason":1}', 422, "invalid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "status", "code"),
    BAD_CALLS,
    ids=[f"{row[0]} {row[1]} {row[3][:40]}" for row in BAD_CALLS],
)
def test_a_call_that_is_not_right_is_refused(
    board: Client, raw: redis.Redis, method: str, path: str, token: str | None, body: str, status: int, code: str
) -> None:
    with unchanged(raw):
        refused(send(board, method, path, body, token), status, code)


BAD_QUERIES: list[tuple[str, int, str]] = [
    *(
        (f"{path}?limit={limit}", 422, "invalid")
        for path in (STANDINGS, f"{STANDINGS}/alice/around", "/v1/boards", "/v1/boards/main/periods")
        for limit in ("0", "-1", "1000000000", "", "x", "1.5", "1e1", "9" * 5000, "NaN")
    ),
    # What Python takes for a number, and nobody else does.
    *((f"{STANDINGS}?limit={limit}", 422, "invalid") for limit in ("1_0", "%2010", "%D9%A1")),
    (f"{STANDINGS}/alice/around?limit=102", 422, "invalid"),
    (f"{STANDINGS}?limit=5&limit=5", 422, "invalid"),
    (f"{STANDINGS}?Limit=5", 422, "invalid"),
    (f"{STANDINGS}?unknown=5", 422, "invalid"),
    (f"{STANDINGS}?%00=5", 422, "invalid"),
    (f"{STANDINGS}?offset=-1", 422, "invalid"),
    (f"{STANDINGS}?offset=1000000001", 422, "invalid"),
    (f"{STANDINGS}?offset=0&around_score=5", 422, "invalid"),
    *(
        (f"{STANDINGS}?around_score={score}", 422, "invalid")
        for score in (
            "NaN", "sNaN", "Infinity", "1e15", "1.5", "x", "", "1e999999999", "1e-999999999", "9" * 5000, "1_0"
        )
    ),
    (f"{STANDINGS}?period=hourly", 422, "invalid"),
    (f"{STANDINGS}?period=Season", 422, "invalid"),
    (f"{STANDINGS}?period=daily", 404, "period_not_found"),
    (f"{STANDINGS}?period=weekly&period_id=s1", 422, "invalid"),
    *(
        (f"{STANDINGS}?period_id={period_id}", 422, "invalid")
        for period_id in (
            "x", "s0", "s01", "S1", "s-1", "s1%0A", "2026-W5", "%2E%2E", "%7B0%7D", "s1:x", "s99999999", "*"
        )
    ),
    *(
        (f"{STANDINGS}?period=weekly&period_id={period_id}", 404, "period_not_found")
        for period_id in ("2026-W54", "2026-W00", "9999-W01", "0000-W01", "9998-W01")
    ),
    (f"{STANDINGS}?period_id=s2", 404, "period_not_found"),
    (f"{STANDINGS}?period_id=previous", 404, "period_not_found"),
    (f"{STANDINGS}?period=weekly&period_id=0003-W01", 410, "period_gone"),
    (f"{STANDINGS}?segment=country:de", 422, "not_supported"),
    *(
        (f"{path}?cursor={cursor}", 400, "malformed_cursor")
        for path in (STANDINGS, "/v1/boards", "/v1/boards/main/periods", "/v1/players/alice/entries")
        for cursor in ("x", "AAAA", "%00", "é", "=" * 8, "A" * 600, "A" * 10_000, "..%2F..", "*", "bnVsbA")
    ),
    ("/v1/boards/main/distribution?buckets=0", 422, "invalid"),
    ("/v1/boards/main/distribution?buckets=1000000000", 422, "invalid"),
    ("/v1/boards?state=deleted", 422, "invalid"),
    ("/v1/boards/main?x=1", 422, "invalid"),
    ("/v1/players/alice?x=1", 422, "invalid"),
    ("/livez?x=1", 422, "invalid"),
    ("/v1/boards/nope/standings", 404, "board_not_found"),
    (f"{STANDINGS}/nobody", 404, "entry_not_found"),
    (f"{STANDINGS}/nobody/around", 404, "entry_not_found"),
    ("/v1/players/nobody", 404, "player_not_found"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status", "code"), BAD_QUERIES, ids=[row[0][:70] for row in BAD_QUERIES])
def test_a_query_that_is_not_right_is_refused(board: Client, path: str, status: int, code: str) -> None:
    refused(board.call("GET", path), status, code)


def test_no_reason_brings_a_nul_into_the_archive(board: Client, raw: redis.Redis) -> None:
    board.submit("bob", 5)
    with unchanged(raw):
        answer = board.admin.call("DELETE", "/v1/admin/boards/main/entries/bob?reason=a%00b")
        assert refused(answer, 422, "invalid")["errors"][0]["code"] == "nul"


@pytest.mark.parametrize("path", ["/v1/admin/audit", "/v1/admin/boards/main/revisions"])
@pytest.mark.parametrize("after", ["abc", "-1", "9" * 19, "²"])
def test_a_cursor_of_a_list_of_numbers_has_one(board: Client, path: str, after: str) -> None:
    list_name = path.removeprefix("/v1") if path.endswith("revisions") else f"/admin/audit {Wanted()}"
    refused(board.admin.call("GET", f"{path}?cursor={write_id_cursor(list_name, after)}"), 400, "malformed_cursor")


@pytest.mark.parametrize("after", ["a\0b", "\udcff"])
def test_a_cursor_of_a_list_of_ids_has_one(board: Client, after: str) -> None:
    place = Place(0, after.encode(errors="surrogateescape"))
    cursor = write_cursor("/admin/bans", Cursor(Direction.AFTER, "", place))
    refused(board.admin.call("GET", f"/v1/admin/bans?cursor={cursor}"), 400, "malformed_cursor")


def test_a_cursor_is_good_for_its_own_list_only(board: Client) -> None:
    board.define("other", tiebreaks=[{"name": "wins"}])
    for player in ("bob", "carol", "dan"):
        board.submit(player, 5)
        board.submit(player, 5, "other")
    page = board.get(f"{STANDINGS}?limit=2")
    cursor = page["next_cursor"]
    assert [entry["player"]["id"] for entry in board.get(f"{STANDINGS}?limit=2&cursor={cursor}")["entries"]] == [
        "carol",
        "dan",
    ]
    refused(board.call("GET", f"/v1/boards/other/standings?cursor={cursor}"), 400, "malformed_cursor")
    refused(board.call("GET", f"/v1/boards?cursor={cursor}"), 400, "malformed_cursor")
    refused(board.server.call("GET", f"{STANDINGS}/bob/friends?cursor={cursor}"), 400, "malformed_cursor")
    refused(board.call("GET", f"{STANDINGS}?cursor={cursor[:-2]}"), 400, "malformed_cursor")
    refused(board.call("GET", f"{STANDINGS}?cursor={cursor}&offset=0"), 422, "invalid")
    refused(board.call("GET", f"{STANDINGS}?cursor={cursor}&period_id=s2"), 422, "invalid")
    refused(board.call("GET", f"{STANDINGS}?cursor={cursor}&period=weekly"), 422, "invalid")
    assert board.get(f"{STANDINGS}?cursor={cursor}&period_id=s1&period=season")["entries"]


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("odd", [odd for odd in ODD_IDS if odd], ids=repr)
def test_an_id_cannot_leave_its_namespace_by_the_path(board: Client, raw: redis.Redis, odd: str) -> None:
    with unchanged(raw):
        for caller, method, path, body in (
            (board, "GET", f"/v1/boards/{quoted(odd)}", None),
            (board, "GET", f"/v1/boards/{quoted(odd)}/standings", None),
            (board, "GET", f"{STANDINGS}/{quoted(odd)}", None),
            (board.server, "PUT", f"/v1/players/{quoted(odd)}", {}),
            (board.server, "POST", f"/v1/players/{quoted(odd)}/sessions", None),
            (board.server, "POST", f"/v1/boards/{quoted(odd)}/submissions", {"player": "alice", "score": 1}),
            (board.server, "PUT", f"/v1/players/alice/friends/{quoted(odd)}", None),
            (board.admin, "PUT", f"/v1/admin/boards/{quoted(odd)}", {}),
            (board.admin, "PUT", f"/v1/admin/boards/main/entries/{quoted(odd)}", {"score": 1, "reason": "x"}),
            (board.admin, "DELETE", f"/v1/admin/keys/{quoted(odd)}", None),
        ):
            answer = caller.call(method, path, body)
            assert answer.status_code == 404, f"{method} {path}: {answer.text}"
            assert answer.get_json()["code"].endswith("not_found")
