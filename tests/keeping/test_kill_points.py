"""The worker, the store, or both are killed with -9 under load: nothing acknowledged is lost, and nothing comes twice.

What is in the archive in the end is compared with the store row by row, and with the oracle (tests/keeping/load.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from leaderboard.archive import readers
from leaderboard.archive.gathered import Gathered
from leaderboard.rebuild.verification import verify_standings
from leaderboard.worker.drain import Drain
from tests.keeping.killed_worker import end_lease
from tests.keeping.load import Load
from tests.keeping.place import Place
from tests.keeping.points import point_at, points_of
from tests.live import eventually


def groups_of_points(*, every_line: bool) -> list[list[str]]:
    """Where a worker passes, from its start to the end of its first step, in an order in which each comes to pass.

    Only the first worker of all makes the archive that of the store, and only one that finds the one before it killed
    between commit and trim trims at its start: another is killed there first.
    """
    trim = point_at(Drain._drain, "self._trim(")
    commit = point_at(Drain._drain, "with lb.archive.write()")
    groups: list[list[str]] = []
    for point, text in points_of(Drain._take_over, every_line=every_line).items():
        untrimmed = "UNTRIMMED" in text or text.startswith("self._trim(")
        groups.append([trim, point] if untrimmed else [point])
        if text.startswith("readers.begin("):
            groups += [[point] for point in points_of(readers.begin, every_line=every_line)]
    for stage in (readers.take_lease, Drain._drain, readers.advance, Drain._trim, Gathered.flush):
        groups += [[point] for point in points_of(stage, every_line=every_line)]
    # The block's line once more, at its end: everything is written, and not committed.
    return [*groups, [f"{commit}:2"]]


@contextmanager
def under_load(place: Place) -> Iterator[Load]:
    """Everything is compared afterwards."""
    # As long as it takes, and all from one address.
    with place.live(LEADERBOARD_SIGN_INS_PER_MINUTE="0") as live:
        load = Load(live.api, now_ms=place.installation().clock.now_ms()).define()
        with load:
            yield load
    place.drain()
    lb = place.installation()
    assert place.waiting() == 0
    assert not [one for one in verify_standings(lb) if one.difference]
    load.check(lb.archive, place.raw)


def test_a_worker_killed_at_any_statement_loses_nothing_and_archives_nothing_twice(place: Place) -> None:
    points = [point for group in groups_of_points(every_line=False) for point in group]
    with under_load(place) as load:
        assert not place.killed("worker", *points), "never came there"
        load.reset()
        load.go_on()


@pytest.mark.slow
def test_a_worker_killed_at_any_line_loses_nothing_and_archives_nothing_twice(place: Place) -> None:
    with under_load(place) as load:
        for group in groups_of_points(every_line=True):
            assert not place.killed("worker", *group), "never came there"
            if group[0].startswith("worker"):
                load.reset()
        load.go_on()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_worker_killed_again_and_again_wherever_it_is_loses_nothing(place: Place, seed: int) -> None:
    # Most lines of a step are those that take records apart, so that most kills are in the middle of a transaction.
    chosen = random.Random(seed)
    points = [str(int(10 ** chosen.uniform(0, 4))) for _ in range(60)]
    moments = [f"~{chosen.uniform(0, 0.6):.3f}" for _ in range(20)]
    with under_load(place) as load:
        for first in range(0, 60, 10):
            place.killed("worker", *points[first : first + 10], *moments[first // 3 : first // 3 + 3])
            load.reset()
        load.go_on()


def test_a_store_killed_while_the_worker_drains_and_both_killed_lose_nothing(place: Place) -> None:
    _kill_stores(place, rounds=2)


@pytest.mark.slow
def test_a_store_killed_again_and_again_while_the_worker_drains_loses_nothing(place: Place) -> None:
    _kill_stores(place, rounds=15)


def _kill_stores(place: Place, rounds: int) -> None:
    _write_at_once(place)
    with under_load(place) as load:
        worker = place.worker()
        for _ in range(rounds):
            _archives(place)
            place.kill_store()
            place.launch_store()
            _write_at_once(place)
            load.reset()
            _archives(place)
            place.kill_store()
            worker.kill()
            place.launch_store()
            _write_at_once(place)
            end_lease(place.installation())
            worker = place.worker()
        _archives(place)
        assert worker.stopped() == 0, worker.said


def _write_at_once(place: Place) -> None:
    """With `everysec` the server holds writes back while an fsync takes long: see docs/operations.md, The store."""
    place.raw.config_set("appendfsync", "always")


def _archives(place: Place) -> None:
    """Wait until a worker takes some steps."""
    archive = place.installation().archive
    eventually(archive.exists, "the worker begins")
    before = readers.read_position(archive)

    def goes_on() -> bool:
        now = readers.read_position(archive)
        return now is not None and now.number > (before.number if before else 0) + 50

    eventually(goes_on, "the worker archives")
