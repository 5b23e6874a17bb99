"""What changes while an archive is filled from the store."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from leaderboard.archive import readers
from leaderboard.archive.filling import note_filling
from leaderboard.installation import Installation
from leaderboard.rebuild import RebuildError
from leaderboard.rebuild.archive import fill_archive
from leaderboard.rebuild.filling import Filling
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import (
    every_row,
)
from tests.keeping.killed_worker import end_lease
from tests.keeping.place import Place
from tests.keeping.refill.made import (
    HOUR_MS,
    archived_entries,
    assert_it_is_all_there,
    at,
    lose_archive,
    on_sqlite,
    run,
    submit_many,
)
from tests.live import eventually
from tests.oracle import show_instant

# -- what comes between ----------------------------------------------------------------------------------------------


def test_entries_that_become_nameless_behind_the_walk_are_not_lost(
    place: Place, lb: Installation, api: Client, clock: SetClock, many: int
) -> None:
    """Such an entry gets another field of the hash, and that may lie where the walk has been."""
    api.define("main", periods=[{"kind": "season", "settle_delay_s": 3600}], late_s=3600)
    submit_many(api, "main", many)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    clock.pass_ms(2 * HOUR_MS)
    place.drain()
    lose_archive(lb)

    def erase_some_that_are_still_to_come() -> None:
        there = archived_entries(lb, "main")
        to_come = [f"q{i:05}" for i in range(many) if f"q{i:05}" not in there]
        assert to_come, "all is there already"
        for player in [*to_come[:40], *sorted(there)[:10]]:
            api.server.delete(f"/v1/players/{player}")

    fill_archive(lb, progress=at(entries=erase_some_that_are_still_to_come))
    assert len(archived_entries(lb, "main")) == many
    assert_it_is_all_there(place, lb)


def test_what_the_walk_has_seen_already_is_archived_after_it_all_the_same(
    place: Place, lb: Installation, api: Client, clock: SetClock, many: int
) -> None:
    """Another reader has the lease, and reads nothing until the walk is over."""
    api.define("main", periods=[{"kind": "season", "settle_delay_s": 3600}], late_s=3600)
    api.define("total", policy="sum", periods=[{"kind": "alltime"}])
    submit_many(api, "main", many)
    submit_many(api, "total", 10)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    clock.pass_ms(2 * HOUR_MS)
    place.drain()
    lose_archive(lb)
    position: Any = None

    def change_much() -> None:
        nonlocal position
        end_lease(lb)
        position = readers.take_lease(lb.archive, "another", clock.now_ms())
        there = sorted(archived_entries(lb, "main"))
        assert len(there) < many
        for player in there[:40]:
            api.server.delete(f"/v1/players/{player}")
        for i in range(5):
            api.submit(there[i], 5, "total", expect=410)
            player = there[40 + i]
            api.submit(player, 5, "total", metadata={"n": "new"})
            # It comes late: what is newer stays.
            api.submit(player, 1, "total", achieved_at=show_instant(clock.at_ms - 1000))
            api.server.put(f"/v1/players/{player}", {"display_name": f"Name {i}"})
        api.admin.delete(f"/v1/admin/boards/total/entries/{player}?period=alltime&reason=cheated")

    fill_archive(lb, progress=at(entries=change_much, players=lambda: readers.give_up_lease(lb.archive, position)))
    assert len(archived_entries(lb, "main")) == many
    assert_it_is_all_there(place, lb)


def test_nobody_archives_anything_while_a_share_is_read_and_written(
    place_on_sqlite: Place, postgresql_url: str
) -> None:
    """On SQLite only one writes at all."""
    api, lb = place_on_sqlite.api(), place_on_sqlite.installation(database_url=postgresql_url)
    api.define("main")
    Drain(lb).step()
    end_lease(lb)
    with lb.archive.write() as connection:
        note_filling(connection, lb.archive, "us")
    api.submit("p1", 1)

    def waits() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        with lb.archive.read() as connection:
            return bool(connection.scalar(text(query)))

    with ThreadPoolExecutor(1) as pool:
        with Filling(lb, "us", at()).share():
            step = pool.submit(Drain(lb).step)
            eventually(lambda: step.done() or waits(), "it comes to the archive's position")
            assert not step.done()
        assert step.result() == 3


def test_a_board_that_is_deleted_and_defined_otherwise_meanwhile_is_read_as_it_is(
    place: Place, lb: Installation, api: Client, many: int
) -> None:
    for board in ("first", "then"):
        api.define(board, periods=[{"kind": "alltime"}])
    submit_many(api, "first", many)
    submit_many(api, "then", many // 2)
    place.drain()
    lose_archive(lb)

    def define_anew() -> None:
        for board in ("first", "then"):
            api.define(board, periods=[{"kind": "alltime"}], state="archived")
            api.admin.delete(f"/v1/admin/boards/{board}")
            api.define(board, periods=[{"kind": "alltime"}], tiebreaks=[{"name": "wins"}], order="asc")
            for i in range(30):
                api.submit(f"q{i:05}", i, board, tiebreaks={"wins": i})

    filled = fill_archive(lb, progress=at(entries=define_anew))
    assert filled.entries == 60
    assert_it_is_all_there(place, lb)


def test_what_is_removed_or_ends_meanwhile_stays_away(
    place: Place, lb: Installation, api: Client, clock: SetClock, many: int
) -> None:
    api.define("main", periods=[{"kind": "season", "keep_days": 1, "settle_delay_s": 3600}], late_s=3600)
    submit_many(api, "main", many)
    first = api.player("p1")
    place.drain()
    lose_archive(lb)

    def take_away() -> None:
        for i in range(0, many, 500):
            api.admin.delete(f"/v1/admin/boards/main/entries/q{i:05}?period=season&reason=cheated")
            api.server.delete(f"/v1/players/q{i + 1:05}")
        first.delete("/v1/sessions/current")
        api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
        # Its time has come.
        for key in ("order", "entries"):
            place.raw.pexpire(f"lb:{{0}}:{key}:main:s1", 1)
        eventually(lambda: not place.raw.exists("lb:{0}:entries:main:s1"), "it has expired")
        clock.pass_ms(25 * HOUR_MS)
        api.submit("p2", 3)

    filled = fill_archive(lb, progress=at(entries=take_away))
    assert filled.entries == 1
    assert not [row for row in every_row(lb.archive, lb.archive.tables.sessions) if row.player == "p1"]
    (expired,) = [row for row in every_row(lb.archive, lb.archive.tables.standings) if row.period_id == "s1"]
    assert expired.expires_ms is not None


# -- others ----------------------------------------------------------------------------------------------------------


@on_sqlite
def test_a_worker_that_archives_into_another_database_is_noticed_before_anything_is_done(
    place: Place, lb: Installation, api: Client, elsewhere: str
) -> None:
    api.define("main")
    worker = place.worker(LEADERBOARD_DATABASE_URL=elsewhere)
    eventually(lambda: place.raw.exists("lb:{0}:worker") and place.waiting() == 0, "it archives")
    refused = run(place, "--archive")
    assert refused.exit_code == 1
    assert "a worker archives this store into another database" in refused.output
    assert worker.stopped() == 0
    assert readers.read_position(lb.archive, partial=True) is None


@on_sqlite
def test_one_that_comes_later_is_noticed_too(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    submit_many(api, "main", 10)
    other = Drain(place.installation(clock, database_url=elsewhere))
    # The board and its act, the first entry of its standings, and ten submissions.
    assert other.step() == 13

    def archive_elsewhere() -> None:
        api.submit("p1", 2)
        assert other.step() == 1

    with pytest.raises(RebuildError, match="another worker archived this store into another database"):
        fill_archive(lb, progress=at(entries=archive_elsewhere))
    assert readers.read_position(lb.archive) is None


@on_sqlite
def test_of_two_that_fill_it_the_later_one_goes_on(place: Place, lb: Installation, api: Client) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p1", 1)
    place.drain()
    lose_archive(lb)
    with pytest.raises(RebuildError, match="another one has begun"):
        fill_archive(lb, progress=at(entries=lambda: fill_archive(lb)))
    assert_it_is_all_there(place, lb)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entries: delete(entries).where(entries.c.player == "q00007"),
        lambda entries: update(entries).where(entries.c.player == "q00007").values(submissions=7),
        lambda entries: entries.insert().values(
            board="main", period_id="all", player="stray", order_key=b"\0" * 19, submissions=1, metadata=b""
        ),
    ],
    ids=["missing", "different", "stray"],
)
def test_an_entry_that_is_not_as_in_the_store_is_found(
    place: Place, lb: Installation, api: Client, damage: Callable[[Any], Any]
) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    submit_many(api, "main", 10)
    place.drain()
    lose_archive(lb)

    def do_damage() -> None:
        with lb.archive.write() as connection:
            connection.execute(damage(lb.archive.tables.entries))

    with pytest.raises(RebuildError, match=r"main all: 1 entries differ, that of '(q00007|stray)' among them"):
        fill_archive(lb, progress=at(players=do_damage))
    assert readers.read_position(lb.archive) is None
