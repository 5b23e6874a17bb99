"""What is exported of a board is what the API shows of it, exactly, and of one moment."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import insert, update

from leaderboard.entries import pack_number
from leaderboard.moving.document import ExportError, check, new_file
from leaderboard.moving.export import Format, exact, export_board
from leaderboard.moving.foreign import SourceError
from leaderboard.settings import Settings
from tests.client import ADMIN_KEY, SERVER_KEY
from tests.conftest import SetClock
from tests.fresh import begin_anew
from tests.keeping.contents import everything_shown
from tests.live import WITHIN_S
from tests.moving.places import BOARDS, Place, Story, places
from tests.oracle import show_instant
from tests.runs import exactly


@pytest.fixture
def place(settings: Settings, clock: SetClock, database_url: str) -> Iterator[Place]:
    with places(replace(settings, database_url=database_url), clock, "lb") as (place,):
        yield place


@pytest.fixture
def place_on_sqlite(settings: Settings, clock: SetClock) -> Iterator[Place]:
    with places(settings, clock, "lb") as (place,):
        yield place


def exported(place: Place, board: str, form: str = "jsonl", period_id: str | None = None) -> str:
    place.drain()
    file = io.BytesIO()
    export_board(place.lb, board, file, Format(form), period_id=period_id)
    return file.getvalue().decode()


def rows_of(text: str) -> list[Any]:
    return [exactly(line) for line in text.splitlines()[1:-1]]


def shown_rows(place: Place, board: str) -> list[dict[str, Any]]:
    """What the API shows of every standings of a board, in the form of an export."""
    rows = []
    for name, pages in everything_shown(place.api).items():
        at, _, period_id = name.partition(" ")
        if at == board and isinstance(pages, list) and pages and "entries" in pages[0]:
            for page in pages:
                rows += [
                    {"board": board, "period_id": period_id}
                    | entry
                    | {"player": entry["player"]["id"], "display_name": entry["player"]["display_name"]}
                    # A double of fifteen digits prints as it was submitted.
                    | {"score": Decimal(str(entry["score"]))}
                    for entry in page["entries"]
                ]
    return sorted(rows, key=lambda row: row["period_id"])


def test_the_rows_are_those_of_the_api(place: Place) -> None:
    Story(place).tell()
    for board in BOARDS:
        rows = rows_of(exported(place, board))
        # What the API does not show.
        beside = [(row.pop("submissions"), row.pop("newest_at")) for row in rows]
        assert rows == shown_rows(place, board)
        assert all(submissions >= 1 for submissions, _ in beside)
        assert bool(rows) == (board != "empty")


@pytest.fixture(scope="module")
def told(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What is exported of a story, by board and form: all before the first test, since others empty the store."""
    own = Settings(
        redis_url=store_url, data_dir=tmp_path_factory.mktemp("told"), admin_key=ADMIN_KEY, server_key=SERVER_KEY
    )
    with redis.Redis.from_url(store_url) as raw:
        begin_anew(raw, store_url)
        clock = SetClock(raw.time()[0] * 1000)
    with places(own, clock, "lb") as (place,):
        Story(place).tell()
        files = {(board, form): exported(place, board, form) for board in BOARDS for form in ("jsonl", "csv")}
        return files | {("race", "s2"): exported(place, "race", period_id="s2")}


@pytest.mark.parametrize("board", list(BOARDS))
def test_csv_has_the_same_rows(told: dict[tuple[str, str], str], board: str) -> None:
    rows = rows_of(told[board, "jsonl"])
    cells = list(csv.DictReader(io.StringIO(told[board, "csv"], newline="")))
    assert len(rows) == len(cells)
    for row, cell in zip(rows, cells, strict=True):
        for name, value in row.items():
            if name == "tiebreaks":
                assert value == {tiebreak: int(cell[f"tiebreaks.{tiebreak}"]) for tiebreak in value}
            elif name == "metadata":
                assert value == (json.loads(cell[name]) if cell[name] else None)
            else:
                assert cell[name] == ("" if value is None else str(value))


def test_a_nameless_entry_keeps_its_place(told: dict[tuple[str, str], str]) -> None:
    rows = rows_of(told["race", "jsonl"])
    nameless = [row for row in rows if row["player"].startswith("-")]
    assert len(nameless) > 3
    assert all(row["display_name"] is None and row["metadata"] is None for row in nameless)


def test_one_standings_alone(told: dict[tuple[str, str], str]) -> None:
    rows = rows_of(told["race", "s2"])
    assert {row["period_id"] for row in rows} == {"s2"}
    assert rows == [row for row in rows_of(told["race", "jsonl"]) if row["period_id"] == "s2"]


@pytest.mark.parametrize(
    ("scaled", "decimals", "text"),
    [
        (0, 0, "0"),
        (-7, 0, "-7"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (-1234, 3, "-1.234"),
        (10**15 - 1, 6, "999999999.999999"),
        (1 - 10**15, 1, "-99999999999999.9"),
    ],
)
def test_scores_are_written_with_all_their_places(scaled: int, decimals: int, text: str) -> None:
    assert exact(scaled, decimals) == text
    assert Decimal(text).scaleb(decimals) == scaled


def test_the_first_line_says_what_the_board_is(place_on_sqlite: Place) -> None:
    place, api = place_on_sqlite, place_on_sqlite.api
    begun_ms = place.clock.at_ms
    api.define(title="Main", periods=[{"kind": "season", "keep_days": 9}, {"kind": "alltime"}])
    api.submit("alice", 3)
    place.clock.pass_ms(1000)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    first = json.loads(exported(place, "main").splitlines()[0])
    assert (first["leaderboard_export"], first["kind"], first["board"]) == (1, "board", "main")
    assert first["definition"]["title"] == "Main"
    assert [season["season"] for season in first["seasons"]] == [1, 2]
    assert [(one["period_id"], one["entries"]) for one in first["standings"]] == [("all", 1), ("s1", 1)]
    assert first["standings"][0]["expires_at"] is None
    assert first["seasons"][0]["started_at"][:19] == show_instant(begun_ms)[:19]


def test_what_is_not_there_is_said_so_and_no_file_is_left(place_on_sqlite: Place, tmp_path: Path) -> None:
    place = place_on_sqlite
    place.api.define(periods=[{"kind": "alltime"}])
    place.api.submit("alice", 1)
    place.drain()
    for board, period_id, reason in (
        ("nope", None, "there is no board 'nope'"),
        ("main", "s1", "the board main has no standings 's1'; it has all"),
    ):
        with pytest.raises(ExportError, match=reason), new_file(tmp_path / "out.jsonl") as file:
            export_board(place.lb, board, file, Format.JSONL, period_id=period_id)
    with pytest.raises(ExportError, match="cannot be written"), new_file(tmp_path / "none" / "out.jsonl") as file:
        file.write(b"")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_periods_that_are_gone_from_the_store_are_exported(place_on_sqlite: Place, raw: redis.Redis) -> None:
    place = place_on_sqlite
    place.api.define(periods=[{"kind": "daily", "keep_days": 1}, {"kind": "alltime"}])
    place.api.submit("alice", 3)
    day = place.api.get("/v1/boards/main/periods?period=daily")["periods"][0]["period_id"]
    place.drain()
    raw.delete(*raw.keys(f"lb:*main:{day}"))
    assert [row["player"] for row in rows_of(exported(place, "main", period_id=day))] == ["alice"]


def test_the_name_of_a_player_that_is_being_erased_is_left_out(place_on_sqlite: Place) -> None:
    place = place_on_sqlite
    place.api.define(periods=[{"kind": "alltime"}])
    place.api.server.put("/v1/players/alice", {"display_name": "Alice"}, expect=201)
    place.api.submit("alice", 3)
    place.drain()
    assert '"Alice"' in exported(place, "main")
    players = place.lb.archive.tables.players
    with place.lb.archive.write() as connection:
        connection.execute(update(players).values(state="erasing"))
    assert '"Alice"' not in exported(place, "main")


def test_by_the_command_into_a_file_packed_or_not_and_into_a_pipe(place: Place, tmp_path: Path) -> None:
    place.api.define(periods=[{"kind": "alltime"}], decimals=1)
    place.api.submit("alice", 3.5)
    # Nobody has archived it: the command does.
    plain, packed = tmp_path / "main.jsonl", tmp_path / "main.jsonl.gz"
    assert "1 standings with 1 entries" in place.run("export", "board", "main", "-o", str(plain))
    place.run("export", "board", "main", "-o", str(packed))
    assert [os.stat(path).st_mode & 0o777 for path in (plain, packed)] == [0o600, 0o600]
    assert rows_of(gzip.decompress(packed.read_bytes()).decode()) == rows_of(plain.read_text())
    assert (check(plain, "board").lines, check(packed, "board").lines) == (2, 2)
    with place.start("export", "board", "main", "--format", "csv") as process:
        piped, beside = (said.splitlines() for said in process.communicate(timeout=WITHIN_S))
    assert (
        piped[0] == "board,period_id,rank,player,display_name,score,achieved_at,newest_at,submissions,metadata,replay"
    )
    assert piped[1].startswith("main,all,1,alice,,3.5,")
    assert (piped[2:], beside) == ([], ["1 standings with 1 entries"])
    assert "there is no board 'nope'" in place.run("export", "board", "nope", "-o", str(plain), status=1)
    assert len(rows_of(plain.read_text())) == 1


def test_where_there_is_nothing_nothing_is_exported_and_nothing_made(
    settings: Settings, clock: SetClock, raw: redis.Redis
) -> None:
    with places(settings, clock, "nowhere") as (place,):
        assert "there is no installation here" in place.run("export", "installation", status=1)
        assert raw.keys("nowhere:*") == []


def test_a_large_board_is_not_held(place: Place) -> None:
    place.api.define(periods=[{"kind": "alltime"}])
    place.api.submit("first", 1)
    place.drain()
    entries = place.lb.archive.tables.entries
    row = {
        "board": "main",
        "period_id": "all",
        "submissions": 1,
        "newest_ms": None,
        "metadata": b'{"n":"' + b"x" * 600 + b'"}',
    }
    with place.lb.archive.write() as connection:
        connection.execute(
            insert(entries),
            [
                row | {"player": f"p{n}", "order_key": pack_number(-n) + pack_number(0) + f"p{n}".encode()}
                for n in range(8_000)
            ],
        )
    tracemalloc.start()
    with new_file("/dev/null") as file:
        assert export_board(place.lb, "main", file, Format.JSONL).entries == 8_001
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The rows are some 7 MB.
    assert peak < 4 << 20


def test_a_document_that_is_not_whole_is_told_from_one_that_is(place_on_sqlite: Place, tmp_path: Path) -> None:
    place_on_sqlite.api.define(periods=[{"kind": "alltime"}])
    place_on_sqlite.api.submit("alice", 1)
    whole = exported(place_on_sqlite, "main").encode()
    path = tmp_path / "main.jsonl"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(SourceError):
            check(path, "board")
    path.write_bytes(whole)
    assert check(path, "board").beginning["board"] == "main"
