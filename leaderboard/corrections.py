"""What admins change in standings by hand: correcting and removing entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.boards import TRIES, Snapshot
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem
from leaderboard.model import Board, Occurrence, Period
from leaderboard.submissions import Submission, prepare_call, read_reply

if TYPE_CHECKING:
    from leaderboard.installation import Installation

_ADMIN = Caller(Role.ADMIN)


def correct_entry(
    lb: Installation, snapshot: Snapshot, period: Period, occurrence: Occurrence, submission: Submission
) -> None:
    """Set a player's entry in one standings, whatever its policy. Admins only; the caller checks that.

    Raises as `submit`. It takes the gate of the current season, so a reset in between is tried again.
    """
    for _ in range(TRIES):
        achieved = lb.clock.now_ms() if submission.achieved_ms is None else submission.achieved_ms
        prepared = prepare_call(
            lb, _ADMIN, submission, snapshot, "correct", lb.clock.now_ms(), achieved,
            [(period, occurrence)], ranks=False,
        )  # fmt: skip
        reply = lb.store.call_many([prepared.call])[0]
        if reply[0] != b"stale":
            result = read_reply(lb, _ADMIN, prepared, reply, ranks=False)
            if isinstance(result, Problem):
                raise result
            return
        snapshot = lb.boards.reload(submission.board)
    raise Problem("store_unavailable", "the board keeps changing; try again", retry_after_s=1)


def remove_entry(lb: Installation, board: Board, occurrence: Occurrence, player: str) -> None:
    """Take a player out of one standings. Raises entry_not_found."""
    keys = [*lb.keys.standings(board.id, occurrence.id)]
    if lb.store.call("remove_entries", keys, [player, len(board.tiebreaks)]) == 0:
        raise Problem("entry_not_found")
