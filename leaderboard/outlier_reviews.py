"""Entries that lie far outside of their standings: finding them, and what is decided about them.

A worker looks at every board with the rule `outliers` from time to time (leaderboard/worker/outliers.py). What it finds
becomes a review like any other, and the entry stays, or is held with the review. An entry has one review, whatever
became of that: the id of the review is made of the entry, and reviews stay in the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from leaderboard.audit import WORKER, Act
from leaderboard.bans import lift_if_over
from leaderboard.boards import Snapshot, StaleError, kept_periods
from leaderboard.entries import STAND_IN, Place, pack_number
from leaderboard.errors import FieldError, Problem
from leaderboard.gone import gone
from leaderboard.held import Held, player_of
from leaderboard.model import Board, OutlierRule, OutlierThen
from leaderboard.outliers import FARTHEST, Distribution, Sample, fit
from leaderboard.rules import layout_of
from leaderboard.seasons import settled_among
from leaderboard.standings import current
from leaderboard.store.client import FunctionCall

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)

#: So many of the best entries of a standings are looked at.
BEST = 100

#: So many standings of a board: the newest that are not final.
STANDINGS = 12

#: More than so many, and more than this share of the entries, are a part of the distribution, or a fraud that no number
#: can tell from one: they are reviewed, but not taken out.
CROWD = 10
CROWD_SHARE = 0.001

_ACT = Act("find_outlier", WORKER, None, WORKER)
_WIDTH = 7


class Outlier(NamedTuple):
    player: str
    place: Place
    #: How far out it is.
    distance: float


# -- finding -----------------------------------------------------------------------------------------------------------


def look_at(lb: Installation, board_id: str) -> int:
    """Raise reviews of the outliers of a board, and return of how many; 0 where it has no such rule.

    Costs three exchanges with the store, and one for each that is new. The archive must have what happened before, or
    what was decided just now is raised again. Raises board_not_found, Problem (503).
    """
    return lb.boards.use(board_id, partial(_look, lb))


def _look(lb: Installation, snapshot: Snapshot) -> int:
    board, rule = snapshot.board, snapshot.board.outliers
    if rule is None:
        return 0
    kept = kept_periods(lb, board.id)
    settled = settled_among(lb, snapshot, kept, lb.clock.now_ms())
    live = [period_id for period_id in kept if period_id not in settled][-STANDINGS:]
    if not live:
        return 0
    raised = 0
    replies = lb.store.ask_many([_scores_call(lb, snapshot, rule, period_id) for period_id in live])
    for period_id, reply in zip(live, replies, strict=True):
        distribution, outliers = _outliers(board, rule, current(reply))
        if distribution is not None and outliers:
            raised += _raise(lb, snapshot, rule, period_id, distribution, outliers)
    return raised


def _scores_call(lb: Installation, snapshot: Snapshot, rule: OutlierRule, period_id: str) -> FunctionCall:
    board = snapshot.board
    keys = [lb.keys.gate(board.id), lb.keys.standings(board.id, period_id).order]
    return "outlier_scores", keys, [board.revision, snapshot.season, rule.from_entries, BEST]


def _outliers(board: Board, rule: OutlierRule, reply: Sequence[Any]) -> tuple[Distribution | None, list[Outlier]]:
    """The best first."""
    entries, *scores = reply
    if not entries:
        return None, []
    *scores, best = scores
    distribution = fit(Sample(entries, *map(int, scores)))
    found: list[Outlier] = []
    head = _WIDTH * (len(board.tiebreaks) + 1)
    for member, text in zip(best[::2], best[1::2], strict=True):
        score = int(text)
        if distribution is None or (distance := distribution.distance(score)) < rule.threshold:
            break
        player = member[head:].decode()
        # Nobody is behind a nameless entry any more.
        if STAND_IN not in player:
            found.append(Outlier(player, Place(score, member), distance))
    return distribution, found


def _raise(
    lb: Installation, snapshot: Snapshot, rule: OutlierRule, period_id: str, distribution: Distribution,
    outliers: list[Outlier],
) -> int:  # fmt: skip
    board, keys = snapshot.board, lb.keys
    holds = rule.then is OutlierThen.HOLD and len(outliers) <= max(CROWD, CROWD_SHARE * distribution.entries)
    epoch = int(lb.store.read(("HGET", keys.gate(board.id), "epoch"))[0] or 0)
    by_review = {_review_of(board, epoch, period_id, outlier): outlier for outlier in outliers}
    raised = 0
    for review in by_review.keys() - _archived(lb, list(by_review)):
        player, place, distance = by_review[review]
        reply = lb.store.change(
            "find_outlier",
            [keys.player(player), keys.gate(board.id), keys.held(player), *keys.standings(board.id, period_id)],
            [
                player,
                lb.clock.now_ms(),
                board.revision,
                snapshot.season,
                board.id,
                period_id,
                len(board.tiebreaks),
                _packed(board, place),
                review,
                "1" if holds else "0",
                layout_of(board),
                round(rule.threshold * 100),
                int(min(FARTHEST, distance * 100)),
                distribution.entries,
                distribution.median,
                distribution.spread,
                round(distribution.power * 1000),
                distribution.limit(rule.threshold),
            ],
            _ACT.on(board=board.id, period_id=period_id, player=player, after={"review": review, "state": "open"}),
        )
        match reply[0]:
            case b"stale":
                raise StaleError
            case b"held" | b"raised":
                log.info("%s: an outlier in %s of %s is %s", review, period_id, board.id, reply[0].decode())
                raised += 1
            case b"too_many_held":
                log.warning(
                    "%s: an outlier in %s of %s is not raised: too many reviews of this player are open",
                    review,
                    period_id,
                    board.id,
                )
    return raised


def _packed(board: Board, place: Place) -> bytes:
    """The score and prefix, as an entry begins."""
    return pack_number(place.score) + place.member[: _WIDTH * (len(board.tiebreaks) + 1)]


def _review_of(board: Board, epoch: int, period_id: str, outlier: Outlier) -> str:
    digest = sha256(f"{board.id} {epoch} {period_id} {outlier.player} ".encode() + _packed(board, outlier.place))
    return f"{digest.hexdigest()[:16]}.{outlier.player}"


def _archived(lb: Installation, reviews: list[str]) -> set[str]:
    """Those that were raised before."""
    column = lb.archive.tables.reviews.c.review
    with lb.archive.read() as connection:
        return set(connection.scalars(select(column).where(column.in_(reviews))))


# -- deciding ----------------------------------------------------------------------------------------------------------


def approve(lb: Installation, review: str, held: Held, verdict: bytes, act: bytes) -> None:
    """Let the entry stand; what was held comes back, united with what its player has there by now.

    Raises review_decided; of one that is held also board_not_found, board_redefined, period_settled, player_erased,
    score_out_of_range.
    """
    assert held.outlier is not None  # noqa: S101  see the caller
    if held.outlier.taken:
        lb.boards.use(held.board, partial(_put_back, lb, review=review, held=held, verdict=verdict, act=act))
        return
    # Nothing changes, whatever has become of the board.
    board = Snapshot(Board(held.board), 0, 0, 0.0)
    _check_decided(player_of(review), _approve(lb, board, review, held, verdict, act))


def _put_back(lb: Installation, snapshot: Snapshot, *, review: str, held: Held, verdict: bytes, act: bytes) -> None:
    if layout_of(snapshot.board) != held.layout:
        raise Problem("board_redefined")
    _check_not_settled(lb, snapshot, held)
    reply = _approve(lb, snapshot, review, held, verdict, act)
    match reply[0]:
        case b"ended":
            lift_if_over(lb, player_of(review))
            raise StaleError
        case b"out_of_range":
            place, tiebreaks = reply[1], snapshot.board.tiebreaks
            pointer = "/score" if place == 0 else f"/tiebreaks/{tiebreaks[place - 1].name}"
            error = FieldError(pointer, "score_range", "the sum would be beyond the limit of 10^15 - 1")
            raise Problem("score_out_of_range", errors=(error,))
    _check_decided(player_of(review), reply)


def _approve(
    lb: Installation, snapshot: Snapshot, review: str, held: Held, verdict: bytes, act: bytes
) -> Sequence[Any]:
    board, keys, player = snapshot.board, lb.keys, player_of(review)
    reply: Sequence[Any] = lb.store.change(
        "approve_outlier",
        [
            keys.player(player), keys.gate(board.id), keys.held(player), keys.kept(board.id),
            *keys.standings(board.id, held.period_ids[0]),
        ],
        [
            player, lb.clock.now_ms(), board.revision, snapshot.season, board.ties.value, board.policy.value, review,
            verdict,
        ],
        act,
    )  # fmt: skip
    return reply


def reject(lb: Installation, review: str, held: Held, verdict: bytes, act: bytes) -> None:
    """Take the entry out of its standings, if it still is that one, or drop what is held of it.

    Raises review_decided, entry_changed, period_settled.
    """
    assert held.outlier is not None  # noqa: S101  see the caller
    if not held.outlier.taken:
        try:
            lb.boards.use(held.board, partial(_take_out, lb, review=review, held=held, verdict=verdict, act=act))
            return
        except Problem as problem:
            # The entry went with the board.
            if problem.code != "board_not_found":
                raise
    player = player_of(review)
    args: list[str | bytes | int] = [player, lb.clock.now_ms(), review, verdict]
    _check_decided(player, lb.store.change("reject_review", [lb.keys.held(player)], args, act))


def _take_out(lb: Installation, snapshot: Snapshot, *, review: str, held: Held, verdict: bytes, act: bytes) -> None:
    board, keys, player = snapshot.board, lb.keys, player_of(review)
    epoch = lb.store.read(("HGET", keys.gate(board.id), "epoch"))[0]
    if int(epoch or 0) != held.epoch:
        raise Problem("board_not_found", "the board was deleted since; there is another of its id")
    _check_not_settled(lb, snapshot, held)
    if layout_of(board) != held.layout:
        # Boards with entries keep their layout.
        raise Problem("entry_changed", "the entry is gone, and the board was defined otherwise since")
    reply = lb.store.change(
        "reject_outlier",
        [keys.gate(board.id), keys.held(player), *keys.standings(board.id, held.period_ids[0])],
        [player, lb.clock.now_ms(), board.revision, snapshot.season, review, verdict],
        act,
    )
    _check_decided(player, reply)


def _check_not_settled(lb: Installation, snapshot: Snapshot, held: Held) -> None:
    if settled_among(lb, snapshot, held.period_ids, lb.clock.now_ms()):
        raise Problem("period_settled")


def _check_decided(player: str, reply: Sequence[Any]) -> None:
    refusals: dict[bytes, Callable[[], Exception]] = {
        b"stale": StaleError,
        b"decided": partial(Problem, "review_decided"),
        b"taken": partial(Problem, "review_decided"),
        b"gone": partial(Problem, "board_not_found", "the board was deleted since"),
        b"changed": partial(
            Problem,
            "entry_changed",
            "the player's entry there is another by now, or gone: approve the review to close it; an entry that is an "
            "outlier gets a review of its own",
        ),
    }
    if reply[0] in (b"erased", b"merged"):
        raise gone(player, reply)
    if reply[0] in refusals:
        raise refusals[reply[0]]()
