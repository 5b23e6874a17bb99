"""Sending rows of an import until each was answered, and counting what became of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leaderboard.bans import lift_if_over
from leaderboard.boards import keeps_changing
from leaderboard.errors import Problem
from leaderboard.moving.archiving import Archiving
from leaderboard.moving.foreign import ForeignScore, SourceError
from leaderboard.moving.items import Item, PastError, make_item
from leaderboard.moving.naming import take_names
from leaderboard.moving.patience import PASSING, PATIENCE_S, RETRY_S
from leaderboard.moving.targets import Targets
from leaderboard.moving.values import WrongValue
from leaderboard.submission import Outcome, read_reply

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: Of wrong rows, so many are listed.
LISTED = 20


@dataclass(slots=True)
class Summary:
    rows: int = 0
    changed: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    #: The first of them.
    listed: list[str] = field(default_factory=list)
    boards: list[str] = field(default_factory=list)
    names: int = 0
    bad_names: int = 0
    #: The line it went on behind; 0 for the beginning.
    resumed: int = 0

    def note_bad(self, wrong: SourceError) -> None:
        self.bad += 1
        if len(self.listed) < LISTED:
            self.listed.append(str(wrong))


class Sender:
    """Sends the items of an import."""

    def __init__(
        self, lb: Installation, targets: Targets, archiving: Archiving, summary: Summary, *, names: bool
    ) -> None:
        self._lb, self._targets, self._archiving, self._summary = lb, targets, archiving, summary
        self._names = names
        #: Rows that the store refused, and why.
        self._late: list[tuple[ForeignScore, str]] = []

    def send(self, items: list[Item], token: str, at_ms: int) -> list[tuple[ForeignScore, str]]:
        """Until each was answered; returns the rows that the store refused, and why.

        What may or may not have happened is sent again, and comes to the same. `token` and `at_ms` are what the items
        were made with. Raises Problem where nothing gets through.
        """
        self._late = []
        moved_at_s = time.monotonic()
        while items:
            try:
                if self._names:
                    named, bad = take_names(self._lb, items)
                    self._summary.names += named
                    self._summary.bad_names += bad
                replies = self._lb.store.change_each([item.call for item in items])
            except Problem as problem:
                replies = [problem] * len(items)
            again, changed, reason = self._sort_out(items, replies)
            again += [made for item in changed for made in self._anew(item, token, at_ms)]
            if len(again) < len(items):
                moved_at_s = time.monotonic()
            elif time.monotonic() - moved_at_s > PATIENCE_S:
                raise reason or keeps_changing()
            if reason is not None:
                time.sleep(RETRY_S)
                self._archiving.make_room()
            items = again
        return self._late

    def _sort_out(self, items: list[Item], replies: list[Any]) -> tuple[list[Item], list[Item], Problem | None]:
        """What is to be sent again, what again for a board that has changed, and why where it is not for that."""
        again: list[Item] = []
        changed: list[Item] = []
        reason: Problem | None = None
        for item, reply in zip(items, replies, strict=True):
            if isinstance(reply, Problem):
                if reply.code not in PASSING:
                    raise reply
                reason = reply
                again.append(item)
            elif reply[0] in (b"stale", b"gone"):
                changed.append(item)
            elif reply[0] == b"ended":
                lift_if_over(self._lb, item.player)
                again.append(item)
            else:
                self._note(item, reply)
        for board in dict.fromkeys(item.board for item in changed):
            self._reload(board)
        return again, changed, reason

    def _reload(self, board: str) -> None:
        try:
            self._targets.reload(board)
        except WrongValue:
            # Deleted meanwhile: its rows find that out.
            self._lb.boards.forget(board)

    def _anew(self, item: Item, token: str, at_ms: int) -> list[Item]:
        """The same row for the board as it is now."""
        try:
            target = self._targets.of(item.board)
            return [make_item(self._lb, item.score, item.player, target, item.period_id, at_ms, token)]
        except WrongValue as error:
            self._late.append((item.score, str(error)))
        except PastError:
            self._summary.skipped["of periods that are gone"] += 1
        return []

    def _note(self, item: Item, reply: list[Any]) -> None:
        """What became of a row."""
        match reply[0]:
            case b"put":
                self._summary.changed += 1
            case b"same":
                self._summary.kept += 1
            case b"erased":
                self._summary.skipped["of players who were erased"] += 1
            case b"merged":
                self._summary.skipped["of players who were merged into others"] += 1
            case b"banned":
                self._summary.skipped["of players who are banned"] += 1
            case b"repeat":
                # It came through before, and the answer did not.
                self._summary.changed += bool(reply[1])
                self._summary.kept += not reply[1]
            case _:
                assert item.prepared is not None  # noqa: S101  only a submission is answered so
                result = read_reply(item.prepared, reply)
                if not isinstance(result, Problem):
                    self._summary.changed += result.outcome is Outcome.APPLIED
                    self._summary.kept += result.outcome is Outcome.KEPT
                elif result.code == "score_out_of_range":
                    self._late.append((item.score, result.errors[0].detail))
                else:
                    raise result
