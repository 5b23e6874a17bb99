"""Submitting scores: one function call each, whatever they count in. A batch is a pipeline of the same call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from leaderboard.bans import lift_if_over
from leaderboard.boards import TRIES, StaleError, keeps_changing
from leaderboard.callers import Caller
from leaderboard.errors import Problem
from leaderboard.store.client import unavailable
from leaderboard.submission import Prepared, Result, Submission, prepare, read_repeats, read_reply

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: So many submissions of a batch go to the store at once; between two pipelines others get their turn.
PIPELINE = 250


def submit(lb: Installation, caller: Caller, submission: Submission, *, ranks: bool = True) -> Result:
    """Apply one submission. Costs one round trip; two more after the board changed, one more for a repeat.

    Raises Problem: board_not_found, board_frozen, board_archived, maintenance, forbidden, unauthenticated,
    signature_required, signature_invalid, signature_expired, player_banned, player_erased, player_merged, period_over,
    rate_limited, score_out_of_range, idempotency_key_reused, a 422 for a field; store_unavailable when nothing
    happened, outcome_unknown when the store's reply was lost.
    """
    result = _submit_together(lb, caller, {0: submission}, ranks)[0]
    if isinstance(result, Problem):
        raise result
    return result


def submit_many(
    lb: Installation, caller: Caller, submissions: Sequence[Submission], *, ranks: bool = False
) -> list[Result | Problem]:
    """Apply submissions in order, each for itself; a Problem is what `submit` would raise.

    When the store goes away in the middle, what follows is not tried and has store_unavailable. When nothing came
    through at all, this raises: outcome_unknown where that may be so for any of them, else the first Problem.
    """
    results: dict[int, Result | Problem] = {}
    for first in range(0, len(submissions), PIPELINE):
        together = {i: submissions[i] for i in range(first, min(first + PIPELINE, len(submissions)))}
        if any(_is_away(result) for result in results.values()):
            results |= dict.fromkeys(together, unavailable())
        else:
            results |= _submit_together(lb, caller, together, ranks)
    failures = [result for result in results.values() if isinstance(result, Problem) and result.status >= 500]
    if failures and len(failures) == len(results):
        raise next((failure for failure in failures if failure.code == "outcome_unknown"), failures[0])
    return [results[i] for i in range(len(submissions))]


def _submit_together(
    lb: Installation, caller: Caller, submissions: dict[int, Submission], ranks: bool
) -> dict[int, Result | Problem]:
    """Apply submissions in one pipeline, and once more those whose board had changed."""
    results: dict[int, Result | Problem] = {}
    waiting, since_s = submissions, time.monotonic()
    for _ in range(TRIES):
        try:
            stale = _submit_once(lb, caller, waiting, since_s, ranks, results)
            if stale:
                # One that was deleted meanwhile is forgotten, and not found in the next round.
                lb.boards.reload_many(sorted({submission.board for submission in stale.values()}))
        except Problem as problem:
            return results | dict.fromkeys([i for i in waiting if i not in results], problem)
        if not stale:
            return results
        waiting = stale
    return results | dict.fromkeys(waiting, keeps_changing())


def _submit_once(
    lb: Installation,
    caller: Caller,
    submissions: dict[int, Submission],
    since_s: float,
    ranks: bool,
    results: dict[int, Result | Problem],
) -> dict[int, Submission]:
    """Put what became of submissions into `results`, and return those to try again as their board is another.

    A Problem means that the store went away: what is not in `results` has it.
    """
    prepared: dict[int, Prepared] = {}
    for i, item in _prepare_all(lb, caller, submissions, since_s, ranks).items():
        if isinstance(item, Problem):
            results[i] = item
        else:
            prepared[i] = item
    replies = lb.store.change_each([item.call for item in prepared.values()]) if prepared else []
    stale: dict[int, Submission] = {}
    repeats: dict[int, tuple[Prepared, list[Any]]] = {}
    for (i, item), reply in zip(prepared.items(), replies, strict=True):
        if isinstance(reply, Problem):
            results[i] = reply
        elif reply[0] == b"stale":
            stale[i] = submissions[i]
        elif reply[0] == b"ended":
            # Everything it hid is shown first; then the submission counts as all do.
            lift_if_over(lb, submissions[i].player)
            stale[i] = submissions[i]
        elif reply[0] == b"repeat":
            repeats[i] = item, reply
        else:
            results[i] = read_reply(item, reply)
    try:
        results |= zip(repeats, read_repeats(lb, list(repeats.values()), ranks), strict=True)
    except StaleError:
        # Asking for a repeat once more is as harmless as the repeat.
        stale |= {i: submissions[i] for i in repeats}
    return stale


def _prepare_all(
    lb: Installation, caller: Caller, submissions: dict[int, Submission], since_s: float, ranks: bool
) -> dict[int, Prepared | Problem]:
    """Make the calls: all of a board against one snapshot, or a later one could overtake an earlier one that is stale.

    `since_s` (monotonic): a refusal by what was read before it is not believed, but tried on the board as it is.
    """
    snapshots = lb.boards.known_many({submission.board for submission in submissions.values()})
    prepared: dict[int, Prepared | Problem] = {}
    doubtful: set[str] = set()
    for i, submission in submissions.items():
        snapshot = snapshots.get(submission.board)
        prepared[i] = item = prepare(lb, caller, submission, snapshot, ranks)
        refused = isinstance(item, Problem) or item.refusal is not None
        if refused and snapshot is not None and snapshot.read_at_s < since_s:
            doubtful.add(submission.board)
    if doubtful:
        now = {snapshot.board.id: snapshot for snapshot in lb.boards.reload_many(sorted(doubtful))}
        for i, submission in submissions.items():
            if submission.board in doubtful:
                prepared[i] = prepare(lb, caller, submission, now.get(submission.board), ranks)
    return prepared


def _is_away(result: Result | Problem) -> bool:
    return isinstance(result, Problem) and result.code in ("store_unavailable", "outcome_unknown", "not_durable")
