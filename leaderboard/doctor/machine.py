"""The machine: room on its disks, who may read its files, and its clock."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

from leaderboard.archive.connections import sqlite_file
from leaderboard.doctor.case import Case, Place
from leaderboard.doctor.check import Fault, Finding, Status, ok, together, warning

#: So much room, as a share of the disk and in bytes, is little; a tenth of it is nearly none.
LITTLE_SHARE, LITTLE_BYTES = 0.10, 2 * 2**30

#: Clocks that differ by more than this are spoken of.
CLOCKS_DIFFER_S = 2.0


def look_at_disk(place: Place) -> Finding:
    """Room where the archive and the embedded store's append-only file are; rewriting that needs its size once more."""
    faults, told = [], []
    for paths in _by_disk(place):
        usage = shutil.disk_usage(paths[0])
        growing = sum(_size(path) for path in paths if path == place.store_directory)
        told.append(f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free at {paths[0]}")
        fault = judge_room(usage.free, usage.total, growing, str(paths[0]))
        if fault is not None:
            faults.append(fault)
    return together("; ".join(told) or "nothing of this installation is on this machine's disks", faults)


def judge_room(free: int, total: int, growing: int, where: str) -> Fault | None:
    """What to say of a disk with a file of `growing` bytes that is rewritten now and then."""
    little = min(LITTLE_BYTES, int(total * LITTLE_SHARE))
    mend = f"Make room on the disk of {where}."
    if free < little / 10:
        detail = f"The disk of {where} is nearly full; when it is, changes are refused."
        return Fault(Status.PROBLEM, detail, mend)
    if free < growing:
        detail = f"The disk of {where} has less room than the append-only file takes, so that cannot be rewritten."
        return Fault(Status.WARNING, detail, mend)
    if free < little:
        return Fault(Status.WARNING, f"The disk of {where} has little room left.", mend)
    return None


def _by_disk(place: Place) -> list[list[Path]]:
    """The places that grow, those on one disk together."""
    file = sqlite_file(place.settings)
    wanted = [*([place.store_directory] if place.embedded else []), *([file.parent] if file is not None else [])]
    found: dict[int, list[Path]] = {}
    for path in wanted:
        if path.exists():
            found.setdefault(path.stat().st_dev, []).append(path)
    return list(found.values())


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def look_at_files(place: Place) -> Finding:
    """Keys and data are for the owner of the service alone."""
    data_dir, archive = place.settings.data_dir, sqlite_file(place.settings)
    secret = [data_dir / "keys.env", data_dir / "demo.json"]
    if archive is not None:
        secret += [archive, archive.with_name(f"{archive.name}-wal"), archive.with_name(f"{archive.name}-shm")]
    directories = [data_dir, place.store_directory]
    faults, looked = [], []
    for path, mode in [*((path, 0o600) for path in secret), *((path, 0o700) for path in directories)]:
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        looked.append(path.name)
        if stat.S_IMODE(found.st_mode) & ~mode & 0o077:
            faults.append(
                Fault(
                    Status.PROBLEM if path.name == "keys.env" else Status.WARNING,
                    f"Others on this machine may use {path} (mode {stat.S_IMODE(found.st_mode):04o}).",
                    f"chmod {mode:o} {path}.",
                )
            )
        elif not os.access(path, os.R_OK):
            faults.append(Fault(Status.WARNING, f"{path} is somebody else's.", "Run this as the user of the service."))
    return together(", ".join(looked) or "none here", faults)


def look_at_clock(case: Case) -> Finding:
    """The store's clock decides when a period ends; this machine's is compared with it."""
    asked_s = time.time()
    seconds, microseconds = case.sight.ask("TIME", needs="+time")
    trip_s = time.time() - asked_s
    return judge_clocks(int(seconds) + int(microseconds) / 1e6 - (asked_s + trip_s / 2), trip_s)


def judge_clocks(apart_s: float, trip_s: float) -> Finding:
    """`apart_s`: how far the store's is ahead, give or take half a round trip."""
    if abs(apart_s) <= CLOCKS_DIFFER_S + trip_s / 2:
        return ok("the clocks of the store and of this machine agree")
    return warning(
        f"the store's clock is {abs(apart_s):.0f} s {'ahead of' if apart_s > 0 else 'behind'} this machine's",
        "One of the two clocks is wrong, and the store's decides when a day or a week ends.",
        "Let NTP set the clocks of both machines.",
    )
