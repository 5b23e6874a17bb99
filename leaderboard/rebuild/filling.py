"""One filling of the archive: what keeps it in step with the journal while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from leaderboard import journal
from leaderboard.archive import readers
from leaderboard.archive.filling import filled_by
from leaderboard.archive.readers import LeaseLostError
from leaderboard.journal import JournalGapError
from leaderboard.rebuild import RebuildError
from leaderboard.worker.drain import BATCH, DivergedError, Drain

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How often the journal is looked after.
KEEP_UP_S = 0.3

#: How long another reader of the journal is then left alone. SQLite lets it try again every 0.1 s.
BREATH_S = 0.15


class Filling:
    """Writes shares, and sees to it that the journal is archived meanwhile: by itself, or by the worker that runs."""

    def __init__(self, lb: Installation, by: str, progress: Callable[[str, int, int], None]) -> None:
        self.lb = lb
        self._by, self._progress = by, progress
        self._drain = Drain(lb)
        self._done = self._expected = 0
        self._kept_up_s = 0.0

    @contextmanager
    def share(self) -> Iterator[Connection]:
        """A transaction in which nobody archives a record.

        So what is read from the store within it is at least as new as all that the archive has, and whatever it is
        newer by still stands in the journal, to be archived after it. Raises RebuildError when another has taken over.
        """
        archive = self.lb.archive
        with archive.write() as connection:
            readers.hold(connection, archive)
            if filled_by(connection, archive) != self._by:
                raise RebuildError("another one has begun to fill the archive, and goes on with it")
            yield connection

    def expect(self, rows: int) -> None:
        """Say how much there is to do, about, for whoever waits."""
        self._expected += rows

    def tell(self, stage: str, rows: int) -> None:
        self._done += rows
        self._progress(stage, self._done, max(self._expected, self._done))

    def keep_up(self) -> None:
        """Now and then, archive what came meanwhile; where another one does that, leave it time, and more of it while
        much is waiting."""
        if time.monotonic() - self._kept_up_s < KEEP_UP_S:
            return
        while (done := self._step()) == BATCH:
            pass
        if done is None:
            time.sleep(BREATH_S)
            alarm = self.lb.settings.journal_records_alarm
            while journal.read_waiting(self.lb.store, self.lb.keys).records > alarm // 4 and self._step() is None:
                time.sleep(BREATH_S)
        self._kept_up_s = time.monotonic()

    def catch_up(self) -> None:
        """Return once the archive has every record that there is now."""
        last = journal.last_number(self.lb.store, self.lb.keys)
        while self._number() < last:
            if self._step() is None:
                time.sleep(BREATH_S)

    def end(self) -> None:
        """Let a worker go on."""
        self._drain.finish()

    def _step(self) -> int | None:
        """Archive some records; None while another one does."""
        try:
            try:
                return self._drain.step()
            except (JournalGapError, DivergedError):
                # It looks the same when another one took the lease and went on in this moment. Then it shows now.
                return self._drain.step()
        except LeaseLostError:
            return None

    def _number(self) -> int:
        table = self.lb.archive.tables.readers
        with self.lb.archive.read() as connection:
            return int(connection.scalar(select(table.c.number)) or 0)
