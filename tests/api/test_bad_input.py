"""What is not right is refused with a code, and nothing changes: not the standings, not one byte in the store."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import redis

from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.live import Live

SUBMISSIONS = "/v1/boards/main/submissions"
DEVICE = "x" * 32
DEEP = 7000

#: Names that must not leave their place in a key, nor a path or a header.
ODD_IDS = [
    "a:b", "{0}", "a{b}", "a*", "a?b", "a b", "a\r\nb", "a\n", "../boards", "/../", "a/b", "", " ", "-a", ".a",
    "é", "a" * 65, "a" * 10_240, "%00", "a\u202eb",
]  # fmt: skip


def contents(raw: redis.Redis) -> dict[bytes, bytes | None]:
    """Every key of the installation, byte for byte."""
    return {key: raw.dump(key) for key in raw.scan_iter("lb:*", count=1000)}


def send(api: Client, method: str, path: str, body: bytes | str, token: str | None = SERVER_KEY, **headers: str) -> Any:
    """A body as it is, not as a JSON library would write it."""
    given = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        given["Authorization"] = f"Bearer {token}"
    return api.http.open(path, method=method, data=body, headers=given)


def refused(answer: Any, status: int, code: str) -> Any:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status
    assert problem["type"] == f"/docs/errors#{code}"
    return problem


def refused_without_a_trace(board: Client, raw: redis.Redis, body: bytes | str, status: int, code: str) -> None:
    """With and without an Idempotency-Key; a try that was not valid does not use one up."""
    before = contents(raw)
    refused(send(board, "POST", SUBMISSIONS, body), status, code)
    refused(send(board, "POST", SUBMISSIONS, body, Idempotency_Key="k"), status, code)
    assert contents(raw) == before
    assert board.submit("alice", 11, key="k")["outcome"] == "applied"


@pytest.fixture
def board(api: Client) -> Client:
    api.define("main", tiebreaks=[{"name": "wins"}], decimals=0)
    api.submit("alice", 10)
    return api


# -- numbers ---------------------------------------------------------------------------------------------------------

BAD_SCORES: list[tuple[str, int, str]] = [
    # not JSON, whatever Python's reader takes
    ("NaN", 400, "malformed_json"),
    ("Infinity", 400, "malformed_json"),
    ("-Infinity", 400, "malformed_json"),
    ("1e400", 400, "malformed_json"),
    ("-1e400", 400, "malformed_json"),
    ("01", 400, "malformed_json"),
    ("+1", 400, "malformed_json"),
    ("1.", 400, "malformed_json"),
    (".5", 400, "malformed_json"),
    ("0x10", 400, "malformed_json"),
    ("1_000", 400, "malformed_json"),
    ("9" * 5000, 400, "malformed_json"),
    ("0." + "1" * 5000, 400, "malformed_json"),
    # beyond what every JSON parser keeps
    (str(2**53 + 1), 422, "invalid"),
    (str(-(2**53) - 1), 422, "invalid"),
    (str(10**15), 422, "invalid"),
    (str(-(10**15)), 422, "invalid"),
    ("1e15", 422, "invalid"),
    ("1e300", 422, "invalid"),
    (str(2**64), 422, "invalid"),
    (str(10**20), 422, "invalid"),
    (str(10**63), 422, "invalid"),
    # more places than the board has, however many
    ("1.5", 422, "invalid"),
    ("1e-1", 422, "invalid"),
    ("1e-300", 422, "invalid"),
    ("1e-1000100", 422, "invalid"),
    ("1.0000000000000000000000000000000001", 422, "invalid"),
    ("0.99999999999999999999999999999999999", 422, "invalid"),
    ("999999999999999.00000000000000001", 422, "invalid"),
    # not numbers
    ("true", 422, "invalid"),
    ("false", 422, "invalid"),
    ('"12"', 422, "invalid"),
    ("null", 422, "invalid"),
    ("[1]", 422, "invalid"),
    ("{}", 422, "invalid"),
    ('""', 422, "invalid"),
]


@pytest.mark.parametrize(("score", "status", "code"), BAD_SCORES, ids=[score[:24] for score, _, _ in BAD_SCORES])
def test_a_score_that_is_no_number_of_the_board_is_refused(
    board: Client, raw: redis.Redis, score: str, status: int, code: str
) -> None:
    refused_without_a_trace(board, raw, f'{{"player":"alice","score":{score}}}', status, code)


@pytest.mark.parametrize("score", ["1e-99999999999999999999", "1e99999999999999999999", "-1e-99999999999999999999"])
def test_an_exponent_that_no_decimal_has_is_refused(board: Client, raw: redis.Redis, score: str) -> None:
    before = contents(raw)
    answer = send(board, "POST", SUBMISSIONS, f'{{"player":"alice","score":{score}}}')
    assert answer.status_code in (400, 422), answer.text
    assert contents(raw) == before


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("-0", 0),
        ("-0.0", 0),
        ("0e0", 0),
        ("12.0", 12),
        ("1e3", 1000),
        ("1.20E1", 12),
        ("-999999999999999", -(10**15 - 1)),
    ],
)
def test_a_number_written_in_another_way_is_the_same_number(api: Client, written: str, read: int) -> None:
    api.define()
    answer = send(api, "POST", SUBMISSIONS, f'{{"player":"bob","score":{written}}}')
    assert answer.status_code == 200, answer.text
    # Not -0, nor 12.0: a board without decimals has no points.
    assert f'"score":{read},' in answer.text
    assert api.table() == [(1, "bob", read)]


# -- bodies ----------------------------------------------------------------------------------------------------------


def submission(**members: str) -> str:
    """A submission whose members are given as JSON text."""
    given = {"player": '"alice"', "score": "11"} | members
    return "{" + ",".join(f'"{name}":{value}' for name, value in given.items()) + "}"


BAD_BODIES: list[tuple[str, bytes | str, int, str]] = [
    ("empty", "", 400, "malformed_json"),
    ("blank", "  ", 400, "malformed_json"),
    ("cut short", '{"player":"alice","score":1', 400, "malformed_json"),
    ("two values", submission() + submission(), 400, "malformed_json"),
    ("a comma too many", '{"player":"alice","score":1,}', 400, "malformed_json"),
    ("single quotes", "{'player':'alice','score':1}", 400, "malformed_json"),
    ("a comment", "{} // no", 400, "malformed_json"),
    ("an array", "[1]", 422, "invalid"),
    ("a string", '"x"', 422, "invalid"),
    ("null", "null", 422, "invalid"),
    ("a number", "7", 422, "invalid"),
    ("no members", "{}", 422, "invalid"),
    ("no score", '{"player":"alice"}', 422, "invalid"),
    ("no player", '{"score":11}', 422, "invalid"),
    ("score twice", '{"player":"alice","score":1,"score":999}', 400, "duplicate_member"),
    ("score twice, one escaped", '{"player":"alice","score":1,"sc\\u006fre":999}', 400, "duplicate_member"),
    ("player twice", '{"player":"alice","player":"bob","score":1}', 400, "duplicate_member"),
    ("twice inside", submission(metadata='{"a":{"b":1,"b":2}}'), 400, "duplicate_member"),
    ("nested arrays", "[" * DEEP + "]" * DEEP, 400, "malformed_json"),
    ("nested score", submission(score="[" * DEEP + "]" * DEEP), 400, "malformed_json"),
    ("nested objects", '{"a":' * 2500 + "1" + "}" * 2500, 400, "malformed_json"),
    ("nested and open", "[" * 16_000, 400, "malformed_json"),
    ("nested metadata", submission(metadata='{"a":' + "[" * 300 + "]" * 300 + "}"), 422, "invalid"),
    ("a lone surrogate", submission(metadata='{"a":"\\ud800"}'), 400, "malformed_json"),
    ("a lone surrogate as a name", submission(metadata='{"\\udfff":1}'), 400, "malformed_json"),
    ("a lone surrogate player", submission(player='"\\ud83d"'), 400, "malformed_json"),
    ("a NUL", submission(metadata='{"a":"\\u0000"}'), 400, "malformed_json"),
    ("a NUL in a name", submission(metadata='{"a\\u0000b":1}'), 400, "malformed_json"),
    ("a NUL deep inside", submission(metadata='{"a":[{"b":["\\u0000"]}]}'), 400, "malformed_json"),
    ("a NUL, unescaped", submission(metadata='{"a":"\0"}'), 400, "malformed_json"),
    ("a control character", submission(metadata='{"a":"\x01"}'), 400, "malformed_json"),
    ("bad UTF-8", b'{"player":"alice","score":1,"metadata":{"a":"\xff"}}', 400, "malformed_json"),
    ("overlong UTF-8", b'{"player":"alice","score":1,"metadata":{"a":"\xc0\xaf"}}', 400, "malformed_json"),
    ("UTF-8 surrogates", b'{"player":"alice","score":1,"metadata":{"a":"\xed\xa0\x80"}}', 400, "malformed_json"),
    ("UTF-16", submission().encode("utf-16"), 400, "malformed_json"),
    ("UTF-16 without a mark", submission().encode("utf-16-le"), 400, "malformed_json"),
    ("UTF-32", submission().encode("utf-32"), 400, "malformed_json"),
    ("Latin-1", submission(metadata='{"a":"é"}').encode("latin-1"), 400, "malformed_json"),
    ("too long", submission(metadata='{"a":"' + "x" * 16_384 + '"}'), 413, "body_too_large"),
    # members that clients may not set, or that are misspelt
    *(
        (f"the member {name}", submission(**{name: value}), 422, "invalid")
        for name, value in {
            "verified": "true", "rank": "1", "player_id": '"alice"', "ts": "1", "outcome": '"applied"', "Score": "1",
            "session": '"x"', "season": '"s1"', "": "1", "ranks": "true",
        }.items()
    ),
    # players
    *((f"the player {odd[:12]!r}", submission(player=json.dumps(odd)), 422, "invalid") for odd in ODD_IDS),
    *(
        (f"the player {value}", submission(player=value), 422, "invalid")
        for value in ("1", "null", "[]", "{}", "true", '"me"', '"current"', '"batch"')
    ),
    ("the player 'a\\0b'", submission(player='"a\\u0000b"'), 400, "malformed_json"),
    # tiebreaks
    *(
        (f"tiebreaks {value[:24]}", submission(tiebreaks=value), 422, "invalid")
        for value in (
            "null", "[]", "1", '{"other":1}', '{"wins":1.5}', '{"wins":1.0}', '{"wins":"1"}', '{"wins":true}',
            '{"wins":null}', '{"wins":[1]}',
            f'{{"wins":{10**15}}}', f'{{"wins":{-(10**15)}}}', f'{{"wins":{10**40}}}',
        )
    ),
    # metadata
    *(
        (f"metadata {value[:24]}", submission(metadata=value), 422, "invalid")
        for value in (
            "null", "[]", "1", '"x"', "true", '{"a":"' + "x" * 1024 + '"}',
            f'{{"a":{10**30}}}', f'{{"a":[{-(10**19)}]}}',
        )
    ),
    # instants
    *(
        (f"achieved_at {value}", submission(achieved_at=value), 422, "invalid")
        for value in (
            "null", "1", "1e9", '""', '"now"', '"2026-11-22"', '"2026-11-22T10:00:00"', '"2026-11-22 10:00:00Z"',
            '"2026-11-22T10:00Z"', '"2026-13-01T00:00:00Z"', '"2026-02-29T00:00:00Z"', '"2026-12-31T23:59:60Z"',
            '"2026-11-22T24:00:00Z"', '"2026-11-22T10:00:00+25:00"', '"0000-01-01T00:00:00Z"',
            '"+10000-01-01T00:00:00Z"',
            '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"1969-12-31T23:59:59Z"',
            '"1916-01-01T00:00:00Z"', '"2999-01-01T00:00:00Z"', '"2026-11-22T::::::::Z"', '"٢٠٢٦-11-22T10:00:00Z"',
        )
    ),
    # what is expected
    *(
        (f"expect {value}", submission(expect=value), 422, "invalid")
        for value in (
            "null", "[]", '"2026-W47"', '{"weekly":1}', '{"weekly":null}', '{"daily":"2026-11-22"}', '{"x":"y"}'
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"), [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES]
)
def test_a_body_that_is_not_right_is_refused(
    board: Client, raw: redis.Redis, body: bytes | str, status: int, code: str
) -> None:
    refused_without_a_trace(board, raw, body, status, code)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "text/json"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "identity, gzip"},
    ],
    ids=str,
)
def test_a_body_of_another_type_is_refused(board: Client, raw: redis.Redis, headers: dict[str, str]) -> None:
    before = contents(raw)
    given = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"} | headers
    answer = board.http.open(SUBMISSIONS, method="POST", data=submission(), headers=given)
    refused(answer, 415, "unsupported_media_type")
    assert contents(raw) == before


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "application/json; charset=utf-8"}, {"Content-Encoding": "identity"}], ids=str
)
def test_a_type_that_means_json_is_taken(board: Client, headers: dict[str, str]) -> None:
    given = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"} | headers
    assert board.http.open(SUBMISSIONS, method="POST", data=submission(), headers=given).status_code == 200


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 129, "\x7f"])
def test_an_idempotency_key_that_is_none_is_refused(board: Client, raw: redis.Redis, key: str) -> None:
    before = contents(raw)
    refused(send(board, "POST", SUBMISSIONS, submission(), Idempotency_Key=key), 400, "malformed_request")
    assert contents(raw) == before


# -- batches ---------------------------------------------------------------------------------------------------------

BAD_ITEMS: list[tuple[str, str]] = [
    ('{"board":"main","player":"bob","score":"1"}', "invalid"),
    ('{"board":"main","player":"bob","score":true}', "invalid"),
    ('{"board":"main","player":"bob"}', "invalid"),
    ('{"board":"main","score":1}', "invalid"),
    ('{"player":"bob","score":1}', "invalid"),
    ('{"board":"main","player":"me","score":1}', "invalid"),
    ('{"board":"main:x","player":"bob","score":1}', "invalid"),
    ('{"board":"{0}","player":"bob","score":1}', "invalid"),
    ('{"board":"nope","player":"bob","score":1}', "board_not_found"),
    ('{"board":"main","player":"b:b","score":1}', "invalid"),
    ('{"board":"main","player":"bob","score":1,"rank":1}', "invalid"),
    (f'{{"board":"main","player":"bob","score":{10**15}}}', "invalid"),
    (f'{{"board":"main","player":"bob","score":{10**20}}}', "invalid"),
    (f'{{"board":"main","player":"bob","score":1,"metadata":{{"a":{10**30}}}}}', "invalid"),
    ('{"board":"main","player":"bob","score":1,"metadata":{"a":' + "[" * 300 + "]" * 300 + "}}", "invalid"),
    ('{"board":"main","player":"bob","score":1,"expect":{"weekly":"1999-W01"}}', "period_over"),
    ('{"board":"main","player":"bob","score":1,"achieved_at":"1916-01-01T00:00:00Z"}', "invalid"),
    ("1", "invalid"),
    ("[]", "invalid"),
    ('"x"', "invalid"),
    ("{}", "invalid"),
    ("null", "invalid"),
]


@pytest.mark.parametrize("key", [None, "k"], ids=["without a key", "with a key"])
@pytest.mark.parametrize(("item", "code"), BAD_ITEMS, ids=[item[:60] for item, _ in BAD_ITEMS])
def test_an_item_that_is_not_right_says_so_and_the_others_count(
    board: Client, item: str, code: str, key: str | None
) -> None:
    good = '{"board":"main","player":"carol","score":5}'
    headers = {"Idempotency_Key": key} if key else {}
    answer = send(board, "POST", "/v1/submissions/batch", f'{{"submissions":[{item},{good}]}}', **headers)
    assert answer.status_code == 200, answer.text
    result = answer.get_json()
    assert [one["error"] and one["error"]["code"] for one in result["results"]] == [code, None]
    assert (result["applied"], result["failed"]) == (1, 1)
    assert board.table() == [(1, "alice", 10), (2, "carol", 5)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"submissions":[]}', 422, "invalid"),
        ('{"submissions":{}}', 422, "invalid"),
        ('{"submissions":null}', 422, "invalid"),
        ("{}", 422, "invalid"),
        ('{"submissions":[' + ",".join(['{"board":"main","player":"bob","score":1}'] * 1001) + "]}", 422, "invalid"),
        ('{"submissions":[{"board":"main","player":"bob","score":1,"score":2}]}', 400, "duplicate_member"),
        ('{"submissions":[{"board":"main","player":"bob","score":NaN}]}', 400, "malformed_json"),
        ('{"submissions":[' + " " * (2 * 1024 * 1024) + "]}", 413, "body_too_large"),
        ('{"submissions":' + "[" * DEEP + "]" * DEEP + "}", 400, "malformed_json"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_batch_that_cannot_be_read_counts_nothing(
    board: Client, raw: redis.Redis, body: str, status: int, code: str
) -> None:
    before = contents(raw)
    refused(send(board, "POST", "/v1/submissions/batch", body), status, code)
    assert contents(raw) == before


# -- every other call ------------------------------------------------------------------------------------------------

BAD_CALLS: list[tuple[str, str, str | None, str, int, str]] = [
    # method, path, token, body, status, code
    ("POST", "/v1/sessions", None, '{"device_id":"short"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "x" * 257 + '"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "é" * 32 + '"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":12345678901234567890123}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "x" * 32 + '","player":"alice"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "x" * 32 + '","display_name":""}', 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "x" * 32 + '","display_name":"a\\nb"}', 422, "invalid"),
    ("POST", "/v1/sessions", None, json.dumps({"device_id": DEVICE, "display_name": "x" * 41}), 422, "invalid"),
    ("POST", "/v1/sessions", None, '{"device_id":"' + "x" * 32 + '","display_name":"\\ud800"}', 400, "malformed_json"),
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
            '{"title":"' + "x" * 201 + '"}', '{"metadata":[]}', f'{{"metadata":{{"a":{10**30}}}}}',
            '{"metadata":{"a":' + "[" * 300 + "]" * 300 + "}}", '{"state":"deleted"}', '{"writes":"anyone"}',
        )
    ),
    *(
        ("PUT", "/v1/admin/boards/second", ADMIN_KEY, definition, 422, "not_supported")
        for definition in (
            '{"segments":["country"]}', '{"rewards":[]}', '{"rules":{"max_score":{"value":1}}}',
            '{"periods":[{"kind":"cron","cron":"* * * * *"}]}',
            '{"periods":[{"kind":"daily","timezone":"Europe/Berlin"}]}',
        )
    ),
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
    before = contents(raw)
    refused(send(board, method, path, body, token), status, code)
    assert contents(raw) == before


@pytest.mark.parametrize("metadata", ['{"a":1.5}', '{"a":1e-7}', '{"a":[0.1,-0.0]}'])
def test_numbers_with_a_point_are_fine_where_any_json_is(board: Client, metadata: str) -> None:
    given = json.loads(metadata)
    answer = send(board, "PUT", "/v1/admin/boards/second", f'{{"metadata":{metadata}}}', ADMIN_KEY)
    assert answer.status_code == 201, answer.text
    assert board.get("/v1/boards/second")["metadata"] == given
    assert send(board, "POST", SUBMISSIONS, submission(metadata=metadata)).status_code == 200
    assert board.get("/v1/boards/main/standings/alice")["entry"]["metadata"] == given


# -- queries ---------------------------------------------------------------------------------------------------------

STANDINGS = "/v1/boards/main/standings"
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


@pytest.mark.parametrize(
    "query", ["ranks=yes", "ranks=1", "ranks=", "ranks=true&ranks=true", "rank=true", "player=bob"]
)
def test_a_submission_with_a_query_that_is_not_right_counts_nothing(
    board: Client, raw: redis.Redis, query: str
) -> None:
    before = contents(raw)
    refused(send(board, "POST", f"{SUBMISSIONS}?{query}", submission()), 422, "invalid")
    assert contents(raw) == before


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


# -- paths, methods, headers -----------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("odd", [odd for odd in ODD_IDS if odd], ids=repr)
def test_an_id_cannot_leave_its_namespace_by_the_path(board: Client, raw: redis.Redis, odd: str) -> None:
    before = contents(raw)
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
    assert contents(raw) == before


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/boards", "//v1/boards", "/v1/boards/", "/v1/boards/main/x", "/x"]
)
def test_a_path_where_nothing_is_answers_a_problem(api: Client, path: str) -> None:
    problem = refused(api.call("GET", path), 404, "not_found")
    assert problem["title"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", SUBMISSIONS, "OPTIONS, POST"),
        ("HEAD", SUBMISSIONS, "OPTIONS, POST"),
        ("PUT", SUBMISSIONS, "OPTIONS, POST"),
        ("POST", "/v1/boards", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/boards/main", "GET, HEAD, OPTIONS"),
        ("PATCH", "/v1/admin/boards/main", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("TRACE", "/v1/boards", "GET, HEAD, OPTIONS"),
        ("BREW", "/v1/boards", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    api: Client, method: str, path: str, allow: str
) -> None:
    answer = api.call(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allow
    if method != "HEAD":
        refused(answer, 405, "method_not_allowed")


def test_head_is_get_without_the_body(board: Client) -> None:
    for path in (STANDINGS, "/v1/boards", "/v1/boards/main"):
        head, get = board.call("HEAD", path), board.call("GET", path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["ETag"] == get.headers["ETag"]
        assert head.headers["Content-Length"] == str(len(get.data))


def test_a_page_that_is_unchanged_is_not_sent_again(board: Client) -> None:
    first = board.call("GET", STANDINGS)
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = board.call("GET", STANDINGS, headers={"If-None-Match": given})
        assert (again.status_code, again.data) == (304, b""), given
        assert again.headers["ETag"] == tag
        assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert board.call("GET", STANDINGS, headers={"If-None-Match": '"other"'}).status_code == 200
    board.submit("alice", 11)
    changed = board.call("GET", STANDINGS, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


@pytest.mark.parametrize(
    ("given", "echoed"), [("abc-1.2_X", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)]
)
def test_every_answer_names_its_request(board: Client, given: str, echoed: bool) -> None:
    for path in (STANDINGS, "/nowhere", "/v1/admin/keys"):
        name = board.call("GET", path, headers={"X-Request-Id": given}).headers["X-Request-Id"]
        assert (name == given) is echoed
        assert name


def test_requests_without_a_name_get_different_ones(api: Client) -> None:
    assert api.call("GET", "/livez").headers["X-Request-Id"] != api.call("GET", "/livez").headers["X-Request-Id"]


def test_other_origins_may_call_everything_but_the_admin_calls(board: Client) -> None:
    origin = {"Origin": "https://game.example"}
    for method, path in (("GET", STANDINGS), ("GET", "/nowhere"), ("POST", SUBMISSIONS), ("GET", "/v1/players/nobody")):
        answer = board.call(method, path, headers=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "*", path
        assert "Access-Control-Allow-Credentials" not in answer.headers
        exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
        assert {
            "etag", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed", "x-request-id"
        } <= exposed  # fmt: skip
    for caller, path in (
        (board, "/v1/admin/keys"),
        (board.admin, "/v1/admin/keys"),
        (board.admin, "/v1/admin/nowhere"),
    ):
        answer = caller.call("GET", path, headers=origin)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")], path


def test_a_browser_is_told_beforehand_what_it_may_send(board: Client) -> None:
    asked = {
        "Origin": "https://game.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    answer = board.call("OPTIONS", SUBMISSIONS, headers=asked)
    assert answer.status_code == 200
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key"} <= allowed
    admin = board.call("OPTIONS", "/v1/admin/keys", headers=asked)
    assert not [name for name, _ in admin.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": "\x80\xff" * 100},
        {"If-Match": '"' * 500},
        {"Accept": "application/xml;q=x"},
        {"Accept-Encoding": "gzip;q=nope, *"},
        {"Range": "bytes=0-0,5-"},
        {"If-Modified-Since": "yesterday"},
        {"Cookie": "a=" + "\xff" * 100},
        {"X-Forwarded-For": "::::, x"},
        {"Content-Type": "application/json; charset=" + "x" * 1000},
        {"Content-Length": "-1"},
        {"Content-Length": "x"},
        {"Authorization": "\xff"},
        {"Origin": "\xff"},
        {"X-Request-Id": "\xff"},
        {"Idempotency-Key": "\xff"},
        {"Host": "a b"},
    ],
    ids=lambda headers: str(headers)[:40],
)
def test_odd_headers_are_no_failure_of_ours(board: Client, headers: dict[str, str]) -> None:
    for method, path in (("GET", STANDINGS), ("POST", SUBMISSIONS)):
        answer = board.http.open(path, method=method, headers=headers)
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("revision", ["x", "*", "-1", "1 2", "9" * 30])
def test_an_if_match_that_names_no_revision_is_refused(board: Client, raw: redis.Redis, revision: str) -> None:
    before = contents(raw)
    answer = send(board, "PUT", "/v1/admin/boards/main", '{"title":"x"}', ADMIN_KEY, If_Match=revision)
    refused(answer, 400, "malformed_request")
    assert contents(raw) == before


# -- over the wire ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(store_url: str) -> Iterator[Live]:
    with Live(store_url) as live:
        yield live


def test_a_body_over_the_limit_is_refused_with_and_without_its_length(live: Live, raw: redis.Redis) -> None:
    live.api.define()
    before = contents(raw)
    headers = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
    body = submission(metadata='{"a":"' + "x" * 20_000 + '"}').encode()
    # Its first 16 KiB are a submission that could be read.
    padded = submission().encode() + b" " * 20_000

    def in_chunks(whole: bytes) -> Iterator[bytes]:
        for at in range(0, len(whole), 1000):
            yield whole[at : at + 1000]

    with httpx.Client(base_url=live.url, headers=headers, trust_env=False) as client:
        for content in (body, padded, in_chunks(body), in_chunks(padded)):
            answer = client.post(SUBMISSIONS, content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
            assert contents(raw) == before
            # What was not read of the body is not taken for the next request.
            assert client.get("/livez").status_code == 200
    assert live.api.submit("alice", 1)["outcome"] == "applied"


def test_a_body_in_chunks_within_the_limit_counts(live: Live, raw: redis.Redis) -> None:
    live.api.define()
    headers = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
    content = iter([b'{"player":"alice",', b'"score":7}'])
    answer = httpx.post(live.url + SUBMISSIONS, content=content, headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert live.api.table() == [(1, "alice", 7)]


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /v1/boards HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /v1/boards HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /v1/boards?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/boards HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        b"POST /v1/boards/main/submissions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/boards HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"nonsense\r\n\r\n",
    ],
    ids=["long header", "many headers", "long path", "bad name", "negative length", "two lengths", "TLS", "nonsense"],
)
def test_what_is_not_http_is_refused_and_the_next_request_is_answered(
    live: Live, raw: redis.Redis, request_head: bytes
) -> None:
    first = b""
    with socket.create_connection(("127.0.0.1", live.port), 10) as connection, suppress(OSError):
        # It may close the connection while we still write.
        connection.sendall(request_head)
        connection.shutdown(socket.SHUT_WR)
        first = connection.recv(100)
    assert first == b"" or first.startswith(b"HTTP/1.1 4"), first
    assert live.status("/livez") == 200
