"""Identities: the accounts elsewhere that a player is known by. No two players have the same at once.

One is a fact in two places that no single step can change together; store/lua/identities.lua says how they are kept
from contradicting each other, wherever a call is cut off.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from leaderboard.errors import Problem
from leaderboard.gone import gone
from leaderboard.players import Profile, get_profile
from leaderboard.store.client import after_write, unavailable

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: The most identities a player may have, each of another provider.
IDENTITIES_MOST = 16

#: So often a call begins again when others of the same player, or for the same identity, come between its steps.
ATTEMPTS = 8

_REFUSALS = {
    "missing": ("player_not_found", None),
    "full": ("quota_exceeded", f"a player has {IDENTITIES_MOST} identities at most"),
}


@dataclass(frozen=True, slots=True)
class Identity:
    provider: str
    subject: str


def find_identity(lb: Installation, identity: Identity) -> Profile:
    """The player who has an identity. Two reads. Raises identity_not_found."""
    holder = _read_holder(lb, identity).partition(";")[0]
    while holder:
        try:
            profile = get_profile(lb, holder)
        except Problem as problem:
            if problem.code not in ("player_not_found", "player_erased", "player_merged"):
                raise
            # The key follows a merge a little later.
            holder = str(problem.extra.get("into", ""))
            continue
        # Else the key is left over from a call that was cut off.
        if profile.identities.get(identity.provider) == identity.subject:
            return profile
        break
    raise Problem("identity_not_found")


def link_identity(lb: Installation, player: str, identity: Identity) -> bool:
    """Give a player an identity, in place of the one it has of the same provider; returns whether it is new to it.

    Raises player_not_found, player_erased, player_merged, identity_taken, quota_exceeded. Cut off
    anywhere, the identity is either linked or can be linked by anybody; calling again finishes it. Five round trips,
    about.
    """
    for _ in range(ATTEMPTS):
        is_new = _try_to_link(lb, player, identity)
        if is_new is not None:
            return is_new
    raise unavailable("Others were linking the same at this very moment; nothing was changed.")


def unlink_identity(lb: Installation, player: str, provider: str) -> None:
    """Take the identity of a provider from a player; harmless where it has none. Raises player_merged."""
    reply = lb.store.change("unlink_identity", [lb.keys.player(player)], [player, lb.clock.now_ms(), provider])
    if reply[0] == b"merged":
        raise gone(player, reply)
    if reply[0] == b"unlinked":
        with after_write():
            _tidy_up(lb, player, provider, reply[1])


def move_identities(lb: Installation, player: str, into: str) -> None:
    """After identities went from one player to another: let their keys name that one, and free what is left over.

    Until then whoever looks is led there by the one that they name.
    """
    flat, packed = lb.store.read(("HGETALL", lb.keys.player(player)), ("HGET", lb.keys.player(into), "identities"))
    linked = orjson.loads(packed or b"{}")
    announced = {
        name[2:].decode(): value.decode().partition(";")[2]
        for name, value in zip(flat[::2], flat[1::2], strict=True)
        if name.startswith(b"c:")
    }
    for provider, subject in {*linked.items(), *announced.items()}:
        identity = Identity(provider, subject)
        held = _read_holder(lb, identity)
        if held.partition(";")[0] != player:
            continue
        if linked.get(provider) == subject:
            lb.store.call("take_identity", [_index(lb, identity)], [f"{into};{secrets.token_hex(8)}", held])
        else:
            lb.store.call("drop_identity", [_index(lb, identity)], [held])


def _try_to_link(lb: Installation, player: str, identity: Identity) -> bool | None:
    """None when another call came between."""
    key, nonce = lb.keys.player(player), secrets.token_hex(8)
    held = _read_holder(lb, identity)
    holder, _, held_nonce = held.partition(";")
    call: list[str | int] = [player, lb.clock.now_ms(), identity.provider, identity.subject, nonce, IDENTITIES_MOST]
    reply = _judge(player, lb.store.change("announce_identity", [key], [*call, "mine" if holder == player else ""]))
    if reply[0] == b"linked":
        return False
    with after_write():
        if reply[1]:
            _tidy_up(lb, player, identity.provider, reply[1])
        if held and holder != player and not _yields(lb, holder, identity, held_nonce):
            _forget(lb, player, identity.provider, f"{nonce};{identity.subject}")
            raise Problem("identity_taken")
        if not lb.store.call("take_identity", [_index(lb, identity)], [f"{player};{nonce}", held]):
            return None
        reply = lb.store.change("link_identity", [key], call)
        match reply[0]:
            case b"stale":
                return None
            case b"linked" if reply[1]:
                _tidy_up(lb, player, identity.provider, reply[1])
            case b"full" | b"erased" | b"merged":
                _tidy_up(lb, player, identity.provider, f"{nonce};{identity.subject}".encode())
    _judge(player, reply)
    return True


def _judge(player: str, reply: list[bytes]) -> list[bytes]:
    if reply[0] in (b"erased", b"merged"):
        raise gone(player, reply)
    if (word := reply[0].decode()) in _REFUSALS:
        code, detail = _REFUSALS[word]
        raise Problem(code, detail)
    return reply


def _tidy_up(lb: Installation, player: str, provider: str, remembered: bytes) -> None:
    """Free an identity that a player has no more, as its hash remembers it: nonce;subject."""
    identity = Identity(provider, remembered.decode().partition(";")[2])
    held = _read_holder(lb, identity)
    holder, _, nonce = held.partition(";")
    # If the player has it again, or another player has, it stays.
    if holder == player and _yields(lb, player, identity, nonce):
        lb.store.call("drop_identity", [_index(lb, identity)], [held])
    _forget(lb, player, provider, remembered.decode())


def _yields(lb: Installation, holder: str, identity: Identity, nonce: str) -> bool:
    """Whether the player that an identity's key names has not linked it, and from now on cannot by that word."""
    args = [identity.provider, identity.subject, nonce]
    while (reply := lb.store.change("yield_identity", [lb.keys.player(holder)], args))[0] == b"merged":
        holder = reply[1].decode()
    return bool(reply[0] == b"free")


def _forget(lb: Installation, player: str, provider: str, remembered: str) -> None:
    lb.store.change("forget_identity", [lb.keys.player(player)], [provider, remembered])


def _index(lb: Installation, identity: Identity) -> str:
    return lb.keys.identity(identity.provider, identity.subject)


def _read_holder(lb: Installation, identity: Identity) -> str:
    """`player;nonce`, or nothing."""
    return (lb.store.read(("GET", _index(lb, identity)))[0] or b"").decode()
