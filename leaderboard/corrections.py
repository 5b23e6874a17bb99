"""What admins change in standings by hand: correcting and removing entries.

Both raise period_settled for standings that are final, and StaleError: call them within `BoardCache.use`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderboard import periods
from leaderboard.bans import lift_if_over
from leaderboard.boards import Snapshot, StaleError
from leaderboard.errors import Problem, invalid
from leaderboard.gone import gone
from leaderboard.model import Occurrence, Period, PeriodState
from leaderboard.scores import scale
from leaderboard.seasons import expires_at, state_at
from leaderboard.submission import CLOCK_SKEW_MS, Submission, order_tiebreaks, prepare_call, read_reply

if TYPE_CHECKING:
    from leaderboard.audit import Act
    from leaderboard.installation import Installation


@dataclass(frozen=True, slots=True)
class Counted:
    """What an entry has besides a submission's: how many it is made of, and when the newest of them was achieved."""

    submissions: int
    newest_ms: int


def correct_entry(
    lb: Installation,
    snapshot: Snapshot,
    period: Period,
    occurrence: Occurrence,
    submission: Submission,
    act: Act,
    counted: Counted | None = None,
) -> None:
    """Set a player's entry in one standings, whatever the board's policy; a banned player's stays hidden.

    Raises as `submissions.submit`.

    With `counted` it is put there as it is, such as one that was removed or changed by mistake: then it is as it was.
    """
    now = lb.clock.now_ms()
    _check_open(period, occurrence, now)
    achieved = now if submission.achieved_ms is None else submission.achieved_ms
    if not periods.FIRST_MS <= achieved <= now + CLOCK_SKEW_MS:
        raise invalid("/achieved_at", "in_future", "achieved_at is in the future, or before any calendar")
    act_on = act.on(board=submission.board, period_id=occurrence.id, player=submission.player)
    if counted is not None:
        if not achieved <= counted.newest_ms <= now + CLOCK_SKEW_MS:
            raise invalid("/newest_at", "not_after", "newest_at is before achieved_at, or in the future")
        _put_back(lb, snapshot, period, occurrence, submission, achieved, counted, act_on)
        return
    counts_in = [(period, occurrence)]
    prepared = prepare_call(lb, None, submission, snapshot, "correct", now, achieved, counts_in, ranks=False)
    reply = lb.store.change(*prepared.call, act_on)
    if reply[0] == b"ended":
        lift_if_over(lb, submission.player)
    if reply[0] in (b"stale", b"ended", b"gone"):
        raise StaleError
    result = read_reply(prepared, reply)
    if isinstance(result, Problem):
        raise result


def _put_back(
    lb: Installation, snapshot: Snapshot, period: Period, occurrence: Occurrence, submission: Submission,
    achieved_ms: int, counted: Counted, act: bytes,
) -> None:  # fmt: skip
    board, keys, player = snapshot.board, lb.keys, submission.player
    expires_ms, tiebreaks = expires_at(period, occurrence), order_tiebreaks(board, submission.tiebreaks)
    reply = lb.store.change(
        "put_entry",
        [keys.player(player), keys.gate(board.id), keys.kept(board.id), *keys.standings(board.id, occurrence.id)],
        [
            player,
            lb.clock.now_ms(),
            board.revision,
            snapshot.season,
            board.id,
            occurrence.id,
            "" if expires_ms is None else expires_ms,
            board.ties.value,
            counted.submissions,
            counted.newest_ms,
            submission.metadata,
            achieved_ms,
            len(tiebreaks),
            scale(submission.score, board.decimals) * board.order.sign,
            *tiebreaks,
        ],
        act,
    )
    match reply[0]:
        case b"stale":
            raise StaleError
        case b"erased" | b"merged":
            raise gone(player, reply)


def remove_entry(
    lb: Installation, snapshot: Snapshot, period: Period, occurrence: Occurrence, player: str, act: Act
) -> None:
    """Take a player out of one standings. Raises entry_not_found."""
    _check_open(period, occurrence, lb.clock.now_ms())
    if remove_from(lb, snapshot, [occurrence.id], player, act=act) == 0:
        raise Problem("entry_not_found")


def remove_from(
    lb: Installation,
    snapshot: Snapshot,
    period_ids: list[str],
    player: str,
    *,
    nameless: bool = False,
    act: Act | None = None,
) -> int:
    """Take a player out of standings of a board, settled or not; returns how many it was in.

    With an `act` it is one standings: the audit has one entry of it. With `nameless` its
    entries stay, without name, id and metadata, so that everybody else's rank does too.
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
    reply = lb.store.change(
        "remove_entries",
        [lb.keys.gate(board.id), *keys],
        args,
        act.on(board=board.id, period_id=period_ids[0], player=player) if act else b"",
    )
    if reply[0] == b"stale":
        raise StaleError
    return int(reply[1])


def _check_open(period: Period, occurrence: Occurrence, now_ms: int) -> None:
    if state_at(period, occurrence, now_ms) is PeriodState.SETTLED:
        raise Problem("period_settled")
