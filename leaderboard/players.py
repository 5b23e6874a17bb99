"""Players: profiles and their erasure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from leaderboard.boards import Snapshot, walk_boards, walk_standings
from leaderboard.corrections import remove_from
from leaderboard.errors import Problem
from leaderboard.gone import gone, gone_in, merged_into
from leaderboard.model import DAY_MS, PlayerName
from leaderboard.seasons import settled_among

if TYPE_CHECKING:
    from leaderboard.audit import Act
    from leaderboard.installation import Installation

#: How long an erased id is refused.
ERASED_DAYS = 30

#: The fields a profile may have; `attributes` is kept as JSON.
FIELDS = ("display_name", "avatar_url", "country", "platform", "attributes")


@dataclass(frozen=True, slots=True)
class Profile:
    name: PlayerName
    created_ms: int
    platform: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    submissions: int = 0
    #: provider → subject, see `leaderboard.identities`.
    identities: dict[str, str] = field(default_factory=dict)


def get_profile(lb: Installation, player: str) -> Profile:
    """Raises player_not_found, player_erased, player_merged."""
    names = ("state", "created_at", "submissions", *FIELDS, "identities")
    values = lb.store.read(("HMGET", lb.keys.player(player), *names))[0]
    state, created_at, submissions, *fields = [value.decode() if value is not None else None for value in values]
    if state is not None:
        raise gone_in(player, state)
    if created_at is None:
        raise Problem("player_not_found")
    display_name, avatar_url, country, platform, attributes, identities = fields
    return Profile(
        PlayerName(player, display_name, avatar_url, country),
        int(created_at),
        platform,
        orjson.loads(attributes) if attributes else {},
        int(submissions or 0),
        orjson.loads(identities) if identities else {},
    )


def write_profile(lb: Installation, player: str, changes: dict[str, Any], *, create: bool) -> bool:
    """Change the given fields, None removing one; with `create`, make a player that is missing.

    Returns whether it was created. Raises player_not_found, player_erased, player_merged, 422 for a name that the game
    does not allow.
    """
    lb.blocklist.check(changes.get("display_name"))
    pairs: list[str | bytes] = []
    for name, value in changes.items():
        packed = orjson.dumps(value) if isinstance(value, dict) else value
        pairs += (name, packed or b"")
    reply = lb.store.change(
        "write_profile",
        [lb.keys.player(player), lb.keys.names],
        [player, lb.clock.now_ms(), "create" if create else "existing", *pairs],
    )
    match reply[0]:
        case b"erased" | b"merged":
            raise gone(player, reply)
        case b"missing":
            raise Problem("player_not_found")
    return bool(reply[0] == b"created")


def erase_player(lb: Installation, player: str, act: Act | None) -> None:
    """Remove a player from every standings, its profile, sessions, identities, friendships and idempotency keys.

    In settled standings a nameless entry stays in its place, so that nobody else's rank changes. The journal and the
    archive follow within the archive's lag. `act` is None for the player itself; that an admin or a server
    erased somebody is recorded, but not whom.

    First the state that every submission reads, then what is there already: a submission that races this either comes
    before and is removed, or is refused. Stopped half way, the same call again finishes it. Costs three small
    calls for each board. Players that were merged into it are erased with it. Raises player_not_found, player_erased,
    player_merged.
    """
    key = lb.keys.player(player)
    reply = lb.store.change(
        "begin_erasure", [key, lb.keys.names], [player, lb.clock.now_ms()], act.on() if act else b""
    )
    if reply[0] == b"missing":
        raise Problem("player_not_found")
    if reply[0] in (b"erased", b"merged"):
        raise gone(player, reply)
    merged = reply[2].decode().split()
    if absorbed := reply[3].decode():
        # Of a merge that runs: from now on it stops.
        before = lb.store.read(("HGET", lb.keys.player(absorbed), "merged"))[0]
        merged += [*(before or b"").decode().split(), absorbed]
    for former in merged:
        state = lb.store.read(("HGET", lb.keys.player(former), "state"))[0]
        # Else it was erased by a call that was cut off, and may be somebody else by now.
        if merged_into(state) in (player, absorbed):
            _erase(lb, former, [former])
    # What leads to it may still name one whose merge was cut off.
    _erase(lb, player, [player, *merged])


def _erase(lb: Installation, player: str, ids: list[str]) -> None:
    """Remove what there is of a player that takes nothing any more. `ids`: who its devices and identities may name."""
    for snapshot in walk_boards(lb):
        _drop_passing(lb, player, snapshot.board.id)
        walk_standings(lb, snapshot.board.id, partial(_remove_at, lb, player))
    for deleted in lb.store.read(("ZRANGE", lb.keys.deleted_boards, 0, -1))[0]:
        _drop_passing(lb, player, deleted.decode())
    _part_from_friends(lb, player)
    devices = lb.store.read(("HGET", lb.keys.player(player), "device"))[0]
    for digest in (devices or b"").decode().split():
        for named in ids:
            lb.store.call("drop_device", [lb.keys.device(digest)], [named])
    _free_identities(lb, player, ids)
    now = lb.clock.now_ms()
    lb.store.change(
        "finish_erasure",
        [
            lb.keys.player(player),
            lb.keys.bans,
            lb.keys.ban_ends,
            lb.keys.names,
            lb.keys.friends(player),
            lb.keys.blockers(player),
            lb.keys.replay(player),
            lb.keys.player_rate(player),
            lb.keys.held(player),
            lb.keys.reopened(player),
        ],
        [player, now, now + ERASED_DAYS * DAY_MS],
    )


def _drop_passing(lb: Installation, player: str, board_id: str) -> None:
    """What expires by itself."""
    keys = lb.keys
    lb.store.write_many(
        [
            ("UNLINK", keys.rate(board_id, player), keys.pace(board_id, player), keys.attempts(board_id, player)),
            ("HDEL", keys.attempted(board_id), player),
        ]
    )


def _remove_at(lb: Installation, player: str, snapshot: Snapshot, period_ids: list[str]) -> None:
    settled = settled_among(lb, snapshot, period_ids, lb.clock.now_ms())
    for nameless in (False, True):
        chosen = [period_id for period_id in period_ids if (period_id in settled) is nameless]
        if chosen:
            remove_from(lb, snapshot, chosen, player, nameless=nameless)


def _free_identities(lb: Installation, player: str, ids: list[str]) -> None:
    """Those that the player has, and those that a call was linking or freeing when it was cut off."""
    flat = lb.store.read(("HGETALL", lb.keys.player(player)))[0]
    fields = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    linked = orjson.loads(fields["identities"]) if "identities" in fields else {}
    announced = [(name[2:], at.partition(";")[2]) for name, at in fields.items() if name.startswith("c:")]
    for provider, subject in (*linked.items(), *announced):
        key = lb.keys.identity(provider, subject)
        held = (lb.store.read(("GET", key))[0] or b"").decode()
        # Nothing is linked to a player that is being erased, so what is read here is the last word.
        if held.partition(";")[0] in ids:
            lb.store.call("drop_identity", [key], [held])


def _part_from_friends(lb: Installation, player: str) -> None:
    friends, blockers = lb.store.read(("HKEYS", lb.keys.friends(player)), ("SMEMBERS", lb.keys.blockers(player)))
    others = sorted({other.decode() for other in (*friends, *blockers)})
    if others:
        now = lb.clock.now_ms()
        lb.store.change_many(
            [
                ("forget_friend", [lb.keys.friends(other), lb.keys.blockers(other)], [other, player, now])
                for other in others
            ]
        )
