"""Nameless entries that are imported: in their place, and named after nobody who may leave it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from leaderboard.settings import Settings
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store
from tests.moving.places import DAY_MS, Place, places, take_text
from tests.oracle import show_instant
from tests.reviewing import HOLDS, Desk


@pytest.fixture
def place(settings: Settings, clock: SetClock) -> Iterator[Place]:
    with places(settings, clock, "lb") as (made,):
        made.api.define(ties="ordinal", periods=[{"kind": "weekly"}, {"kind": "alltime"}])
        yield made


def rows(place: Place, period_id: str, *players: str, score: int = 5) -> str:
    at = show_instant(place.clock.at_ms - 8 * DAY_MS)
    lines = [f"{player},{score},{period_id},{at}" for player in players]
    return "\n".join(["player,score,period_id,achieved_at", *lines, ""])


def last_week(place: Place) -> str:
    page = place.api.get("/v1/boards/main/standings?period=weekly&period_id=previous")
    return str(page["period_id"])


def ids(raw: redis.Redis, period_id: str, board: str = "main") -> list[bytes]:
    return [member[7:] for member in raw.zrange(f"lb:{{0}}:order:{board}:{period_id}", 0, -1)]


def test_in_settled_standings_they_follow_the_one_before_them(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    week = last_week(place)
    text = rows(place, week, "alice", "-ffffffffffff", "-000000000000", "bob")
    take_text(place, tmp_path / "rows", text, "main")
    shown = place.api.table(query="&period=weekly&period_id=previous")
    assert [player for _, player, _ in shown] == ["alice", "-ffffffffffff", "-000000000000", "bob"]
    # When she goes, or her entry is another, they stay where they are, and are nobody's.
    place.api.server.delete("/v1/players/alice")
    assert not any(b"alice" in member for member in ids(raw, week))
    shown = place.api.table(query="&period=weekly&period_id=previous")
    assert [player for _, player, _ in shown[1:]] == ["-ffffffffffff", "-000000000000", "bob"]


def test_an_entry_that_is_imported_anew_leaves_nothing_behind(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    week = last_week(place)
    take_text(place, tmp_path / "rows", rows(place, week, "alice", "-ffffffffffff"), "main")
    take_text(place, tmp_path / "more", rows(place, week, "alice", score=3), "main")
    assert ids(raw, week) == [b"\x0100000000ffffffffffff", b"alice"]


def test_nobody_who_is_not_there_gives_them_a_name(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    week = last_week(place)
    place.api.submit("alice", 1)
    place.api.server.delete("/v1/players/alice")
    text = rows(place, week, "0", "alice", "-ffffffffffff", "-000000000000", "bob")
    take_text(place, tmp_path / "rows", text, "main", skip_bad=True)
    # They stand where she would, and by their numbers keep their order.
    assert ids(raw, week) == [b"0", b"0\x0100000000ffffffffffff", b"0\x0100000001000000000000", b"bob"]


def test_whoever_is_hidden_gives_them_a_name(place: Place, tmp_path: Path) -> None:
    delay_s = 9 * DAY_MS // 1000
    place.api.define("slow", ties="ordinal", late_s=delay_s, periods=[{"kind": "weekly", "settle_delay_s": delay_s}])
    place.api.server.put("/v1/players/alice", {}, expect=201)
    place.api.admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
    text = rows(place, last_week(place), "0", "alice", "-ffffffffffff")
    take_text(place, tmp_path / "rows", text, "slow")
    place.api.admin.delete("/v1/admin/players/alice/ban?reason=mistaken")
    shown = place.api.table("slow", query="&period=weekly&period_id=previous")
    assert [player for _, player, _ in shown] == ["0", "alice", "-ffffffffffff"]


@pytest.mark.parametrize("how", ["late", "corrected", "merged", "banned", "removed"])
def test_whoever_leaves_standings_that_close_leaves_nothing_behind(
    place: Place, raw: redis.Redis, tmp_path: Path, how: str
) -> None:
    api, admin, delay_s = place.api, place.api.admin, 8 * DAY_MS // 1000
    api.define("slow", ties="ordinal", late_s=delay_s, periods=[{"kind": "weekly", "settle_delay_s": delay_s}])
    week, at = last_week(place), show_instant(place.clock.at_ms - 8 * DAY_MS + 3_600_000)
    assert api.get("/v1/boards/slow/standings?period=weekly&period_id=previous")["state"] == "closing"
    text = rows(place, week, "0", "alice", "-ffffffffffff", "-000000000000")
    take_text(place, tmp_path / "rows", text, "slow")
    assert [b"alice" in member for member in ids(raw, week, "slow")] == [False, True, True, True]
    entry = f"/v1/admin/boards/slow/entries/alice?period=weekly&period_id={week}"
    match how:
        case "late":
            api.submit("alice", 9, "slow", achieved_at=at)
        case "corrected":
            admin.put(entry, {"score": 9, "reason": "lost"})
        case "merged":
            api.server.put("/v1/players/zoe", {}, expect=201)
            api.server.post("/v1/players/alice/merge", {"into": "zoe"})
        case "banned":
            admin.put("/v1/admin/players/alice/ban", {"kind": "ban", "reason": "bot"})
        case "removed":
            admin.delete(f"{entry}&reason=bot")
    api.server.delete(f"/v1/players/{'zoe' if how == 'merged' else 'alice'}")
    assert ids(raw, week, "slow") == [b"0", b"0\x0100000000ffffffffffff", b"0\x0100000001000000000000"]
    assert sorted(raw.hkeys(f"lb:{{0}}:entries:slow:{week}")) == ids(raw, week, "slow")


def test_nothing_is_named_after_the_one_that_a_merge_removes(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    delay_s = 9 * DAY_MS // 1000
    place.api.define("slow", policy="sum", late_s=delay_s, periods=[{"kind": "weekly", "settle_delay_s": delay_s}])
    week = last_week(place)
    take_text(place, tmp_path / "rows", rows(place, week, "alice", "bob", "-ffffffffffff"), "slow")
    # Bob's entry, which is the sum from now on, leaves its place; Alice's stood right before it.
    place.api.server.post("/v1/players/alice/merge", {"into": "bob"})
    assert ids(raw, week, "slow") == [b"bob", b"\x0100000000ffffffffffff"]


def test_an_approval_that_moves_nothing_and_is_taken_back_renames_nothing(
    place: Place, raw: redis.Redis, tmp_path: Path
) -> None:
    delay_s = 9 * DAY_MS // 1000
    weekly = {"kind": "weekly", "settle_delay_s": delay_s}
    place.api.define("slow", late_s=delay_s, periods=[weekly], rules=HOLDS)
    week, desk = last_week(place), Desk(place.app, place.api.admin)
    take_text(place, tmp_path / "rows", rows(place, week, "alice", "-ffffffffffff", score=5000), "slow")
    first = ids(raw, week, "slow")
    assert first == [b"alice", b"alice\x0100000000ffffffffffff"]
    at = show_instant(place.clock.at_ms - 8 * DAY_MS)
    assert place.api.submit("alice", 2000, "slow", achieved_at=at)["outcome"] == "held"
    (review,) = desk.list("&player=alice")
    for decision in ("approve", "reopen"):
        desk.decide(review["id"], decision, "looked at it")
        assert ids(raw, week, "slow") == first


def test_in_standings_that_go_on_they_have_nobodys_name(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    take_text(place, tmp_path / "rows", rows(place, "all", "alice", "-ffffffffffff"), "main")
    assert ids(raw, "all") == [b"\x0100000000ffffffffffff", b"alice"]


def test_importing_again_after_an_erasure_brings_nobody_twice(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    week = last_week(place)
    text = rows(place, week, "alice", "-ffffffffffff", "-000000000000", "bob")
    take_text(place, tmp_path / "rows", text, "main")
    place.api.server.delete("/v1/players/alice")
    first = ids(raw, week)
    assert take_text(place, tmp_path / "rows", text, "main", anew=True).kept == 3
    assert len(first) == 4
    assert ids(raw, week) == first


def test_equal_digits_in_another_place_are_another_entry(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    week = last_week(place)
    take_text(place, tmp_path / "rows", rows(place, week, "alice", "-ffffffffffff"), "main")
    # More equals than are looked through at once.
    others = [f"p{number:03}" for number in range(150)]
    take_text(place, tmp_path / "more", rows(place, week, *others, "-ffffffffffff", score=4), "main")
    take_text(place, tmp_path / "again", rows(place, week, "-ffffffffffff", score=4), "main")
    assert ids(raw, week) == [
        b"alice", b"alice\x0100000000ffffffffffff",
        *(other.encode() for other in others), b"p149\x0100000000ffffffffffff",
    ]  # fmt: skip
    # Not by the same name.
    for score in (3, 2):
        take_text(place, tmp_path / "more", rows(place, week, "-eeeeeeeeeeee", score=score), "main", anew=True)
    assert ids(raw, week)[-2:] == [b"\x0100000000eeeeeeeeeeee", b"\x0100000001eeeeeeeeeeee"]


def test_equal_digits_of_two_places_stay_two_when_one_is_renamed(
    place: Place, raw: redis.Redis, tmp_path: Path
) -> None:
    week = last_week(place)
    take_text(place, tmp_path / "rows", rows(place, week, "-ffffffffffff", score=7), "main")
    take_text(place, tmp_path / "more", rows(place, week, "alice", "-ffffffffffff"), "main")
    take_text(place, tmp_path / "again", rows(place, week, "alice", score=3), "main")
    assert ids(raw, week) == [b"\x0100000000ffffffffffff", b"\x0100000001ffffffffffff", b"alice"]
    place.drain()
    assert_archive_is_store(place.lb.archive, raw)


def test_what_comes_with_them_is_not_kept(place: Place, raw: redis.Redis, tmp_path: Path) -> None:
    week, at = last_week(place), show_instant(place.clock.at_ms - 8 * DAY_MS)
    line = f'-ffffffffffff,5,{week},{at},Joe,"{{""n"": 1}}"'
    take_text(place, tmp_path / "rows", f"player,score,period_id,achieved_at,display_name,metadata\n{line}\n", "main")
    page = place.api.get("/v1/boards/main/standings?period=weekly&period_id=previous")
    assert [(entry["player"]["display_name"], entry["metadata"]) for entry in page["entries"]] == [(None, None)]
    assert not list(raw.scan_iter("lb:{0}:player:*"))
    place.drain()
    assert_archive_is_store(place.lb.archive, raw)
