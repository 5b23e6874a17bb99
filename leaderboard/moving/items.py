"""Rows as calls: an entry that is put in its place as it is, or a submission like any other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from leaderboard.api.fields import METADATA_LIMIT
from leaderboard.attached import detach
from leaderboard.errors import Problem
from leaderboard.idempotency import IdempotentCall
from leaderboard.moving.foreign import ForeignScore
from leaderboard.moving.targets import Target
from leaderboard.moving.values import WrongValue
from leaderboard.scores import scale
from leaderboard.store.client import FunctionCall
from leaderboard.submission import CLOCK_SKEW_MS, Prepared, Submission, order_tiebreaks, prepare_call

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How an entry is shown whose player was erased.
_NAMELESS = re.compile(r"-[0-9a-f]{12}")


class PastError(Exception):
    """There is no standings any more in which a score would count."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row, ready to be sent."""

    score: ForeignScore
    board: str
    player: str
    #: Of an entry to be put in its place; None for a score that counts.
    period_id: str | None
    call: FunctionCall
    #: Of a score that counts.
    prepared: Prepared | None


def is_nameless(player: str) -> bool:
    return _NAMELESS.fullmatch(player) is not None


def make_item(
    lb: Installation, score: ForeignScore, player: str, target: Target, period_id: str | None, at_ms: int, token: str
) -> Item:
    """A row made ready for a board as it was read; `at_ms` is for scores that come without an instant.

    Raises WrongValue for a row that the board cannot take, PastError for one that came too late to count.
    """
    now = lb.clock.now_ms()
    achieved = at_ms if score.achieved_ms is None else score.achieved_ms
    if achieved > now + CLOCK_SKEW_MS:
        raise WrongValue("achieved_at is in the future")
    newest = achieved if score.newest_ms is None else score.newest_ms
    if not achieved <= newest <= now + CLOCK_SKEW_MS:
        raise WrongValue("newest_at is in the future, or before achieved_at")
    if len(detach(score.metadata).metadata) > METADATA_LIMIT:
        raise WrongValue(f"metadata is longer than {METADATA_LIMIT} bytes")
    board = target.snapshot.board
    try:
        if period_id is not None:
            call = _put(lb, score, player, target, period_id, achieved, now)
            return Item(score, board.id, player, period_id, call, None)
        prepared = _submit(lb, score, player, target, min(achieved, now), now, token)
    except Problem as problem:
        if problem.status >= 500:
            raise
        raise WrongValue(problem.detail) from problem
    return Item(score, board.id, player, None, prepared.call, prepared)


def _put(
    lb: Installation, score: ForeignScore, player: str, target: Target, period_id: str, achieved: int, now: int
) -> FunctionCall:
    """The arguments of `put_entry` (store/lua/import.lua), which says what each is."""
    snapshot, keys = target.snapshot, lb.keys
    board = snapshot.board
    expires_ms = target.expires_ms(period_id, now)
    tiebreaks = order_tiebreaks(board, score.tiebreaks)
    return (
        "put_entry",
        [keys.player(player), keys.gate(board.id), keys.kept(board.id), *keys.standings(board.id, period_id)],
        [
            player,
            now,
            board.revision,
            snapshot.season,
            board.id,
            period_id,
            "" if expires_ms is None else expires_ms,
            board.ties.value,
            score.submissions,
            achieved if score.newest_ms is None else score.newest_ms,
            score.metadata,
            achieved,
            len(tiebreaks),
            scale(score.score, board.decimals) * board.order.sign,
            *tiebreaks,
        ],
    )


def _submit(
    lb: Installation, score: ForeignScore, player: str, target: Target, achieved: int, now: int, token: str
) -> Prepared:
    snapshot = target.snapshot
    counts_in = target.counts_in(achieved, now)
    if not counts_in:
        raise PastError
    submission = Submission(
        snapshot.board.id,
        player,
        score.score,
        score.tiebreaks,
        score.metadata,
        achieved,
        repeatable=IdempotentCall(
            sha256(f"{token}\0{score.line}".encode()).digest()[:10], sha256(content_of(score)).digest()[:6]
        ),
    )
    policy = snapshot.board.policy.value
    return prepare_call(lb, None, submission, snapshot, policy, now, achieved, counts_in, ranks=False)


def content_of(score: ForeignScore) -> bytes:
    """What a row says, as bytes to be digested."""
    return repr((
        score.line, score.board, score.player, score.score, score.tiebreaks, score.achieved_ms, score.metadata,
        score.period_id, score.submissions, score.newest_ms,
    )).encode()  # fmt: skip
