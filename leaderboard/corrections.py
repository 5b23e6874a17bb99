"""What admins change in standings by hand: correcting and removing entries.

Both raise period_settled for standings that are final, and StaleError: call them within `BoardCache.use`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from leaderboard import periods
from leaderboard.bans import lift_if_over
from leaderboard.boards import Snapshot, StaleError
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem, invalid
from leaderboard.model import Occurrence, Period, PeriodState
from leaderboard.seasons import state_at
from leaderboard.submission import CLOCK_SKEW_MS, Submission, prepare_call, read_reply

if TYPE_CHECKING:
    from leaderboard.installation import Installation

_ADMIN = Caller(Role.ADMIN)


def correct_entry(
    lb: Installation, snapshot: Snapshot, period: Period, occurrence: Occurrence, submission: Submission
) -> None:
    """Set a player's entry in one standings, whatever the board's policy; a banned player's stays hidden.

    Raises as `submissions.submit`.
    """
    now = lb.clock.now_ms()
    _check_open(period, occurrence, now)
    achieved = now if submission.achieved_ms is None else submission.achieved_ms
    if not periods.FIRST_MS <= achieved <= now + CLOCK_SKEW_MS:
        raise invalid("/achieved_at", "in_future", "achieved_at is in the future, or before any calendar")
    counts_in = [(period, occurrence)]
    prepared = prepare_call(lb, _ADMIN, submission, snapshot, "correct", now, achieved, counts_in, ranks=False)
    reply = lb.store.change(*prepared.call)
    if reply[0] == b"ended":
        lift_if_over(lb, submission.player)
    if reply[0] in (b"stale", b"ended"):
        raise StaleError
    result = read_reply(prepared, reply)
    if isinstance(result, Problem):
        raise result


def remove_entry(lb: Installation, snapshot: Snapshot, period: Period, occurrence: Occurrence, player: str) -> None:
    """Take a player out of one standings. Raises entry_not_found."""
    _check_open(period, occurrence, lb.clock.now_ms())
    if remove_from(lb, snapshot, [occurrence.id], player) == 0:
        raise Problem("entry_not_found")


def remove_from(
    lb: Installation, snapshot: Snapshot, period_ids: list[str], player: str, *, nameless: bool = False
) -> int:
    """Take a player out of standings of a board, settled or not; returns how many it was in.

    With `nameless` its entries stay, without name, id and metadata, so that everybody else's rank does too.
    """
    board = snapshot.board
    keys = [key for period_id in period_ids for key in lb.keys.standings(board.id, period_id)]
    args: list[str | int] = [
        player,
        len(board.tiebreaks),
        board.revision,
        snapshot.season,
        lb.clock.now_ms(),
        board.id,
        secrets.token_hex(6) if nameless else "",
        *period_ids,
    ]
    reply = lb.store.change("remove_entries", [lb.keys.gate(board.id), *keys], args)
    if reply[0] == b"stale":
        raise StaleError
    return int(reply[1])


def _check_open(period: Period, occurrence: Occurrence, now_ms: int) -> None:
    if state_at(period, occurrence, now_ms) is PeriodState.SETTLED:
        raise Problem("period_settled")
