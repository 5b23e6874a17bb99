"""Attempts: a play is opened with the server before it is scored, so that a score says when its play began.

What spends one is the submission that names it, in its own call (store/lua/submit.lua).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderboard.bans import lift_if_over, player_banned
from leaderboard.boards import Snapshot, StaleError
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem, unauthenticated
from leaderboard.gone import gone
from leaderboard.model import DAY_MS, AttemptRule, BoardState, Occurrence, RateRule, Writers
from leaderboard.periods import to_datetime
from leaderboard.seasons import current_occurrence
from leaderboard.submission import RateState, limits_of, rate_headers

if TYPE_CHECKING:
    from leaderboard.installation import Installation


@dataclass(frozen=True, slots=True)
class Attempt:
    id: str
    board: str
    player: str
    #: For the game to make its random numbers of; below 2^53, so that every JSON parser keeps it.
    seed: int
    opened_ms: int
    expires_ms: int
    #: How many more the player may open in this period; None for any number.
    left: int | None


def open_attempt(lb: Installation, caller: Caller, board: str, player: str) -> Attempt:
    """Open an attempt of a player on a board. One call to the store, the session's check included.

    Raises board_not_found, no_attempts, attempts_used_up, board_frozen, board_archived, maintenance, forbidden,
    unauthenticated, player_banned, player_erased, player_merged, rate_limited; 503 as `submissions.submit`.
    """
    return lb.boards.use(board, lambda snapshot: _open(lb, caller, snapshot, player))


def _open(lb: Installation, caller: Caller, snapshot: Snapshot, player: str) -> Attempt:
    board, rule, now = snapshot.board, snapshot.board.attempts, lb.clock.now_ms()
    if board.writes is Writers.SERVERS:
        caller.require(Role.SERVER)
    if rule is None:
        raise Problem("no_attempts")
    counted_in = _counted_in(snapshot, rule, now)
    attempt, seed, expires_ms = secrets.token_hex(12), secrets.randbits(53), now + rule.expires_s * 1000
    keys = lb.keys
    _, rate = limits_of(lb, caller, board)
    reply = lb.store.change(
        "open_attempt",
        [
            keys.player(player), keys.gate(board.id), keys.maintenance, keys.player_rate(player),
            keys.attempts(board.id, player), keys.attempted(board.id),
        ],
        [
            player, now, caller.session, now + lb.settings.session_days * DAY_MS if caller.session else "",
            board.revision, snapshot.season, *((1000 / rate.per_s, rate.burst) if rate else ("", "")),
            attempt, seed, expires_ms, "" if rule.most is None else rule.most, counted_in.starts_ms or 0, board.id,
        ],
    )  # fmt: skip
    if reply[0] == b"ended":
        lift_if_over(lb, player)
    if reply[0] in (b"stale", b"ended"):
        raise StaleError
    if reply[0] != b"opened":
        raise _refusal(player, reply, counted_in, rate)
    left = None if reply[1] < 0 else int(reply[1])
    return Attempt(attempt, board.id, player, seed, now, expires_ms, left)


def _counted_in(snapshot: Snapshot, rule: AttemptRule, now_ms: int) -> Occurrence:
    board = snapshot.board
    period = board.period(rule.period or board.default_period)
    assert period is not None  # noqa: S101  a definition names one that the board has
    return current_occurrence(snapshot, period, now_ms)


def _refusal(player: str, reply: list[Any], counted_in: Occurrence, rate: RateRule | None) -> Problem:
    match reply[0]:
        case b"unauthenticated":
            return unauthenticated()
        case b"banned":
            return player_banned(int(reply[1]) if reply[1] else None)
        case b"closed":
            state = BoardState(reply[1].decode())
            return Problem("board_frozen" if state is BoardState.FROZEN else "board_archived")
        case b"used_up":
            ends = counted_in.ends_ms
            until = f"until {to_datetime(ends):%Y-%m-%dT%H:%M:%SZ}" if ends is not None else "as long as it runs"
            return Problem("attempts_used_up", f"the player has opened all it may in {counted_in.id}, {until}")
        case b"limited":
            assert rate is not None  # noqa: S101  only a rate rule limits
            return Problem(
                "rate_limited",
                "the player calls too often on all boards together",
                retry_after_s=-(-reply[1] // 1000),
                headers=rate_headers(RateState(rate, 0, reply[2])),
            )
        case b"maintenance":
            return Problem("maintenance", retry_after_s=30)
    return gone(player, reply)
