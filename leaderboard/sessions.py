"""Signing in and out. A token is `lb1.<player>.<secret>`: it names the slot it is checked in; only its hash is kept."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from leaderboard.bans import BanKind, lift_if_over, player_banned, read_ban
from leaderboard.callers import Caller, Role
from leaderboard.errors import Problem
from leaderboard.gone import gone
from leaderboard.model import DAY_MS
from leaderboard.players import Profile, get_profile
from leaderboard.store.client import after_write, journal_full, unavailable

if TYPE_CHECKING:
    from leaderboard.installation import Installation

TOKEN_PREFIX = "lb1."  # noqa: S105  a prefix, not a secret

#: A player may be signed in this often; one more ends the session that is closest to its end.
SESSIONS_MOST = 10


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: str
    #: What the session signs with; handed out this once.
    signing_key: str
    profile: Profile
    expires_ms: int
    created: bool


def sign_in(lb: Installation, device_id: str, display_name: str | None) -> SignedIn:
    """Sign a device's player in, making one for a device seen for the first time.

    `display_name` is for a new player; an existing one keeps its own.

    Raises player_banned, player_erased while an erasure runs, and 422 for a name that the game does not allow, but not
    of those who have been here: they sign in all the same.
    """
    digest = sha256(device_id.encode()).hexdigest()
    known, waiting = lb.store.read(("GET", lb.keys.device(digest)), ("XLEN", lb.keys.journal))
    if known is not None:
        allowed = display_name is None or not lb.blocklist.refuses(display_name)
        return _sign_in_as(lb, known.decode(), digest, display_name if allowed else None)
    lb.blocklist.check(display_name)
    if waiting >= lb.settings.journal_records_most:
        # The profile will be refused; a device without one would stay behind.
        raise journal_full()
    made = f"p_{secrets.token_hex(8)}"
    # SET NX GET: whoever comes first decides, and a device that was seen before answers its player. The profile
    # follows in the player's own slot; if that fails, the next sign-in makes it.
    known = lb.store.write("SET", lb.keys.device(digest), made, "NX", "GET")
    return _sign_in_as(lb, known.decode() if known else made, digest, display_name)


def _sign_in_as(lb: Installation, player: str, digest: str, display_name: str | None) -> SignedIn:
    """The device may still say whose it was before that player was merged into another."""
    while True:
        try:
            return _open(lb, player, digest, display_name)
        except Problem as problem:
            if problem.code != "player_merged":
                raise
            player = str(problem.extra["into"])


def create_session(lb: Installation, player: str) -> SignedIn:
    """Sign a player in on a server's word, making one that is missing.

    Raises player_erased, player_merged, player_banned.
    """
    return _open(lb, player, "", None)


def sign_out(lb: Installation, caller: Caller) -> None:
    assert caller.player is not None  # noqa: S101  only a player has a session
    lb.store.change("end_session", [lb.keys.player(caller.player)], [caller.player, lb.clock.now_ms(), caller.session])


def check_token(lb: Installation, token: str) -> Caller | None:
    """Whose session a token is, renewing it once a day; None when it is none of ours, ended or expired.

    Raises player_banned.
    """
    caller = caller_of(token)
    if caller is None or caller.player is None:
        return None
    player, now = caller.player, lb.clock.now_ms()
    key = lb.keys.player(player)
    expires, ban = lb.store.read(("HMGET", key, caller.session, "ban"))[0]
    if expires is None or int(expires) <= now:
        return None
    if ban is not None:
        caller = replace(caller, shadowed=_is_shadowed(lb, player, ban, now))
    renewed = now + lb.settings.session_days * DAY_MS
    if renewed - int(expires) > DAY_MS:
        # A store that is full can still be read; the session is renewed another time.
        with suppress(Problem):
            lb.store.change("renew_session", [key], [player, now, caller.session, renewed])
    return caller


def _is_shadowed(lb: Installation, player: str, packed: bytes, now_ms: int) -> bool:
    """Whether a player reads with its hidden entries laid over. Raises player_banned."""
    ban = read_ban(player, packed)
    if ban.is_over(now_ms):
        # A store that is full can still be read; the ban is lifted another time.
        with suppress(Problem):
            lift_if_over(lb, player)
            return False
    elif ban.kind is BanKind.BAN:
        raise player_banned(ban.ends_ms)
    return ban.kind is BanKind.SHADOW


def caller_of(token: str) -> Caller | None:
    """Who a token says it is, unchecked: for submissions, which check it in their own call."""
    if not token.startswith(TOKEN_PREFIX) or len(token) > 200 or not token.isascii():
        return None
    player, _, secret = token[len(TOKEN_PREFIX) :].rpartition(".")
    if not player or not secret:
        return None
    return Caller(Role.PLAYER, f"player:{player}", player, _session_field(token))


def _open(lb: Installation, player: str, device_digest: str, display_name: str | None) -> SignedIn:
    token = f"{TOKEN_PREFIX}{player}.{secrets.token_urlsafe(32)}"
    now = lb.clock.now_ms()
    expires = now + lb.settings.session_days * DAY_MS
    session = _session_field(token)
    signing_key = lb.signing.issue(session)
    keys = [lb.keys.player(player), lb.keys.names]
    args: list[str | int] = [
        player,
        now,
        session,
        expires,
        SESSIONS_MOST,
        device_digest,
        display_name or "",
    ]
    reply = lb.store.change("open_session", keys, args)
    if reply[0] == b"ended":
        lift_if_over(lb, player)
        reply = lb.store.change("open_session", keys, args)
    match reply[0]:
        case b"erased" | b"merged":
            raise gone(player, reply)
        case b"banned":
            raise player_banned(int(reply[1]) if reply[1] else None)
        case b"ended":
            raise unavailable("The player's ban is being lifted.")
    with after_write():
        return SignedIn(token, signing_key, get_profile(lb, player), expires, reply[0] == b"created")


def _session_field(token: str) -> str:
    return "s:" + sha256(token.encode()).hexdigest()[:32]
