"""The archive is away, or its answers are: all is archived in the end, once. And what it lets go in time."""

from __future__ import annotations

import re
import resource
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from sqlalchemy import insert, make_url

from leaderboard.archive import housekeeping
from leaderboard.archive.housekeeping import Housekeeping
from leaderboard.errors import Problem
from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.rebuild import rebuild
from leaderboard.worker import drain as drain_module
from leaderboard.worker.drain import Drain
from leaderboard.worker.report import read_worker
from tests.client import Client
from tests.conftest import SetClock
from tests.databases import PostgreSQL
from tests.faults.proxy import Proxy
from tests.keeping.contents import assert_archive_is_store, every_row, every_table
from tests.keeping.killed_worker import end_lease
from tests.keeping.mixture import Mixture
from tests.keeping.place import Place, new_place
from tests.live import eventually

JOURNAL = "lb:{0}:journal"


def submissions(lb: Installation) -> list[str]:
    """Who submitted, in the order of the archive."""
    return [row.player for row in every_row(lb.archive, lb.archive.tables.submissions)]


# -- away ------------------------------------------------------------------------------------------------------------


def waits_and_goes_on(place: Place, take_away: Callable[[], Any], bring_back: Callable[[], Any]) -> None:
    """A worker that runs while its archive goes and comes back; players notice nothing."""
    api, lb = place.api(), place.installation()
    api.define(policy="sum")
    worker = place.worker()
    api.submit("p0", 1)
    eventually(lambda: place.waiting() == 0, "the worker archives")
    take_away()
    for i in range(1, 30):
        api.submit(f"p{i % 10}", 1)

    def says(problem: str | None) -> bool:
        reported = read_worker(lb.store, lb.keys)
        return reported is not None and (reported.problem is None) == (problem is None)

    eventually(lambda: says("archive_unavailable"), "the worker says what is the matter")
    assert place.waiting() > 0
    bring_back()
    for i in range(30, 50):
        api.submit(f"p{i % 10}", 1)
    eventually(lambda: place.waiting() == 0, "the worker goes on")
    eventually(lambda: says(None), "the worker says that all is well")
    assert worker.stopped() == 0, worker.said
    assert_archive_is_store(lb.archive, place.raw)
    assert submissions(lb) == [f"p{i % 10}" for i in range(50)]
    assert {score for _, _, score in api.table()} == {5}


def test_a_worker_waits_for_a_postgresql_that_is_away(
    postgresql_place: Place, postgresql: Callable[[], PostgreSQL]
) -> None:
    server = postgresql()
    try:
        waits_and_goes_on(postgresql_place, server.stop, server.start)
    finally:
        server.start()


def test_a_worker_waits_for_a_full_disk(place_on_sqlite: Place) -> None:
    # No file of the worker may grow beyond what it has: to the database that is a disk without room.
    def limit(most: int) -> None:
        (worker,) = place_on_sqlite.processes
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    waits_and_goes_on(place_on_sqlite, lambda: limit(512), lambda: limit(resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_worker_waits_for_a_database_that_somebody_else_locks(place_on_sqlite: Place) -> None:
    with closing(sqlite3.connect(place_on_sqlite.folder / "archive.sqlite", isolation_level=None)) as other:
        waits_and_goes_on(place_on_sqlite, lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK"))


def test_a_worker_starts_while_the_archive_cannot_be_opened(place_on_sqlite: Place) -> None:
    place = place_on_sqlite
    api, lb = place.api(), place.installation()
    api.define()
    file = place.folder / "archive.sqlite"
    file.mkdir()
    worker = place.worker()
    api.submit("alice", 1)
    eventually(lambda: (told := read_worker(lb.store, lb.keys)) and told.problem, "the worker says what is the matter")
    shutil.rmtree(file)
    eventually(lambda: place.waiting() == 0, "the worker begins")
    assert worker.stopped() == 0, worker.said
    assert_archive_is_store(lb.archive, place.raw)


def test_a_worker_starts_while_postgresql_is_away(
    postgresql_place: Place, postgresql: Callable[[], PostgreSQL]
) -> None:
    place, server = postgresql_place, postgresql()
    api, lb = place.api(), place.installation()
    api.define()
    server.stop()
    try:
        worker = place.worker()
        api.submit("alice", 1)
        eventually(lambda: (told := read_worker(lb.store, lb.keys)) and told.problem, "it says what is the matter")
    finally:
        server.start()
    eventually(lambda: place.waiting() == 0, "the worker begins")
    assert worker.stopped() == 0, worker.said
    assert_archive_is_store(lb.archive, place.raw)


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_commit_whose_answer_is_lost_is_found_out_about(
    postgresql_place: Place, postgresql: Callable[[], PostgreSQL], lost: str
) -> None:
    place, (socket,) = postgresql_place, list(postgresql().directory.glob(".s.PGSQL.*[0-9]"))
    api, lb = place.api(), place.installation()
    api.define()
    place.drain()
    with Proxy(f"unix://{quote(str(socket))}", only=b"COMMIT\0") as proxy:
        address = f"postgresql://postgres@127.0.0.1:{proxy.port}/{make_url(str(place.database_url)).database}"
        drain = Drain(place.installation(database_url=address))
        drain.step()
        for player in ("alice", "bob", "carol"):
            api.submit(player, 1)
            if lost == "request":
                proxy.lose_requests = 1.0
            else:
                proxy.eat_replies = 1
            with pytest.raises(Problem, match="archive_unavailable"):
                drain.step()
            assert (submissions(lb)[-1:] == [player]) is (lost == "reply")
            proxy.lose_requests = 0.0
            # What was committed before is not archived again, and what was not is archived.
            drain.step()
            assert place.waiting() == 0
    assert submissions(lb) == ["alice", "bob", "carol"]
    assert_archive_is_store(lb.archive, place.raw)


def test_what_a_worker_is_told_to_stop_at_is_archived_first(place: Place) -> None:
    api, lb = place.api(), place.installation()
    api.define()
    worker = place.worker()
    eventually(lambda: lb.archive.exists() and place.waiting() == 0, "the worker archives")
    for i in range(200):
        api.submit(f"p{i}", i)
    assert worker.stopped() == 0, worker.said
    assert place.waiting() == 0
    assert len(submissions(lb)) == 200


@pytest.mark.parametrize("at_once", [pytest.param(1, marks=pytest.mark.slow), 17])
def test_however_many_records_are_archived_at_once_the_archive_is_the_same(
    played: tuple[Mixture, Path], place: Place, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    with new_place(None) as other:
        other.put_back(played[1])
        other.drain()
        expected = without_chance(every_table(other.installation().archive))
    place.put_back(played[1])
    monkeypatch.setattr(drain_module, "BATCH", at_once)
    place.drain()
    assert without_chance(every_table(place.installation().archive)) == expected


def without_chance(tables: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """What stands for an erased player in standings that only the archive has is made up when it is archived."""

    def same(value: Any) -> Any:
        if isinstance(value, bytes):
            return re.sub(rb"(\x01[0-9a-f]{8})[0-9a-f]{12}", rb"\1", value)
        return re.sub("(\x01[0-9a-f]{8})[0-9a-f]{12}", r"\1", value) if isinstance(value, str) else value

    return {name: sorted(tuple(map(same, row)) for row in found) for name, found in tables.items()}


# -- in time ---------------------------------------------------------------------------------------------------------


def test_submissions_that_are_old_are_let_go_and_nothing_else_is(
    api: Client, lb: Installation, raw: redis.Redis, clock: SetClock
) -> None:
    api.define(periods=[{"kind": "alltime"}])
    drain, days = Drain(lb), lb.settings.submissions_days
    api.submit("old", 1)
    clock.pass_ms(1)
    api.submit("just-kept", 2)
    clock.pass_ms(days * DAY_MS - 1)
    api.submit("new", 3)
    drain.step()
    before = every_table(lb.archive)
    Housekeeping(lb).look()
    assert every_table(lb.archive) == before
    clock.pass_ms(1)
    Housekeeping(lb).look()
    assert submissions(lb) == ["just-kept", "new"]
    # Its entry stays, and so does its count.
    after = every_table(lb.archive)
    assert {name: rows for name, rows in after.items() if name != "lb_submissions"} == {
        name: rows for name, rows in before.items() if name != "lb_submissions"
    }
    assert_archive_is_store(lb.archive, raw)


def test_many_old_submissions_are_let_go_share_by_share(lb: Installation, clock: SetClock) -> None:
    lb.archive.migrate()
    table, now = lb.archive.tables.submissions, clock.now_ms()
    row = {
        "board": "main", "player": "p", "kind": "submission", "score": 1, "decimals": 0, "tiebreaks": "{}",
        "achieved_ms": 0, "metadata": b"", "changed": 1, "replay": b"",
    }  # fmt: skip
    old, share = now - 91 * DAY_MS, housekeeping.AT_ONCE
    with lb.archive.write() as connection:
        connection.execute(insert(table), [row | {"at_ms": old + i} for i in range(2 * share + 1)])
        connection.execute(insert(table), [row | {"at_ms": now, "player": "new"}])
    looks = Housekeeping(lb)
    for left in (share + 2, 2, 1):
        looks.look()
        assert len(submissions(lb)) == left
    assert submissions(lb) == ["new"]


def test_attempts_that_expired_are_let_go_and_how_many_were_opened_stays(
    api: Client, lb: Installation, raw: redis.Redis, clock: SetClock
) -> None:
    drain = Drain(lb)
    api.define("main", rules={"attempts": {"most": 9}})
    for _ in range(2):
        api.server.post("/v1/boards/main/attempts", {"player": "alice"}, expect=201)
        clock.pass_ms(1000)
    drain.step()
    attempts, attempted = lb.archive.tables.attempts, lb.archive.tables.attempted
    for passed_ms, left in ((3_597_999, 2), (1, 1), (1000, 0)):
        clock.pass_ms(passed_ms)
        Housekeeping(lb).look()
        assert len(every_row(lb.archive, attempts)) == left
    # The store lets them go when another one is opened.
    assert raw.hlen("lb:{0}:attempts:main:alice") == 2
    assert api.server.post("/v1/boards/main/attempts", {"player": "alice"}, expect=201)["left"] == 6
    assert raw.hlen("lb:{0}:attempts:main:alice") == 1
    drain.step()
    assert [row.attempts for row in every_row(lb.archive, attempted)] == [3]
    assert_archive_is_store(lb.archive, raw)


def test_sessions_that_ended_and_marks_of_erased_players_are_let_go(
    api: Client, lb: Installation, clock: SetClock
) -> None:
    drain = Drain(lb)
    api.player("alice")
    api.server.put("/v1/players/bob", {}, expect=201)
    api.server.delete("/v1/players/bob")
    drain.step()
    tables = lb.archive.tables
    clock.pass_ms(30 * DAY_MS - 1)
    Housekeeping(lb).look()
    assert len(every_row(lb.archive, tables.sessions)) == 1
    assert {row.player for row in every_row(lb.archive, tables.players)} == {"alice", "bob"}
    clock.pass_ms(1)
    Housekeeping(lb).look()
    assert every_row(lb.archive, tables.sessions) == []
    assert {row.player for row in every_row(lb.archive, tables.players)} == {"alice"}


@pytest.mark.parametrize("how", ["submits", "signs in", "is made"])
def test_an_id_that_is_used_again_after_an_erasure_is_a_player_like_any_other(
    api: Client, lb: Installation, raw: redis.Redis, clock: SetClock, how: str
) -> None:
    # 30 days later the store's mark has expired; the archive's is still there when the player comes before the
    # housekeeping does.
    api.define(periods=[{"kind": "alltime"}])
    drain = Drain(lb)
    api.submit("alice", 1)
    api.server.delete("/v1/players/alice")
    drain.step()
    clock.pass_ms(30 * DAY_MS)
    raw.delete("lb:{0}:player:alice")
    match how:
        case "submits":
            api.submit("alice", 2)
        case "signs in":
            api.player("alice")
        case "is made":
            api.server.put("/v1/players/alice", {"display_name": "Alice"}, expect=201)
    drain.step()
    Housekeeping(lb).look()
    (alice,) = every_row(lb.archive, lb.archive.tables.players)
    assert (alice.state, alice.erased_until_ms) == (None, None)
    assert_archive_is_store(lb.archive, raw)
    raw.flushall()
    end_lease(lb)
    rebuild(lb)
    assert api.server.get("/v1/players/alice")["id"] == "alice"


@pytest.fixture
def postgresql_place(postgresql_url: str, tmp_path: Path, place_on_sqlite: Place) -> Place:
    """For what SQLite does not have."""
    place_on_sqlite.database_url = postgresql_url
    return place_on_sqlite
