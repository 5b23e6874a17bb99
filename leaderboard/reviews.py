"""Reviews: what a rule held, for an admin to decide on.

What is held lives with its player in the store, so that a decision and the submission it makes are one call. Reviews
are listed from the archive, where decided ones stay; it follows the store within its lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Select, select, tuple_

from leaderboard.audit import Act
from leaderboard.bans import lift_if_over
from leaderboard.boards import Snapshot, StaleError
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem
from leaderboard.gone import gone
from leaderboard.held import Held, player_of, read_held
from leaderboard.model import Occurrence, Period, PeriodState
from leaderboard.periods import kind_of
from leaderboard.privacy import KeptSubmission, merged_players, submissions_of
from leaderboard.rules import Layout, layout_of, read_layout
from leaderboard.seasons import find_occurrence, state_at
from leaderboard.submission import Approval, Result, Submission, prepare_call, read_reply

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: So much of what the player submitted to the board is shown with a review.
HISTORY = 20

_ADMIN = Caller(Role.ADMIN)


class ReviewState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


class Decision(StrEnum):
    """What to do about a review."""

    APPROVE = "approve"
    REJECT = "reject"
    #: Hold again what was rejected.
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Verdict:
    by: str
    reason: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Review:
    id: str
    player: str
    state: ReviewState
    held: Held
    #: Who decided, or opened it again; None before that.
    verdict: Verdict | None

    @property
    def layout(self) -> Layout:
        return read_layout(self.held.layout)


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a review."""

    review: str
    state: ReviewState
    #: What an approved submission did.
    result: Result | None = None
    #: The standings it belonged to that were final already.
    settled: tuple[str, ...] = ()


# -- looking ---------------------------------------------------------------------------------------------------------


def list_reviews(
    lb: Installation, *, state: ReviewState | None, board: str | None, player: str | None, rule: str | None,
    limit: int, after: tuple[int, str] | None,
) -> tuple[list[Review], tuple[int, str] | None]:  # fmt: skip
    """Reviews, oldest first, and where to go on; None at the end. Raises archive_unavailable."""
    reviews = lb.archive.tables.reviews.c
    query = select(lb.archive.tables.reviews).order_by(reviews.at_ms, reviews.review).limit(limit + 1)
    for column, wanted in ((reviews.state, state), (reviews.board, board), (reviews.player, player)):
        if wanted is not None:
            query = query.where(column == str(wanted))
    if rule is not None:
        query = query.where(reviews.rules.contains(f" {rule} ", autoescape=True))
    if after is not None:
        query = query.where(tuple_(reviews.at_ms, reviews.review) > tuple_(*after))
    found = _rows(lb, query)
    return found[:limit], (found[limit - 1].held.at_ms, found[limit - 1].id) if len(found) > limit else None


def get_review(lb: Installation, review: str) -> tuple[Review, list[KeptSubmission]]:
    """A review, and what its player submitted to the board lately, newest first. Raises review_not_found."""
    found = _archived(lb, review)
    with lb.archive.read() as connection:
        own = [found.player, *merged_players(lb, connection, found.player)]
        return found, submissions_of(lb, connection, own, board=found.held.board, newest=HISTORY)


def _archived(lb: Installation, review: str) -> Review:
    table = lb.archive.tables.reviews
    found = _rows(lb, select(table).where(table.c.review == review))
    if not found:
        raise Problem("review_not_found")
    return found[0]


def _rows(lb: Installation, query: Select[Any]) -> list[Review]:
    if not lb.archive.exists():
        return []
    with lb.archive.read() as connection:
        return [read_review(row) for row in connection.execute(query)]


def read_review(row: Any) -> Review:
    """From a row of the archive."""
    verdict = None
    if row.decision is not None:
        decision = orjson.loads(row.decision)
        verdict = Verdict(decision["by"], decision["reason"], decision["at_ms"])
    return Review(row.review, row.player, ReviewState(row.state), read_held(row.held), verdict)


# -- deciding --------------------------------------------------------------------------------------------------------


def decide(lb: Installation, review: str, decision: Decision, act: Act) -> Decided:
    """Approve, reject or reopen. One call to the store changes everything; a second decision changes nothing.

    Raises review_not_found, review_decided, player_erased, player_merged; for an approval also board_not_found,
    board_redefined, period_settled where no standings is left that it could count in, score_out_of_range.
    """
    verdict = orjson.dumps({"by": act.actor, "reason": act.reason, "at_ms": lb.clock.now_ms()})
    if decision is Decision.REOPEN:
        return _reopen(lb, review, verdict, act)
    packed = lb.store.read(("HGET", lb.keys.held(player_of(review)), review))[0]
    if packed is None:
        raise _missing(lb, review)
    held = read_held(packed)
    if decision is Decision.APPROVE:
        return lb.boards.use(held.board, partial(_approve, lb, review=review, held=held, verdict=verdict, act=act))
    player = player_of(review)
    act_on = _act_on(act, held.board, review, ReviewState.OPEN, ReviewState.REJECTED)
    reply = lb.store.change(
        "reject_review", [lb.keys.held(player)], [player, lb.clock.now_ms(), review, verdict], act_on
    )
    if reply[0] == b"decided":
        raise Problem("review_decided")
    return Decided(review, ReviewState.REJECTED)


def _approve(lb: Installation, snapshot: Snapshot, *, review: str, held: Held, verdict: bytes, act: Act) -> Decided:
    """It counts as of when it was achieved, in what it belonged to and is not final."""
    board, now = snapshot.board, lb.clock.now_ms()
    epoch = lb.store.read(("HGET", lb.keys.gate(board.id), "epoch"))[0]
    if int(epoch or 0) != held.epoch:
        raise Problem("board_not_found", "the board was deleted since; there is another of its id")
    if layout_of(board) != held.layout:
        raise Problem("board_redefined")
    counts_in, settled = _places(lb, snapshot, held.period_ids, now)
    if not counts_in:
        raise Problem("period_settled", "every standings that this belonged to is final")
    layout = read_layout(held.layout)
    submission = Submission(
        board.id,
        player_of(review),
        layout.score(held.score),
        {tiebreak.name: value * tiebreak.order.sign
         for tiebreak, value in zip(layout.tiebreaks, held.tiebreaks, strict=True)},
        held.metadata,
        held.achieved_ms,
    )  # fmt: skip
    prepared = prepare_call(
        lb, _ADMIN, submission, snapshot, board.policy.value, now, held.achieved_ms, counts_in, ranks=True,
        approval=Approval(review, verdict),
    )  # fmt: skip
    act_on = _act_on(act, board.id, review, ReviewState.OPEN, ReviewState.APPROVED)
    reply = lb.store.change(*prepared.call, act_on)
    if reply[0] == b"ended":
        lift_if_over(lb, submission.player)
    if reply[0] in (b"stale", b"ended"):
        raise StaleError
    result = read_reply(prepared, reply)
    if isinstance(result, Problem):
        raise result
    return Decided(review, ReviewState.APPROVED, result, tuple(settled))


def _places(
    lb: Installation, snapshot: Snapshot, period_ids: Sequence[str], now_ms: int
) -> tuple[list[tuple[Period, Occurrence]], list[str]]:
    """Those that still take it, and those that are final, gone, or of a period that the board has no more."""
    counts_in, settled = [], []
    for period_id in period_ids:
        try:
            place = find_occurrence(lb, snapshot, kind_of(period_id), period_id, now_ms)
        except Problem as problem:
            if problem.code not in ("period_gone", "period_not_found"):
                raise
            settled.append(period_id)
            continue
        if state_at(*place, now_ms) is PeriodState.SETTLED:
            settled.append(period_id)
        else:
            counts_in.append(place)
    return counts_in, settled


def _reopen(lb: Installation, review: str, verdict: bytes, act: Act) -> Decided:
    table, player = lb.archive.tables.reviews, player_of(review)
    row = None
    if lb.archive.exists():
        with lb.archive.read() as connection:
            row = connection.execute(select(table).where(table.c.review == review)).first()
    if row is None:
        raise Problem("review_not_found")
    if row.state == ReviewState.APPROVED:
        raise Problem("review_decided", "what was approved counts: remove or correct the entry instead")
    args: list[str | bytes | int] = [player, lb.clock.now_ms(), review, row.held, verdict]
    act_on = _act_on(act, row.board, review, ReviewState(row.state), ReviewState.OPEN)
    reply = lb.store.change("reopen_review", [lb.keys.player(player), lb.keys.held(player)], args, act_on)
    if reply[0] != b"open":
        raise Problem("too_many_held") if reply[0] == b"too_many_held" else gone(player, reply)
    return Decided(review, ReviewState.OPEN)


def _act_on(act: Act, board: str, review: str, before: ReviewState, after: ReviewState) -> bytes:
    """For the audit."""
    states = [{"review": review, "state": state.value} for state in (before, after)]
    return act.on(board=board, player=player_of(review), before=states[0], after=states[1])


def _missing(lb: Installation, review: str) -> Problem:
    """Why it is not held."""
    _archived(lb, review)
    return Problem("review_decided")
