"""What the service talks about: boards, players, entries. No Flask, no Redis, no JSON here."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

#: |scaled score|, |tiebreak| and every sum of them: fifteen digits survive every JSON parser.
SCORE_LIMIT = 10**15 - 1

DAY_MS = 86_400_000


class Order(StrEnum):
    """Which scores are better: high ones (`desc`) or low ones (`asc`)."""

    DESC = "desc"
    ASC = "asc"

    @property
    def sign(self) -> int:
        """What turns a score into order space, where lower is better."""
        return -1 if self is Order.DESC else 1


class Policy(StrEnum):
    """Which submission counts."""

    BEST = "best"
    LATEST = "latest"
    SUM = "sum"


class Ties(StrEnum):
    """How ranks are numbered: 1,2,3 · 1,1,3 · 1,1,2."""

    ORDINAL = "ordinal"
    COMPETITION = "competition"
    DENSE = "dense"


class BoardState(StrEnum):
    OPEN = "open"
    FROZEN = "frozen"
    ARCHIVED = "archived"


class PeriodKind(StrEnum):
    SEASON = "season"
    ALLTIME = "alltime"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class PeriodState(StrEnum):
    OPEN = "open"
    CLOSING = "closing"
    SETTLED = "settled"


class Weekday(StrEnum):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"

    @property
    def iso(self) -> int:
        """1 for Monday to 7 for Sunday (ISO 8601)."""
        return list(Weekday).index(self) + 1


class Writers(StrEnum):
    PLAYERS = "players"
    SERVERS = "servers"


class Readers(StrEnum):
    PUBLIC = "public"
    PLAYERS = "players"
    SERVERS = "servers"


class FriendState(StrEnum):
    """What a player sees of another."""

    FRIENDS = "friends"
    INVITED = "invited"
    INVITATION = "invitation"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Tiebreak:
    name: str
    order: Order = Order.DESC


@dataclass(frozen=True, slots=True)
class Period:
    """A recurring stretch of a board."""

    kind: PeriodKind
    #: When a calendar period begins, in UTC: "HH:MM", and the day it begins on.
    time_of_day: str = "00:00"
    weekday: Weekday = Weekday.MONDAY
    day: int = 1
    #: How long its standings are kept after its end; None for always (seasons only).
    keep_days: int | None = None
    settle_delay_s: int = 3600
    #: What ended until then is final, whatever the delay by now; no part of a definition. In ms since 1970.
    final_ms: int = field(default=0, compare=False)

    @property
    def anchor(self) -> tuple[str, str, int]:
        """What decides where its occurrences begin; it cannot change under live entries."""
        return (self.time_of_day, self.weekday.value, self.day)


@dataclass(frozen=True, slots=True)
class RateRule:
    """At most `burst` submissions at once, and `per_s` in a second in the long run; per player and board."""

    burst: int = 10
    per_s: float = 1.0
    #: Whether it also limits what servers submit for a player.
    servers: bool = False


class RuleName(StrEnum):
    """What a board may ask of a score; docs/rules.md says what each means."""

    MIN_SCORE = "min_score"
    MAX_SCORE = "max_score"
    MAX_GAIN = "max_gain"
    MAX_GAIN_PER_HOUR = "max_gain_per_hour"
    MIN_INTERVAL_S = "min_interval_s"
    #: Stands in the definition among the rules about attempts.
    MAX_SCORE_PER_S = "max_score_per_s"
    MIN_SUBMISSIONS_BEFORE_TOP = "min_submissions_before_top"
    #: Of no submission, but of entries against all others: see OutlierRule.
    OUTLIERS = "outliers"


class Then(StrEnum):
    """What becomes of a submission that breaks a rule."""

    REJECT = "reject"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class ScoreRule:
    name: RuleName
    #: A score or gain as the board writes them, seconds, or a number of submissions.
    value: int | Decimal
    then: Then
    #: For a newcomer: how many ranks are the top, in standings with at least so many entries.
    top: int = 0
    from_entries: int = 0
    #: Whether servers are asked, too.
    servers: bool = False


class OutlierThen(StrEnum):
    """What becomes of an entry that is an outlier."""

    REVIEW = "review"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """Entries far outside of what the others of their standings have; leaderboard/outliers.py says how far is meant."""

    threshold: float
    then: OutlierThen
    #: Of standings with at least so many entries.
    from_entries: int


@dataclass(frozen=True, slots=True)
class AttemptRule:
    """That plays are opened before they are scored. A bound on the score per second is a ScoreRule."""

    #: Whether players must name the attempt that a score was played in.
    required: bool = True
    expires_s: int = 3600
    #: How many a player may open in a period of this kind; None for any number.
    most: int | None = None
    #: None for the board's default period.
    period: PeriodKind | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """One ranking and its rules."""

    id: str
    title: str = ""
    state: BoardState = BoardState.OPEN
    order: Order = Order.DESC
    policy: Policy = Policy.BEST
    ties: Ties = Ties.ORDINAL
    decimals: int = 0
    tiebreaks: tuple[Tiebreak, ...] = ()
    periods: tuple[Period, ...] = (Period(PeriodKind.SEASON), Period(PeriodKind.WEEKLY, keep_days=28))
    default_period: PeriodKind = PeriodKind.SEASON
    writes: Writers = Writers.PLAYERS
    reads: Readers = Readers.PUBLIC
    #: Whether whoever reads its entries sees where their replays are.
    show_replays: bool = False
    #: How old an achieved_at may be.
    late_s: int = 3600
    rate: RateRule | None = RateRule()
    #: Whether players must sign what they submit.
    signed: bool = False
    score_rules: tuple[ScoreRule, ...] = ()
    outliers: OutlierRule | None = None
    attempts: AttemptRule | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    revision: int = 0

    def period(self, kind: PeriodKind) -> Period | None:
        return next((period for period in self.periods if period.kind is kind), None)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence of a period: "2026-W47", "s3", "all". Ends where the next one starts; None is open."""

    kind: PeriodKind
    id: str
    starts_ms: int | None
    ends_ms: int | None


class PlayerName(NamedTuple):
    """The public profile. A tuple, as a page makes hundreds, and frozen dataclasses take four times as long to make."""

    id: str
    display_name: str | None = None
    avatar_url: str | None = None
    country: str | None = None


class Entry(NamedTuple):
    """A player's place in one standings. Score and tiebreaks as submitted, the score scaled to an integer."""

    rank: int
    player: PlayerName
    score: int
    tiebreaks: tuple[int, ...]
    #: As it is kept: see `leaderboard.attached`.
    metadata: bytes
    achieved_ms: int
