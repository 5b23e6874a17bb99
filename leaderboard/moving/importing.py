"""Importing scores: row by row, in chunks, each of them once, however often the import is cut off and run again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from leaderboard.entries import shown_part, stand_in
from leaderboard.idempotency import ANSWER_KEPT_MS, KEPT_KEYS
from leaderboard.model import PeriodState
from leaderboard.moving.archiving import Archiving
from leaderboard.moving.document import Progress
from leaderboard.moving.foreign import ForeignBoard, ForeignScore, SourceError
from leaderboard.moving.ids import IdMap
from leaderboard.moving.items import Item, PastError, content_of, is_nameless, make_item
from leaderboard.moving.making import Exported, board_like, make_board, make_exported
from leaderboard.moving.remembering import Begun, Remembered
from leaderboard.moving.sending import Sender, Summary
from leaderboard.moving.targets import Target, Targets
from leaderboard.moving.values import Refuse, WrongValue, shown
from leaderboard.seasons import states_of
from leaderboard.submissions import PIPELINE

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where an import is from."""

    #: What it is remembered by; None where it cannot be.
    name: str | None
    #: For messages, and what its lines are called.
    place: str
    unit: str
    #: How many rows it has; 0 where it does not say.
    total: int

    def read(self, one: Import, begun: Begun, refuse: Refuse) -> Iterator[ForeignBoard | ForeignScore]:
        """Its boards and scores, from the beginning, for an import that was begun; wrong rows go to `refuse`."""

    def told(self) -> list[str]:
        """What is to be said of it in the end."""


@dataclass(frozen=True, slots=True)
class Options:
    #: For rows that name no standings.
    period_id: str | None = None
    #: Take over the names of players who have none here.
    names: bool = True
    #: Leave out rows that are wrong, rather than stop at the first.
    skip_bad: bool = False
    create_boards: bool = False
    #: What scores without an instant get; None for when the import was begun.
    at_ms: int | None = None
    #: Begin at the first line, or behind this one, whatever is remembered.
    anew: bool = False
    after: int | None = None


@dataclass(slots=True)
class _Chunk:
    items: list[Item] = field(default_factory=list)
    #: How many of its rows count for each player.
    counting: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    #: The last line of it, and the digest of all rows up to it.
    line: int = 0
    digest: Any = None


class _ChangedError(Exception):
    """The rows up to a line are not those that were imported."""


class Import:
    """One import. `run` it."""

    def __init__(
        self,
        lb: Installation,
        source: Source,
        ids: IdMap,
        options: Options,
        *,
        name: str | None,
        progress: Progress = lambda *_: None,
        warn: Callable[[str], None] = log.warning,
    ) -> None:
        self._lb, self._source, self._ids, self._options = lb, source, ids, options
        self._progress = progress
        self._remembered = Remembered(lb, name)
        self._targets = Targets(lb)
        self._archiving = Archiving(lb, warn)
        self._summary = Summary()
        self._sender = Sender(lb, self._targets, self._archiving, self._summary, names=options.names)
        self._chunk = _Chunk()
        self._begun = self._remembered.begin()
        self._refused_line = 0
        #: The entry before, for nameless ones: where it stands, and its player.
        self._before: tuple[Any, str] = (None, "")

    def run(self) -> Summary:
        """Import what is not imported yet.

        Raises SourceError where the source, or a row of it, is wrong; Problem when the boards, or the store, take
        nothing now. Run again, it goes on.
        """
        known = self._remembered.read()
        try:
            self._go_on(self._remembered.begin() if known is None or self._options.anew else known)
            self._archiving.catch_up()
        except _ChangedError as error:
            # Also where that one came to its end: beginning anew unasked, this would count again what is the same.
            raise SourceError(
                self._source.place, None,
                f"the rows up to {self._source.unit} {error} are not those that were imported before. If it is "
                "something else, give it another --name; if all of it is to be imported again, begin --anew; else "
                "put those rows back as they were",
            ) from error  # fmt: skip
        finally:
            self._ids.close()
            self._archiving.end()
        return self._summary

    def foretell(self, exported: Exported) -> None:
        """Make the board of an export where it is missing, before any row of it. Raises WrongValue, Problem."""
        board_id = self._ids.board(exported.board.id)
        exported = replace(exported, board=replace(exported.board, id=board_id))
        if make_exported(self._lb, exported):
            self._summary.boards.append(board_id)
        self._targets.foretell(board_id, exported.expiries)

    def target(self, foreign_board: str) -> Target:
        """The board that another one is here. Raises WrongValue when there is none."""
        return self._targets.of(self._ids.board(foreign_board))

    def at_ms(self, begun: Begun) -> int:
        """What scores get that come without an instant."""
        return begun.at_ms if self._options.at_ms is None else self._options.at_ms

    # -- reading -------------------------------------------------------------------------------------------------------

    def _go_on(self, begun: Begun) -> None:
        if self._options.after is not None:
            begun = replace(begun, line=self._options.after, digest="", sent_line=0, sent_digest="")
        self._begun, self._summary.resumed, self._chunk = begun, begun.line, _Chunk()
        try:
            for score, digest in self._unread(begun):
                self._add(score, digest)
        except SourceError:
            # What came before it was right.
            self._flush()
            raise
        self._flush()
        self._remembered.note(replace(self._begun, done=True, refused=self._refused_line))

    def _unread(self, begun: Begun) -> Iterator[tuple[ForeignScore, Any]]:
        """The rows that did not come through yet, each with the digest of all up to it; those before must be the ones
        that did."""
        digest = sha256()
        checks = [(begun.line, begun.digest), (begun.sent_line, begun.sent_digest)]
        checks = [(line, expected) for line, expected in checks if expected]
        held: list[tuple[ForeignScore, Any]] = []
        for score in self._scores(begun):
            digest.update(content_of(score))
            while checks and score.line >= checks[0][0]:
                line, expected = checks.pop(0)
                if score.line != line or digest.hexdigest() != expected:
                    raise _ChangedError(line)
            if score.line <= begun.line:
                if score.period_id or self._options.period_id:
                    # Whoever comes next may stand behind it.
                    self._player_of(score)
            elif score.line < begun.sent_line:
                held.append((score, digest.copy()))
            else:
                if held or score.line == begun.sent_line:
                    self._check_age(begun, [*(one for one, _ in held), score])
                yield from held
                held.clear()
                yield score, digest.copy()
        if checks:
            raise _ChangedError(checks[0][0])

    def _scores(self, begun: Begun) -> Iterator[ForeignScore]:
        for found in self._source.read(self, begun, self._refuse):
            if isinstance(found, ForeignScore):
                yield found
            elif self._options.create_boards:
                self._make(found)

    def _check_age(self, begun: Begun, sent: list[ForeignScore]) -> None:
        """Idempotency-Keys are remembered for 48 hours: after that it cannot be told what came through."""
        counting = [one.line for one in sent if not (one.period_id or self._options.period_id)]
        if counting and self._lb.clock.now_ms() - begun.sent_ms > ANSWER_KEPT_MS - 3_600_000:
            raise SourceError(
                self._source.place, None,
                f"this was cut off more than two days ago, and it is not known whether {self._source.unit}s "
                f"{begun.line + 1} to {begun.sent_line} were counted. Look at the players of these, then go on "
                f"--after {begun.line} if they were not, --after {begun.sent_line} if they were",
            )  # fmt: skip

    def _make(self, foreign: ForeignBoard) -> None:
        board_id = self._ids.board(foreign.board)
        try:
            board = board_like(foreign, board_id)
            if make_board(self._lb, board):
                self._summary.boards.append(board_id)
            elif self._targets.of(board_id).snapshot.board.order is not foreign.order:
                raise WrongValue(f"the board {board_id} ranks the other way than {shown(foreign.board)} does there")
        except WrongValue as error:
            raise SourceError(self._source.place, None, str(error)) from error

    def _refuse(self, wrong: SourceError) -> None:
        """Stop at a row that is wrong, or note it. What was noted before an import was cut off is not noted again."""
        is_new = wrong.line is None or wrong.line > max(self._begun.line, self._begun.refused)
        if wrong.line is None or (is_new and not self._options.skip_bad):
            raise wrong
        self._refused_line = wrong.line
        if is_new:
            self._summary.rows += 1
            self._summary.note_bad(wrong)

    # -- one row -------------------------------------------------------------------------------------------------------

    def _add(self, score: ForeignScore, digest: Any) -> None:
        try:
            item = self._item(score)
        except WrongValue as error:
            self._refuse(self._wrong(score, str(error)))
        except PastError:
            self._chunk.rows += 1
            self._summary.skipped["of periods that are gone"] += 1
        else:
            if item.prepared and self._chunk.counting[item.player] >= KEPT_KEYS:
                self._flush()
            self._chunk.items.append(item)
            self._chunk.counting[item.player] += item.prepared is not None
            self._chunk.rows += 1
        self._chunk.line, self._chunk.digest = score.line, digest
        if len(self._chunk.items) >= PIPELINE or self._chunk.rows >= 10 * PIPELINE:
            self._flush()

    def _item(self, score: ForeignScore) -> Item:
        """Raises WrongValue, PastError: by the board as it is now, not as it was some time ago."""
        period_id = score.period_id or self._options.period_id
        board_id, player = self._ids.board(score.board), self._player_of(score)
        at_ms = self.at_ms(self._begun)
        target = self._targets.of(board_id)
        try:
            return make_item(self._lb, score, player, target, period_id, at_ms, self._begun.token)
        except WrongValue:
            if self._targets.is_fresh(target):
                raise
        target = self._targets.reload(board_id)
        return make_item(self._lb, score, player, target, period_id, at_ms, self._begun.token)

    def _player_of(self, score: ForeignScore) -> str:
        if not (score.period_id or self._options.period_id):
            return self._ids.player(score.player)
        place = (score.board, score.period_id, score.score, score.tiebreaks, score.achieved_ms)
        if score.period_id and is_nameless(score.player):
            # Named after the one before it only in standings that are over: else nobody looks when that one leaves.
            is_behind = self._before[0] == place and self._is_over(score.board, score.period_id)
            player = stand_in(self._before[1] if is_behind else "", shown_part(score.player))
        else:
            player = self._ids.player(score.player, ours=score.period_id is not None)
        self._before = place, player
        return player

    def _is_over(self, foreign_board: str, period_id: str) -> bool:
        snapshot = self.target(foreign_board).snapshot
        states = states_of(self._lb, snapshot, [period_id], self._lb.clock.now_ms())
        return states[period_id] is not PeriodState.OPEN

    def _wrong(self, score: ForeignScore, problem: str) -> SourceError:
        return SourceError(self._source.place, score.line, problem, self._source.unit)

    # -- sending -------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Send the chunk, and note that it came through."""
        chunk, self._chunk = self._chunk, _Chunk()
        if not chunk.line:
            return
        self._archiving.make_room()
        self._begun = self._remembered.sending(self._begun, chunk.line, chunk.digest.hexdigest())
        late = self._sender.send(chunk.items, self._begun.token, self.at_ms(self._begun))
        self._begun = self._remembered.came_through(self._begun)
        self._summary.rows += chunk.rows
        self._progress(self._source.place, self._summary.rows, self._source.total)
        for score, problem in late:
            if not self._options.skip_bad:
                further = f" (all others up to {self._source.unit} {chunk.line} are imported; this goes on behind it)"
                raise self._wrong(score, problem + further)
            self._summary.note_bad(self._wrong(score, problem))
