"""`leaderboard rebuild --archive`: an archive that was lost, exchanged or put back gets what the store has.

Whether it got all of it is seen in three ways: store and archive are compared row by row, the command compares every
entry itself, and a store that is made from the new archive is compared key by key with what it was.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, select, text, update

from leaderboard.archive import readers
from leaderboard.archive.filling import note_filling
from leaderboard.cli import main
from leaderboard.errors import LeaderboardError
from leaderboard.installation import Installation
from leaderboard.rebuild import RebuildError, comparison, needed, rebuild, walk
from leaderboard.rebuild.archive import fill_archive
from leaderboard.rebuild.filling import Filling
from leaderboard.rebuild.verification import verify_standings
from leaderboard.rebuild.walk import AT_ONCE
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import (
    assert_archive_is_store,
    assert_same,
    every_key,
    every_row,
    every_table,
    everything_of_players,
    everything_shown,
    lasting,
)
from tests.keeping.killed_worker import end_lease
from tests.keeping.load import Load
from tests.keeping.place import Place
from tests.live import eventually
from tests.oracle import show_instant
from tests.reviewing import HOLDS, REVIEWS

HOUR_MS = 3_600_000


@pytest.fixture
def clock(place: Place) -> SetClock:
    """Behind the store's, so that it can go on by a day and nothing lies in the future."""
    seconds, _ = place.raw.time()
    return SetClock(seconds * 1000 - 30 * HOUR_MS)


@pytest.fixture
def api(place: Place, clock: SetClock) -> Client:
    return place.api(clock)


@pytest.fixture
def lb(place: Place, clock: SetClock) -> Installation:
    return place.installation(clock)


@pytest.fixture(params=[200, pytest.param(AT_ONCE, marks=pytest.mark.slow)])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """More than are read at once, so that changes can come between; in small shares, as fewer will do then."""
    for module in (walk, comparison):
        monkeypatch.setattr(module, "AT_ONCE", request.param)
    return int(request.param) * 5


@pytest.fixture
def elsewhere(place: Place, request: pytest.FixtureRequest) -> str:
    """An empty database of the other kind."""
    if place.installation().archive.dialect == "sqlite":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{place.folder}/elsewhere.sqlite"


#: For what is the same whatever the database is.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class StopError(LeaderboardError):
    """Somebody pressed Ctrl-C."""


def make_everything(api: Client, clock: SetClock) -> None:
    """Something of everything that is kept."""
    late = {"late_s": 3600, "rules": {"rate": None}}
    season: dict[str, Any] = {"kind": "season", "keep_days": None, "settle_delay_s": 3600}
    weekly = {"kind": "weekly", "keep_days": 3650}
    tiebreaks = [{"name": "wins"}, {"name": "seconds", "order": "asc"}]
    api.define("main", tiebreaks=tiebreaks, periods=[season, weekly], **late, ties="competition")
    api.define("total", policy="sum", ties="dense", decimals=2, periods=[{"kind": "alltime"}, weekly], **late)
    api.define("last", policy="latest", order="asc", periods=[{"kind": "alltime"}, {"kind": "daily"}], **late)
    for board in ("gone", "again"):
        api.define(board, periods=[{"kind": "alltime"}])
        api.submit("p1", 1, board)
        api.define(board, state="archived", periods=[{"kind": "alltime"}])
        api.admin.delete(f"/v1/admin/boards/{board}")
    api.define("again", order="asc", tiebreaks=tiebreaks, periods=[season])
    for i in range(24):
        player, ago = f"p{i}", clock.at_ms - i * 1000
        api.submit(player, i % 5, tiebreaks={"wins": i % 3, "seconds": i % 2}, metadata={"car": f"№ {i}"}, key=f"a{i}")
        api.submit(player, i % 4 + 0.25, "total", key=f"b{i}", metadata={"n": i})
        # Late ones, which count and leave the metadata as it was.
        api.submit(player, 1, "total", achieved_at=show_instant(ago), metadata={"late": True})
        api.submit(player, i, "last", achieved_at=show_instant(ago))
        # The same once more: it was first achieved then, and the newest is this one.
        api.submit(player, i, "last")
        api.submit(player, i, "again", tiebreaks={"wins": 1})
    api.server.put("/v1/players/p1", {"display_name": "Åsa / 🚗", "country": "SE", "attributes": {"team": "red"}})
    api.server.put("/v1/players/p2", {"display_name": "Bo", "platform": "linux"})
    api.server.put("/v1/players/p1/friends", {"players": ["p2", "p3", "p4"]})
    for player in ("p1", "p2"):
        api.server.put(f"/v1/players/{player}/identities/steam", {"subject": player}, expect=201)
    api.player("p5").put("/v1/players/me/friends/p6")
    api.player("p7").put("/v1/players/me/blocks/p8", expect=204)
    api.player("p9").delete("/v1/sessions/current")
    for i in range(3):
        api.post("/v1/sessions", {"device_id": f"device-{i}".ljust(40, "x"), "display_name": "Cy"}, expect=201)
    key = api.admin.post("/v1/admin/keys", {"name": "ci", "role": "server"}, expect=201)
    api.admin.post("/v1/admin/keys", {"name": "old", "role": "read"}, expect=201)
    api.admin.delete(f"/v1/admin/keys/{key['id']}")
    api.server.delete("/v1/players/p10")
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    for i in range(12, 20):
        api.submit(f"p{i}", i, tiebreaks={"wins": i})
    api.define("plays", rules={"attempts": {"most": 20, "expires_s": 604_800}})
    for player, times in (("p5", 18), ("p11", 1)):
        attempts = [api.server.post("/v1/boards/plays/attempts", {"player": player}, expect=201) for _ in range(times)]
        api.submit(player, 3, "plays", attempt=attempts[-1]["attempt"])
    api.define("strict", ties="dense", rules=HOLDS)
    for score in (1, 2000, 3000):
        api.submit("p20", score, "strict", metadata={"n": score})
        api.submit("p21", score, "strict")
    lb = api.http.application.extensions["leaderboard"]
    for player, decision in (("p20", "approve"), ("p21", "reject")):
        review = lb.store.read(("HKEYS", lb.keys.held(player)))[0][0].decode()
        api.admin.post(f"{REVIEWS}/{review}/decision", {"decision": decision})
    clock.pass_ms(HOUR_MS // 2)
    api.server.post("/v1/boards/plays/attempts", {"player": "p6"}, expect=201)
    clock.pass_ms(3 * HOUR_MS // 2)
    bans = [("p18", "ban", None), ("p19", "shadow", show_instant(clock.at_ms + 9 * HOUR_MS))]
    for player, kind, ends_at in bans:
        api.admin.put(f"/v1/admin/players/{player}/ban", {"kind": kind, "reason": "a; №\n", "ends_at": ends_at})
    api.submit("p19", 40, tiebreaks={"wins": 2})
    # The first season is settled: two of equal score and time there become nameless.
    for player in ("p11", "p16", "p17"):
        api.server.delete(f"/v1/players/{player}")
    api.admin.delete("/v1/admin/boards/total/entries/p3?period=alltime&reason=cheated")
    body = {"score": 7, "reason": "replay checked"}
    api.admin.put("/v1/admin/boards/last/entries/p4?period=alltime", body)


def submit_many(api: Client, board: str, count: int) -> None:
    for first in range(0, count, 1000):
        numbers = range(first, min(count, first + 1000))
        items = [{"board": board, "player": f"q{i:05}", "score": i % 100, "metadata": {"n": i}} for i in numbers]
        assert api.server.post("/v1/submissions/batch", {"submissions": items})["failed"] == 0


def lose_archive(lb: Installation) -> None:
    """As if it had never been; connections of others find nothing any more."""
    tables = lb.archive.tables
    with lb.archive.write() as connection:
        tables.metadata.drop_all(connection)
        connection.execute(text(f"DROP TABLE {tables.schema}"))
    assert not lb.archive.exists()


def archived_entries(lb: Installation, board: str) -> set[str]:
    entries = lb.archive.tables.entries
    with lb.archive.read() as connection:
        return set(connection.scalars(select(entries.c.player).where(entries.c.board == board)))


def assert_it_is_all_there(place: Place, lb: Installation, *, replays: bool = False) -> None:
    """The archive is the store, and a store that is made from it is the same again."""
    place.drain()
    assert_archive_is_store(lb.archive, place.raw)
    assert not [one for one in verify_standings(lb) if one.difference]
    before = every_key(place.raw)
    place.raw.flushall()
    rebuild(lb)
    now = lb.clock.now_ms()
    were, are = lasting(before, now), lasting(every_key(place.raw), now)
    if not replays:
        were, are = ({key: one for key, one in keys.items() if ":replay:" not in key} for keys in (were, are))
    assert_same("keys", were, are)


def at(**acts: Callable[[], object]) -> Callable[[str, int, int], None]:
    """Do something once, after the first share of a stage."""

    def progress(stage: str, _done: int, _total: int) -> None:
        if act := acts.pop(stage.replace(" ", "_"), None):
            act()

    return progress


def run(place: Place, *arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["rebuild", *arguments], env=place.variables(**variables))


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


# -- what must not be emptied ----------------------------------------------------------------------------------------


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


# -- from one database to another ------------------------------------------------------------------------------------


def test_an_archive_is_copied_with_its_history_to_another_database(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    make_everything(api, clock)
    api.submit("p1", 4, "total", key="once", metadata={"by": "wheel"})
    place.drain()
    # The last ones still wait.
    api.submit("p5", 4, "total", key="waits")
    old = every_table(lb.archive)
    new = place.installation(clock, database_url=elsewhere)

    def go_on() -> None:
        # The one is not written to any more, the other not yet.
        assert Drain(lb).step() is None
        assert Drain(new).step() is None
        api.submit("p6", 8, "total", key="meanwhile")
        api.server.delete("/v1/players/p8")

    filled = fill_archive(new, source=lb.archive, progress=at(entries=go_on))
    table = new.archive.tables.submissions
    rows = every_row(new.archive, table)
    assert [tuple(row) for row in rows if row.at_ms < clock.at_ms or row.player not in ("p5", "p6")] == [
        row for row in old[table.name] if row[3] != "p8"
    ][: len(rows) - 2]
    assert [row.id for row in rows] == sorted({row.id for row in rows})
    assert [row.player for row in rows[-2:]] == ["p5", "p6"]
    assert filled.submissions == len(rows)
    assert [row.player for row in every_row(new.archive, table) if row.player == "p8"] == []
    # Whoever still has the old address is told.
    with pytest.raises(LeaderboardError, match="older than the store"):
        Drain(lb).step()
    place.database_url = elsewhere
    assert_it_is_all_there(place, new, replays=True)
    for key, player in (("once", "p1"), ("waits", "p5"), ("meanwhile", "p6")):
        body = {"player": player, "score": 8 if key == "meanwhile" else 4}
        body |= {"metadata": {"by": "wheel"}} if key == "once" else {}
        headers = {"Idempotency-Key": key}
        answer = place.api(clock).server.call("POST", "/v1/boards/total/submissions", body, headers)
        assert answer.headers["Idempotent-Replayed"] == "true", answer.text


def test_a_copy_that_was_cut_off_is_no_archive_and_starts_over(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    make_everything(api, clock)
    place.drain()
    new = place.installation(clock, database_url=elsewhere)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        fill_archive(new, source=lb.archive, progress=at(entries=stop))
    assert readers.read_position(new.archive) is None
    with pytest.raises(LeaderboardError):
        Drain(new).step()
    # The old one goes on until it is done.
    api.submit("p1", 5)
    place.drain()
    assert fill_archive(new, source=lb.archive).submissions
    assert_archive_is_store(new.archive, place.raw)
    assert every_table(new.archive) == every_table(lb.archive)


@on_sqlite
def test_a_copy_that_was_cut_off_may_be_filled_from_the_store_instead(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    make_everything(api, clock)
    place.drain()
    new = place.installation(clock, database_url=elsewhere)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        fill_archive(new, source=lb.archive, progress=at(submissions=stop))
    assert fill_archive(new).submissions == 0
    place.database_url = elsewhere
    assert_it_is_all_there(place, new)


def test_only_an_archive_of_this_very_store_is_copied(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str
) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    api.submit("p1", 1)
    new = place.installation(clock, database_url=elsewhere)
    with pytest.raises(RebuildError, match="there is no archive to copy from"):
        fill_archive(new, source=lb.archive)
    place.drain()
    with pytest.raises(RebuildError, match="this very one"):
        fill_archive(lb, source=place.installation().archive, replacing=True)
    assert_archive_is_store(lb.archive, place.raw)
    # It was moved, and has gone on: the old one is not the store's any more.
    fill_archive(new, source=lb.archive)
    api.submit("p1", 2)
    Drain(new).step()
    third = place.installation(clock, database_url=f"sqlite:///{place.folder}/third.sqlite")
    with pytest.raises(RebuildError, match="of this store at an earlier time"):
        fill_archive(third, source=lb.archive)
    assert readers.read_position(third.archive, partial=True) is None


@on_sqlite
def test_an_archive_that_a_worker_writes_to_is_not_copied(
    place: Place, lb: Installation, api: Client, clock: SetClock, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.define("main")
    assert Drain(lb).step() > 0
    monkeypatch.setattr("leaderboard.rebuild.copying.LEASE_WAIT_S", 0.0)
    new = place.installation(clock, database_url=elsewhere)
    with pytest.raises(RebuildError, match="a worker is writing to the archive that is to be copied"):
        fill_archive(new, source=lb.archive)


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
