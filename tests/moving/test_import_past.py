"""Entries imported into standings which have expired: the archive alone keeps them, by the rules of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from leaderboard.settings import Settings
from tests.conftest import SetClock
from tests.moving.places import DAY_MS, Place, places, take_text
from tests.oracle import show_instant

WEEK = "2024-W10"


@pytest.fixture
def place(settings: Settings, clock: SetClock, database_url: str) -> Iterator[Place]:
    with places(replace(settings, database_url=database_url), clock, "lb") as (made,):
        made.api.define(ties="ordinal", periods=[{"kind": "weekly", "keep_days": 1}, {"kind": "alltime"}])
        yield made


def put(place: Place, path: Path, *players: str, score: int = 5) -> None:
    at = show_instant(place.clock.at_ms - 900 * DAY_MS)
    lines = [f"{player},{score},{WEEK},{at}" for player in players]
    take_text(place, path / "rows", "\n".join(["player,score,period_id,achieved_at", *lines, ""]), "main", anew=True)


def kept(place: Place, *, hidden: bool = False) -> list[str]:
    """The ids in the order of their ranks."""
    place.drain()
    entries = place.lb.archive.tables.entries
    query = select(entries.c.player).where(entries.c.period_id == WEEK, entries.c.hidden == int(hidden))
    with place.lb.archive.read() as connection:
        found = list(connection.scalars(query.order_by(entries.c.order_key)))
        for row in connection.execute(select(entries)):
            assert row.order_key.endswith(row.player.encode())
    return found


def test_nameless_ones_follow_the_one_before_them(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, "alice", "-ffffffffffff", "-000000000000", "bob")
    assert kept(place) == ["alice", "alice\x0100000000ffffffffffff", "alice\x0100000001000000000000", "bob"]
    place.api.server.delete("/v1/players/alice")
    assert [player[:1] for player in kept(place)] == ["\x01", "\x01", "\x01", "b"]


def test_one_that_is_imported_anew_leaves_nothing_behind(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, "0", "alice", "-ffffffffffff")
    put(place, tmp_path, "alice", score=3)
    assert kept(place) == ["0", "0\x0100000000ffffffffffff", "alice"]
    place.api.server.delete("/v1/players/alice")
    assert not any("alice" in player for player in kept(place))


def test_in_the_same_file_too(place: Place, tmp_path: Path) -> None:
    at = show_instant(place.clock.at_ms - 900 * DAY_MS)
    lines = [("alice", 5), ("-ffffffffffff", 5), ("alice", 3), ("-ffffffffffff", 5), ("alice", 4)]
    text = "".join(f"{player},{score},{WEEK},{at}\n" for player, score in lines)
    take_text(place, tmp_path / "rows", f"player,score,period_id,achieved_at\n{text}", "main")
    assert kept(place) == ["\x0100000000ffffffffffff", "alice"]


def test_importing_twice_changes_nothing(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, "alice", "-ffffffffffff", "-000000000000", "bob")
    first = kept(place)
    put(place, tmp_path, "alice", "-ffffffffffff", "-000000000000", "bob")
    assert kept(place) == first


def test_importing_again_after_an_erasure_brings_nobody_twice(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, "alice", "-ffffffffffff", "-000000000000", "bob")
    place.api.server.delete("/v1/players/alice")
    first = kept(place)
    put(place, tmp_path, "alice", "-ffffffffffff", "-000000000000", "bob")
    assert len(first) == 4
    assert kept(place) == first


def test_behind_one_who_is_not_there_they_stand_where_that_one_would(place: Place, tmp_path: Path) -> None:
    place.api.submit("alice", 1)
    place.api.server.delete("/v1/players/alice")
    put(place, tmp_path, "0", "-eeeeeeeeeeee", "alice", "-ffffffffffff", "-000000000000", "bob")
    assert kept(place) == ["0", *(f"0\x010000000{number}{12 * digit}" for number, digit in enumerate("ef0")), "bob"]


def test_equal_digits_in_another_place_are_another_entry(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, "-ffffffffffff")
    put(place, tmp_path, "-ffffffffffff", score=4)
    assert kept(place) == ["\x0100000000ffffffffffff", "\x0100000001ffffffffffff"]
    # Also where one of them is renamed.
    put(place, tmp_path, "alice", "-ffffffffffff", score=3)
    put(place, tmp_path, "alice", score=2)
    assert kept(place) == [*(f"\x010000000{number}ffffffffffff" for number in range(3)), "alice"]


def test_a_banned_player_stays_as_it_is_and_comes_hidden(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, "alice", "zoe")
    for player in ("alice", "bob"):
        place.api.server.put(f"/v1/players/{player}", {}, expect=200 if player == "alice" else 201)
        place.api.admin.put(f"/v1/admin/players/{player}/ban", {"kind": "ban", "reason": "bot"})
    # The second finds the first, of which nothing is archived yet.
    put(place, tmp_path, "alice", "bob", "bob", score=3)
    assert (kept(place), kept(place, hidden=True)) == (["zoe", "alice"], ["bob"])
    place.api.admin.delete("/v1/admin/players/bob/ban?reason=mistaken")
    put(place, tmp_path, "bob", "-ffffffffffff", score=2)
    # It was hidden in standings that are over, and so it stays; it has its place all the same.
    assert kept(place, hidden=True) == ["bob"]
    assert kept(place) == ["zoe", "alice", "bob\x0100000000ffffffffffff"]
    place.api.server.delete("/v1/players/bob")
    assert kept(place, hidden=True) == []
    assert kept(place) == ["zoe", "alice", "\x0100000000ffffffffffff"]
