"""Draining the journal into the archive: in order, each record once, whoever is killed when.

A step reads records, writes them and the new position in one SQL transaction, and only then drops them from the
journal. Killed before the commit, it is as if it had not begun; killed after it, the next reader finds them archived
and drops them. Store and archive both hold the token of the last step, so that a store which was emptied, or put back
to an earlier state, is noticed before anything is written.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from leaderboard import journal
from leaderboard.archive import readers
from leaderboard.archive.housekeeping import Housekeeping
from leaderboard.archive.readers import LeaseLostError, Position
from leaderboard.archive.writer import Writer
from leaderboard.bans import lift_due
from leaderboard.errors import LeaderboardError, Problem, SettingError
from leaderboard.journal import JournalGapError, Record
from leaderboard.relation import Relation, digest_of, explain, relation_of
from leaderboard.worker.outliers import OutlierWatch
from leaderboard.worker.report import Report

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)

#: So many records are written in one transaction.
BATCH = 2_000

#: Between two looks at a journal that was empty or nearly so: what came meanwhile is written together.
GATHER_S = 0.1

#: How often bans are looked for that are over.
BANS_EVERY_S = 5.0

#: Before trying again where something stands in the way.
RETRY_S = 1.0

#: How long a worker that was told to stop still archives what is left.
FINISH_S = 5.0

_MISSING = (
    "the archive is new, and the store is not: `leaderboard rebuild --archive` fills the archive; "
    "if it was taken away, put it back"
)

#: An idle reader renews its lease this often.
RENEW_MS = readers.LEASE_MS // 3


class DivergedError(LeaderboardError):
    """Store and archive do not belong together as they are; the message says what to do."""


class Drain:
    """One worker's reading of the journal."""

    def __init__(self, lb: Installation) -> None:
        self._lb = lb
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._writer = Writer(lb.archive)
        self._housekeeping = Housekeeping(lb)
        self._outliers = OutlierWatch(lb)
        self._report = Report(lb, self._owner)
        self._position: Position | None = None
        self._renewed_ms = 0
        self._bans_looked_s: float | None = None

    def run(self, stop: Callable[[], bool]) -> None:
        """Drain until a stop is asked for. Whatever is away is waited for."""
        while not stop():
            deadline = time.monotonic() + self._turn()
            while not stop() and (left_s := deadline - time.monotonic()) > 0:
                time.sleep(min(0.1, left_s))
        self.finish()

    def finish(self) -> None:
        """Archive what is left, and let another worker begin at once."""
        try:
            deadline = time.monotonic() + FINISH_S
            while self._position is not None and time.monotonic() < deadline and self.step():
                pass
            if self._position is not None:
                readers.give_up_lease(self._lb.archive, self._position)
        except LeaderboardError as error:
            log.warning("stopped before the journal was archived: %s", error)

    def step(self) -> int | None:
        """Archive what there is, at most BATCH records, and return how many; None while another worker has the lease.

        Raises Problem (503), LeaseLostError, DivergedError, JournalGapError, SettingError.
        """
        try:
            if self._position is None:
                self._position = self._take_over()
                if self._position is None:
                    return None
            return self._drain(self._position)
        except BaseException:
            # What the store and the archive hold is found out anew.
            self._position = None
            self._writer.forget()
            raise

    # -- one turn ----------------------------------------------------------------------------------------------------

    def _turn(self) -> float:
        """One step, and how long to wait for the next one."""
        problem = None
        try:
            done = self.step()
            wait_s = 0.0 if done == BATCH else RETRY_S if done is None else GATHER_S
            if done is not None:
                self._housekeeping.look()
                self._lift_bans()
                if done < BATCH:
                    self._outliers.look()
        except LeaseLostError as error:
            log.warning("%s", error)
            wait_s = RETRY_S
        except (DivergedError, JournalGapError, SettingError, Problem) as error:
            problem, wait_s = str(error), RETRY_S
        except Exception as error:
            # A mistake of ours. Nothing is skipped: the journal waits for a version that can write it.
            log.exception("archiving failed")
            problem, wait_s = f"{type(error).__name__}: see the worker's log", RETRY_S
        self._report.tell(self._position is not None, problem)
        return wait_s

    def _lift_bans(self) -> None:
        if self._bans_looked_s is None or time.monotonic() - self._bans_looked_s >= BANS_EVERY_S:
            self._bans_looked_s = time.monotonic()
            try:
                lift_due(self._lb)
            except Problem as problem:
                # Archiving comes first: a journal that is full lifts no ban.
                log.warning("bans that are over are lifted later: %s", problem)

    def _drain(self, position: Position) -> int:
        lb = self._lb
        records = self._read(position)
        now = lb.clock.now_ms()
        if not records:
            if now - self._renewed_ms >= RENEW_MS:
                with lb.archive.write() as connection:
                    readers.advance(connection, lb.archive, position, now)
                self._renewed_ms = now
            return 0
        after = position.after(records[-1].number, digest_of(records))
        with lb.archive.write() as connection:
            readers.advance(connection, lb.archive, after, now)
            self._writer.write(connection, records)
        self._position, self._renewed_ms = after, now
        self._trim(after)
        return len(records)

    def _read(self, position: Position) -> list[Record]:
        lb = self._lb
        try:
            mark, records = journal.read_records(lb.store, lb.keys, position.number, BATCH)
        except JournalGapError:
            mark, records = journal.read_mark(lb.store, lb.keys), []
            if mark is not None and mark.token == position.token:
                raise
        if mark is None or mark.token != position.token:
            # Which of the two it is shows when the lease is asked for again; whoever mends the other needs it.
            readers.give_up_lease(lb.archive, position)
            raise LeaseLostError("another reader has taken over, or the store is another")
        return records

    def _trim(self, position: Position) -> None:
        lb = self._lb
        lb.store.call(
            "trim_journal",
            [lb.keys.store, lb.keys.journal],
            [position.number, position.token, position.generation],
        )

    # -- beginning -----------------------------------------------------------------------------------------------------

    def _take_over(self) -> Position | None:
        lb = self._lb
        lb.claim.check()
        mark = journal.read_mark(lb.store, lb.keys)
        if mark is None:
            raise DivergedError("the store is being rebuilt")
        if mark.had_archive and not lb.archive.exists():
            # Not made by us: what is put back in its place may have its log beside it.
            raise DivergedError(_MISSING)
        lb.archive.migrate()
        try:
            position = readers.take_lease(lb.archive, self._owner, lb.clock.now_ms())
        except LookupError:
            if mark.had_archive:
                raise DivergedError(_MISSING) from None
            readers.begin(lb.archive, mark.generation)
            position = readers.take_lease(lb.archive, self._owner, lb.clock.now_ms())
        if position is None:
            return None
        self._renewed_ms = lb.clock.now_ms()
        match relation_of(lb, mark, position):
            case Relation.SAME:
                pass
            case Relation.UNTRIMMED:
                self._trim(position)
            case other:
                # Whoever mends it needs the lease.
                readers.give_up_lease(lb.archive, position)
                raise DivergedError(explain(other, mark, position))
        log.info("draining from record %d on", position.number + 1)
        return position
