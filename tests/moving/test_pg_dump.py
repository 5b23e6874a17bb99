"""A dump is read by the rules that pg_dump writes by: nothing of it is lost, and no text in it is taken for more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.moving.foreign import SourceError
from leaderboard.moving.nakama import Nakama
from leaderboard.moving.pg_dump import Dump, Row, copied
from tests.moving.nakama_samples import (
    COLUMNS,
    HEAD,
    MANNERS,
    NOW,
    RECORDS,
    THE_SCORES,
    copy,
    copy_escaped,
    database,
    read,
    refusal,
    scores,
    source_of,
)

pytestmark = pytest.mark.any_store


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (r"COPY leaderboard_record (leaderboard_id) FROM stdin;" "\n" r"a\000b" "\n", "line 2: a NUL character"),
        (r"COPY leaderboard_record (leaderboard_id) FROM stdin;" "\n" r"a\x00" "\n", "line 2: a NUL character"),
        ("COPY leaderboard_record (leaderboard_id) FROM stdin;\na\0\n", "line 2: a NUL character"),
        (b"COPY leaderboard_record (leaderboard_id) FROM stdin;\na\xff\n", "line 2: not UTF-8"),
        ("COPY leaderboard_record (leaderboard_id) FROM stdin;\na\\\n", "line 2: a backslash that escapes nothing"),
        ("COPY leaderboard_record (a) FROM stdin;\na\tb\n", "line 2: 2 values where leaderboard_record has 1 columns"),
        ("COPY leaderboard_record (a) FROM stdin;\na\n", "line 2: score is missing"),
        ("COPY leaderboard_record (a) FROM stdin;\n", "line 1: the dump is cut off: it ends within the data of leader"),
        (
            "COPY leaderboard_record (a) FROM stdin WITH (FORMAT csv);\n",
            "line 1: the data of leaderboard_record are not",
        ),
        ("COPY other (a) FROM stdin WITH CSV;\nb\n", "line 2: the dump is cut off: it ends within the data of a table"),
        ("INSERT INTO other VALUES ('\n);\n", "line 2: the dump is cut off: it ends within an INSERT"),
        (
            "INSERT INTO leaderboard_record VALUES ('\n);\n",
            "line 2: the dump is cut off: it ends within an INSERT INTO",
        ),
        (
            "INSERT INTO leaderboard_record VALUES (1, 2);\n",
            "line 1: 2 values where leaderboard_record has 11 columns; ",
        ),
        ("INSERT INTO leaderboard_record VALUES (now());\n", "line 1: not an INSERT as pg_dump writes it"),
        ("INSERT INTO leaderboard_record VALUES 1;\n", "line 1: not an INSERT as pg_dump writes it"),
        ("INSERT INTO leaderboard_record VALUES (1) RETURNING 1;\n", "line 1: not an INSERT as pg_dump writes it"),
        ("COPY leaderboard (id) FROM stdin;\na\n", "line 2: sort_order is neither 0 nor 1"),
        ("COPY leaderboard (id, sort_order) FROM stdin;\na\t1\n", "line 2: operator is none of 0, 1, 2 and 3"),
        ("PGDMP\1\n", "line 1: a dump in an archive format; turn it into SQL with pg_restore -f dump.sql"),
        ("SET client_encoding = 'LATIN1';\n", "line 1: the dump is not in UTF-8; make it with pg_dump --encoding=UTF8"),
        (HEAD, f"line {HEAD.count(chr(10))}: the dump is cut off: pg_dump's last line is missing"),
        ("", "neither JSON nor a dump with the table leaderboard_record"),
        ("player,score\nneo,1\n", "neither JSON nor a dump with the table leaderboard_record"),
        (b"\x1f\x8b\x08", "cannot be read: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert refusal(tmp_path, content).startswith(reason)


def test_tables_of_one_name_in_two_places_are_not_mixed(tmp_path: Path) -> None:
    one = copy("public.leaderboard_record", COLUMNS, RECORDS)
    for two in (copy("old.leaderboard_record", COLUMNS, RECORDS), "\\connect staging\n" + one):
        line = f"line {one.count(chr(10)) + two.count(chr(10)) - len(RECORDS) - 3}"
        assert refusal(tmp_path, one + two).startswith(
            f"{line}: leaderboard_record is in more than one database or schema"
        )


@pytest.mark.parametrize("manner", MANNERS)
def test_wherever_a_dump_is_cut_off_it_is_noticed(tmp_path: Path, manner: Any) -> None:
    dump = database(manner, records=RECORDS[:2]).encode()
    whole = dump.rindex(b" complete") + len(b" complete")
    for end in {*range(0, whole, 11), *range(whole - 40, whole)}:
        assert refusal(tmp_path, dump[:end])
    assert scores(read(tmp_path, dump[:whole])[0]) == THE_SCORES[:1]


def test_a_row_that_is_cut_off_is_not_given_out(tmp_path: Path) -> None:
    row = copy(
        "leaderboard_record", "leaderboard_id, owner_id, expiry_time, score", [["b", "neo", RECORDS[0][9], "1200"]]
    )
    (tmp_path / "nakama").write_text(row[: row.index("1200") + 2])
    with pytest.raises(SourceError, match="line 2: the dump is cut off"):
        next(iter(Nakama(tmp_path / "nakama", NOW)))


#: Whatever a text in PostgreSQL may hold.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.text("\\\n\t\r'\".NxE;,()")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (rb"\N", None),
        (rb"\\N", r"\N"),
        (rb"a\N", "aN"),
        (rb"\b\f\n\r\t\v", "\b\f\n\r\t\v"),
        (rb"\\\\n", r"\\n"),
        (rb"\a\.\'", "a.'"),
        (rb"\101\1011\60", "AA10"),
        (rb"\x41\x411\x4g", "AA1\x04g"),
        (rb"\xg", "xg"),
        (rb"\303\251\xc3\xa9", "éé"),
        (b"", ""),
    ],
)
def test_the_escapes_of_copy(cell: bytes, value: str | None) -> None:
    assert copied(cell) == value


@settings(deadline=None)
@given(value=st.none() | TEXT)
def test_what_copy_escapes_comes_back(value: str | None) -> None:
    assert copied(copy_escaped(value).encode()) == value
    if value is not None:
        octal = "".join(f"\\{byte:03o}" for byte in value.encode())
        assert copied(octal.encode()) == value


@settings(deadline=None)
@given(texts=st.lists(st.tuples(st.none() | TEXT, TEXT), min_size=1, max_size=4), others=st.lists(TEXT, max_size=3))
@pytest.mark.parametrize("manner", MANNERS)
def test_any_texts_come_back_out_of_a_dump_and_nothing_else_does(
    manner: Any, texts: list[tuple[str | None, str]], others: list[str]
) -> None:
    rows: list[list[str | None]] = [list(pair) for pair in texts]
    others_rows: list[list[str | None]] = [[text] for text in others]
    dump = manner("other", "c", others_rows) + manner("t", "a, b", rows) + manner("another", "c", others_rows)
    reading = Dump(source_of(dump.encode()), {"t": ("a", "b")})
    found: list[Row] = list(reading)
    assert [[row.values["a"], row.values["b"]] for row in found] == rows
    assert [row.line for row in found] == sorted({row.line for row in found})
