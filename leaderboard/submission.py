"""One submission: what it holds, the function call it becomes, and what the reply to that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from leaderboard import periods
from leaderboard.bans import player_banned
from leaderboard.boards import Snapshot
from leaderboard.callers import Caller, Role
from leaderboard.entries import score_of
from leaderboard.errors import FieldError, Problem, invalid, pointer_to, unauthenticated
from leaderboard.errors import rate_headers as write_rate_headers
from leaderboard.gone import player_merged
from leaderboard.held import HELD_BIT, new_review
from leaderboard.idempotency import KEPT_KEYS, IdempotentCall
from leaderboard.model import (
    DAY_MS,
    SCORE_LIMIT,
    Board,
    BoardState,
    Occurrence,
    Period,
    PeriodKind,
    PeriodState,
    RateRule,
    Writers,
)
from leaderboard.scores import scale
from leaderboard.seasons import current_occurrence, expires_at, state_at
from leaderboard.signatures import TOLERANCE_S, SignedRequest, check_signature
from leaderboard.standings import current, lookup_call
from leaderboard.store.client import FunctionCall

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: A game server's clock may be this far ahead of the store's; what it stamps then counts as now.
CLOCK_SKEW_MS = 1000

#: Which bit of a kept outcome is whose.
_BITS = {kind: 1 << i for i, kind in enumerate(PeriodKind)}


class Outcome(StrEnum):
    APPLIED = "applied"
    KEPT = "kept"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Submission:
    board: str
    player: str
    score: int | Decimal
    tiebreaks: dict[str, int] = field(default_factory=dict)
    #: Or empty for none; what is attached to it (`leaderboard.attached`).
    metadata: bytes = b""
    #: None for now.
    achieved_ms: int | None = None
    #: period kind → the period id the caller expects it to count in
    expect: dict[str, str] = field(default_factory=dict)
    repeatable: IdempotentCall | None = None
    #: The attempt that it is the score of; empty for none.
    attempt: str = ""
    #: The request it came in, where that was signed.
    signed: SignedRequest | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a submission did in one standings. Ranks are None where there is none, or none was asked for."""

    occurrence: Occurrence
    rank: int | None
    previous_rank: int | None
    score: int
    changed: bool


@dataclass(frozen=True, slots=True)
class RateState:
    rule: RateRule
    left: int
    reset_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    board: Board
    player: str
    outcome: Outcome
    standings: list[Standing]
    rate: RateState | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """That a held submission is to count."""

    review: str
    #: JSON: who decides, and why.
    decision: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission made ready against one snapshot of its board."""

    submission: Submission
    snapshot: Snapshot
    occurrences: list[Occurrence]
    call: FunctionCall
    #: The limits that are checked in the call: of the board, and of the player on all boards.
    rate: RateRule | None
    player_rate: RateRule | None
    #: Why it cannot be applied. The call then only looks whether it was applied before.
    refusal: Problem | None = None


def prepare(
    lb: Installation, caller: Caller, submission: Submission, snapshot: Snapshot | None, ranks: bool
) -> Prepared | Problem:
    """Make the call of a submission to a board as known, None being one that does not exist; or say why not.

    A refusal still becomes a call where there is a session or an idempotency key: a bad session is to be told of that
    first, and a retry of what was applied before must be told so, also when its week is over by now. Raises 503.
    """
    demanded = snapshot is not None and snapshot.board.signed
    try:
        signed_ms = check_signature(lb, caller, submission.signed, demanded=demanded)
    except Problem as problem:
        if problem.status >= 500:
            raise
        # Whoever cannot sign it is not told either what it did the first time.
        return _refused(lb, caller, replace(submission, repeatable=None), snapshot, problem)
    if demanded and signed_ms is not None and submission.repeatable:
        # The same request, sent again by somebody who cannot sign, must not count for as long as its signature is good.
        first_ms = signed_ms - TOLERANCE_S * 1000 - CLOCK_SKEW_MS
        submission = replace(submission, repeatable=replace(submission.repeatable, first_ms=first_ms))
    try:
        if snapshot is None:
            raise Problem("board_not_found", f"there is no board {submission.board!r}")
        return _prepare_for(lb, caller, submission, snapshot, ranks)
    except Problem as problem:
        if problem.status >= 500:
            raise
        if not (caller.session or submission.repeatable):
            return problem
        return _refused(lb, caller, submission, snapshot, problem)


def _prepare_for(lb: Installation, caller: Caller, submission: Submission, snapshot: Snapshot, ranks: bool) -> Prepared:
    board, now = snapshot.board, lb.clock.now_ms()
    if board.writes is Writers.SERVERS:
        caller.require(Role.SERVER)
    if board.attempts and board.attempts.required and caller.role is Role.PLAYER and not submission.attempt:
        raise Problem("attempt_required", errors=(FieldError("/attempt", "required", "open an attempt first"),))
    achieved = _achieved_at(board, caller, submission, now)
    counts_in = [(period, current_occurrence(snapshot, period, achieved)) for period in board.periods]
    # Only where the delay was shorter when it ended: late_s is no longer than the present one.
    if submission.achieved_ms is not None and any(state_at(*place, now) is PeriodState.SETTLED for place in counts_in):
        raise invalid("/achieved_at", "too_late", "the standings of that time are final")
    _check_expectation(submission.expect, {occurrence.kind.value: occurrence.id for _, occurrence in counts_in})
    return prepare_call(lb, caller, submission, snapshot, board.policy.value, now, achieved, counts_in, ranks)


def _refused(
    lb: Installation, caller: Caller, submission: Submission, snapshot: Snapshot | None, problem: Problem
) -> Prepared:
    snapshot = snapshot or Snapshot(Board(submission.board), 0, 0, 0.0)
    now = lb.clock.now_ms()
    nothing = replace(submission, score=0, tiebreaks={}, metadata=b"")
    prepared = prepare_call(lb, caller, nothing, snapshot, "refused", now, now, [], ranks=False)
    return replace(prepared, submission=submission, refusal=problem)


def _achieved_at(board: Board, caller: Caller, submission: Submission, now: int) -> int:
    achieved = submission.achieved_ms
    if achieved is None:
        return now
    if caller.role < Role.SERVER:
        raise Problem(
            "forbidden",
            "achieved_at is for servers",
            errors=(FieldError("/achieved_at", "servers_only", "achieved_at is for servers"),),
        )
    if achieved > now + CLOCK_SKEW_MS:
        raise invalid("/achieved_at", "in_future", "achieved_at is in the future")
    if achieved < now - board.late_s * 1000 or achieved < periods.FIRST_MS:
        raise invalid("/achieved_at", "too_late", f"the board takes scores up to late_s = {board.late_s} s old")
    return min(achieved, now)


def _check_expectation(expected: dict[str, str], current: dict[str, str]) -> None:
    for kind, period_id in expected.items():
        if kind not in current:
            raise invalid(pointer_to("expect", kind), "unknown_period", f"the board has no period {kind[:64]!r}")
        if current[kind] != period_id:
            raise Problem(
                "period_over",
                f"this would count in {current[kind]}, not in {period_id[:64]}",
                extra={"current": current},
            )


def prepare_call(
    lb: Installation, caller: Caller | None, submission: Submission, snapshot: Snapshot, policy: str,
    now: int, achieved: int, counts_in: list[tuple[Period, Occurrence]], ranks: bool, approval: Approval | None = None,
) -> Prepared:  # fmt: skip
    """The arguments of `submit` (store/lua/submit.lua), which says what each is.

    A `caller` is asked for its session, the limits and the board's rules; None is what the service does itself.
    """
    board, keys, player = snapshot.board, lb.keys, submission.player
    score = scale(submission.score, board.decimals) * board.order.sign
    tiebreaks = order_tiebreaks(board, submission.tiebreaks)
    limits = limits_of(lb, caller, board) if caller else (None, None)
    rules = snapshot.rules.get(caller.role, b"") if caller else b""
    session = caller.session if caller else ""
    replay = submission.repeatable
    call_keys = [
        keys.player(player), keys.gate(board.id), keys.maintenance, keys.rate(board.id, player),
        keys.replay(player), keys.kept(board.id), keys.player_rate(player), keys.pace(board.id, player),
        keys.held(player), keys.attempts(board.id, player),
    ]  # fmt: skip
    expiries: list[str | int] = []
    for period, occurrence in counts_in:
        call_keys += keys.standings(board.id, occurrence.id)
        expires = expires_at(period, occurrence)
        # Of what the service does itself, an import counts in what is final.
        is_final = caller is None and state_at(period, occurrence, now) is PeriodState.SETTLED
        bit = _BITS[occurrence.kind]
        expiries += (occurrence.id, "" if expires is None else expires, -bit if is_final else bit)
    args: list[str | bytes | int | float] = [
        player,
        now,
        "" if submission.achieved_ms is None else achieved,
        session,
        now + lb.settings.session_days * DAY_MS if session else "",
        replay.packed if replay else "",
        board.revision,
        snapshot.season,
        policy,
        board.ties.value,
        *(part for rule in limits for part in ((1000 / rule.per_s, rule.burst) if rule else ("", ""))),
        rules,
        approval.review if approval else new_review(player) if rules else "",
        approval.decision if approval else "",
        "1" if ranks else "0",
        submission.metadata,
        len(tiebreaks),
        score,
        *tiebreaks,
        *expiries,
        submission.attempt,
        board.id,
    ]
    occurrences = [occurrence for _, occurrence in counts_in]
    return Prepared(submission, snapshot, occurrences, ("submit", call_keys, args), *limits)


def limits_of(lb: Installation, caller: Caller, board: Board) -> tuple[RateRule | None, RateRule | None]:
    """What limits this caller's submissions: on the board, and on all of them."""
    settings = lb.settings
    on_board = board.rate
    if caller.role is not Role.PLAYER:
        return (on_board if on_board and on_board.servers else None), None
    if settings.player_burst and settings.player_per_s:
        return on_board, RateRule(settings.player_burst, settings.player_per_s)
    return on_board, None


def order_tiebreaks(board: Board, given: dict[str, int]) -> list[int]:
    """In order space, in the board's order; one that is not given is 0. Raises a 422 Problem."""
    known = {tiebreak.name for tiebreak in board.tiebreaks}
    for name, value in given.items():
        if name not in known:
            raise invalid(pointer_to("tiebreaks", name), "unknown_tiebreak", f"the board has no tiebreak {name[:64]!r}")
        if abs(value) > SCORE_LIMIT:
            raise invalid(pointer_to("tiebreaks", name), "score_range", "the tiebreak is beyond the limit of 10^15 - 1")
    return [given.get(tiebreak.name, 0) * tiebreak.order.sign for tiebreak in board.tiebreaks]


def read_reply(item: Prepared, reply: list[Any]) -> Result | Problem:
    """What a reply other than `stale`, `ended` and `repeat` means."""
    board, submission = item.snapshot.board, item.submission
    match reply[0]:
        case b"done":
            standings = [
                Standing(
                    occurrence,
                    reply[at + 2] or None,
                    reply[at + 1] or None,
                    reply[at + 3] * board.order.sign,
                    bool(reply[at]),
                )
                for at, occurrence in zip(range(3, len(reply), 4), item.occurrences, strict=True)
            ]
            return Result(board, submission.player, _outcome(standings), standings, _rate_state(item, reply))
        case b"held":
            return Result(board, submission.player, Outcome.HELD, [], _rate_state(item, reply))
        case b"broken":
            rule = reply[1].decode()
            return Problem(
                "rule_broken",
                f"the board's rule {rule} refuses this",
                errors=(FieldError("/score", rule, f"the board's rule {rule} refuses this"),),
                extra={"rule": rule},
            )
        case b"refused":
            assert item.refusal is not None  # noqa: S101  only a refused submission is answered so
            return item.refusal
        case b"limited":
            rule = item.rate if reply[3] == b"board" else item.player_rate
            assert rule is not None  # noqa: S101  only a rate rule limits
            where = "this board" if reply[3] == b"board" else "all boards together"
            return Problem(
                "rate_limited",
                f"the player submits too often to {where}",
                retry_after_s=-(-reply[1] // 1000),
                headers=rate_headers(RateState(rule, 0, reply[2])),
            )
        case b"doubtful":
            detail = f"{KEPT_KEYS} signed submissions of a player are remembered, and so many came in the last minutes"
            return Problem("rate_limited", detail, retry_after_s=-(-reply[1] // 1000))
        case b"closed":
            state = BoardState(reply[1].decode())
            return Problem("board_frozen" if state is BoardState.FROZEN else "board_archived")
        case b"out_of_range":
            pointer = "/score" if reply[1] == 0 else f"/tiebreaks/{board.tiebreaks[reply[1] - 1].name}"
            error = FieldError(pointer, "score_range", "the sum would be beyond the limit of 10^15 - 1")
            return Problem("score_out_of_range", errors=(error,))
        case b"gone":
            return invalid("/achieved_at", "too_late", "the standings of that time are gone")
        case b"unauthenticated":
            return unauthenticated()
        case b"merged":
            return player_merged(submission.player, reply[1].decode(), "/player")
        case b"banned":
            return player_banned(int(reply[1]) if reply[1] else None)
    codes = {b"erased": "player_erased", b"reused": "idempotency_key_reused", b"maintenance": "maintenance",
             b"too_many_held": "too_many_held", b"decided": "review_decided",
             b"no_attempt": "attempt_invalid"}  # fmt: skip
    return Problem(codes[reply[0]], retry_after_s=30 if reply[0] == b"maintenance" else None)


def read_repeats(lb: Installation, repeats: Sequence[tuple[Prepared, list[Any]]], ranks: bool) -> list[Result]:
    """The outcomes of the first time, in the occurrences that were current then of the periods that the board has now,
    with ranks as they are now.

    One round trip for all of them. `repeats` are submissions with their `repeat` replies. Raises StaleError.
    """
    places: list[list[Occurrence]] = []
    lookups: list[FunctionCall] = []
    for item, (_, item_changed, at_ms, season) in repeats:
        board, submission = item.snapshot.board, item.submission
        achieved = at_ms if submission.achieved_ms is None else min(submission.achieved_ms, at_ms)
        then = Snapshot(board, season, 0, 0.0)
        held = item_changed & HELD_BIT
        places.append([] if held else [current_occurrence(then, period, achieved) for period in board.periods])
        player = submission.player
        lookups += [lookup_call(lb, item.snapshot, occurrence, [player], player) for occurrence in places[-1]]
    replies = iter(lb.store.ask_many(lookups) if lookups else [])
    results = []
    for (item, (_, changed, _, _)), occurrences in zip(repeats, places, strict=True):
        board, standings = item.snapshot.board, []
        for occurrence in occurrences:
            _, (packed,), _, (rank,), _ = current(next(replies))
            if packed is not None:
                score = score_of(packed) * board.order.sign
                shown = rank or None if ranks else None
                standings.append(Standing(occurrence, shown, shown, score, bool(changed & _BITS[occurrence.kind])))
        outcome = Outcome.HELD if changed & HELD_BIT else Outcome.APPLIED if changed else Outcome.KEPT
        results.append(Result(board, item.submission.player, outcome, standings, replayed=True))
    return results


def _rate_state(item: Prepared, reply: list[Any]) -> RateState | None:
    return RateState(item.rate, reply[1], reply[2]) if item.rate else None


def _outcome(standings: Sequence[Standing]) -> Outcome:
    return Outcome.APPLIED if any(standing.changed for standing in standings) else Outcome.KEPT


def rate_headers(rate: RateState) -> dict[str, str]:
    """What an answer says of the rate limit of submissions."""
    return write_rate_headers(
        "submissions",
        quota=rate.rule.burst,
        window_s=max(1, round(rate.rule.burst / rate.rule.per_s)),
        left=rate.left,
        reset_s=-(-rate.reset_ms // 1000),
    )
