"""A submission that is not right is refused with a code and leaves no trace; in a batch, the others count."""

from __future__ import annotations

import json

import pytest
import redis

from tests.calls import ODD_IDS, SUBMISSIONS, refused, refused_without_a_trace, send, submission, unchanged
from tests.client import Client


@pytest.fixture
def board(api: Client) -> Client:
    api.define("main", tiebreaks=[{"name": "wins"}], decimals=0)
    api.submit("alice", 10)
    return api


BAD_MEMBERS: dict[str, list[str]] = {
    "score": [
        # beyond what every JSON parser keeps
        str(2**53 + 1), str(-(2**53) - 1), str(10**15), str(-(10**15)), "1e15", "1e300", str(2**64), str(10**20),
        str(10**63),
        # more places than the board has, however many
        "1.5", "1e-1", "1e-300", "1e-1000100", "1.0000000000000000000000000000000001",
        "0.99999999999999999999999999999999999", "999999999999999.00000000000000001",
        # not numbers
        "true", "false", '"12"', "null", "[1]", "{}", '""',
    ],
    "player": [
        *(json.dumps(odd) for odd in ODD_IDS), "1", "null", "[]", "{}", "true", '"me"', '"current"', '"batch"',
    ],
    "tiebreaks": [
        "null", "[]", "1", '{"other":1}', '{"wins":1.5}', '{"wins":1.0}', '{"wins":"1"}', '{"wins":true}',
        '{"wins":null}', '{"wins":[1]}',
        f'{{"wins":{10**15}}}', f'{{"wins":{-(10**15)}}}', f'{{"wins":{10**40}}}',
    ],
    "metadata": [
        "null", "[]", "1", '"x"', "true", '{"a":"' + "x" * 1024 + '"}', '{"a":' + "[" * 300 + "]" * 300 + "}",
        f'{{"a":{10**30}}}', f'{{"a":[{-(10**19)}]}}',
    ],
    "achieved_at": [
        "null", "1", "1e9", '""', '"now"', '"2026-11-22"', '"2026-11-22T10:00:00"', '"2026-11-22 10:00:00Z"',
        '"2026-11-22T10:00Z"', '"2026-13-01T00:00:00Z"', '"2026-02-29T00:00:00Z"', '"2026-12-31T23:59:60Z"',
        '"2026-11-22T24:00:00Z"', '"2026-11-22T10:00:00+25:00"', '"0000-01-01T00:00:00Z"',
        '"+10000-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"1969-12-31T23:59:59Z"',
        '"1916-01-01T00:00:00Z"', '"2999-01-01T00:00:00Z"', '"2026-11-22T::::::::Z"', '"٢٠٢٦-11-22T10:00:00Z"',
    ],
    "expect": [
        "null", "[]", '"2026-W47"', '{"weekly":1}', '{"weekly":null}', '{"daily":"2026-11-22"}', '{"x":"y"}',
    ],
    # not for clients to set, or misspelt
    "verified": ["true"], "rank": ["1"], "player_id": ['"alice"'], "ts": ["1"], "outcome": ['"applied"'],
    "Score": ["1"], "session": ['"x"'], "season": ['"s1"'], "": ["1"], "ranks": ["true"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("member", "value"),
    [(member, value) for member, values in BAD_MEMBERS.items() for value in values],
    ids=lambda text: text[:24],
)
def test_a_member_that_is_not_right_is_refused(board: Client, raw: redis.Redis, member: str, value: str) -> None:
    refused_without_a_trace(board, raw, submission(**{member: value}), 422, "invalid")


@pytest.mark.parametrize("body", ["[1]", '"x"', "null", "7", "{}", '{"player":"alice"}', '{"score":11}'])
def test_a_body_that_is_no_submission_is_refused(board: Client, raw: redis.Redis, body: str) -> None:
    refused_without_a_trace(board, raw, body, 422, "invalid")


@pytest.mark.parametrize("score", ["1e-99999999999999999999", "1e99999999999999999999", "-1e-99999999999999999999"])
def test_an_exponent_that_no_decimal_has_is_refused(board: Client, raw: redis.Redis, score: str) -> None:
    with unchanged(raw):
        answer = send(board, "POST", SUBMISSIONS, submission(score=score))
        assert answer.status_code in (400, 422), answer.text


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
    answer = send(api, "POST", SUBMISSIONS, submission(player='"bob"', score=written))
    assert answer.status_code == 200, answer.text
    # Not -0, nor 12.0: a board without decimals has no points.
    assert f'"score":{read},' in answer.text
    assert api.table() == [(1, "bob", read)]


@pytest.mark.parametrize(
    "query", ["ranks=yes", "ranks=1", "ranks=", "ranks=true&ranks=true", "rank=true", "player=bob"]
)
def test_a_submission_with_a_query_that_is_not_right_counts_nothing(
    board: Client, raw: redis.Redis, query: str
) -> None:
    with unchanged(raw):
        refused(send(board, "POST", f"{SUBMISSIONS}?{query}", submission()), 422, "invalid")


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 129, "\x7f"])
def test_an_idempotency_key_that_is_none_is_refused(board: Client, raw: redis.Redis, key: str) -> None:
    with unchanged(raw):
        answer = send(board, "POST", SUBMISSIONS, submission(), headers={"Idempotency-Key": key})
        refused(answer, 400, "malformed_request")


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
    headers = {"Idempotency-Key": key} if key else {}
    body = f'{{"submissions":[{item},{good}]}}'
    answer = send(board, "POST", "/v1/submissions/batch", body, headers=headers)
    assert answer.status_code == 200, answer.text
    result = answer.get_json()
    assert [one["error"] and one["error"]["code"] for one in result["results"]] == [code, None]
    assert (result["applied"], result["failed"]) == (1, 1)
    assert board.table() == [(1, "alice", 10), (2, "carol", 5)]
