"""One worker reads the journal at a time. One that was taken for dead and is not does no harm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
import redis
from sqlalchemy import delete

from leaderboard.archive import readers
from leaderboard.archive.database import Archive
from leaderboard.archive.readers import LEASE_MS, LeaseLostError
from leaderboard.installation import Installation, open_installation
from leaderboard.settings import Settings
from leaderboard.worker.drain import RENEW_MS, Drain
from leaderboard.worker.report import read_worker
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import Kept, assert_archive_is_store, every_key, every_row, every_table
from tests.keeping.killed_worker import end_lease
from tests.keeping.place import Place, Process, once
from tests.keeping.points import point_at
from tests.live import eventually

JOURNAL, WORKER = "lb:{0}:journal", "lb:{0}:worker"


@pytest.fixture
def other(settings: Settings, clock: SetClock) -> Iterator[Installation]:
    """The same installation, on another machine."""
    lb = open_installation(settings, clock)
    yield lb
    lb.close()


def submissions(archive: Archive) -> int:
    return len(every_row(archive, archive.tables.submissions))


# -- taking over -----------------------------------------------------------------------------------------------------


def test_a_second_worker_begins_only_when_the_lease_of_the_first_has_run_out(
    api: Client, lb: Installation, other: Installation, clock: SetClock, raw: redis.Redis
) -> None:
    api.define()
    api.submit("alice", 1)
    first, second = Drain(lb), Drain(other)
    assert first.step() == raw.xlen(JOURNAL) or raw.xlen(JOURNAL) == 0
    api.submit("bob", 2)
    clock.pass_ms(LEASE_MS - 1)
    assert second.step() is None
    assert raw.xlen(JOURNAL) > 0
    clock.pass_ms(1)
    assert second.step()
    assert raw.xlen(JOURNAL) == 0
    assert_archive_is_store(lb.archive, raw)
    assert submissions(lb.archive) == 2


def test_a_worker_with_nothing_to_do_keeps_its_lease(
    api: Client, lb: Installation, other: Installation, clock: SetClock
) -> None:
    first, second = Drain(lb), Drain(other)
    first.step()
    for _ in range(8):
        clock.pass_ms(RENEW_MS)
        assert first.step() == 0
        assert second.step() is None


def test_a_worker_that_stops_lets_another_begin_at_once(api: Client, lb: Installation, other: Installation) -> None:
    api.define()
    Drain(lb).run(once())
    api.submit("alice", 1)
    assert Drain(other).step()


def test_a_worker_that_lost_its_lease_writes_nothing_and_gets_it_again_in_turn(
    api: Client, lb: Installation, other: Installation, clock: SetClock, raw: redis.Redis
) -> None:
    api.define()
    first, second = Drain(lb), Drain(other)
    first.step()
    clock.pass_ms(LEASE_MS)
    second.step()
    api.submit("alice", 1)
    before = every_table(lb.archive)
    with pytest.raises(LeaseLostError):
        first.step()
    assert every_table(lb.archive) == before
    assert raw.xlen(JOURNAL) > 0
    assert first.step() is None
    clock.pass_ms(LEASE_MS)
    assert first.step()
    assert submissions(lb.archive) == 1


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_worker_that_lost_its_lease_calls_that_no_trouble(
    api: Client, lb: Installation, other: Installation, clock: SetClock, waiting: int
) -> None:
    # However far the other one is by then, and whatever it has left to do.
    api.define()
    first, second = Drain(lb), Drain(other)
    first.step()
    clock.pass_ms(LEASE_MS)
    for player in ("alice", "bob"):
        api.submit(player, 1)
        second.step()
    for _ in range(waiting):
        api.submit("carol", 1)
    first.run(once())
    reported = read_worker(lb.store, lb.keys)
    assert reported is None or reported.problem is None
    assert second.step() is not None


def test_of_workers_that_find_a_new_archive_together_each_finds_it_begun(place: Place) -> None:
    installations = [place.installation() for _ in range(4)]
    archive = installations[0].archive
    archive.migrate()
    ready = Barrier(len(installations))

    def begin(lb: Installation) -> None:
        ready.wait()
        readers.begin(lb.archive, "a-generation")

    with ThreadPoolExecutor(len(installations)) as pool:
        for _ in range(50):
            with archive.write() as connection:
                connection.execute(delete(archive.tables.readers))
            for done in [pool.submit(begin, lb) for lb in installations]:
                done.result()
            assert readers.known_generation(archive) == "a-generation"


# -- taken for dead --------------------------------------------------------------------------------------------------


def kept_keys(place: Place) -> dict[str, Kept]:
    """Every key but what a worker says of itself."""
    return {key: kept for key, kept in every_key(place.raw).items() if key != WORKER}


@contextmanager
def paused(place: Place, before: str) -> Iterator[Process]:
    """A worker that stands still before a line of its step, for longer than its lease; it goes on afterwards."""
    with place.paused("worker", point_at(Drain._drain, before)) as process:
        end_lease(place.installation())
        yield process
    assert '"finished"' in process.said, process.said


def test_what_a_worker_writes_late_is_refused_as_a_whole(place: Place) -> None:
    api, lb = place.api(), place.installation()
    api.define(policy="sum")
    api.submit("alice", 1)
    with paused(place, "after = position.after(") as late:
        # It has read the records, and has written none of them.
        second = Drain(lb)
        assert second.step()
        api.submit("alice", 2)
        api.submit("bob", 3)
        assert second.step()
        api.submit("carol", 4)
        archived, position, stored = every_table(lb.archive), readers.read_position(lb.archive), kept_keys(place)
    assert "another reader has taken over" in late.said
    assert every_table(lb.archive) == archived
    assert readers.read_position(lb.archive) == position
    assert kept_keys(place) == stored
    assert second.step()
    assert_archive_is_store(lb.archive, place.raw)
    assert submissions(lb.archive) == 4


@pytest.mark.parametrize("gone_on", [0, 3])
def test_what_a_worker_trims_late_does_no_harm(place: Place, gone_on: int) -> None:
    api, lb = place.api(), place.installation()
    api.define(policy="sum")
    api.submit("alice", 1)
    with paused(place, "self._trim("):
        # It has committed. Another one finds that, trims for it, and perhaps goes on.
        second = Drain(lb)
        assert second.step() == 0
        for score in range(gone_on):
            api.submit("alice", score)
        assert (second.step() or 0) >= gone_on
        api.submit("bob", 3)
        archived, position, stored = every_table(lb.archive), readers.read_position(lb.archive), kept_keys(place)
    assert every_table(lb.archive) == archived
    assert readers.read_position(lb.archive) == position
    assert kept_keys(place) == stored
    assert second.step()
    assert place.waiting() == 0
    assert_archive_is_store(lb.archive, place.raw)
    assert submissions(lb.archive) == 2 + gone_on


def test_of_two_workers_one_reports(place: Place) -> None:
    lb = place.installation()
    first = place.worker()
    eventually(lambda: read_worker(lb.store, lb.keys), "the first reports")
    second = place.worker()
    reported = read_worker(lb.store, lb.keys)
    assert reported is not None
    assert reported.problem is None
    assert first.stopped() == 0
    eventually(lambda: (now := read_worker(lb.store, lb.keys)) and now.owner != reported.owner, "the second takes over")
    assert second.stopped() == 0, second.said
