"""Many players at once, through the service's own code but in this process: to fill a board before measuring on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from leaderboard import boards, players, sessions
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem
from leaderboard.installation import Installation
from leaderboard.model import Board, Period, PeriodKind
from leaderboard.submissions import Submission, submit_many

SERVER = Caller(Role.SERVER, "loadtests")

#: So many submissions are prepared at a time.
_CHUNK = 5000
SCORES = 10**9


def player_ids(count: int) -> Iterator[str]:
    """As long as those that the service gives out, and as scattered, but the same every time."""
    dice = Random(7)
    for _ in range(count):
        yield f"p_{dice.getrandbits(64):016x}"


def define(lb: Installation, board: str, kinds: Sequence[PeriodKind]) -> None:
    """A board without a rate limit, which would be all that is measured."""
    periods = tuple(Period(kind, keep_days=28 if kind is PeriodKind.WEEKLY else None) for kind in kinds)
    boards.define_board(lb, Board(board, periods=periods, default_period=kinds[0], rate=None), None)


def submit(lb: Installation, board: str, entries: Sequence[str], seed: int = 1) -> None:
    """One submission with a random score for each player. Raises the first Problem."""
    dice = Random(seed)
    for first in range(0, len(entries), _CHUNK):
        chunk = [Submission(board, player, dice.randrange(SCORES)) for player in entries[first : first + _CHUNK]]
        for result in submit_many(lb, SERVER, chunk):
            if isinstance(result, Problem):
                raise result


def name(lb: Installation, entries: Sequence[str]) -> None:
    for number, player in enumerate(entries):
        profile = {"display_name": f"Player {number}", "country": "de"}
        players.write_profile(lb, player, profile, create=True)


def sign_in(lb: Installation, entries: Sequence[str]) -> list[str]:
    """A session token for each player."""
    return [sessions.create_session(lb, player).token for player in entries]
