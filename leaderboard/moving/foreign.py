"""What is taken over from elsewhere: scores and boards as their source has them.

The readers beside this say what a source says, exactly, or why it cannot be read. What the service makes of it is for
whoever takes it over: ids may not fit (`ids.IdMap`), a name may be too long, metadata too large, an instant in the
future, a score may have more places than the board.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from leaderboard.errors import LeaderboardError
from leaderboard.model import Order, Policy, Tiebreak


class SourceError(LeaderboardError):
    """A source of scores that cannot be read, or not any further."""

    def __init__(self, source: str, line: int | None, problem: str, unit: str = "line") -> None:
        self.source = source
        #: Counted in `unit`s from 1; None where the whole source is at fault.
        self.line = line
        self.problem = problem
        super().__init__(f"{source}: {problem}" if line is None else f"{source}, {unit} {line}: {problem}")


@dataclass(frozen=True, slots=True)
class ForeignScore:
    """One score. Score and tiebreaks are within the limit of 10^15 - 1."""

    #: Ids as the source has them. Bytes that are not UTF-8 stand as lone surrogates (`surrogateescape`).
    board: str
    player: str
    score: int | Decimal
    tiebreaks: dict[str, int]
    #: None where the source does not say.
    achieved_ms: int | None
    #: A JSON object, or empty for none, and what else is attached to a submission (`leaderboard.attached`).
    metadata: bytes
    display_name: str | None
    #: Where it stands in the source, from 1; greater than that of any score before it, and the same when the source
    #: is read again, so a reading can go on behind it.
    line: int
    #: Of an entry that is to stand in its standings as it is: which, and what else an entry holds. None of all others,
    #: which count like submissions.
    period_id: str | None = None
    submissions: int = 1
    #: When its newest submission was achieved, where that is not `achieved_ms`.
    newest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignBoard:
    """How a source ranks a board."""

    board: str
    order: Order
    #: None where no policy does what the source does.
    policy: Policy | None
    decimals: int
    tiebreaks: tuple[Tiebreak, ...]
    title: str
    #: When the source begins anew, in its own notation; None for never.
    reset_schedule: str | None = None
