"""Friends and blocks. A friendship is a fact on two sides: each says what its player sees of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderboard.entries import read_name
from leaderboard.errors import FieldError, Problem
from leaderboard.gone import player_merged
from leaderboard.model import FriendState, PlayerName

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: The most friends, invitations and blocks a player may have together. With half of that it gets no more invitations,
#: so that a flood of them does not keep it from acting itself.
SIDES_MOST = 4000

#: The most friends a server may link in one call.
LINK_MOST = 1000

_REFUSALS = {
    "full": "friends_limit",
    "refused": "blocked",
}


@dataclass(frozen=True, slots=True)
class Friend:
    player: PlayerName
    state: FriendState
    since_ms: int


def list_friends(
    lb: Installation, player: str, state: FriendState, limit: int, after: str | None
) -> tuple[list[Friend], str | None]:
    """Friends in one state in order of id, and the id to go on after."""
    flat = lb.store.read(("HGETALL", lb.keys.friends(player)))[0]
    sides = sorted(
        (other.decode(), int(side.split(b";")[1]))
        for other, side in zip(flat[::2], flat[1::2], strict=True)
        if side.startswith(state.value.encode() + b";")
    )
    rest = [(other, since) for other, since in sides if after is None or other > after]
    shown = rest[:limit]
    if not shown:
        return [], None
    names = lb.store.read(("HMGET", lb.keys.names, *(other for other, _ in shown)))[0]
    friends = [Friend(read_name(other, name), state, since) for (other, since), name in zip(shown, names, strict=True)]
    return friends, shown[-1][0] if len(rest) > limit else None


def invite(lb: Installation, player: str, other: str) -> FriendState:
    """Invite a player, or accept its invitation; returns what the player now sees.

    Raises player_not_found, player_erased, player_merged, friends_limit, blocked (by the player itself), 422 for
    oneself.
    """
    return FriendState(_act(lb, player, other, "invite"))


def link(lb: Installation, player: str, others: list[str]) -> int:
    """Make players friends at once, on a server's word; returns how many. Other friends stay.

    Each for itself; raises the Problem of the first that cannot be linked, pointing at it. Others may be linked by
    then: calling again is harmless.
    """
    for first in range(0, len(others), 100):
        chunk = others[first : first + 100]
        replies = lb.store.change_many([_call(lb, player, other, "link") for other in chunk])
        for i, (other, reply) in enumerate(zip(chunk, replies, strict=True)):
            try:
                _read(reply)
            except Problem as problem:
                if reply[2:] == [player.encode()]:
                    # It is the one in the path.
                    raise
                field = FieldError(f"/players/{first + i}", problem.code, f"{other}: {problem.detail}")
                raise Problem(problem.code, problem.detail, errors=(field,), extra=problem.extra) from problem
    return len(others)


def link_one(lb: Installation, player: str, other: str) -> None:
    """Make two players friends at once, on a server's word. Raises as `invite`."""
    _act(lb, player, other, "link")


def part(lb: Installation, player: str, other: str) -> None:
    """End a friendship, decline or withdraw an invitation; harmless where there is none."""
    _act(lb, player, other, "part")


def block(lb: Installation, player: str, other: str) -> None:
    """Block a player, which ends a friendship. The other is not told. Raises as `invite`."""
    _act(lb, player, other, "block")


def unblock(lb: Installation, player: str, other: str) -> None:
    _act(lb, player, other, "unblock")


def _act(lb: Installation, player: str, other: str, act: str) -> str:
    return _read(lb.store.change(*_call(lb, player, other, act)))


def _call(lb: Installation, player: str, other: str, act: str) -> tuple[str, list[str], list[str | int]]:
    keys = [
        lb.keys.friends(player), lb.keys.friends(other), lb.keys.player(player), lb.keys.player(other),
        lb.keys.blockers(other),
    ]  # fmt: skip
    return "befriend", keys, [player, other, lb.clock.now_ms(), act, SIDES_MOST, SIDES_MOST // 2]


def _read(reply: list[bytes | int]) -> str:
    word = reply[0].decode() if isinstance(reply[0], bytes) else ""
    about = [part.decode() for part in reply[1:] if isinstance(part, bytes)]
    match word:
        case "merged":
            raise player_merged(about[1], about[0])
        case "erased":
            raise Problem("player_erased", f"the player {about[1]} was erased")
        case "missing":
            raise Problem("player_not_found", f"there is no player {about[1]}")
    if word in _REFUSALS:
        raise Problem(_REFUSALS[word])
    return word
