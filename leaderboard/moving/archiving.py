"""Seeing to it that the journal gets into the archive: by the worker that runs, or by this process where none does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from leaderboard import journal
from leaderboard.archive.readers import LeaseLostError, read_position
from leaderboard.errors import Problem, SettingError
from leaderboard.journal import JournalGapError
from leaderboard.moving.patience import PATIENCE_S, patiently
from leaderboard.worker.drain import DivergedError, Drain

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)

#: A worker that was killed has lost its lease after this; one that lives and archives nothing is spoken of.
WARN_S = 15.0

_LOOK_AGAIN_S = 0.05


class Archiving:
    """One command's part in it. End it with `end`, so that a worker can begin at once."""

    def __init__(self, lb: Installation, warn: Callable[[str], None] = log.warning) -> None:
        self._lb, self._warn = lb, warn
        self._drain = Drain(lb)
        self._most = lb.settings.journal_records_alarm // 2

    def make_room(self) -> None:
        """Wait until fewer records wait in the journal than half of what is worth an alarm.

        Raises Problem (503) when nothing gets archived.
        """
        self._work_until(lambda: journal.read_waiting(self._lb.store, self._lb.keys).records < self._most)

    def catch_up(self) -> None:
        """Return once the archive has everything that the store has now. Raises Problem (503)."""
        last = patiently(lambda: journal.last_number(self._lb.store, self._lb.keys))

        def has_all() -> bool:
            mark, position = journal.read_mark(self._lb.store, self._lb.keys), read_position(self._lb.archive)
            is_this_store = mark is not None and position is not None and position.generation == mark.generation
            return is_this_store and position is not None and position.number >= last

        self._work_until(has_all)

    def end(self) -> None:
        self._drain.finish()

    def _work_until(self, done: Callable[[], bool]) -> None:
        moved_at_s, number, has_warned = time.monotonic(), -1, False
        while not patiently(done):
            patiently(self._step)
            position = patiently(lambda: read_position(self._lb.archive))
            if position is not None and position.number != number:
                moved_at_s, number = time.monotonic(), position.number
            waited_s = time.monotonic() - moved_at_s
            if waited_s > PATIENCE_S:
                raise Problem("archive_unavailable", "Nothing gets archived: see `leaderboard doctor`.")
            if waited_s > WARN_S and not has_warned:
                has_warned = True
                self._warn("a worker has the archive, and archives nothing; waiting for it")

    def _step(self) -> None:
        """Archive something; where a worker does, wait a little."""
        try:
            if self._drain.step() is not None:
                return
        except LeaseLostError:
            # A worker that was slow is back.
            pass
        except (DivergedError, JournalGapError) as error:
            raise SettingError(str(error)) from error
        time.sleep(_LOOK_AGAIN_S)
