"""What `leaderboard import` reads from: files of rows, Nakama's records, ZSETs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard import periods
from leaderboard.model import Order, PeriodKind, Policy
from leaderboard.moving import document, values
from leaderboard.moving.document import Progress
from leaderboard.moving.foreign import ForeignBoard, ForeignScore, SourceError
from leaderboard.moving.making import read_exported
from leaderboard.moving.nakama import Expired, Nakama
from leaderboard.moving.rows import read_rows
from leaderboard.moving.source import open_source
from leaderboard.moving.values import Refuse, WrongValue
from leaderboard.moving.zsets import place_of, podium_boards, read_zset
from leaderboard.seasons import current_occurrence

if TYPE_CHECKING:
    from leaderboard.installation import Installation
    from leaderboard.moving.importing import Import
    from leaderboard.moving.remembering import Begun
    from leaderboard.moving.targets import Target

_STDIN = "-"


class Rows:
    """A file of rows, or standard input. An export in JSON Lines is checked first, and defines its board."""

    unit = "line"

    def __init__(self, lb: Installation, path: Path, board: str | None, progress: Progress = lambda *_: None) -> None:
        self._lb, self._path, self._board = lb, path, board
        self.place = "standard input" if str(path) == _STDIN else str(path)
        self.name = None if str(path) == _STDIN else f"rows {path.name}"
        self.total = 0
        if self.name and document.is_document(path):
            whole = document.check(path, "board", progress)
            with values.standing_at(self.place, 1):
                self.total = read_exported(whole.beginning, lb.clock.now_ms()).entries

    def read(self, one: Import, begun: Begun, refuse: Refuse) -> Iterator[ForeignBoard | ForeignScore]:
        def begin(beginning: dict[str, Any]) -> None:
            # Not for `refuse`: without it nothing that follows is right.
            with values.standing_at(self.place, 1):
                document.check_beginning(beginning, "board")
                one.foretell(read_exported(beginning, self._lb.clock.now_ms()))

        return iter(read_rows(self._path, self._board, begin=begin, refuse=refuse))

    def told(self) -> list[str]:
        return []


class Records:
    """Records of Nakama."""

    total = 0

    def __init__(self, path: Path, expired: str) -> None:
        self._path, self._expired = path, Expired(expired)
        self._nakama: Nakama | None = None
        self.place = "standard input" if str(path) == _STDIN else str(path)
        self.name = None if str(path) == _STDIN else f"nakama {path.name}"
        self.unit = "record"
        if self.name:
            with open_source(path) as source:
                self.unit = "record" if source.peek().lstrip()[:1] in (b"{", b"[") else "line"

    def read(self, one: Import, begun: Begun, refuse: Refuse) -> Iterator[ForeignBoard | ForeignScore]:
        # What has expired since it was begun is read as it was then, or it would not be the same source.
        self._nakama = Nakama(self._path, begun.at_ms, self._expired, refuse=refuse)
        return iter(self._nakama)

    def told(self) -> list[str]:
        if self._nakama is None:
            return []
        act = "skipped" if self._expired is Expired.SKIP else "among them"
        said = [
            (self._nakama.expired, f"records of past occurrences, {act}"),
            (self._nakama.unscored, "without a score"),
        ]
        return [f"{count} {what}" for count, what in said if count]


class Zset:
    """A ZSET, whose scores have no instants but an order."""

    unit = "member"
    total = 0

    def __init__(self, url: str, key: str, board: str | None = None) -> None:
        self._url, self._key, self._board = url, key, board or key
        self.place = place_of(url, key)
        self.name: str | None = f"zset {self.place}"

    def read(self, one: Import, begun: Begun, refuse: Refuse) -> Iterator[ForeignBoard | ForeignScore]:
        try:
            one.target(self._board)
        except WrongValue:
            # Whoever reads this may define it.
            yield ForeignBoard(self._board, Order.DESC, Policy.BEST, 0, (), self._key)
        try:
            target = one.target(self._board)
        except WrongValue as error:
            raise SourceError(self.place, None, str(error)) from error
        board, at_ms = target.snapshot.board, one.at_ms(begun)
        earliest_ms = _begun_ms(target, at_ms)
        # From the last to the first: who comes later is ahead, also of equals. So that it stays ahead of these, it gets
        # an instant that is earlier by a millisecond.
        scores = read_zset(
            self._url, self._key, board.decimals, self._board, highest_first=board.order is Order.ASC, refuse=refuse
        )
        equals, before = 0, None
        for score in scores:
            equals = equals + 1 if score.score == before else 0
            before = score.score
            yield replace(score, achieved_ms=max(at_ms - equals, earliest_ms))

    def told(self) -> list[str]:
        return []


def _begun_ms(target: Target, at_ms: int) -> int:
    """When the calendar periods of a board began that an instant is in: before that, a score counts in others."""
    starts = [
        current_occurrence(target.snapshot, period, at_ms).starts_ms or periods.FIRST_MS
        for period in target.snapshot.board.periods
        if period.kind not in (PeriodKind.SEASON, PeriodKind.ALLTIME)
    ]
    return max(starts, default=periods.FIRST_MS)


def list_podium(url: str) -> Iterator[str]:
    """Which boards of Podium's there may be, in words."""
    for board in podium_boards(url):
        key = board.key.decode("utf-8", "backslashreplace")
        yield f"{key}: {board.players} players"
        if board.expiring_players:
            yield f"  the scores of {board.expiring_players} of them expire there; here they will not"
        if board.expires_in_ms is not None:
            yield f"  all of it expires there in {board.expires_in_ms // 1000} s; here it will not"
