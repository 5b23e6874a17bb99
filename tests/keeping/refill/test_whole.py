"""Filling an archive from the store: all of it comes, also when it was cut off."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from leaderboard.archive import readers
from leaderboard.cli import main
from leaderboard.errors import LeaderboardError
from leaderboard.installation import Installation
from leaderboard.rebuild import needed
from leaderboard.rebuild.archive import fill_archive
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import (
    assert_same,
    every_key,
    every_row,
    every_table,
    everything_of_players,
    everything_shown,
)
from tests.keeping.load import Load
from tests.keeping.place import Place
from tests.keeping.refill.made import (
    StopError,
    assert_it_is_all_there,
    at,
    lose_archive,
    make_everything,
    on_sqlite,
    run,
    submit_many,
)
from tests.live import eventually

# -- all of it -------------------------------------------------------------------------------------------------------


def test_a_lost_archive_gets_everything_that_the_store_has(
    place: Place, lb: Installation, api: Client, clock: SetClock
) -> None:
    make_everything(api, clock)
    api.admin.put("/v1/admin/maintenance", {"reason": "moving"})
    place.drain()
    archived = every_table(lb.archive)
    # What happened is in no store.
    tables = lb.archive.tables
    lost: dict[str, Any] = {table.name: [] for table in (tables.submissions, tables.audit)}
    # What is held is, and what was decided is not.
    reviews = archived[tables.reviews.name]
    lost[tables.reviews.name] = [row for row in reviews if "open" in row]
    assert len(reviews) > len(lost[tables.reviews.name]) > 0
    assert all(archived.values()), "there is a table with nothing in it"
    lose_archive(lb)
    with pytest.raises(LeaderboardError, match="leaderboard rebuild --archive"):
        Drain(lb).step()
    before = every_key(place.raw)
    filled = fill_archive(lb)
    assert every_table(lb.archive) == archived | lost
    # Nothing is done to the store for it.
    assert_same("keys", before, every_key(place.raw))
    assert filled.submissions == 0
    assert filled.entries == sum(len(key.value) for name, key in before.items() if ":entries:" in name)
    shown = everything_shown(api), everything_of_players(api, [f"p{i}" for i in range(24)])
    assert_it_is_all_there(place, lb)
    fresh = place.api(clock)
    assert (everything_shown(fresh), everything_of_players(fresh, [f"p{i}" for i in range(24)])) == shown


def test_what_waits_in_the_journal_comes_after_what_the_store_shows_already(
    place: Place, lb: Installation, api: Client, clock: SetClock
) -> None:
    """A worker was down, and the archive is lost: the oldest records speak of what is not so any more."""
    api.define("early")
    place.drain()
    make_everything(api, clock)
    waiting = place.waiting()
    assert waiting > 100
    lose_archive(lb)
    fill_archive(lb)
    assert place.waiting() == 0
    # What waited, happened once.
    rows = every_row(lb.archive, lb.archive.tables.submissions)
    assert len([row for row in rows if row.player == "p1" and row.board == "total"]) == 2
    assert {row.decimals for row in rows if row.board == "total"} == {2}
    assert_it_is_all_there(place, lb)


def test_all_of_it_comes_while_everything_goes_on(place: Place, many: int) -> None:
    with place.live() as live:
        load = Load(live.api, now_ms=place.installation().clock.now_ms()).define()
        with load:
            submit_many(live.api, "sum", many)
            load.go_on()
            place.drain()
            lb = place.installation()
            lose_archive(lb)
            submitted = load.acknowledged
            fill_archive(lb, progress=at(entries=load.reset))
            assert load.acknowledged > submitted
            load.go_on()
        assert_it_is_all_there(place, lb)


def test_a_worker_that_runs_goes_on_by_itself(place: Place, many: int) -> None:
    with place.live() as live:
        load = Load(live.api, now_ms=place.installation().clock.now_ms()).define()
        with load:
            submit_many(live.api, "latest", many)
            place.drain()
            lb = place.installation()
            lose_archive(lb)
            worker = place.worker()
            eventually(lambda: b"rebuild --archive" in (place.raw.get("lb:{0}:worker") or b""), "it says what is wrong")

            def let_the_worker_read() -> None:
                # It finds the lease free, as after a filling that was cut off.
                with lb.archive.write() as connection:
                    connection.execute(update(lb.archive.tables.readers).values(owner=None, until_ms=0))
                eventually(lambda: readers.read_owner(lb.archive), "it has the lease")

            fill_archive(lb, progress=at(entries=let_the_worker_read))
            load.go_on()
            eventually(lambda: place.waiting() < 100, "it archives")
        assert worker.stopped() == 0, worker.said
        assert_it_is_all_there(place, lb)


def test_a_worker_that_comes_before_the_walk_knows_what_the_records_are_about(
    place: Place, lb: Installation, api: Client
) -> None:
    tiebreaks = [{"name": "wins"}, {"name": "seconds", "order": "asc"}]
    api.define("main", order="asc", decimals=2, tiebreaks=tiebreaks, periods=[{"kind": "alltime"}])
    place.drain()
    api.submit("p1", 1.25, tiebreaks={"wins": 3, "seconds": 4})
    lose_archive(lb)

    def let_a_worker_do_it() -> None:
        assert place.drain() == 2

    fill_archive(lb, progress=at(looking_around=let_a_worker_do_it))
    (row,) = every_row(lb.archive, lb.archive.tables.submissions)
    assert (row.score, row.decimals, json.loads(row.tiebreaks)) == (125, 2, {"wins": 3, "seconds": 4})
    assert_it_is_all_there(place, lb)


# -- cut off ---------------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("stage", ["looking_around", "entries", "players", "friends", "comparing"])
def test_a_filling_that_was_cut_off_starts_over_and_until_then_nothing_is_made_from_it(
    place: Place, lb: Installation, api: Client, clock: SetClock, stage: str
) -> None:
    make_everything(api, clock)
    place.drain()
    lose_archive(lb)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        fill_archive(lb, progress=at(**{stage: stop}))
    # The journal is archived all the same, and the rest comes later.
    api.submit("p1", 77)
    api.server.delete("/v1/players/p2")
    place.drain()
    assert place.waiting() == 0
    assert readers.read_position(lb.archive) is None
    assert needed(lb) is None
    refused = run(place, "--replace")
    assert refused.exit_code == 1
    assert "has a part only" in refused.output
    api.submit("p1", 78)
    again = run(place, "--archive")
    assert again.exit_code == 0, again.output
    assert_it_is_all_there(place, lb)


@on_sqlite
def test_a_part_of_an_archive_is_made_a_store_only_on_demand(
    place: Place, lb: Installation, api: Client, many: int
) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    submit_many(api, "main", many)
    place.drain()
    lose_archive(lb)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        fill_archive(lb, progress=at(entries=stop))
    place.lose_store()
    assert api.get("/readyz", expect=503)["code"] == "store_unavailable"
    assert needed(lb) is None
    refused = run(place)
    assert refused.exit_code == 1
    assert "--incomplete" in refused.output
    assert run(place, "--archive").exit_code == 1
    assert run(place, "--incomplete").exit_code == 0
    assert 0 < len(api.table("main")) <= 200


@on_sqlite
def test_one_that_was_killed_starts_over(place: Place, lb: Installation, api: Client, many: int) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    submit_many(api, "main", many)
    place.drain()
    lose_archive(lb)
    command = (
        f"from leaderboard.rebuild import walk; walk.AT_ONCE = {many // 5}; from leaderboard.cli import main; main()"
    )
    filling = place.run("-c", command, "rebuild", "--archive")
    eventually(lambda: readers.read_position(lb.archive, partial=True), "it has begun")
    filling.kill()
    assert filling.status in (-signal.SIGKILL, 0)
    api.submit("q00000", 1000)
    place.drain()
    again = place.cli("rebuild", "--archive", "--replace")
    assert again.status == 0, again.said
    assert_it_is_all_there(place, lb)


# -- the command -----------------------------------------------------------------------------------------------------


@on_sqlite
def test_the_command_says_what_could_not_come(place: Place, lb: Installation, api: Client) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p1", 1)
    place.drain()
    lose_archive(lb)
    result = run(place, "--archive")
    assert result.exit_code == 0, result.output
    assert "1 boards, 1 players and 0 submissions; 1 standings with 1 entries are as in the store" in result.output
    assert "Not in the store" in result.output


def test_the_command_moves_an_archive(place: Place, lb: Installation, api: Client, elsewhere: str) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p1", 1)
    place.drain()
    assert place.database_url is not None
    result = run(place, "--archive", "--from", place.database_url, LEADERBOARD_DATABASE_URL=elsewhere)
    assert result.exit_code == 0, result.output
    assert "1 boards, 1 players and 1 submissions" in result.output
    assert "Not in the store" not in result.output
    new = place.installation(database_url=elsewhere)
    assert every_table(new.archive) == every_table(lb.archive)


@pytest.mark.parametrize("options", [["--from", "sqlite:////tmp/x"], ["--archive", "--incomplete"]])
def test_options_that_make_no_sense_together_are_refused(options: list[str]) -> None:
    assert CliRunner().invoke(main, ["rebuild", *options]).exit_code == 2


def test_an_address_that_is_none_is_said_in_one_line(place_on_sqlite: Place) -> None:
    result = run(place_on_sqlite, "--archive", "--from", "archive.sqlite")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
