"""Reading from the archive what has just changed: it follows the store by some tenths of a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from leaderboard import journal
from leaderboard.archive.readers import read_position
from leaderboard.errors import Problem

if TYPE_CHECKING:
    from leaderboard.installation import Installation

_LOOK_AGAIN_S = 0.05


def wait_for_archive(lb: Installation, within_s: float) -> None:
    """Return once the archive has everything that the store has now.

    Raises archive_unavailable when it does not get there in time, or is not this store's.
    """
    mark, number = journal.read_mark(lb.store, lb.keys), journal.last_number(lb.store, lb.keys)
    deadline = time.monotonic() + within_s
    while True:
        position = read_position(lb.archive) if lb.archive.is_usable() else None
        if mark and position and position.generation == mark.generation and position.number >= number:
            return
        if time.monotonic() >= deadline:
            raise Problem(
                "archive_unavailable",
                "The archive has not got everything yet: is `leaderboard worker` running?",
                retry_after_s=5,
            )
        time.sleep(_LOOK_AGAIN_S)


def missing_records(lb: Installation) -> int:
    """How many records of the journal the archive has not got yet.

    Raises archive_unavailable when it is not this store's, or is being filled.
    """
    there = lb.archive.is_usable()
    mark, number = journal.read_mark(lb.store, lb.keys), journal.last_number(lb.store, lb.keys)
    position = read_position(lb.archive)
    if not there:
        return number
    if not (mark and position and position.generation == mark.generation):
        raise Problem("archive_unavailable", "The archive is not this store's, or is being filled.", retry_after_s=5)
    return max(0, number - position.number)
