"""Archives that are not to be emptied without a word."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from leaderboard.errors import LeaderboardError
from leaderboard.installation import Installation
from leaderboard.rebuild import RebuildError
from leaderboard.rebuild.archive import fill_archive
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import (
    every_row,
    every_table,
)
from tests.keeping.place import Place
from tests.keeping.refill.made import (
    HOUR_MS,
    assert_it_is_all_there,
    on_sqlite,
    run,
)


def test_an_archive_that_has_everything_is_left_alone(place: Place, lb: Installation, api: Client) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p1", 1, key="k")
    place.drain()
    before = every_table(lb.archive)
    with pytest.raises(RebuildError, match="has what the store has"):
        fill_archive(lb)
    assert every_table(lb.archive) == before
    # One whose rows were damaged is made anew, and keeps its history.
    with lb.archive.write() as connection:
        connection.execute(update(lb.archive.tables.entries).values(submissions=99))
    assert fill_archive(lb, replacing=True).submissions == 1
    assert every_table(lb.archive) == before
    assert_it_is_all_there(place, lb, replays=True)


@on_sqlite
def test_an_archive_of_another_store_is_not_emptied_unless_told_to(place: Place, lb: Installation, api: Client) -> None:
    api.define("other")
    api.submit("p1", 1, "other")
    place.drain()
    before = every_table(lb.archive)
    place.raw.flushall()
    # Another store, at the same address: it was claimed by somebody whose archive is another.
    empty = place.installation(database_url=f"sqlite:///{place.folder}/nothing.sqlite")
    empty.claim.check()
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p2", 2)
    with pytest.raises(RebuildError, match="of another store; --replace deletes it first"):
        fill_archive(lb)
    assert every_table(lb.archive) == before
    assert run(place, "--archive").exit_code == 1
    filled = run(place, "--archive", "--replace")
    assert filled.exit_code == 0, filled.output
    assert "1 boards, 1 players and 1 submissions; 1 standings with 1 entries" in filled.output
    assert_it_is_all_there(place, lb)


def test_an_archive_that_was_put_back_gets_the_present_and_keeps_the_submissions_it_has(
    place: Place, lb: Installation, api: Client, clock: SetClock
) -> None:
    alltime = [{"kind": "alltime"}]
    api.define("main", periods=alltime)
    api.define("gone", periods=alltime)
    api.define("again", periods=alltime)
    for player in ("p1", "p2", "p3"):
        for board in ("main", "gone", "again"):
            api.submit(player, 1, board, key=f"{player}-{board}")
    for player in ("p1", "p2"):
        api.admin.delete(f"/v1/admin/boards/gone/entries/{player}?reason={player} cheated")
    place.drain()
    backup = {table: every_row(lb.archive, table) for table in lb.archive.tables.metadata.sorted_tables}
    clock.pass_ms(HOUR_MS)
    api.server.delete("/v1/players/p2")
    for board in ("gone", "again"):
        api.define(board, periods=alltime, state="archived")
        api.admin.delete(f"/v1/admin/boards/{board}")
    api.define("again", periods=alltime)
    api.submit("p3", 3, "again", key="anew")
    # The mark of the erasure has had its time, and another takes the name.
    place.raw.delete("lb:{0}:player:p2")
    api.submit("p2", 5)
    place.drain()
    with lb.archive.write() as connection:
        for table, rows in backup.items():
            connection.execute(delete(table))
            if rows:
                connection.execute(table.insert(), [dict(row._mapping) for row in rows])
    api.submit("p1", 9)
    with pytest.raises(LeaderboardError, match="--archive --replace"):
        Drain(lb).step()
    with pytest.raises(RebuildError, match="of this store at an earlier time; --replace deletes it first"):
        fill_archive(lb)
    assert fill_archive(lb, replacing=True).submissions == 3
    kept = every_row(lb.archive, lb.archive.tables.submissions)
    # Of the one that was erased, and of boards that are gone, there is nothing.
    assert [(row.board, row.player, row.score) for row in kept] == [
        ("main", "p1", 1), ("main", "p3", 1), ("main", "p1", 9),
    ]  # fmt: skip
    # Of the audit everything, but nothing of the one that was erased.
    removals = [row for row in every_row(lb.archive, lb.archive.tables.audit) if row.operation == "delete_entry"]
    assert [(row.player, row.reason, row.state_before is None) for row in removals] == [
        ("p1", "p1 cheated", False), (None, None, True),
    ]  # fmt: skip
    assert_it_is_all_there(place, lb)


@on_sqlite
def test_an_empty_store_has_nothing_to_fill_from(place: Place, lb: Installation, api: Client) -> None:
    with pytest.raises(RebuildError, match="store is empty"):
        fill_archive(lb)
    api.define("main")
    place.drain()
    before = every_table(lb.archive)
    place.raw.flushall()
    with pytest.raises(RebuildError, match="store is empty"):
        fill_archive(lb, replacing=True)
    assert every_table(lb.archive) == before
