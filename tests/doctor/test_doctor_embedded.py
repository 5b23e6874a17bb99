"""What the doctor says of an embedded store that does not run, and of the files and disks of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from leaderboard.doctor.check import Status
from leaderboard.doctor.embedded import lock_holder
from leaderboard.doctor.machine import judge_room
from leaderboard.errors import SettingError
from leaderboard.serve.mending import mend
from leaderboard.store.directory_lock import DirectoryLock
from tests.doctor.conftest import Ground

GIB = 2**30


@pytest.fixture
def stopped(well: Ground) -> Ground:
    well.store.stop()
    return well


def records(ground: Ground) -> Path:
    [path] = (ground.folder / "store" / "appendonlydir").glob("*.incr.aof")
    return path


def test_a_store_that_was_stopped_is_a_problem_and_the_rest_is_looked_at(stopped: Ground) -> None:
    told = stopped.doctor()
    assert told.exit_code == 1
    assert told.complaints == {"store.embedded": "problem"}
    assert "stopped as it should be" in told.says("store.embedded")
    assert told.statuses["archive.answers"] == "ok"
    # Nobody is kept from starting it.
    stopped.store.start()
    assert stopped.doctor().statuses["store.embedded"] == "ok"


def test_of_a_store_that_was_killed_the_end_of_its_log_is_shown(well: Ground) -> None:
    assert well.store.child is not None
    well.store.child.kill()
    # As after the death of the whole `serve`: its socket is still there, its lock is not.
    well.store._placed().lock.release()
    told = well.doctor()
    assert told.complaints == {"store.embedded": "problem"}
    last = (well.folder / "store" / "store.log").read_text().splitlines()[-1]
    assert last in told.says("store.embedded")


def test_a_directory_that_is_held_while_its_store_says_nothing_names_the_holder(stopped: Ground) -> None:
    lock = DirectoryLock(stopped.folder, lambda: False)
    try:
        told = stopped.doctor()
    finally:
        lock.release()
    assert told.complaints == {"store.embedded": "problem"}
    assert f"process {os.getpid()} has" in told.says("store.embedded")


def test_a_directory_in_which_nothing_ever_ran_is_told_from_a_stopped_store(ground: Ground) -> None:
    assert "nothing was ever started" not in ground.doctor().says("store.embedded")
    told = ground.doctor("--data-dir", str(ground.folder / "nowhere"))
    assert told.exit_code == 1
    assert "nothing was ever started" in told.says("store.embedded")
    assert not (ground.folder / "nowhere").exists()


#: What becomes of a record in the middle.
DAMAGE: list[Callable[[bytes], bytes]] = [
    lambda record: b"?" + record[1:],
    lambda record: record.replace(b"$", b"?", 1),
    lambda record: record.replace(b"$", b"$1", 1),
    lambda record: b"*9" + record[2:],
    lambda record: b"\0" * len(record),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_in_the_append_only_file_is_found_though_nobody_tried_to_start_it(
    stopped: Ground, damage: Callable[[bytes], bytes]
) -> None:
    path = records(stopped)
    good = path.read_bytes()
    # Where a record begins: the library's source, which is the most of it, has no such line.
    middle = good.index(b"\r\n*", len(good) // 2) + 2
    record = good[middle : good.index(b"\r\n*", middle) + 2]
    path.write_bytes(damaged := good[:middle] + damage(record) + good[middle + len(record) :])
    told = stopped.doctor()
    assert told.complaints == {"store.embedded": "problem"}
    assert f"{path} is damaged after byte" in told.says("store.embedded")
    assert path.read_bytes() == damaged, "the doctor mends nothing by itself"
    with pytest.raises(SettingError, match="ended with status 1"):
        stopped.store.start()
    # What it says to run makes a file that is sound.
    command = told.check("store.embedded")["mend"].partition("with (")[2].partition(") in bash")[0]
    assert os.system(f"echo y | bash -c '{command}' > {stopped.folder}/said") == 0
    assert "damaged" not in stopped.doctor().says("store.embedded")
    stopped.store.start()
    mend(stopped.settings())
    assert stopped.api.table() == [(1, "bob", 20), (2, "alice", 10)]


@pytest.mark.parametrize("cut", [1, 3, 5, 6, 8, 17, 40])
def test_a_torn_end_of_the_append_only_file_is_not_called_damage(stopped: Ground, cut: int) -> None:
    path = records(stopped)
    path.write_bytes(path.read_bytes()[:-cut])
    told = stopped.doctor()
    assert "cut off while they were written" in told.says("store.embedded")
    assert "damaged" not in told.says("store.embedded")
    assert "Start it: `leaderboard serve`" in told.says("store.embedded")
    stopped.store.start()


def test_a_file_that_the_manifest_names_and_that_is_gone_is_a_problem(stopped: Ground) -> None:
    path = records(stopped)
    path.unlink()
    told = stopped.doctor()
    assert told.complaints == {"store.embedded": "problem"}
    assert f"{path} is missing" in told.says("store.embedded")


def test_a_server_that_refused_to_start_is_quoted(stopped: Ground) -> None:
    told = stopped.doctor(LEADERBOARD_STORE_BINARY=str(stopped.folder / "no-server"))
    assert told.complaints == {"store.embedded": "problem"}
    assert "which is not a Valkey or Redis server" in told.says("store.embedded")


# -- files and disks -------------------------------------------------------------------------------------------------


def test_files_that_others_may_read_are_named_and_what_is_said_mends_it(well: Ground) -> None:
    keys = well.folder / "keys.env"
    keys.write_text("LEADERBOARD_ADMIN_KEY=a\n")
    keys.chmod(0o600)
    assert well.doctor().complaints == {}
    keys.chmod(0o644)
    told = well.doctor()
    assert told.complaints == {"machine.files": "problem"}
    assert told.check("machine.files")["mend"] == f"chmod 600 {keys}."
    keys.chmod(0o600)
    for path, mode in ((well.folder / "archive.sqlite", 0o640), (well.folder / "store", 0o750)):
        right = path.stat().st_mode & 0o777
        path.chmod(mode)
        assert well.doctor().complaints == {"machine.files": "warning"}
        path.chmod(right)
    assert well.doctor().complaints == {}


@pytest.mark.parametrize(
    ("free", "total", "growing", "status"),
    [
        (50 * GIB, 100 * GIB, 0, None),
        (50 * GIB, 100 * GIB, 51 * GIB, Status.WARNING),
        (1 * GIB, 100 * GIB, 0, Status.WARNING),
        (GIB // 10, 100 * GIB, 0, Status.PROBLEM),
        # A small disk is full later.
        (GIB // 4, 1 * GIB, 0, None),
        (GIB // 200, 1 * GIB, 0, Status.PROBLEM),
    ],
)
def test_room_is_judged_by_what_the_disk_has_and_what_grows_on_it(
    free: int, total: int, growing: int, status: Status | None
) -> None:
    fault = judge_room(free, total, growing, "/data")
    assert (fault.status if fault else None) is status


def test_the_disk_of_a_store_elsewhere_is_not_this_machines(well: Ground, tmp_path: Path) -> None:
    told = well.doctor_by_url(LEADERBOARD_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert told.says("machine.disk") == "nothing of this installation is on this machine's disks"


def test_looking_keeps_no_store_from_starting(stopped: Ground) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            lock_holder(stopped.folder / "lock")

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        assert stopped.store.start()
        assert lock_holder(stopped.folder / "lock") == str(os.getpid())
    finally:
        over.set()
        for looker in lookers:
            looker.join()
