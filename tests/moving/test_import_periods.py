"""What was final stays final where a board is imported, and what was not goes on, also of kinds off the board."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from leaderboard.moving.export import Format, export_board
from leaderboard.settings import Settings
from tests.conftest import SetClock
from tests.moving.places import DAY_MS, Place, places, take_rows
from tests.oracle import show_instant

HOUR_MS = 3_600_000
ALLTIME = [{"kind": "alltime"}]


def daily(**more: Any) -> list[dict[str, Any]]:
    return [{"kind": "daily", "keep_days": 400, **more}, *ALLTIME]


@pytest.fixture
def two(settings: Settings, clock: SetClock) -> Iterator[list[Place]]:
    """At noon two players have an entry of the day that runs, here."""
    clock.at_ms = clock.at_ms // DAY_MS * DAY_MS + DAY_MS // 2
    with places(settings, clock, "lb", "other") as made:
        for place in made:
            place.lb.claim.check()
        here = made[0].api
        here.define(periods=daily())
        here.submit("alice", 5)
        here.submit("bob", 3)
        yield made


def move(here: Place, there: Place, path: Path) -> None:
    here.drain()
    file = io.BytesIO()
    export_board(here.lb, "main", file, Format.JSONL)
    path.write_bytes(file.getvalue())
    take_rows(there, path)


def day(place: Place, period_id: str = "current") -> list[tuple[int, str, Any]]:
    return place.api.table(query=f"&period=daily&period_id={period_id}")


@pytest.mark.parametrize("is_known", [False, True], ids=["missing there", "a board of there"])
@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("erase", [(1, "bob", 3)]),
        ("ban", [(1, "bob", 3)]),
        ("merge", [(1, "bob", 5)]),
        ("submit", [(1, "alice", 5), (2, "bob", 3)]),
    ],
)
def test_a_day_that_runs_goes_on_once_its_kind_is_back(
    two: list[Place], raw: redis.Redis, tmp_path: Path, act: str, expected: list[Any], *, is_known: bool
) -> None:
    here, there = two
    here.api.define(periods=ALLTIME)
    if is_known:
        there.api.define(periods=ALLTIME)
    move(here, there, tmp_path / "main.jsonl")
    for place in two:
        api = place.api
        match act:
            case "erase":
                api.server.delete("/v1/players/alice")
            case "ban":
                api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
            case "merge":
                api.server.post("/v1/players/alice/merge", {"into": "bob"})
            case "submit":
                api.submit("alice", 9)
        api.define(periods=daily())
        assert day(place) == expected
    if act == "erase":
        assert not [key for key in raw.keys("other:*:order:main:*") if b"alice" in b"".join(raw.zrange(key, 0, -1))]


def test_what_is_final_by_a_delay_of_then_is_final_there(two: list[Place], tmp_path: Path) -> None:
    here, there = two
    noon_ms = here.clock.at_ms
    here.clock.at_ms += DAY_MS // 2 + 2 * HOUR_MS
    here.api.define(periods=daily(settle_delay_s=DAY_MS // 1000), late_s=DAY_MS // 1000)
    move(here, there, tmp_path / "main.jsonl")
    for place in two:
        page = place.api.get("/v1/boards/main/standings?period=daily&period_id=previous")
        assert page["state"] == "settled"
        late = place.api.submit("alice", 9, achieved_at=show_instant(noon_ms), expect=422)
        assert late["errors"][0]["code"] == "too_late"


@pytest.mark.parametrize("is_known", [False, True], ids=["missing there", "a board of there"])
def test_seasons_that_are_over_are_so_while_the_board_has_none(
    two: list[Place], tmp_path: Path, *, is_known: bool
) -> None:
    here, there = two
    seasons = [{"kind": "season", "settle_delay_s": 0}, *ALLTIME]
    here.api.define(periods=seasons, late_s=0)
    here.api.submit("carol", 4)
    here.clock.pass_ms(1000)
    here.api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    here.api.submit("dave", 2)
    here.api.define(periods=ALLTIME)
    if is_known:
        there.api.define(periods=ALLTIME)
    move(here, there, tmp_path / "main.jsonl")
    for place in two:
        for player in ("carol", "dave"):
            place.api.server.delete(f"/v1/players/{player}")
        place.api.define(periods=seasons, late_s=0)
        ((rank, player, score),) = place.api.table(query="&period=season&period_id=s1")
        assert (rank, player[0], score) == (1, "-", 4)
        assert place.api.table(query="&period=season&period_id=s2") == []


@pytest.mark.parametrize("days", [40, 5], ids=["gone there", "over there"])
def test_what_runs_here_does_not_end_by_what_is_over_there(
    two: list[Place], raw: redis.Redis, tmp_path: Path, days: int
) -> None:
    here, there = two
    seasons = [{"kind": "season", "keep_days": 30}, *ALLTIME]
    here.api.define(periods=seasons)
    here.api.submit("old", 9)
    here.api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    here.clock.pass_ms(days * DAY_MS)
    there.api.define(periods=seasons)
    # It has entries, so it is not brought to the season of here.
    there.api.submit("zoe", 1)
    there.api.admin.delete("/v1/admin/boards/main/entries/zoe?period=season&reason=x")
    move(here, there, tmp_path / "main.jsonl")
    there.api.submit("carol", 5)
    assert there.api.table(query="&period=season") == [(1, "old", 9), (2, "carol", 5)]
    assert raw.pexpiretime("other:{0}:entries:main:s1") == -1


def test_a_kind_that_was_imported_cannot_begin_at_another_time(two: list[Place], tmp_path: Path) -> None:
    here, there = two
    here.api.define(periods=ALLTIME)
    there.api.define(periods=ALLTIME)
    move(here, there, tmp_path / "main.jsonl")
    definition = {"periods": daily(time_of_day="05:30")}
    refused = there.api.admin.put("/v1/admin/boards/main", definition, expect=409)
    assert (refused["code"], refused["members"]) == ("board_has_entries", ["periods (daily)"])


def test_importing_again_defines_nothing_again(two: list[Place], tmp_path: Path) -> None:
    here, there = two
    for place in two:
        place.api.define(periods=ALLTIME)
    for _ in range(2):
        move(here, there, tmp_path / "main.jsonl")
        assert there.api.admin.get("/v1/boards/main")["revision"] == 2
    first = json.loads((tmp_path / "main.jsonl").read_text().splitlines()[0])
    assert first["anchors"].keys() == {"daily", "alltime"}
