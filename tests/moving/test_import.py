"""Entries that are put in their place as they are: what was exported ranks elsewhere as it did here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from leaderboard.blocklist import NameBlocklist
from leaderboard.moving.document import check, new_file
from leaderboard.moving.export import Format, export_board
from leaderboard.moving.foreign import SourceError
from leaderboard.settings import Settings
from tests.calls import unchanged
from tests.conftest import SetClock
from tests.keeping.contents import archived_standings, assert_archive_is_store
from tests.moving.places import BOARDS, DAY_MS, Place, Story, different, places, take_rows, take_text
from tests.oracle import show_instant


@pytest.fixture
def two(settings: Settings, clock: SetClock, database_url: str) -> Iterator[list[Place]]:
    with places(replace(settings, database_url=database_url), clock, "lb", "other") as made:
        for place in made:
            place.lb.claim.check()
        yield made


@pytest.fixture
def two_on_sqlite(settings: Settings, clock: SetClock) -> Iterator[list[Place]]:
    with places(settings, clock, "lb", "other") as made:
        for place in made:
            place.lb.claim.check()
        yield made


@pytest.fixture
def place(settings: Settings, clock: SetClock) -> Iterator[Place]:
    with places(settings, clock, "lb") as (place,):
        place.lb.claim.check()
        yield place


def exported(place: Place, board: str, path: Path, form: str = "jsonl") -> Path:
    place.drain()
    with new_file(path) as file:
        export_board(place.lb, board, file, Format(form))
    return path


def of_boards(place: Place, raw: redis.Redis) -> dict[str, Any]:
    """The keys of standings and seasons; nothing of revisions, nor of players."""
    kinds = ("order:", "entries:", "distinct:", "kept:", "seasons:")
    return {name: one for name, one in place.keys(raw).items() if name.startswith(kinds)}


# -- between installations -------------------------------------------------------------------------------------------


def test_what_was_exported_ranks_the_same_elsewhere(two: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two
    Story(here).tell()
    for board in BOARDS:
        summary = take_rows(there, exported(here, board, tmp_path / f"{board}.jsonl"))
        assert summary.boards == [board]
        assert (summary.kept, summary.bad, sum(summary.skipped.values())) == (0, 0, 0)
    assert here.shown() == there.shown()
    assert different(of_boards(here, raw), of_boards(there, raw)) == {}
    # The archive has it as well: what is exported there is the same but for when that was.
    for board in BOARDS:
        again = exported(there, board, tmp_path / "again.jsonl").read_text().splitlines()[1:-1]
        assert again == (tmp_path / f"{board}.jsonl").read_text().splitlines()[1:-1]


def test_csv_into_boards_that_are_defined_already(two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two_on_sqlite
    for place in (here, there):
        for board, definition in BOARDS.items():
            place.api.define(board, **definition)
    Story(here).tell()
    seasons = json.loads(exported(here, "race", tmp_path / "race.jsonl").read_text().splitlines()[0])["seasons"]
    for number in range(1, len(seasons)):
        there.api.admin.post("/v1/admin/boards/race/reset", {"season": f"s{number}"})
    for board in BOARDS:
        take_rows(there, exported(here, board, tmp_path / f"{board}.csv.gz", "csv"))
    ours, theirs = here.shown(), there.shown()
    for board in BOARDS:
        for name in ours:
            # Their seasons were reset at another time.
            if name.startswith(f"{board} ") and not name.endswith("season"):
                assert entries_of(ours[name]) == entries_of(theirs[name]), name
    assert {name for name in of_boards(here, raw) if name.startswith("order:")} == {
        name for name in of_boards(there, raw) if name.startswith("order:")
    }


def entries_of(pages: list[Any]) -> list[Any]:
    return [page.get("entries") for page in pages]


def test_importing_twice_changes_nothing(two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two_on_sqlite
    Story(here).tell()
    path = exported(here, "race", tmp_path / "race.jsonl")
    first = take_rows(there, path)
    there.drain()
    for options in ({"name": "another"}, {"anew": True}, {}):
        before = there.keys(raw)
        summary = take_rows(there, path, **options)
        assert different(before, there.keys(raw)) == {}
        assert raw.xlen("other:{0}:journal") == 0
        assert summary.changed == 0
        assert summary.kept == (first.changed if options else 0)


def test_an_entry_replaces_the_players_own(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    place.api.define(ties="dense", periods=[{"kind": "alltime"}])
    for player, score in (("alice", 9), ("bob", 9), ("carol", 5)):
        place.api.submit(player, score)
    place.clock.pass_ms(1)
    take_text(place, tmp_path / "rows", "player,score,period_id\nbob,5,all\nalice,7,all\n", "main")
    # rank  player  score
    #    1  alice       7
    #    2  carol       5
    #    2  bob         5  a millisecond later
    assert place.api.table() == [(1, "alice", 7), (2, "carol", 5), (2, "bob", 5)]
    assert raw.zcard("lb:{0}:distinct:main:all") == 2


def test_the_option_says_which_standings(place: Place, tmp_path: Path) -> None:
    place.api.define(policy="sum", periods=[{"kind": "season"}, {"kind": "alltime"}])
    text = "player,score,period_id\nalice,5,\nbob,6,s1\n"
    take_text(place, tmp_path / "rows", text, "main", period_id="all")
    assert place.api.table(query="&period=alltime") == [(1, "alice", 5)]
    assert place.api.table() == [(1, "bob", 6)]


def test_entries_of_periods_that_are_gone_go_to_the_archive_alone(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "daily", "keep_days": 1}])
    here.api.submit("alice", 3)
    here.clock.pass_ms(30 * DAY_MS)
    here.api.submit("alice", 4)
    path = exported(here, "main", tmp_path / "main.jsonl")
    take_rows(there, path)
    (order,) = raw.keys("other:*order:main:*")
    assert len(raw.zrange("other:{0}:kept:main", 0, -1)) == 2
    again = exported(there, "main", tmp_path / "again.jsonl").read_text().splitlines()
    assert again[1:-1] == path.read_text().splitlines()[1:-1]
    assert order.decode() not in again[1]
    assert here.shown() == there.shown()


def test_standings_go_when_they_would_have_gone_there(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "daily", "keep_days": 10}, {"kind": "weekly"}])
    here.api.submit("alice", 3)
    # Kept for as long as was said when they began, also of a kind that the board has no more.
    here.api.define(periods=[{"kind": "weekly", "keep_days": 99}])
    here.clock.pass_ms(5 * DAY_MS)
    here.api.define("second", periods=[{"kind": "daily", "keep_days": 10}])
    take_rows(there, exported(here, "main", tmp_path / "main.jsonl"))
    ours, theirs = of_boards(here, raw), of_boards(there, raw)
    assert len([name for name in ours if name.startswith("order:main:")]) == 2
    assert different(ours, theirs) == {"seasons:second": (ours["seasons:second"], None)}


def test_standings_that_have_begun_keep_their_end(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    place.api.define(periods=[{"kind": "daily", "keep_days": 10}])
    place.api.submit("alice", 3)
    (day,) = [period["period_id"] for period in place.api.get("/v1/boards/main/periods?period=daily")["periods"]]
    place.api.define(periods=[{"kind": "daily", "keep_days": 1}])
    place.clock.pass_ms(5 * DAY_MS)
    take_text(place, tmp_path / "rows", f"player,score,period_id\nbob,4,{day}\n", "main")
    assert place.api.table(query=f"&period_id={day}") == [(1, "bob", 4), (2, "alice", 3)]


def test_players_who_come_with_their_entries_are_archived(two: list[Place], tmp_path: Path) -> None:
    here, there = two
    here.api.define(periods=[{"kind": "alltime"}])
    here.api.submit("alice", 3)
    take_rows(there, exported(here, "main", tmp_path / "main.jsonl"))
    players = there.lb.archive.tables.players
    with there.lb.archive.read() as connection:
        (row,) = connection.execute(players.select()).all()
    assert (row.player, row.created_ms, row.submissions) == ("alice", there.clock.at_ms, 0)
    assert there.api.server.get("/v1/players/alice")["submissions"] == 0


def test_a_frozen_board_in_maintenance_takes_entries_as_they_are(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define()
    here.api.submit("alice", 3)
    here.api.define(state="frozen")
    there.api.admin.put("/v1/admin/maintenance", {"reason": "moving"})
    take_rows(there, exported(here, "main", tmp_path / "main.jsonl"))
    assert there.api.table() == [(1, "alice", 3)]


def test_erased_players_do_not_come_back(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "alltime"}])
    for player in ("alice", "bob"):
        here.api.server.put(f"/v1/players/{player}", {"display_name": player.title()}, expect=201)
        here.api.submit(player, 3)
    there.api.server.put("/v1/players/alice", {}, expect=201)
    there.api.server.delete("/v1/players/alice")
    path = exported(here, "main", tmp_path / "main.jsonl")
    for options in ({"names": True}, {"names": False, "name": "x"}):
        summary = take_rows(there, path, **options)
        assert summary.skipped == {"of players who were erased": 1}
        assert there.api.table() == [(1, "bob", 3)]
        there.api.server.get("/v1/players/alice", expect=410)


def test_what_is_imported_of_the_banned_stays_hidden(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "alltime"}], ties="dense")
    for player, score in (("alice", 3), ("bob", 2), ("carol", 1)):
        here.api.submit(player, score)
    there.api.define(periods=[{"kind": "alltime"}], ties="dense")
    for player, kind in (("alice", "ban"), ("bob", "shadow")):
        there.api.server.put(f"/v1/players/{player}", {}, expect=201)
        there.api.admin.put(f"/v1/admin/players/{player}/ban", {"kind": kind, "reason": "cheated"})
    assert take_rows(there, exported(here, "main", tmp_path / "main.jsonl")).changed == 3
    assert there.api.table() == [(1, "carol", 1)]
    # What is hidden is not exported with a board.
    rows = exported(there, "main", tmp_path / "back.csv", "csv").read_text().splitlines()[1:]
    assert [row.split(",")[2:4] for row in rows] == [["1", "carol"]]
    # As submissions, those of the banned are left out, and those of the shadowed count where nobody sees them.
    text = "player,score\nalice,9\nbob,8\ncarol,7\n"
    summary = take_text(there, tmp_path / "more.csv", text, "main")
    assert (summary.changed, summary.skipped) == (2, {"of players who are banned": 1})
    assert there.api.table() == [(1, "carol", 7)]
    for player in ("alice", "bob"):
        there.api.admin.delete(f"/v1/admin/players/{player}/ban?reason=mistake")
    assert there.api.table() == [(1, "bob", 8), (2, "carol", 7), (3, "alice", 3)]
    there.drain()


def test_what_is_final_stays_shown_of_one_who_was_shadowed_since(
    place: Place, raw: redis.Redis, tmp_path: Path
) -> None:
    place.api.define(ties="dense", periods=[{"kind": "daily"}, {"kind": "alltime"}])
    place.api.submit("alice", 3)
    place.api.submit("carol", 1)
    (day,) = [period["period_id"] for period in place.api.get("/v1/boards/main/periods?period=daily")["periods"]]
    at = show_instant(place.clock.at_ms)
    place.clock.pass_ms(2 * DAY_MS)
    place.api.server.put("/v1/players/bob", {}, expect=201)
    for player in ("alice", "bob"):
        place.api.admin.put(f"/v1/admin/players/{player}/ban", {"kind": "shadow", "reason": "cheated"})
    text = f"player,score,achieved_at\nalice,9,{at}\nbob,8,{at}\n"
    take_text(place, tmp_path / "scores", text, "main")
    # Bob's is new, so nobody has seen it there.
    assert place.api.table(query=f"&period_id={day}") == [(1, "alice", 9), (2, "carol", 1)]
    assert place.api.table(query="&period=alltime") == [(1, "carol", 1)]
    assert raw.zcard(f"lb:{{0}}:distinct:main:{day}") == 2
    assert_archive_is_store(place.lb.archive, raw)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("alice,5,{day},{at},2", id="same place"),
        pytest.param("alice,6,{day},{at},2", id="another place"),
        pytest.param("alice,2,,{at},", id="a score"),
    ],
)
def test_what_is_hidden_in_final_standings_stays_so(place: Place, tmp_path: Path, row: str) -> None:
    place.api.define(periods=[{"kind": "daily"}])
    for player in ("alice", "bob"):
        place.api.submit(player, 5)
    (day,) = [period["period_id"] for period in place.api.get("/v1/boards/main/periods?period=daily")["periods"]]
    at = show_instant(place.clock.at_ms)
    place.api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
    place.clock.pass_ms(2 * DAY_MS)
    place.api.admin.delete("/v1/admin/players/alice/ban?reason=mistaken")
    text = f"player,score,period_id,achieved_at,submissions\n{row.format(day=day, at=at)}\n"
    assert take_text(place, tmp_path / "rows", text, "main").bad == 0
    assert place.api.table(query=f"&period_id={day}") == [(1, "bob", 5)]
    archived = archived_standings(place.lb.archive)["main", day]
    assert [entry.player for entry in archived if not entry.hidden] == ["bob"]


def test_names_are_taken_by_those_who_have_none(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "alltime"}])
    for player in ("alice", "bob", "carol"):
        here.api.server.put(f"/v1/players/{player}", {"display_name": player.title()}, expect=201)
        here.api.submit(player, 3)
    there.api.server.put("/v1/players/alice", {"display_name": "Al"}, expect=201)
    there.api.server.put("/v1/players/bob", {"country": "DE"}, expect=201)
    path = exported(here, "main", tmp_path / "main.jsonl")
    assert take_rows(there, path, names=False, name="x").names == 0
    assert take_rows(there, path).names == 2
    page = there.api.get("/v1/boards/main/standings")
    assert [entry["player"]["display_name"] for entry in page["entries"]] == ["Al", "Bob", "Carol"]
    text = "player,score,period_id,display_name\ndave,1,all,\u202eevil\nerin,1,all,   \nfred,1,all, Fred \n"
    summary = take_text(there, tmp_path / "rows", text, "main")
    assert (summary.names, summary.bad_names) == (1, 2)


def test_names_that_the_game_does_not_allow_are_left_behind(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    _, there = two_on_sqlite
    there.api.define(periods=[{"kind": "alltime"}])
    words = tmp_path / "words"
    words.write_text("evil\n")
    guarded = replace(there, lb=replace(there.lb, blocklist=NameBlocklist(words)))
    text = "player,score,period_id,display_name\ndave,1,all,E.v.i.l\nfred,2,all,\uff26red\n"
    summary = take_text(guarded, tmp_path / "rows", text, "main")
    assert (summary.names, summary.bad_names) == (1, 1)
    page = there.api.get("/v1/boards/main/standings")
    assert [entry["player"]["display_name"] for entry in page["entries"]] == ["Fred", None]


def test_a_map_says_who_is_who_and_which_board_is_which(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "alltime"}])
    for score, player in enumerate(("alice", "p_0123456789abcdef")):
        here.api.submit(player, score)
    players, boards = tmp_path / "players.csv", tmp_path / "boards.csv"
    players.write_text("from,to\nalice,bob\n")
    boards.write_text("from,to\nmain,second\n")
    path = exported(here, "main", tmp_path / "main.jsonl")
    take_rows(there, path, id_map=players, board_map=boards)
    # An id that the service made is no stranger's.
    assert there.api.table("second") == [(1, "p_0123456789abcdef", 1), (2, "bob", 0)]
    there.api.get("/v1/boards/main", expect=404)


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"board": "nope"}, "there is no board 'nope' here; define it first"),
        ({"period_id": "2026-11"}, "the board main has no monthly period, so no standings 2026-11"),
        ({"period_id": "s2"}, r"is in its season s1 and has not had s2: reset it \(POST /v1/admin/boards/main/reset"),
        ({"period_id": "2999-01-01"}, "the period 2999-01-01 does not exist, or has not begun"),
        ({"period_id": "2026-02-30"}, "the period 2026-02-30 does not exist"),
        ({"score": 1.25}, "the board takes 1 decimal places"),
        ({"score": 10**15 - 1}, "the scaled score is beyond the limit"),
        ({"tiebreaks": {"loses": 1}}, "the board has no tiebreak 'loses'"),
        ({"achieved_at": "2999-01-01"}, "achieved_at is in the future"),
        ({"newest_at": "2999-01-01"}, "newest_at is in the future, or before achieved_at"),
        ({"achieved_at": "2026-01-02", "newest_at": "2026-01-01"}, "newest_at is in the future, or before achieved_at"),
        ({"metadata": {"x": "y" * 1024}}, "metadata is longer than 1024 bytes"),
        ({"score": "x"}, "score is not a number"),
        ({"place": 1}, "unknown member 'place'"),
    ],
)
def test_a_wrong_row_is_said_with_its_line_and_the_rows_before_it_are_there(
    place: Place, raw: redis.Redis, tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    place.api.define(
        decimals=1, tiebreaks=[{"name": "wins"}], periods=[{"kind": k} for k in ("season", "daily", "alltime")]
    )
    good = {"board": "main", "player": "alice", "score": 3, "period_id": "all"}
    lines = [good, good | {"player": "bob"}, good | {"player": "carol"} | row, good | {"player": "dave"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with pytest.raises(SourceError, match=f"rows, line 3: .*{reason}"):
        take_text(place, tmp_path / "rows", text)
    assert sorted(player for _, player, _ in place.api.table(query="&period=alltime")) == ["alice", "bob"]
    # Set right, it goes on there.
    lines[2] = good | {"player": "carol"}
    summary = take_text(place, tmp_path / "rows", "".join(json.dumps(line) + "\n" for line in lines))
    assert (summary.resumed, summary.rows) == (2, 2)
    assert len(place.api.table(query="&period=alltime")) == 4


def test_wrong_rows_are_left_out_and_listed_where_that_is_asked_for(place: Place, tmp_path: Path) -> None:
    place.api.define(periods=[{"kind": "alltime"}])
    text = "player,score,period_id\n" + "".join(
        f"p{number},{number if number % 3 else 'x' if number % 2 else 1.5},all\n" for number in range(100)
    )
    summary = take_text(place, tmp_path / "rows", text, "main", skip_bad=True)
    assert (summary.rows, summary.changed, summary.bad) == (100, 66, 34)
    assert len(summary.listed) == 20
    assert summary.listed[:2] == [
        f"{tmp_path}/rows, line 2: the board takes 0 decimal places",
        f"{tmp_path}/rows, line 5: score 'x' is not a number",
    ]
    # Neither counted nor stopped at a second time.
    assert take_rows(place, tmp_path / "rows", "main").bad == 0


def test_an_export_that_was_cut_off_changes_nothing(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    Story(here).tell()
    path = exported(here, "race", tmp_path / "race.jsonl")
    whole = path.read_bytes()
    with unchanged(raw):
        for end in (len(whole) - 1, len(whole) // 2, whole.rindex(b"\n", 0, -1) + 1, 100):
            path.write_bytes(whole[:end])
            with pytest.raises(SourceError):
                take_rows(there, path)
        path.write_bytes(whole.replace(b'"rank":2', b'"rank":3', 1))
        with pytest.raises(SourceError, match="damaged"):
            take_rows(there, path)
    assert raw.exists("other:{0}:boards") == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "installation"}, "it is an export of the kind installation, not board"),
        ({"definition": {"order": "sideways"}}, "the definition in its first line is not right"),
        ({"definition": {"segments": ["country"]}}, "says nothing that could be a board"),
        ({"definition": None}, "the definition in its first line is not right"),
        ({"board": 7}, "board is not a text"),
        ({"seasons": []}, "the seasons in its first line are not numbered"),
        ({"seasons": [{"season": 1, "started_at": "2999-01-01"}]}, "not in order, or in the future"),
        ({"standings": [{"period_id": "soon"}]}, "not the id of any period"),
        ({"standings": None}, "says nothing that could be a board"),
        ({"anchors": None}, "or the anchors: Field may not be null"),
        ({"anchors": {}}, "the anchors in its first line say nothing of a period that it has"),
        ({"anchors": {"hourly": {}}}, "the anchors: "),
        (
            {"anchors": {"daily": {"begins": ["24:00", "monday", 1], "settle_delay_s": 0, "final_ms": 0}}},
            "the anchors: ",
        ),
        ({"anchors": {"daily": {"begins": ["00:00", "monday", 1], "settle_delay_s": 0, "final_ms": "0"}}}, "anchors: "),
        ({"standings": [{"period_id": "2026-11-22", "entries": 0, "expires_at": None}]}, "say nothing of a period"),
    ],
)
def test_a_first_line_that_is_not_right_is_refused(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    here, there = two_on_sqlite
    here.api.define()
    lines = exported(here, "main", tmp_path / "main.jsonl").read_text().splitlines()[:-1]
    lines[0] = json.dumps(json.loads(lines[0]) | change, separators=(",", ":"))
    path = rewritten(tmp_path / "main.jsonl", lines)
    with unchanged(raw), pytest.raises(SourceError, match=reason):
        take_rows(there, path)


def rewritten(path: Path, lines: list[str]) -> Path:
    from hashlib import sha256  # noqa: PLC0415

    content = "".join(f"{line}\n" for line in lines)
    end = {"lines": len(lines), "sha256": sha256(content.encode()).hexdigest()}
    path.write_text(content + json.dumps({"end": end}) + "\n")
    return path


def test_a_board_that_is_deleted_meanwhile_is_missed(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "alltime"}])
    for number in range(600):
        here.api.submit(f"p{number}", number)
    path = exported(here, "main", tmp_path / "main.jsonl")
    definition = {"state": "archived", "periods": [{"kind": "alltime"}]}

    def delete(stage: str, done: int, total: int) -> None:
        assert total == 600
        if done == 250:
            there.api.define(**definition)
            there.api.admin.delete("/v1/admin/boards/main")

    with pytest.raises(SourceError, match="there is no board 'main' here"):
        take_rows(there, path, progress=delete)
    # It makes the board once more, and goes on.
    take_rows(there, path, anew=True)
    assert here.shown() == there.shown()


def test_a_definition_that_changes_meanwhile_is_followed(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "season"}])
    for number in range(600):
        here.api.submit(f"p{number}", number)
    path = exported(here, "main", tmp_path / "main.jsonl")

    def change(stage: str, done: int, total: int) -> None:
        if done == 250:
            there.api.define(title="Changed", periods=[{"kind": "season"}])
        elif done == 500:
            there.api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})

    assert take_rows(there, path, progress=change).changed == 600
    assert there.api.get("/v1/boards/main/standings?period_id=s1")["total"] == 600
    assert there.api.get("/v1/boards/main/standings")["total"] == 0


def test_a_board_of_an_export_that_was_made_in_part_is_brought_to_its_season(
    two_on_sqlite: list[Place], tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    here.api.define(periods=[{"kind": "season"}])
    for season in range(1, 4):
        here.api.submit("alice", season)
        here.clock.pass_ms(1000)
        here.api.admin.post("/v1/admin/boards/main/reset", {"season": f"s{season}"})
    path = exported(here, "main", tmp_path / "main.jsonl")
    there.api.define(periods=[{"kind": "season"}])
    take_rows(there, path)
    assert [there.api.table(query=f"&period_id=s{season}")[0][2] for season in (1, 2, 3)] == [1, 2, 3]


def test_by_the_commands(two: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two
    # The commands go by the store's clock, so all of it is to be past.
    here.clock.pass_ms(-60 * DAY_MS)
    Story(here).tell()
    path = str(tmp_path / "race.jsonl.gz")
    here.run("export", "board", "race", "-o", path)
    said = there.run("import", "scores", path)
    assert "defined the board race" in said
    assert "applied, 0 changed nothing" in said
    assert here.shown()["race"] == there.shown()["race"]
    assert raw.xlen("other:{0}:journal") == 0
    assert check(path, "board").lines > 100
