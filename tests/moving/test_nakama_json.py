"""Nakama's scores come out of JSON as its API and its scripts list them, however it is written down."""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.moving.json_items import JsonItems
from leaderboard.moving.nakama import Nakama
from leaderboard.moving.values import WrongValue
from tests.moving.nakama_samples import CYPHER, NEO, NOW, TRINITY, read, refusal, scores, source_of

pytestmark = pytest.mark.any_store

#: As GET /v2/leaderboard/weekly_kills answers: 64-bit numbers as texts, nothing that is zero or empty.
LISTED: list[dict[str, Any]] = [
    {"leaderboard_id": "weekly_kills", "owner_id": NEO, "username": "neo", "score": "1200", "subscore": "3",
     "num_score": 1, "metadata": '{"level": 7}', "create_time": "2026-11-17T00:00:00Z",
     "update_time": "2026-11-20T12:34:56Z", "expiry_time": "2026-11-30T00:00:00Z", "rank": "1", "max_num_score": 9},
    {"leaderboard_id": "weekly_kills", "owner_id": TRINITY, "num_score": 1, "metadata": "{}",
     "create_time": "2026-11-17T00:00:00Z", "update_time": "2026-11-20T12:34:56Z",
     "expiry_time": "2026-11-30T00:00:00Z", "rank": "2", "max_num_score": 1000000},
    {"leaderboard_id": "weekly_kills", "owner_id": CYPHER, "username": "joined", "metadata": "{}",
     "create_time": "2026-11-17T00:00:00Z", "update_time": "2026-11-17T00:00:00Z",
     "expiry_time": "2026-11-30T00:00:00Z", "rank": "3", "max_num_score": 3},
    {"leaderboard_id": "weekly_kills", "owner_id": NEO, "username": "neo", "score": "900", "num_score": 4,
     "metadata": "{}", "create_time": "2026-11-10T00:00:00Z", "update_time": "2026-11-10T12:34:56Z",
     "expiry_time": "2026-11-16T00:00:00Z", "rank": "1", "max_num_score": 1000000},
]  # fmt: skip

THE_LISTED: list[tuple[Any, ...]] = [
    ("weekly_kills", NEO, 1200, {"subscore": 3}, 1795178096000, b'{"level":7}', "neo"),
    ("weekly_kills", TRINITY, 0, {}, 1795178096000, b"", None),
]

#: As the function leaderboardRecordsList gives them to a script in Nakama.
IN_A_SCRIPT: dict[str, Any] = {
    "records": [
        {"leaderboardId": "weekly_kills", "ownerId": NEO, "username": "neo", "score": 1200, "subscore": 3,
         "numScore": 1, "maxNumScore": 1000000, "metadata": {"level": 7}, "createTime": 1794873600,
         "updateTime": 1795178096, "expiryTime": 1795996800, "rank": 1},
        {"leaderboardId": "weekly_kills", "ownerId": NEO, "username": "neo", "score": 900, "subscore": 0, "numScore": 4,
         "maxNumScore": 1000000, "metadata": {}, "createTime": 1794268800, "updateTime": 1794314096,
         "expiryTime": 1794787200, "rank": 1},
        {"leaderboardId": "weekly_kills", "ownerId": CYPHER, "username": "", "score": 0, "subscore": 0, "numScore": 0,
         "maxNumScore": 3, "metadata": {}, "createTime": 1794873600, "updateTime": 1794873600, "expiryTime": 1795996800,
         "rank": 3},
        {"leaderboardId": "weekly_kills", "ownerId": TRINITY, "username": None, "score": 0, "subscore": 0,
         "numScore": 1, "maxNumScore": 1000000, "metadata": {}, "createTime": 1794873600, "updateTime": 1795178096,
         "expiryTime": None, "rank": 2},
    ],
    "ownerRecords": [],
    "nextCursor": None,
    "prevCursor": None,
    "rankCount": 4,
}  # fmt: skip


MANNERS_OF_JSON = [
    json.dumps({"records": LISTED, "next_cursor": "abc", "rank_count": "4"}),
    json.dumps({"next_cursor": "", "records": LISTED, "owner_records": []}, indent=2),
    "\n".join([json.dumps({"records": LISTED[:2]}), json.dumps({"records": LISTED[2:]}), "{}"]),
    json.dumps([{"records": LISTED[:1], "next_cursor": "abc"}, {}, {"records": LISTED[1:]}]),
    json.dumps(LISTED),
    json.dumps(LISTED, indent="\t").replace("\n", "\r\n"),
    "\n".join(map(json.dumps, LISTED)) + "\n",
    "\ufeff \n" + "".join(map(json.dumps, LISTED)),
    json.dumps({"account": {"user": {"id": NEO}}, "objects": [], "leaderboard_records": LISTED}),
]


@pytest.mark.parametrize("content", MANNERS_OF_JSON)
def test_every_manner_of_json_gives_the_same(tmp_path: Path, content: str) -> None:
    found, reading = read(tmp_path, content)
    assert scores(found) == THE_LISTED
    assert [score.line for score in found] == [1, 2]
    assert (reading.expired, reading.unscored) == (1, 1)


def test_json_out_of_a_script_gives_the_same(tmp_path: Path) -> None:
    found, reading = read(tmp_path, json.dumps(IN_A_SCRIPT))
    assert scores(found) == THE_LISTED
    assert [score.line for score in found] == [1, 4]
    assert (reading.expired, reading.unscored) == (1, 1)


def test_a_record_that_says_nothing_of_how_often_it_was_scored_counts(tmp_path: Path) -> None:
    """As an operator may write it: only with what matters."""
    found, reading = read(tmp_path, '{"leaderboard_id": "b", "owner_id": "neo", "score": 7}')
    assert scores(found) == [("b", "neo", 7, {}, None, b"", None)]
    assert reading.unscored == 0


def test_json_without_records_has_no_scores(tmp_path: Path) -> None:
    for content in (
        "{}",
        "[]",
        '{"records": []}',
        '{"records": null, "next_cursor": "", "rank_count": "0"}',
        "{}\n{}\n",
    ):
        assert read(tmp_path, content)[0] == []


LARGE_JSON = [
    json.dumps({"records": LISTED * 1000, "rank_count": "4"}),
    json.dumps([{"records": LISTED * 30}] * 33 + LISTED * 10),
    "\n".join(map(json.dumps, LISTED * 1000)),
]


@pytest.mark.parametrize("content", LARGE_JSON)
def test_large_json_gives_the_same(tmp_path: Path, content: str) -> None:
    assert scores(read(tmp_path, content)[0]) == THE_LISTED * 1000


@pytest.mark.parametrize("content", LARGE_JSON)
def test_large_json_is_not_held(tmp_path: Path, content: str) -> None:
    path = tmp_path / "nakama"
    path.write_text(content)
    deque(Nakama(path, NOW), maxlen=0)
    tracemalloc.start()
    deque(Nakama(path, NOW), maxlen=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20 < len(content)


@settings(deadline=None)
@given(
    items=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(codec="utf-8")),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\é', max_size=3), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=5,
    ),
    chunk=st.sampled_from([1, 2, 3, 7, 64, 1 << 16]),
    indent=st.sampled_from([None, 1]),
    ascii=st.booleans(),
)
def test_json_is_the_same_however_it_is_cut_in_reading(
    items: list[Any], chunk: int, indent: int | None, ascii: bool
) -> None:
    items = [item for item in items if "\0" not in json.dumps(item) and "u0000" not in json.dumps(item)]
    rest = {"a": 1, "z": [{}]}
    text = json.dumps({"a": 1, "records": items, "z": [{}]}, indent=indent, ensure_ascii=ascii) + json.dumps(items)
    found = list(JsonItems(source_of(text.encode()), ["records"], chunk))
    whole = {**rest, "records": items}
    assert found in ([*items, {**rest, "records": []}, *items], [whole, *items])


def test_no_member_stands_twice_in_a_large_object() -> None:
    for text in ('{"a": 1, "a": 1}', '{"records": [], "records": []}', '{"a": {"b": 1, "b": 1}}'):
        with pytest.raises(WrongValue, match="stands twice"):
            list(JsonItems(source_of(text.encode()), ["records"], 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"records": [{}]}', "record 1: leaderboard_id is missing"),
        ('{"records": {}}', "record 1: records is not an array"),
        ('{"records": "all"}', "record 1: records is not an array"),
        ('{"records": [1]}', "record 1: not a JSON object"),
        ("[1]", "record 1: not a JSON object"),
        ("[] 1", "record 1: neither a JSON object nor an array"),
        ('{"leaderboards": []}', "record 1: neither a record (which has a leaderboard_id) nor a list of records"),
        (json.dumps({"records": [], "owner_records": LISTED}), "record 1: owner_records repeat records; "),
        (json.dumps([LISTED[0], LISTED[0] | {"score": "x"}]), "record 2: score 'x' is not an integer"),
        (json.dumps([LISTED[0], LISTED[0] | {"score": 1.5}]), "record 2: score is not an integer"),
        (json.dumps([LISTED[0], LISTED[0] | {"score": True}]), "record 2: score is not a number"),
        (json.dumps([LISTED[0], LISTED[0] | {"score": 10**15}]), "record 2: score is beyond the limit of 10^15 - 1"),
        ('[{"leaderboard_id": "b", "score": NaN}]', "record 1: not valid JSON: "),
        ('[{"leaderboard_id": "b", "score": ' + "9" * 5000 + "}]", "record 1: not valid JSON: "),
        ('[{"leaderboard_id": "b", "score": 1, "score": 2}]', "record 1: 'score' stands twice in one object"),
        ('[{"leaderboard_id": "a\\u0000b"}]', "record 1: not valid JSON: a string has a NUL character"),
        (
            '[{"leaderboard_id": "' + "x" * (1 << 21) + '"}]',
            "record 1: not valid JSON, or longer than 1048576 characters",
        ),
        ('{"a": ' + "[" * 9000, "record 1: not valid JSON: nested too deeply"),
        ('{"records": [{"leaderboard_id": "b",', "record 1: not valid JSON: "),
        ("[{},]", "record 1: "),
        ('{"records": [],}', "record 1: not valid JSON: "),
        ("{1: 2}", "record 1: not valid JSON: "),
        (b'[{"leaderboard_id": "\xff"}]', "record 1: not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_record(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert refusal(tmp_path, content).startswith(reason)


@pytest.mark.parametrize("content", [MANNERS_OF_JSON[index] for index in (0, 1, 3, 4)])
def test_wherever_json_is_cut_off_it_is_noticed(tmp_path: Path, content: str) -> None:
    for end in range(1, len(content), 7):
        assert refusal(tmp_path, content[:end]).startswith("record ")
    assert refusal(tmp_path, content[:-1])
