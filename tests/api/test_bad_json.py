"""A body that cannot be read is refused with a code, and changes nothing: not one byte in the store."""

from __future__ import annotations

import json

import pytest
import redis

from tests.calls import SUBMISSIONS, refused, refused_without_a_trace, send, submission, unchanged
from tests.client import ADMIN_KEY, Client

pytestmark = pytest.mark.any_store

DEEP = 7000


@pytest.fixture
def board(api: Client) -> Client:
    api.define("main", tiebreaks=[{"name": "wins"}], decimals=0)
    api.submit("alice", 10)
    return api


NOT_JSON: list[tuple[str, bytes | str]] = [
    ("empty", ""),
    ("blank", "  "),
    ("cut short", '{"player":"alice","score":1'),
    ("two values", submission() + submission()),
    ("a comma too many", '{"player":"alice","score":1,}'),
    ("single quotes", "{'player':'alice','score':1}"),
    ("a comment", "{} // no"),
    ("nested arrays", "[" * DEEP + "]" * DEEP),
    ("nested score", submission(score="[" * DEEP + "]" * DEEP)),
    ("nested objects", '{"a":' * 2500 + "1" + "}" * 2500),
    ("nested and open", "[" * 16_000),
    ("a lone surrogate", submission(metadata='{"a":"\\ud800"}')),
    ("a lone surrogate as a name", submission(metadata='{"\\udfff":1}')),
    ("a lone surrogate player", submission(player='"\\ud83d"')),
    ("a NUL", submission(metadata='{"a":"\\u0000"}')),
    ("a NUL in a name", submission(metadata='{"a\\u0000b":1}')),
    ("a NUL deep inside", submission(metadata='{"a":[{"b":["\\u0000"]}]}')),
    ("a NUL in the player", submission(player='"a\\u0000b"')),
    ("a NUL, unescaped", submission(metadata='{"a":"\0"}')),
    ("a control character", submission(metadata='{"a":"\x01"}')),
    ("bad UTF-8", b'{"player":"alice","score":1,"metadata":{"a":"\xff"}}'),
    ("overlong UTF-8", b'{"player":"alice","score":1,"metadata":{"a":"\xc0\xaf"}}'),
    ("UTF-8 surrogates", b'{"player":"alice","score":1,"metadata":{"a":"\xed\xa0\x80"}}'),
    ("UTF-16", submission().encode("utf-16")),
    ("UTF-16 without a mark", submission().encode("utf-16-le")),
    ("UTF-32", submission().encode("utf-32")),
    ("Latin-1", submission(metadata='{"a":"é"}').encode("latin-1")),
    # Numbers, for Python's reader or for somebody's.
    *(
        (f"the number {number[:24]}", submission(score=number))
        for number in (
            "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "01", "+1", "1.", ".5", "0x10", "1_000", "9" * 5000,
            "0." + "1" * 5000,
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("body", [body for _, body in NOT_JSON], ids=[name for name, _ in NOT_JSON])
def test_a_body_that_is_not_json_is_refused(board: Client, raw: redis.Redis, body: bytes | str) -> None:
    refused_without_a_trace(board, raw, body, 400, "malformed_json")


@pytest.mark.parametrize(
    "body",
    [
        '{"player":"alice","score":1,"score":999}',
        '{"player":"alice","score":1,"sc\\u006fre":999}',
        '{"player":"alice","player":"bob","score":1}',
        submission(metadata='{"a":{"b":1,"b":2}}'),
    ],
    ids=["score", "score, once escaped", "player", "inside"],
)
def test_a_member_that_is_there_twice_is_refused(board: Client, raw: redis.Redis, body: str) -> None:
    refused_without_a_trace(board, raw, body, 400, "duplicate_member")


def test_a_body_that_is_too_long_is_refused(board: Client, raw: redis.Redis) -> None:
    refused_without_a_trace(board, raw, submission(metadata='{"a":"' + "x" * 16_384 + '"}'), 413, "body_too_large")


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
    with unchanged(raw):
        refused(send(board, "POST", "/v1/submissions/batch", body), status, code)


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
    with unchanged(raw):
        refused(send(board, "POST", SUBMISSIONS, submission(), headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "application/json; charset=utf-8"}, {"Content-Encoding": "identity"}], ids=str
)
def test_a_type_that_means_json_is_taken(board: Client, headers: dict[str, str]) -> None:
    assert send(board, "POST", SUBMISSIONS, submission(), headers=headers).status_code == 200


@pytest.mark.parametrize("metadata", ['{"a":1.5}', '{"a":1e-7}', '{"a":[0.1,-0.0]}'])
def test_numbers_with_a_point_are_fine_where_any_json_is(board: Client, metadata: str) -> None:
    given = json.loads(metadata)
    answer = send(board, "PUT", "/v1/admin/boards/second", f'{{"metadata":{metadata}}}', ADMIN_KEY)
    assert answer.status_code == 201, answer.text
    assert board.get("/v1/boards/second")["metadata"] == given
    assert send(board, "POST", SUBMISSIONS, submission(metadata=metadata)).status_code == 200
    assert board.get("/v1/boards/main/standings/alice")["entry"]["metadata"] == given
