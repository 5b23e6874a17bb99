"""Merging two accounts of one player: what one id has becomes the other's, and the id leads to it from then on.

The state in the player hash comes first, which every submission, sign-in and change of a profile reads, so that nothing
is added to the one that goes any more; profile, identities and devices go with it. Then entries and friends are united,
piece by piece, each in one step for both (store/lua/merge.lua). Cut off anywhere, the same call again finishes it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from leaderboard.bans import lift_if_over
from leaderboard.boards import Snapshot, StaleError, kept_periods, walk_boards, walk_standings
from leaderboard.errors import FieldError, Problem, invalid
from leaderboard.friends import SIDES_MOST
from leaderboard.gone import gone, player_merged
from leaderboard.idempotency import ANSWER_KEPT_MS, IdempotentCall
from leaderboard.identities import IDENTITIES_MOST, move_identities
from leaderboard.model import Policy
from leaderboard.seasons import settled_among
from leaderboard.store.client import after_write, unavailable

if TYPE_CHECKING:
    from leaderboard.audit import Act
    from leaderboard.installation import Installation

#: In how many standings entries are united in one call.
STANDINGS_AT_ONCE = 100

#: With how many others friendships are united in one round trip.
FRIENDS_AT_ONCE = 100

#: So often the friends are gone through, as others may be merged at the same time.
ROUNDS = 8

_REFUSED = {
    b"banned": ("merge_banned", "the player {} is banned: lift the ban first"),
    b"running": ("merge_running", "the player {} is being merged: call that again to finish it"),
}


def merge_players(lb: Installation, old: str, into: str, call: IdempotentCall | None, act: Act) -> bool:
    """Make one player of two; `into` stays. Returns whether this call, by its key, had been answered before.

    In standings that are not settled their entries are united by the board's policy; settled ones stay as they are, and
    show both. Nothing is changed unless all of this is as it must be; raises otherwise player_not_found, player_erased,
    player_merged (either of the two already is another), merge_running, merge_banned, reviews_open, identity_taken,
    quota_exceeded, friends_limit, score_out_of_range, idempotency_key_reused, 422 for oneself. Costs three small calls
    for each board, and one for each friend.
    """
    if old == into:
        raise invalid("/into", "oneself", "a player is not merged into itself")
    if call is not None and _was_answered(lb, call):
        return True
    _check(lb, old, into)
    now = lb.clock.now_ms()
    reply = lb.store.change(
        "begin_merge",
        [*_both(lb, old, into), lb.keys.held(old), lb.keys.names],
        [old, into, now, IDENTITIES_MOST],
        act.on(player=old, before={"into": None}, after={"into": into}),
    )
    if reply[0] == b"merged":
        return False
    if reply[0] == b"banned" and lift_if_over(lb, reply[1].decode()):
        return merge_players(lb, old, into, call, act)
    if reply[0] != b"merging":
        raise _refusal(old, into, reply)
    with after_write():
        _carry_out(lb, old, into, call)
    return False


# -- before anything is changed ----------------------------------------------------------------------------------------


def _was_answered(lb: Installation, call: IdempotentCall) -> bool:
    kept = lb.store.read(("GET", lb.keys.answer(call.key_digest.hex())))[0]
    if kept is not None and kept != call.body_digest:
        raise Problem("idempotency_key_reused")
    return kept is not None


def _check(lb: Installation, old: str, into: str) -> None:
    """What cannot be looked at in the one step that begins it: all boards, all friends."""
    state, *lists = lb.store.read(
        ("HGET", lb.keys.player(old), "state"), ("HKEYS", lb.keys.friends(old)), ("HKEYS", lb.keys.friends(into))
    )
    if state is not None:
        # It began already, or will be refused.
        return
    others = {other.decode() for friends in lists for other in friends} - {old, into}
    if len(others) > SIDES_MOST:
        raise Problem("friends_limit", f"together they have {len(others)} friends, invitations and blocks")
    for snapshot in walk_boards(lb):
        board = snapshot.board
        if board.policy is not Policy.SUM:
            continue
        kept = kept_periods(lb, board.id)
        settled = settled_among(lb, snapshot, kept, lb.clock.now_ms())
        live = [period_id for period_id in kept if period_id not in settled]
        keys = [lb.keys.standings(board.id, period_id).entries for period_id in live]
        at = lb.store.ask("check_sums", keys, [old, into, len(board.tiebreaks)]) if keys else 0
        if at:
            raise _out_of_range(board.id, live[at - 1])


def _refusal(old: str, into: str, reply: list[Any]) -> Problem:
    which = reply[1].decode() if len(reply) > 1 else ""
    pointer = "/into" if which == into else None
    if reply[0] in _REFUSED:
        code, detail = _REFUSED[reply[0]]
        return _pointed(code, detail.format(which), pointer)
    match reply[0]:
        case b"missing":
            return _pointed("player_not_found", f"there is no player {which}", pointer)
        case b"erased":
            return _pointed("player_erased", f"the player {which} was erased", pointer)
        case b"elsewhere":
            elsewhere = reply[2].decode()
            # That one is being erased, and the other with it.
            if elsewhere == into:
                return Problem("player_erased")
            return player_merged(which, elsewhere, pointer)
        case b"reviews":
            return Problem("reviews_open")
        case b"taken":
            return Problem("identity_taken", f"both have an identity of {which}: take one from its player first")
    return Problem("quota_exceeded", f"a player has {IDENTITIES_MOST} identities at most")


def _pointed(code: str, detail: str, pointer: str | None) -> Problem:
    return Problem(code, detail, errors=(FieldError(pointer, code, detail),) if pointer else ())


# -- moving ------------------------------------------------------------------------------------------------------------


def _carry_out(lb: Installation, old: str, into: str, call: IdempotentCall | None) -> None:
    for snapshot in walk_boards(lb):
        _unite_on(lb, snapshot.board.id, old, into)
    _move_rest(lb, old, into)
    for _ in range(ROUNDS):
        _unite_friends(lb, old, into)
        if _finish(lb, old, into, call):
            return
    raise unavailable("Friends of the player are being merged themselves; call again.")


def _unite_on(lb: Installation, board_id: str, old: str, into: str) -> None:
    keys = [*_both(lb, old, into), lb.keys.attempts(board_id, old), lb.keys.attempts(board_id, into)]
    reply = lb.store.change("merge_attempts", keys, [old, into, lb.clock.now_ms(), board_id])
    _check_running(into, reply)
    walk_standings(lb, board_id, partial(_unite_at, lb, old, into), STANDINGS_AT_ONCE)


def _unite_at(lb: Installation, old: str, into: str, snapshot: Snapshot, period_ids: list[str]) -> None:
    board, now = snapshot.board, lb.clock.now_ms()
    settled = settled_among(lb, snapshot, period_ids, now)
    live = [period_id for period_id in period_ids if period_id not in settled]
    if not live:
        return
    keys = [*_both(lb, old, into), lb.keys.gate(board.id)]
    for period_id in live:
        keys += lb.keys.standings(board.id, period_id)
    args = [
        old, into, now, board.revision, snapshot.season, board.id, board.policy.value, board.ties.value,
        len(board.tiebreaks), *live,
    ]  # fmt: skip
    reply = lb.store.change("merge_entries", keys, args)
    match reply[0]:
        case b"stale":
            raise StaleError
        case b"out_of_range":
            raise _out_of_range(board.id, live[reply[1] - 1])
    _check_running(into, reply)


def _unite_friends(lb: Installation, old: str, into: str) -> None:
    friends, blockers = lb.store.read(("HKEYS", lb.keys.friends(old)), ("SMEMBERS", lb.keys.blockers(old)))
    others = sorted({other.decode() for other in (*friends, *blockers)})
    for first in range(0, len(others), FRIENDS_AT_ONCE):
        now = lb.clock.now_ms()
        calls = []
        for other in others[first : first + FRIENDS_AT_ONCE]:
            ids = (old, into, other)
            keys = [*_both(lb, old, into), *map(lb.keys.friends, ids), *map(lb.keys.blockers, ids)]
            calls.append(("merge_friend", keys, [old, into, now, other]))
        for reply in lb.store.change_many(calls):
            _check_running(into, reply)


def _move_rest(lb: Installation, old: str, into: str) -> None:
    """What leads to the one that goes: devices, identities, and players that were merged into it."""
    devices, merged = lb.store.read(("HGET", lb.keys.player(into), "device"), ("HGET", lb.keys.player(old), "merged"))
    for digest in (devices or b"").decode().split():
        lb.store.call("move_device", [lb.keys.device(digest)], [old, into])
    move_identities(lb, old, into)
    for former in (merged or b"").decode().split():
        lb.store.change("follow_merge", [lb.keys.player(former)], [former, old, into, lb.clock.now_ms()])


def _finish(lb: Installation, old: str, into: str, call: IdempotentCall | None) -> bool:
    """Whether it is done; not where friends have come in meanwhile."""
    reply = lb.store.change(
        "finish_merge",
        [
            *_both(lb, old, into), lb.keys.friends(old), lb.keys.blockers(old),
            lb.keys.answer(call.key_digest.hex() if call else "none"),
        ],
        [old, into, lb.clock.now_ms(), call.body_digest if call else "", ANSWER_KEPT_MS],
    )  # fmt: skip
    _check_running(into, reply)
    return bool(reply[0] != b"again")


def _both(lb: Installation, old: str, into: str) -> list[str]:
    return [lb.keys.player(old), lb.keys.player(into)]


def _check_running(into: str, reply: list[Any]) -> None:
    """Raises when the one that stays was erased meanwhile; a merge that another call finished is as good as ours."""
    if reply[0] in (b"erased", b"merged"):
        raise gone(into, reply)


def _out_of_range(board: str, period_id: str) -> Problem:
    return Problem(
        "score_out_of_range",
        f"the sum of both on {board} in {period_id} would be beyond the limit of 10^15 - 1: correct one entry first",
    )
