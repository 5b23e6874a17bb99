"""What is to happen in a season: acts of honest players and of cheaters, planned before the first of them happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What an act is counted as."""

    HONEST = "honest"
    #: An honest play by a cheater, in between; counted nowhere.
    COVER = "cover"
    IMPOSSIBLE_SCORE = "impossible score"
    IMPOSSIBLE_GAIN = "impossible gain"
    REPLAYED = "replayed request"
    TAMPERED = "tampered body"
    FLOODING = "flooding"
    NEWCOMER = "newcomer at the top"
    PAIR = "colluding pair"


#: The six that rules are there for; the pair is only looked at.
CHEATS = (
    Kind.IMPOSSIBLE_SCORE, Kind.IMPOSSIBLE_GAIN, Kind.REPLAYED, Kind.TAMPERED, Kind.FLOODING, Kind.NEWCOMER,
)  # fmt: skip


#: Kinds whose scores were played for, whatever else is wrong with them.
EARNED = (Kind.HONEST, Kind.COVER, Kind.REPLAYED)


class How(StrEnum):
    #: As the game's client does it.
    SEND = "send"
    #: The best request so far, byte for byte.
    REPLAY = "replay"
    #: The best request so far with an Idempotency-Key of its own.
    REPLAY_OTHER_KEY = "replay, other key"
    #: Signed by the game, then the score in the body is replaced.
    TAMPER = "tamper"


class Sees(Protocol):
    """What anybody can see of the standings."""

    def score_at(self, rank: int) -> int | None:
        """The score at a rank now; None where nobody stands."""
        ...


#: A score, or one that depends on what stands there then; None lets it be.
Score = int | Callable[[Sees], int | None]


@dataclass(frozen=True, slots=True)
class Act:
    at_ms: int
    #: Which device does it; each is an account of its own.
    account: str
    kind: Kind
    how: How
    score: Score
    #: What TAMPER puts in the place of the score.
    tampered: int = 0
    #: When a client that got no answer sends the same request once more.
    again_ms: int | None = None
    #: It was refused with a Retry-After before, and counted as rejected.
    told_to_wait: bool = False
