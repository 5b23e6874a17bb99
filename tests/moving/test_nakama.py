"""Nakama's scores come out of every kind of dump as they are in its database."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from leaderboard.model import Order, Policy, Tiebreak
from leaderboard.moving.foreign import ForeignBoard
from leaderboard.moving.nakama import Expired, Nakama
from tests.moving.nakama_samples import (
    BOARD_COLUMNS,
    COLUMNS,
    MANNERS,
    NOW,
    RECORDS,
    THE_BOARDS,
    THE_SCORES,
    copy,
    database,
    inserts,
    named_inserts,
    read,
    refusal,
    scores,
    tuple_of,
)


@pytest.mark.parametrize("manner", MANNERS)
def test_every_kind_of_dump_gives_the_same(tmp_path: Path, manner: Any) -> None:
    dump = database(manner)
    found, reading = read(tmp_path, dump)
    assert found[:2] == THE_BOARDS
    assert scores(found) == THE_SCORES
    assert (reading.expired, reading.unscored) == (1, 1)
    lines = dump.split("\n")
    for score in found[2:]:
        assert score.board in lines[score.line - 1]
        assert score.player in lines[score.line - 1]
    assert read(tmp_path, gzip.compress(dump.encode()))[0] == found


def test_only_data_without_the_tables_are_read_by_the_order_of_the_migrations(tmp_path: Path) -> None:
    dump = inserts("public.leaderboard_record", COLUMNS, RECORDS)
    assert scores(read(tmp_path, dump)[0]) == THE_SCORES


def test_line_breaks_of_another_system_do_not_matter(tmp_path: Path) -> None:
    dump = database(copy)
    assert scores(read(tmp_path, dump.replace("\n", "\r\n"))[0]) == THE_SCORES
    assert scores(read(tmp_path, "\ufeff" + dump)[0]) == THE_SCORES


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("schema", ["nakama", '"My ""Game"""'])
def test_the_tables_may_be_in_another_schema(tmp_path: Path, manner: Any, schema: str) -> None:
    assert scores(read(tmp_path, database(manner, schema))[0]) == THE_SCORES


def test_columns_may_come_in_any_order_and_more_of_them(tmp_path: Path) -> None:
    names = [*COLUMNS.split(", "), "new"]
    turned: list[list[str | None]] = [[*row, "what?"][::-1] for row in RECORDS]
    for manner in (copy, named_inserts):
        dump = manner("leaderboard_record", ", ".join(f'"{name}"' for name in reversed(names)), turned)
        assert scores(read(tmp_path, dump)[0]) == THE_SCORES


def test_line_breaks_of_another_system_are_in_no_value(tmp_path: Path) -> None:
    dump = copy(
        "leaderboard_record", "score, expiry_time, owner_id, leaderboard_id", [["1", RECORDS[0][9], "neo", "b"]]
    )
    assert scores(read(tmp_path, dump.replace("\n", "\r\n"))[0]) == [("b", "neo", 1, {}, None, b"", None)]


def test_what_stands_in_data_that_are_not_pg_dumps_is_not_read(tmp_path: Path) -> None:
    evil = copy("leaderboard_record", COLUMNS, RECORDS)[:-5]
    dump = f"COPY users FROM STDIN CSV HEADER;\n{evil}\\.\n" + copy("leaderboard_record", COLUMNS, [])
    assert read(tmp_path, dump)[0] == []


def test_several_rows_on_one_line_have_a_place_each(tmp_path: Path) -> None:
    row = tuple_of(RECORDS[5])
    dump = f"INSERT INTO leaderboard_record VALUES {row}, {row},{row};\nINSERT INTO leaderboard_record VALUES {row};\n"
    assert [score.line for score in read(tmp_path, dump + "\n\n" + dump)[0]] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_records_of_past_occurrences_are_counted_and_kept_only_if_asked_for(tmp_path: Path) -> None:
    found, reading = read(tmp_path, database(copy), Expired.KEEP)
    assert reading.expired == 1
    assert [score[2] for score in scores(found)] == [1200, 900, 0, 999999999999999, 61000]


@pytest.mark.parametrize(
    ("expiry", "counts"),
    [
        ("1970-01-01 00:00:00+00", True),
        ("1970-01-01 01:00:00+01", True),
        ("2026-11-22 23:59:59.999+00", False),
        ("2026-11-23 00:00:00+00", False),
        ("2026-11-23 00:00:00.001+00", True),
        ("2026-11-23 00:00:00-01", True),
    ],
)
def test_a_record_counts_until_its_expiry_has_come(tmp_path: Path, expiry: str, counts: bool) -> None:
    row = [*RECORDS[0][:9], expiry, "1"]
    found, reading = read(tmp_path, copy("leaderboard_record", COLUMNS, [row]))
    assert (len(found), reading.expired) == ((1, 0) if counts else (0, 1))


@pytest.mark.parametrize(
    ("sort_order", "operator", "order", "policy"),
    [
        ("0", "0", Order.ASC, Policy.BEST),
        ("1", "0", Order.DESC, Policy.BEST),
        ("1", "1", Order.DESC, Policy.LATEST),
        ("0", "2", Order.ASC, Policy.SUM),
        ("1", "3", Order.DESC, None),
    ],
)
def test_how_a_board_is_ranked(
    tmp_path: Path, sort_order: str, operator: str, order: Order, policy: Policy | None
) -> None:
    dump = copy("leaderboard", BOARD_COLUMNS, [["b", sort_order, operator, None, "{}", ""]])
    ((found), *_) = read(tmp_path, dump + copy("leaderboard_record", COLUMNS, []))[0]
    assert found == ForeignBoard("b", order, policy, 0, (Tiebreak("subscore", order),), "")


@pytest.mark.parametrize("content", [database(copy) * 250, database(inserts) * 250])
def test_a_large_dump_is_not_held(tmp_path: Path, content: str) -> None:
    path = tmp_path / "nakama"
    path.write_text(content)
    deque(Nakama(path, NOW), maxlen=0)
    tracemalloc.start()
    deque(Nakama(path, NOW), maxlen=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20 < len(content)


def record(**changes: Any) -> list[str | None]:
    return list((dict(zip(COLUMNS.split(", "), RECORDS[0], strict=True)) | changes).values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score": "1000000000000000"}, "score is beyond the limit of 10^15 - 1"),
        ({"score": "-1000000000000000"}, "score is beyond the limit of 10^15 - 1"),
        ({"score": "9223372036854775807"}, "score is beyond the limit of 10^15 - 1"),
        ({"score": "9" * 5000}, "score '9999999999999999999999999999999999999999…' is not an integer"),
        ({"score": "1.5"}, "score '1.5' is not an integer"),
        ({"score": ""}, "score '' is not an integer"),
        ({"score": None}, "score is missing"),
        ({"subscore": "1000000000000000"}, "subscore is beyond the limit of 10^15 - 1"),
        ({"num_score": "x"}, "num_score 'x' is not an integer"),
        ({"leaderboard_id": None}, "leaderboard_id is missing"),
        ({"owner_id": ""}, "owner_id is empty"),
        ({"metadata": "[1]"}, "metadata is not a JSON object"),
        ({"metadata": "{"}, "not valid JSON: "),
        ({"metadata": '{"a": 1, "a": 2}'}, "'a' stands twice in one object"),
        ({"update_time": "yesterday"}, "update_time is not an instant"),
        ({"update_time": "2026-11-20 12:34:56"}, "update_time is not an instant"),
        ({"update_time": "2026-02-30 12:34:56+00"}, "update_time: there is no such instant"),
        ({"update_time": "44713-03-15 00:00:00+00"}, "update_time: there is no such instant"),
        ({"update_time": "0044-03-15 00:00:00+00 BC"}, "update_time is not an instant"),
        ({"expiry_time": "infinity"}, "expiry_time is not an instant"),
        ({"expiry_time": None}, "expiry_time is missing"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    rows = [RECORDS[0], record(**changes)]
    assert refusal(tmp_path, copy("leaderboard_record", COLUMNS, rows)).startswith(f"line 3: {reason}")
    assert refusal(tmp_path, inserts("leaderboard_record", COLUMNS, rows)).startswith(f"line 2: {reason}")
