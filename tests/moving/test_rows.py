"""Rows of JSON Lines and CSV are read exactly, or it is said which line is wrong and why."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from leaderboard.moving.foreign import ForeignScore, SourceError
from leaderboard.moving.rows import read_rows

NOON = 1795348800000  # 2026-11-22T12:00:00Z


def written(tmp_path: Path, content: str | bytes, name: str = "rows") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(tmp_path: Path, content: str | bytes, board: str | None = "b") -> list[ForeignScore]:
    return list(read_rows(written(tmp_path, content), board))


def row(**changes: Any) -> str:
    """A line of JSON; a Decimal stands for JSON that Python would not write."""
    return json.dumps({"player": "neo", "score": 1} | changes)


def refusal(tmp_path: Path, content: str | bytes, board: str | None = "b") -> str:
    with pytest.raises(SourceError) as caught:
        rows(tmp_path, content, board)
    assert str(tmp_path / "rows") in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "rows")).lstrip(",: ")


FULL = ForeignScore(
    board="kills",
    player="neo",
    score=Decimal("17.5"),
    tiebreaks={"deaths": -3, "shots": 0},
    achieved_ms=NOON,
    metadata=b'{"level":7}',
    display_name="Néo, the One",
    line=1,
)


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    as_json = (
        '{"board": "kills", "player": "neo", "score": 17.5, "tiebreaks": {"deaths": -3, "shots": 0},'
        ' "achieved_at": "2026-11-22T12:00:00Z", "metadata": {"level": 7}, "display_name": "Néo, the One"}\n'
    )
    as_csv = (
        "score,player,tiebreaks.deaths,tiebreaks.shots,board,display_name,achieved_at,metadata\n"
        '17.5,neo,-3,0,kills,"Néo, the One",2026-11-22T13:00:00+01:00,"{""level"": 7}"\n'
    )
    assert rows(tmp_path, as_json) == [FULL]
    assert rows(tmp_path, as_csv) == [replace(FULL, line=2)]


@pytest.mark.parametrize(
    "content",
    [
        '{"player": "neo", "score": 12}\n{"player": "trinity", "score": 9}\n',
        '\n{"player": "neo", "score": 12}\r\n \r\n{"score": 9, "player": "trinity", "metadata": null}',
        "player,score\nneo,12\ntrinity,9\n",
        "\ufeffplayer,score\r\nneo,12\r\ntrinity,9\r\n",
        '\ufeff"player","score","board",metadata\n\n"neo","12",,\n\ntrinity,9,b,\n',
    ],
)
def test_every_manner_of_writing_gives_the_same_scores(tmp_path: Path, content: str) -> None:
    expected = [("b", "neo", 12), ("b", "trinity", 9)]
    assert [(found.board, found.player, found.score) for found in rows(tmp_path, content)] == expected
    packed = written(tmp_path, gzip.compress(content.encode()), "packed")
    assert [(found.board, found.player, found.score) for found in read_rows(packed, "b")] == expected


def test_the_board_of_a_row_goes_before_the_given_one(tmp_path: Path) -> None:
    content = "player,score,board\nneo,1,kills\nneo,2,\n"
    assert [found.board for found in rows(tmp_path, content, "given")] == ["kills", "given"]
    assert refusal(tmp_path, content, None) == "line 3: board is missing"


def test_standard_input_is_read_packed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (b"player,score\nneo,1\n", gzip.compress(b"player,score\nneo,1\n")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(raw))))
        assert [found.score for found in read_rows("-", "b")] == [1]


@pytest.mark.parametrize("content", ["", "\n\r\n", "player,score\n", "\ufeff"])
def test_a_file_without_rows_has_no_scores(tmp_path: Path, content: str) -> None:
    assert rows(tmp_path, content) == []


def test_a_row_stands_where_its_first_line_is(tmp_path: Path) -> None:
    content = 'player,score,display_name\r\na,1,"one\r\ntwo"\r\n\r\nb,2,x\r\n"c\n",3,y\r\n'
    assert [(found.line, found.player, found.display_name) for found in rows(tmp_path, content)] == [
        (2, "a", "one\r\ntwo"),
        (5, "b", "x"),
        (6, "c\n", "y"),
    ]
    assert refusal(tmp_path, content + '"d\n\n",x,y\r\n').startswith("line 8: score 'x'")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("999999999999999", 10**15 - 1),
        ("-999999999999999", 1 - 10**15),
        ("0.1", Decimal("0.1")),
        ("17.50", Decimal("17.5")),
        ("1e3", 1000),
        ("1.5E+2", 150),
        # A double would make this 9007199254.740993.
        ("9007199254.7409921", Decimal("9007199254.7409921")),
        ("1e-300", Decimal("1e-300")),
    ],
)
def test_numbers_are_exact(tmp_path: Path, text: str, number: int | Decimal) -> None:
    for content in (f'{{"player": "a", "score": {text}}}', f"player,score\na,{text}\n"):
        (found,) = rows(tmp_path, content)
        assert not isinstance(found.score, float)
        assert found.score == number


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "Infinity", "-Infinity", "true", "null", "1e400", "0x10", "1_000", "+1", "01", ".5", "5.", "1,5"),
        *("1000000000000000", "-1000000000000000", "999999999999999.5", "1e16", "٣", "１", " 1 2", "9" * 5000),
    ],
)
def test_what_is_no_such_number_is_refused(tmp_path: Path, text: str) -> None:
    quoted = text if "," not in text else f'"{text}"'
    assert refusal(tmp_path, f"player,score\nok,1\na,{quoted}\n").startswith("line 3: score ")
    assert refusal(tmp_path, f'{row()}\n{{"player": "a", "score": {text}}}\n').startswith("line 2: ")
    assert refusal(tmp_path, f'{{"player": "a", "score": "{text}"}}\n') == "line 1: score is not a number"


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1916-07-02", -1688342400000),
        ("1970-01-01", 0),
        ("2026-11-22", NOON - 43_200_000),
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22t12:00:00.001234z", NOON + 1),
        ("2026-11-22T04:00:00.5-08:00", NOON + 500),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_instants_from_1916_on(tmp_path: Path, text: str, at_ms: int) -> None:
    assert rows(tmp_path, row(achieved_at=text))[0].achieved_ms == at_ms
    assert rows(tmp_path, f"player,score,achieved_at\na,1,{text}\n")[0].achieved_ms == at_ms


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-22T12:00:00", "2026-11-22 12:00:00Z", "2026-02-30", "2026-02-30T00:00:00Z", "2026-11-22T12:00:60Z"),
        *("1795348800", "yesterday", "20261122", "0001-01-01", "9999-12-31", "22.11.2026", "２０２６-11-22"),
    ],
)
def test_what_is_no_such_instant_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, row(achieved_at=text)).startswith("line 1: achieved_at")
    assert refusal(tmp_path, f"player,score,achieved_at\na,1,{text}\n").startswith("line 2: achieved_at")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # JSON
        ("{}", "line 1: score is missing"),
        (row(player=None), "line 1: player is missing"),
        (row(player=""), "line 1: player is empty"),
        (row(player=7), "line 1: player is not a text"),
        (row(score="12"), "line 1: score is not a number"),
        (row(tiebreaks=[1]), "line 1: tiebreaks is not a JSON object"),
        (row(tiebreaks={"a": True}), "line 1: tiebreaks.a is not a number"),
        (row(tiebreaks={"a": 1.0}), "line 1: tiebreaks.a is not an integer"),
        (row(tiebreaks={"a": 10**15}), "line 1: tiebreaks.a is beyond the limit of 10^15 - 1"),
        (row(metadata=[1]), "line 1: metadata is not a JSON object"),
        (row(metadata="{}"), "line 1: metadata is not a JSON object"),
        (row(metadata={"a": 2**64}), "line 1: metadata has integers of more than 64 bits, or is nested too deeply"),
        (row(achieved_at=1795348800), "line 1: achieved_at is not an RFC 3339 instant with a zone"),
        (row(points=3), "line 1: unknown member 'points'"),
        (row(place=1, id=2), "line 1: unknown members 'id', 'place'"),
        (row(period_id="last week"), "line 1: period_id 'last week' is not the id of any period"),
        (row(period_id=3), "line 1: period_id is not a text"),
        (row(submissions=-1), "line 1: submissions is not a number from 0 to 2^31 - 1"),
        (row(submissions=2**31), "line 1: submissions is not a number from 0 to 2^31 - 1"),
        (row(newest_at="now"), "line 1: newest_at is not an RFC 3339 instant with a zone"),
        ('{"player": "a", "score": 1, "score": 999}', "line 1: 'score' stands twice in one object"),
        (f"{row()}\n[1]\n", "line 2: not a JSON object"),
        ("[{}]\n", "line 1: a JSON array; write one object per line"),
        (row(player="a\0b"), "line 1: not valid JSON: a string has a NUL character"),
        ('{"player": "\\ud800", "score": 1}', "line 1: not valid JSON: "),
        (f"{row()}\n\n" + '{"player": "neo", "sco', "line 3: not valid JSON: "),
        (row() + row(), "line 1: not valid JSON: "),
        (b'{"player": "\xff", "score": 1}', "line 1: not valid JSON: "),
        ('{"player": "a", "score": 1, "metadata": ' + "[" * 9000 + "]" * 9000 + "}", "line 1: not valid JSON: "),
        (row(player="x" * (1 << 20)), "line 1: longer than 1048576 bytes"),
        # CSV
        ("neo,12\n", "line 1: unknown columns '12', 'neo'"),
        ("player,score,place\na,1,1\n", "line 1: unknown column 'place'"),
        ("player,score,submissions\na,1,x\n", "line 2: submissions 'x' is not a number"),
        ("player,score,tiebreaks\na,1,1\n", "line 1: unknown column 'tiebreaks'"),
        ("player,score,tiebreaks.\na,1,1\n", "line 1: unknown column 'tiebreaks.'"),
        ("player;score\na;1\n", "line 1: unknown column 'player;score'"),
        ("player,score,score\na,1,1\n", "line 1: the header names 'score' twice"),
        ("\n\nplayer\na\n", "line 3: the header lacks 'score'"),
        ("player,score\na,1,2\n", "line 2: 3 cells where the header has 2"),
        ("player,score\na\n", "line 2: 1 cells where the header has 2"),
        ("player,score\n,1\n", "line 2: player is missing"),
        ("player,score\na,\n", "line 2: score is missing"),
        ("player,score,tiebreaks.x\na,1,1.5\n", "line 2: tiebreaks.x is not an integer"),
        ('player,score,metadata\na,1,"{""a"": 1, ""a"": 2}"\n', "line 2: 'a' stands twice in one object"),
        ("player,score,metadata\na,1,3\n", "line 2: metadata is not a JSON object"),
        ("player,score\na,1\nb,1", "line 3: the last line has no line break, so it may be cut off; "),
        ("player,score", "line 1: the last line has no line break, so it may be cut off; "),
        ('player,score\na,"1\n', "line 2: not CSV: unexpected end of data"),
        ('player,score\na,"1"2\n', "line 2: not CSV: "),
        ("player,score\na,1\rb,2\r", "line 2: the last line has no line break"),
        ("player,score\na\0,1\n", "line 2: a NUL character"),
        (b"player,score\nok,1\nn\xe9o,1\n", "line 3: not UTF-8"),
        ("player,score\n".encode("utf-16"), "line 1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert refusal(tmp_path, content).startswith(expected)


def test_without_a_board_the_header_must_have_one(tmp_path: Path) -> None:
    assert refusal(tmp_path, "player,score\na,1\n", None) == "line 1: the header lacks 'board'"
    assert refusal(tmp_path, row(), None) == "line 1: board is missing"


def test_rows_before_a_wrong_one_are_given_out(tmp_path: Path) -> None:
    reading = read_rows(written(tmp_path, f"{row()}\n{row()}\nx"), "b")
    assert [next(reading).line, next(reading).line] == [1, 2]
    with pytest.raises(SourceError):
        next(reading)


@pytest.mark.parametrize("line", [f"{row(display_name='x' * 200)}\n", f"a,1,{'x' * 200}\n"])
def test_a_large_file_is_not_held(tmp_path: Path, line: str) -> None:
    header = "" if line.startswith("{") else "player,score,display_name\n"
    path = written(tmp_path, gzip.compress((header + line * 10_000).encode()))
    tracemalloc.start()
    assert sum(found.score for found in read_rows(path, "b")) == 10_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_packed_file_that_is_damaged_is_told_from_its_end(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"{row(player=str(number))}\n" for number in range(5000)).encode())
    damaged = bytearray(packed)
    damaged[-8] ^= 0xFF  # of its checksum
    for content in (packed[:-1], packed[: len(packed) // 2], packed[:3], bytes(damaged)):
        assert "cannot be read" in refusal(tmp_path, content)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SourceError, match=reason):
            list(read_rows(path, "b"))
