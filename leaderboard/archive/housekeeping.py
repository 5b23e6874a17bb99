"""What the archive keeps for a time only: single submissions, sessions that ended, attempts that
expired, the marks of erased players."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from leaderboard.model import DAY_MS

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How often it is looked for, and how many submissions go in one transaction.
EVERY_S = 60.0
AT_ONCE = 5_000


class Housekeeping:
    def __init__(self, lb: Installation) -> None:
        self._lb = lb
        self._looked_at_s: float | None = None

    def look(self) -> None:
        """Delete what has had its time, a share at a time. Raises Problem (503)."""
        if self._looked_at_s is not None and time.monotonic() - self._looked_at_s < EVERY_S:
            return
        archive, now = self._lb.archive, self._lb.clock.now_ms()
        tables = archive.tables
        cutoff_ms = now - self._lb.settings.submissions_days * DAY_MS
        with archive.write() as connection:
            # By id, which grows with time: no index on the time is needed.
            submissions = tables.submissions
            oldest = connection.execute(
                select(submissions.c.id, submissions.c.at_ms).order_by(submissions.c.id).limit(AT_ONCE)
            ).all()
            past = [row.id for row in oldest if row.at_ms < cutoff_ms]
            if past:
                old = (submissions.c.id <= past[-1], submissions.c.at_ms < cutoff_ms)
                connection.execute(delete(submissions).where(*old))
            connection.execute(delete(tables.attempts).where(tables.attempts.c.expires_ms <= now))
            connection.execute(delete(tables.sessions).where(tables.sessions.c.expires_ms <= now))
            connection.execute(
                delete(tables.players).where(
                    tables.players.c.state == "erased", tables.players.c.erased_until_ms <= now
                )
            )
        archive.tidy()
        # Where there was a full share, there may be more.
        self._looked_at_s = None if len(past) == AT_ONCE else time.monotonic()
