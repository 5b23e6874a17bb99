"""Formula One, 1991 to 2026: the official standings after each of 660 rounds, as a board shows them.

Every result goes through a real server in the order in which it was raced, one batch a round. Officially, equal points
are ordered by countback (most wins, most second places, …) down to places this replay does not count, so an official
position is held against the band of those who are equal here: from their rank to that of the last of them.

Before 1991 only a driver's best results of a season counted, which is no policy of a board.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.live import Live
from tests.oracle import Play, Rules, Standings, read_instant, show_instant

DATA = Path(__file__).parents[2] / "shared" / "data"
F1 = DATA / "f1db"

pytestmark = pytest.mark.skipif(not F1.exists(), reason=f"the results of Formula One are not in {F1}")

FIRST_SEASON = 1991
TABLES = 660

#: Races only: officially, the places of a sprint are no part of the countback.
PLACES = ("1", "2", "3", "4")
POINTS = Rules(policy="sum", ties="competition", decimals=2)
COUNTBACK = Rules(
    policy="sum",
    ties="competition",
    decimals=2,
    tiebreaks=tuple((name, "desc") for name in ("wins", "seconds", "thirds", "fourths")),
)


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# -- the replay --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """The standings after one round: the official ones, ours, and those of a sorted list."""

    season: int
    round: int
    official: list[dict[str, str]]
    points: list[dict[str, Any]]
    countback: list[dict[str, Any]]
    expected_points: list[tuple[Any, ...]]
    expected_countback: list[tuple[Any, ...]]

    def __str__(self) -> str:
        return f"{self.season}, round {self.round}"


@dataclass
class Season:
    """The two boards of a season, each with its oracle."""

    api: Client
    year: int

    def __post_init__(self) -> None:
        self.boards = {f"points-{self.year}": Standings(POINTS), f"countback-{self.year}": Standings(COUNTBACK)}
        for board, standings in self.boards.items():
            self.api.define(
                board,
                **standings.rules.definition(),
                periods=[{"kind": "alltime"}],
                writes="servers",
                late_s=40 * 366 * 86_400,
            )

    def race(self, results: Sequence[dict[str, str]]) -> None:
        items = [self.submit(board, result) for result in results for board in self.boards]
        answer = self.api.server.post("/v1/submissions/batch", {"submissions": items})
        assert answer["failed"] == 0, [result for result in answer["results"] if result["error"]][:3]

    def submit(self, board: str, result: dict[str, str]) -> dict[str, Any]:
        """Submit a result to the oracle; return it as an item of a batch."""
        standings, points = self.boards[board], float(result["points"])
        names = [name for name, _ in standings.rules.tiebreaks]
        place = result["finish_position"] if result["kind"] == "race" else ""
        tiebreaks = tuple(int(place == counted) for counted in PLACES[: len(names)])
        achieved_at = read_instant(result["timestamp"])
        standings.submit(Play(result["driver_id"], round(points * 100), tiebreaks, achieved_at, stated=True))
        return {
            "board": board,
            "player": result["driver_id"],
            "score": points,
            "tiebreaks": dict(zip(names, tiebreaks, strict=True)),
            "achieved_at": result["timestamp"],
        }

    def disqualify(self, driver: str) -> None:
        for board, standings in self.boards.items():
            self.api.admin.delete(f"/v1/admin/boards/{board}/entries/{driver}?reason=Jerez")
            standings.remove(driver)

    def table(self, number: int, official: list[dict[str, str]]) -> Table:
        pages = [self.api.get(f"/v1/boards/{board}/standings?limit=200") for board in self.boards]
        expected = [
            [(rank, e.player, e.score / 100, e.tiebreaks, show_instant(e.achieved_at)) for rank, e in standings.rows()]
            for standings in self.boards.values()
        ]
        assert [page["total"] for page in pages] == [len(entries) for entries in expected]
        return Table(self.year, number, official, *(page["entries"] for page in pages), *expected)


@dataclass(frozen=True)
class Replay:
    tables: list[Table]
    #: The last of 1997 as it was before anybody was disqualified.
    jerez: Table


@pytest.fixture(scope="module")
def replay(store_url: str) -> Replay:
    """All 36 seasons. Everything is read before the first test, since other tests empty the store."""
    official = defaultdict(list)
    for row in rows(F1 / "standings.csv.gz"):
        official[int(row["season"]), int(row["round"])].append(row)
    raced = [row for row in rows(F1 / "events.csv.gz") if int(row["season"]) >= FIRST_SEASON]
    tables, undecided = [], []
    # In a namespace of its own: the tests of other modules look at what is left in theirs.
    with Live(store_url, workers=1, namespace="f1") as live:
        api = live.ready().api
        for year, results in groupby(raced, lambda row: int(row["season"])):
            season = Season(api, year)
            for number, of_round in groupby(results, lambda row: int(row["round"])):
                season.race(list(of_round))
                standings = official[year, number]
                disqualified = [row["driver_id"] for row in standings if row["position"] == "DSQ"]
                if disqualified:
                    undecided.append(season.table(number, standings))
                for driver in disqualified:
                    season.disqualify(driver)
                tables.append(season.table(number, [row for row in standings if row["position"] != "DSQ"]))
    assert len(tables) == TABLES
    (jerez,) = undecided
    return Replay(tables, jerez)


def outside_their_band(table: Table) -> list[str]:
    """The drivers whose official position none of those equal to them here has."""
    # rank  driver  points
    #    1  a           10   band 1 … 1
    #    2  b            6   band 2 … 3
    #    2  c            6   band 2 … 3
    ranks = [entry["rank"] for entry in table.points]
    bands = {
        entry["player"]["id"]: range(entry["rank"], entry["rank"] + ranks.count(entry["rank"]))
        for entry in table.points
    }
    return [
        row["driver_id"]
        for row in table.official
        if row["position"].isdigit() and int(row["position"]) not in bands[row["driver_id"]]
    ]


def test_the_points_are_the_official_ones_after_each_of_660_rounds(replay: Replay) -> None:
    for table in replay.tables:
        ours = {entry["player"]["id"]: entry["score"] for entry in table.points}
        theirs = {row["driver_id"]: float(row["points"]) for row in table.official}
        assert {driver: ours.get(driver) for driver in theirs} == theirs, table
        # Officially, who has scored nothing may be left out.
        assert not any(points for driver, points in ours.items() if driver not in theirs), table


def test_every_official_position_lies_in_the_band_of_equal_points(replay: Replay) -> None:
    for table in replay.tables:
        assert table.official, table
        assert not outside_their_band(table), table


def test_the_last_table_of_1997_holds_only_once_the_disqualified_driver_is_removed(replay: Replay) -> None:
    after = next(table for table in replay.tables if (table.season, table.round) == (1997, replay.jerez.round))
    assert outside_their_band(replay.jerez)
    assert not outside_their_band(after)
    gone = {entry["player"]["id"] for entry in replay.jerez.points} - {entry["player"]["id"] for entry in after.points}
    assert gone == {"michael-schumacher"}


def test_the_official_order_never_goes_against_points_and_countback(replay: Replay) -> None:
    for table in replay.tables:
        ranks = {entry["player"]["id"]: entry["rank"] for entry in table.countback}
        in_official_order = sorted(table.official, key=lambda row: int(row["position"]))
        ours = [ranks[row["driver_id"]] for row in in_official_order]
        assert ours == sorted(ours), table


def test_countback_decides_most_of_what_points_leave_open(replay: Replay) -> None:
    def shared(entries: list[dict[str, Any]]) -> int:
        return len(entries) - len({entry["rank"] for entry in entries})

    by_points = sum(shared(table.points) for table in replay.tables)
    by_countback = sum(shared(table.countback) for table in replay.tables)
    assert 0 < by_countback < by_points


def test_each_table_is_what_the_sorted_list_says_to_the_millisecond(replay: Replay) -> None:
    def shown(entries: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [
            (e["rank"], e["player"]["id"], e["score"], tuple(e["tiebreaks"].values()), e["achieved_at"])
            for e in entries
        ]

    for table in [replay.jerez, *replay.tables]:
        assert shown(table.points) == table.expected_points, table
        assert shown(table.countback) == table.expected_countback, table


def test_fractions_of_a_point_are_kept(replay: Replay) -> None:
    # Half points were given in Adelaide 1991, Sepang 2009 and Spa 2021.
    fractions = {entry["score"] for table in replay.tables for entry in table.points} - set(range(1000))
    assert {score % 1 for score in fractions} == {0.5}
