"""Deciding on what a rule held: approving, rejecting, and taking either back.

What is held lives with its player in the store, so that a decision and the submission it makes are one call. What was
decided is in the archive alone, with what an approval changed: so it can be taken back.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import orjson

from leaderboard import outlier_reviews
from leaderboard.archive.freshness import wait_for_archive
from leaderboard.audit import Act
from leaderboard.bans import lift_if_over
from leaderboard.boards import TRIES, Snapshot, StaleError
from leaderboard.errors import Problem
from leaderboard.gone import gone
from leaderboard.held import Held, player_of, read_held
from leaderboard.model import Board, Occurrence, Period, PeriodState
from leaderboard.periods import kind_of
from leaderboard.privacy import WAIT_S
from leaderboard.reviews import Review, ReviewState, archived_review
from leaderboard.rules import layout_now, layout_of, read_layout
from leaderboard.seasons import find_occurrence, state_at
from leaderboard.store.client import unavailable
from leaderboard.submission import Approval, Result, Submission, prepare_call, read_reply

if TYPE_CHECKING:
    from leaderboard.installation import Installation


class Decision(StrEnum):
    """What to do about a review."""

    APPROVE = "approve"
    REJECT = "reject"
    #: Hold again what was rejected, or approved: then it counts no more.
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a review."""

    review: str
    state: ReviewState
    #: What an approved submission did.
    result: Result | None = None
    #: The standings it belonged to that were final already.
    settled: tuple[str, ...] = ()


def decide_many(lb: Installation, reviews: Sequence[str], decision: Decision, act: Act) -> list[Decided | Problem]:
    """Decide on each by itself; a Problem is what `decide` would raise. After a 503 the others are not tried."""
    results: list[Decided | Problem] = []
    away: Problem | None = None
    for review in reviews:
        try:
            if away is not None:
                raise away
            results.append(decide(lb, review, decision, act))
        except Problem as problem:
            results.append(problem)
            if problem.status >= 500 and away is None:
                away = unavailable() if problem.code == "outcome_unknown" else problem
    return results


def decide(lb: Installation, review: str, decision: Decision, act: Act) -> Decided:
    """Approve, reject or reopen. One call to the store changes everything; a second decision changes nothing.

    Raises review_not_found, review_decided, player_erased; to approve, or to reopen what was approved, also
    board_not_found, board_redefined, and period_settled: where no standings is left that it could count in, or one is
    final that it did count in; to approve score_out_of_range; to reopen too_many_held, entry_changed,
    archive_unavailable; of an outlier as `outlier_reviews.approve` and `reject`.
    """
    if decision is Decision.REOPEN:
        return _reopen(lb, review, act)
    packed = lb.store.read(("HGET", lb.keys.held(player_of(review)), review))[0]
    if packed is None:
        # Not because the store was emptied.
        lb.claim.confirm(trusting_s=0.0)
        archived_review(lb, review)
        raise Problem("review_decided")
    held = read_held(packed)
    if held.outlier is not None:
        return _decide_outlier(lb, review, held, decision, act)
    if decision is Decision.APPROVE:
        return lb.boards.use(held.board, partial(_approve, lb, review=review, held=held, act=act))
    return _reject(lb, review, held, act)


def _decide_outlier(lb: Installation, review: str, held: Held, decision: Decision, act: Act) -> Decided:
    approves = decision is Decision.APPROVE
    state = ReviewState.APPROVED if approves else ReviewState.REJECTED
    decide_on = outlier_reviews.approve if approves else outlier_reviews.reject
    act_on = _act_on(act, held.board, review, ReviewState.OPEN, state)
    decide_on(lb, review, held, _verdict(act, lb.clock.now_ms()), act_on)
    return Decided(review, state)


def _reject(lb: Installation, review: str, held: Held, act: Act) -> Decided:
    player, now = player_of(review), lb.clock.now_ms()
    act_on = _act_on(act, held.board, review, ReviewState.OPEN, ReviewState.REJECTED)
    args: list[str | bytes | int] = [player, now, review, _verdict(act, now)]
    if lb.store.change("reject_review", [lb.keys.held(player)], args, act_on)[0] == b"decided":
        raise Problem("review_decided")
    return Decided(review, ReviewState.REJECTED)


def _approve(lb: Installation, snapshot: Snapshot, *, review: str, held: Held, act: Act) -> Decided:
    """It counts as of when it was achieved, in what it belonged to and is not final."""
    board, now = snapshot.board, lb.clock.now_ms()
    _check_is_held_on(lb, board, held)
    if layout_of(board) != held.layout:
        raise Problem("board_redefined")
    counts_in, settled = _places(lb, snapshot, held.period_ids, now)
    if not counts_in:
        raise Problem("period_settled", "every standings that this belonged to is final")
    prepared = prepare_call(
        lb, None, _submission_of(review, held), snapshot, board.policy.value, now, held.achieved_ms, counts_in,
        ranks=True, approval=Approval(review, _verdict(act, now)),
    )  # fmt: skip
    reply = lb.store.change(*prepared.call, _act_on(act, board.id, review, ReviewState.OPEN, ReviewState.APPROVED))
    if reply[0] == b"ended":
        lift_if_over(lb, player_of(review))
    if reply[0] in (b"stale", b"ended", b"gone"):
        raise StaleError
    result = read_reply(prepared, reply)
    if isinstance(result, Problem):
        raise result
    return Decided(review, ReviewState.APPROVED, result, tuple(settled))


def _submission_of(review: str, held: Held) -> Submission:
    """As it was submitted."""
    layout = read_layout(held.layout)
    return Submission(
        held.board, player_of(review), layout.score(held.score), layout.named(held.tiebreaks), held.metadata,
        held.achieved_ms,
    )  # fmt: skip


def _reopen(lb: Installation, review: str, act: Act) -> Decided:
    """What was decided is in the archive alone; should it be held again and decided anew meanwhile, look again."""
    for _ in range(TRIES):
        seen = lb.store.read(("GET", lb.keys.reopened(player_of(review))))[0] or b""
        wait_for_archive(lb, WAIT_S)
        found = archived_review(lb, review)
        if found.state is ReviewState.OPEN:
            return Decided(review, ReviewState.OPEN)
        hold_again = partial(_hold_again, lb, found=found, seen=seen, act=act)
        # An outlier that stayed where it was is approved without a change.
        if not (lb.boards.use(found.held.board, hold_again) if found.changed else hold_again(None)):
            return Decided(review, ReviewState.OPEN)
    raise unavailable("The review keeps changing.")


def _hold_again(lb: Installation, snapshot: Snapshot | None, *, found: Review, seen: bytes, act: Act) -> bool:
    """Without a snapshot there is no approval to take back. Returns whether to look again."""
    keys, player, now = lb.keys, found.player, lb.clock.now_ms()
    call_keys = [keys.player(player), keys.held(player), keys.reopened(player), keys.gate(found.held.board)]
    args: list[str | bytes | int] = [
        player, now, found.id, found.packed, _verdict(act, now), seen, secrets.token_hex(4),
        "rejected" if snapshot is None else "approved",
    ]  # fmt: skip
    if snapshot is None:
        args += ["", "", "", "", ""]
    else:
        board = snapshot.board
        _check_is_held_on(lb, board, found.held)
        if found.layout != layout_now(board):
            raise Problem("board_redefined")
        if _places(lb, snapshot, [changed.period_id for changed in found.changed], now)[1]:
            raise Problem("period_settled", "standings that this counted in are final")
        args += [board.revision, snapshot.season, board.id, board.ties.value, len(board.tiebreaks)]
        for changed in found.changed:
            call_keys += keys.standings(board.id, changed.period_id)
            args += changed
    act_on = _act_on(act, found.held.board, found.id, found.state, ReviewState.OPEN)
    reply = lb.store.change("reopen_review", call_keys, args, act_on)
    match reply[0]:
        case b"stale":
            raise StaleError
        case b"entry_changed":
            raise Problem("entry_changed", f"the entry in {reply[1].decode()} is not what the approval made of it")
        case b"erased" | b"merged":
            raise gone(found.player, reply)
        case b"too_many_held":
            raise Problem("too_many_held")
    return bool(reply[0] == b"moved")


def _check_is_held_on(lb: Installation, board: Board, held: Held) -> None:
    epoch = lb.store.read(("HGET", lb.keys.gate(board.id), "epoch"))[0]
    if int(epoch or 0) != held.epoch:
        raise Problem("board_not_found", "the board was deleted since; there is another of its id")


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


def _verdict(act: Act, now_ms: int) -> bytes:
    return orjson.dumps({"by": act.actor, "reason": act.reason, "at_ms": now_ms})


def _act_on(act: Act, board: str, review: str, before: ReviewState, after: ReviewState) -> bytes:
    """For the audit."""
    states = [{"review": review, "state": state.value} for state in (before, after)]
    return act.on(board=board, player=player_of(review), before=states[0], after=states[1])
