"""What an import knows of the boards it writes to: in which standings a score counts, until when standings are kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leaderboard import periods
from leaderboard.boards import Snapshot
from leaderboard.errors import Problem
from leaderboard.model import Occurrence, Period, PeriodKind
from leaderboard.moving.patience import patiently
from leaderboard.moving.values import WrongValue
from leaderboard.seasons import current_occurrence, expires_at

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: Refused is only what the definition refuses that was read so shortly ago.
FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """A board as it was when it was read."""

    snapshot: Snapshot
    #: Season number → when it started.
    seasons: dict[int, int]
    #: Period id → when the standings expire (inf for never), of those that have begun.
    kept: dict[str, float]
    #: The same of standings that are to come, as an export says it.
    foretold: dict[str, int | None]
    #: What was found so far: period id → expires_ms, None for never.
    _found: dict[str, int | None] = field(default_factory=dict)

    def counts_in(self, achieved_ms: int, now_ms: int) -> list[tuple[Period, Occurrence]]:
        """Where a score of an instant counts: always in the running season and of all time, and in a calendar period as
        long as its standings are kept, whether it is over or not."""
        found = []
        for period in self.snapshot.board.periods:
            occurrence = current_occurrence(self.snapshot, period, achieved_ms)
            # Standings keep the end they were begun with.
            expires_ms = self.kept.get(occurrence.id, expires_at(period, occurrence))
            if expires_ms is None or expires_ms > now_ms:
                found.append((period, occurrence))
        return found

    def expires_ms(self, period_id: str, now_ms: int) -> int | None:
        """When the entries of one standings go, by what the board says; None for never. Raises WrongValue for standings
        that the board cannot have."""
        if period_id not in self._found:
            self._found[period_id] = self._expires_ms(period_id, now_ms)
        return self._found[period_id]

    def _expires_ms(self, period_id: str, now_ms: int) -> int | None:
        board, kind = self.snapshot.board, periods.kind_of(period_id)
        assert kind is not None  # noqa: S101  `values.period_id` has seen to it
        period = board.period(kind)
        if period is None and period_id not in self.foretold:
            raise WrongValue(f"the board {board.id} has no {kind.value} period, so no standings {period_id}")
        if kind is PeriodKind.ALLTIME:
            return None
        if kind is PeriodKind.SEASON:
            occurrence = self._season(period_id)
        else:
            known = period or self.snapshot.former.get(kind)
            named = periods.occurrence_named(known, period_id) if known else None
            if named is None or (named.starts_ms or 0) > now_ms:
                raise WrongValue(f"the period {period_id} does not exist, or has not begun")
            occurrence = named
        ends_ms, foretold_ms = occurrence.ends_ms, self.foretold.get(period_id)
        if period_id in self.foretold and (foretold_ms is None or (ends_ms is not None and ends_ms <= foretold_ms)):
            return foretold_ms
        # What runs here does not go before it has ended, whatever was over there.
        return expires_at(period, occurrence) if period else ends_ms

    def _season(self, period_id: str) -> Occurrence:
        board, season, number = self.snapshot.board, self.snapshot.season, int(period_id[1:])
        if number > season:
            raise WrongValue(
                f"the board {board.id} is in its season s{season} and has not had {period_id}: reset it "
                f'(POST /v1/admin/boards/{board.id}/reset {{"season": "s{season}"}}) until it has'
            )
        return Occurrence(PeriodKind.SEASON, period_id, self.seasons.get(number), self.seasons.get(number + 1))


class Targets:
    """The boards of one import."""

    def __init__(self, lb: Installation) -> None:
        self._lb = lb
        self._known: dict[str, Target] = {}
        self._foretold: dict[str, dict[str, int | None]] = {}

    def foretell(self, board_id: str, expiries: dict[str, int | None]) -> None:
        """An export says until when the standings of a board are kept."""
        self._foretold[board_id] = expiries
        self._known.pop(board_id, None)

    def of(self, board_id: str) -> Target:
        """The board, of whatever age: a call about it is answered `stale` when it is another by now. Raises WrongValue
        when there is none."""
        return self._known.get(board_id) or self.reload(board_id)

    def is_fresh(self, target: Target) -> bool:
        return time.monotonic() - target.snapshot.read_at_s < FRESH_S

    def reload(self, board_id: str) -> Target:
        return patiently(lambda: self._reload(board_id))

    def _reload(self, board_id: str) -> Target:
        lb = self._lb
        self._known.pop(board_id, None)
        try:
            snapshot = lb.boards.reload(board_id)
        except Problem as problem:
            if problem.code != "board_not_found":
                raise
            raise WrongValue(f"there is no board {board_id!r} here; define it first") from problem
        seasons, kept = lb.store.read(
            ("HGETALL", lb.keys.seasons(board_id)), ("ZRANGE", lb.keys.kept(board_id), 0, -1, "WITHSCORES")
        )
        self._known[board_id] = target = Target(
            snapshot,
            {int(number): int(at) for number, at in zip(seasons[::2], seasons[1::2], strict=True)},
            {period_id.decode(): float(at) for period_id, at in zip(kept[::2], kept[1::2], strict=True)},
            self._foretold.get(board_id, {}),
        )
        return target
