"""Making the boards that an import brings along: as an export defines them, or as another service ranks them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, validate

from leaderboard.anchors import anchors_after
from leaderboard.api.board_schemas import BoardSchema
from leaderboard.boards import TRIES, define_board, keeps_changing, kept_periods
from leaderboard.definitions import KEEP_DAYS, longest_late_s
from leaderboard.errors import Problem
from leaderboard.model import Board, Period, PeriodKind, Weekday, Writers
from leaderboard.moving import values
from leaderboard.moving.foreign import ForeignBoard
from leaderboard.moving.values import WrongValue
from leaderboard.periods import LAST_MS, kind_of
from leaderboard.seasons import reset_season

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: A schedule of five numbers at most: minute, hour, day of month, any month, day of week.
_SCHEDULE = re.compile(r"(?P<minute>\d+) (?P<hour>\d+) (?P<day>\d+|\*) \* (?P<weekday>[0-7]|\*)")
_NAMED = {"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
_WEEKDAYS = list(Weekday)


@dataclass(frozen=True, slots=True)
class _At:
    """A clock that stands at the instant of what is made up for."""

    at_ms: int

    def now_ms(self) -> int:
        return self.at_ms


@dataclass(frozen=True, slots=True)
class Exported:
    """What the first line of an export says of a board."""

    board: Board
    #: When each season started, the first first.
    seasons_ms: list[int]
    #: Period id → when the standings expire, None for never.
    expiries: dict[str, int | None]
    entries: int
    #: What the gate of there remembers of its periods (leaderboard/anchors.py).
    anchors: dict[str, Any]


class _AnchorSchema(Schema):
    """What is remembered of one kind."""

    begins = fields.Tuple(
        (
            fields.String(validate=validate.Regexp(r"([01][0-9]|2[0-3]):[0-5][0-9]\Z")),
            fields.String(validate=validate.OneOf(list(Weekday))),
            fields.Integer(strict=True, validate=validate.Range(1, 28)),
        ),
        required=True,
    )
    settle_delay_s = fields.Integer(strict=True, required=True, validate=validate.Range(0, 31_536_000))
    final_ms = fields.Integer(strict=True, required=True, validate=validate.Range(-LAST_MS, LAST_MS))


_ANCHORS = fields.Dict(fields.String(validate=validate.OneOf(list(PeriodKind))), fields.Nested(_AnchorSchema))


def read_exported(beginning: dict[str, Any], now_ms: int) -> Exported:
    """Raises WrongValue for what cannot be of a board."""
    try:
        board = BoardSchema().load(beginning["definition"])
        seasons_ms = [values.instant(season["started_at"], "started_at") for season in beginning["seasons"]]
        expiries = {
            values.period_id(one["period_id"]): values.instant(one["expires_at"], "expires_at")
            if one["expires_at"] is not None
            else None
            for one in beginning["standings"]
        }
        entries = sum(int(one["entries"]) for one in beginning["standings"])
        numbers = [season["season"] for season in beginning["seasons"]]
        # Files of earlier versions have none.
        anchors = _ANCHORS.deserialize(beginning["anchors"] if "anchors" in beginning else anchors_after(board, {}, 0))
        unknown = {one for one in expiries if kind_of(one) not in anchors}
    except (KeyError, TypeError, AttributeError, ValueError, Problem) as error:
        if isinstance(error, WrongValue):
            raise
        raise WrongValue(f"its first line says nothing that could be a board: {error}") from error
    except ValidationError as error:
        raise WrongValue(f"the definition in its first line is not right, or the anchors: {error}") from error
    if numbers != list(range(1, len(numbers) + 1)) or not seasons_ms:
        raise WrongValue("the seasons in its first line are not numbered 1, 2, 3, …")
    if unknown or any(period.kind not in anchors for period in board.periods):
        raise WrongValue("the anchors in its first line say nothing of a period that it has")
    if any(before > after for before, after in pairwise([*seasons_ms, now_ms])):
        raise WrongValue("the seasons in its first line are not in order, or in the future")
    board = replace(board, id=values.text(beginning.get("board"), "board"))
    return Exported(board, seasons_ms, expiries, entries, anchors)


def make_exported(lb: Installation, exported: Exported) -> bool:
    """Define a board that is missing, and let it have had the seasons it had; returns whether it was missing.

    They begin when they did, so that periods and expiries come out the same. What was final there is so here; kinds
    that only the board of there has, or had, are remembered, so their standings can end. One that was cut off in this
    goes on: a board that never had an entry is brought to its season all the same. Raises Problem.
    """
    board, seasons_ms, anchors = exported.board, exported.seasons_ms, exported.anchors
    is_new = _is_missing(lb, board.id)
    if is_new:
        define_board(replace(lb, clock=_At(seasons_ms[0])), board, None, remembered=anchors)
    else:
        _remember(lb, board.id, anchors)
    if PeriodKind.SEASON in anchors and not kept_periods(lb, board.id):
        snapshot = lb.boards.reload(board.id)
        for season in range(snapshot.season, len(seasons_ms)):
            at_ms = max(seasons_ms[season], snapshot.season_started_ms)
            reset_season(replace(lb, clock=_At(at_ms)), board.id, season, None, None)
    return is_new


def _remember(lb: Installation, board_id: str, anchors: dict[str, Any]) -> None:
    """Let a board as it is know of kinds that it never had. Raises Problem."""
    for _ in range(TRIES):
        board = lb.boards.reload(board_id).board
        try:
            define_board(lb, board, None, expected_revision=board.revision, remembered=anchors)
        except Problem as problem:
            if problem.code != "revision_mismatch":
                raise
        else:
            return
    raise keeps_changing()


def make_board(lb: Installation, board: Board) -> bool:
    """Define a board that is missing; returns whether it was. Raises Problem."""
    is_new = _is_missing(lb, board.id)
    if is_new:
        define_board(lb, board, None)
    return is_new


def board_like(foreign: ForeignBoard, board_id: str) -> Board:
    """A board that ranks as another service does. Raises WrongValue where none does."""
    if foreign.policy is None:
        raise WrongValue(
            f"no policy does what {values.shown(foreign.board)} does (decrement): define {board_id!r} yourself"
        )
    periods = periods_like(foreign.reset_schedule)
    return Board(
        board_id,
        title=foreign.title[:200],
        order=foreign.order,
        policy=foreign.policy,
        decimals=foreign.decimals,
        tiebreaks=foreign.tiebreaks,
        periods=tuple(periods),
        default_period=periods[0].kind,
        # Until somebody says otherwise.
        writes=Writers.SERVERS,
        late_s=min(Board(board_id).late_s, longest_late_s(tuple(periods))),
    )


def periods_like(schedule: str | None) -> Sequence[Period]:
    """The period that begins anew when a schedule in cron's notation says so.

    A season, to be reset by hand, where there is no such kind; all time without a schedule.
    """
    if not schedule:
        return [Period(PeriodKind.ALLTIME)]
    match = _SCHEDULE.fullmatch(_NAMED.get(schedule, " ".join(schedule.split())))
    if match is None or int(match["minute"]) > 59 or int(match["hour"]) > 23:
        return [Period(PeriodKind.SEASON)]
    time_of_day = f"{int(match['hour']):02}:{int(match['minute']):02}"
    day, weekday = match["day"], match["weekday"]
    if day == weekday == "*":
        return [Period(PeriodKind.DAILY, time_of_day, keep_days=KEEP_DAYS)]
    if day == "*":
        # Cron's week begins on Sunday, which is 0 and 7.
        return [Period(PeriodKind.WEEKLY, time_of_day, _WEEKDAYS[(int(weekday) - 1) % 7], keep_days=KEEP_DAYS)]
    if weekday == "*" and 1 <= int(day) <= 28:
        return [Period(PeriodKind.MONTHLY, time_of_day, day=int(day), keep_days=KEEP_DAYS)]
    return [Period(PeriodKind.SEASON)]


def _is_missing(lb: Installation, board_id: str) -> bool:
    return not lb.boards.reload_many([board_id])
