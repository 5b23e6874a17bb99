"""Looking for outliers: once a minute at every board that has the rule, some boards in each turn of the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from leaderboard.boards import Snapshot, walk_boards
from leaderboard.errors import Problem
from leaderboard.model import BoardState
from leaderboard.outlier_reviews import look_at

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)

#: How often a round begins, and for how long at most one turn goes on with it.
EVERY_S = 60.0
TURN_S = 0.05


class OutlierWatch:
    """The worker that reads the journal is the one that looks, so that nobody else does."""

    def __init__(self, lb: Installation) -> None:
        self._lb = lb
        self._began_s: float | None = None
        self._boards: Iterator[Snapshot] | None = None

    def look(self) -> None:
        """Go on with a round, or begin one if it is time. To be called when the journal was just archived."""
        now_s = time.monotonic()
        try:
            if self._boards is None:
                if self._began_s is not None and now_s - self._began_s < EVERY_S:
                    return
                self._began_s = now_s
                # In maintenance nothing changes.
                if self._lb.store.read(("EXISTS", self._lb.keys.maintenance))[0]:
                    return
                self._boards = walk_boards(self._lb)
            while time.monotonic() - now_s < TURN_S:
                snapshot = next(self._boards, None)
                if snapshot is None:
                    self._boards = None
                    return
                if snapshot.board.outliers and snapshot.board.state is not BoardState.ARCHIVED:
                    self._look_at(snapshot.board.id)
        except Problem as problem:
            # Archiving comes first: a journal that is full takes no reviews either.
            log.warning("outliers are looked for later: %s", problem)
            self._boards = None

    def _look_at(self, board_id: str) -> None:
        try:
            look_at(self._lb, board_id)
        except Problem as problem:
            if problem.code != "board_not_found":
                raise
