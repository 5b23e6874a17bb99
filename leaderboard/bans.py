"""Bans: players that are hidden from standings, and refused (`ban`) or left to believe that all is well (`shadow`).

The field `ban` of the player hash comes first, which every submission reads; then the walk through the standings that
live, in shares. Whatever is submitted meanwhile is refused or hidden by itself, so nothing slips in between. Lifting
goes the same way: the ban is marked as over, the walk shows what was hidden, and only then it is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from leaderboard import periods
from leaderboard.audit import Act
from leaderboard.boards import Snapshot, StaleError, walk_boards, walk_standings
from leaderboard.errors import Problem
from leaderboard.gone import gone, gone_in
from leaderboard.seasons import settled_among

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How many bans that are over are lifted in one look.
LIFT_AT_ONCE = 100


class BanKind(StrEnum):
    #: It cannot sign in nor submit.
    BAN = "ban"
    #: It plays on, and is in the standings for itself alone.
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Ban:
    player: str
    kind: BanKind
    reason: str
    #: The key it was made with.
    author: str
    created_ms: int
    #: None for never; 0 while it is being lifted.
    ends_ms: int | None

    @property
    def state(self) -> dict[str, Any]:
        """As the audit has it."""
        return {"kind": self.kind.value, "reason": self.reason, "ends_ms": self.ends_ms}

    def is_over(self, now_ms: int) -> bool:
        return self.ends_ms is not None and self.ends_ms <= now_ms


def read_ban(player: str, packed: bytes | str) -> Ban:
    """A ban as the player hash and the archive keep it (store/lua/ban.lua)."""
    text = packed.decode() if isinstance(packed, bytes) else packed
    kind, ends, created, author, reason = text.split(";", 4)
    return Ban(player, BanKind(kind), orjson.loads(reason), author, int(created), int(ends) if ends else None)


def player_banned(ends_ms: int | None) -> Problem:
    """What a banned player is told: until when, not why."""
    ends_at = None
    if ends_ms is not None:
        ends_at = periods.to_datetime(ends_ms).isoformat(timespec="milliseconds")[:-6] + "Z"
    detail = f"The player is banned until {ends_at}." if ends_at else "The player is banned."
    return Problem("player_banned", detail, extra={"ends_at": ends_at})


def get_ban(lb: Installation, player: str) -> Ban:
    """The ban of a player; one that is over is lifted. Raises ban_not_found, player_not_found, player_erased."""
    ban = _read(lb, player)
    if ban.is_over(lb.clock.now_ms()):
        lift_if_over(lb, player)
        raise Problem("ban_not_found")
    return ban


def list_bans(lb: Installation, kind: BanKind | None, limit: int, after: str | None) -> tuple[list[Ban], str | None]:
    """Bans that are not over, in order of player id after one, and the id to go on after. Costs O(limit) where `kind`
    leaves none out."""
    found: list[Ban] = []
    while True:
        start = f"({after}" if after else "-"
        ids = lb.store.read(("ZRANGEBYLEX", lb.keys.bans, start, "+", "LIMIT", 0, limit + 1))[0]
        players = [player.decode() for player in ids]
        packed = lb.store.read(*(("HGET", lb.keys.player(player), "ban") for player in players)) if players else []
        now = lb.clock.now_ms()
        for player, value in zip(players, packed, strict=True):
            if value is None:
                # Lifted between the two reads.
                continue
            ban = read_ban(player, value)
            if ban.is_over(now) or kind not in (None, ban.kind):
                continue
            if len(found) == limit:
                return found, found[-1].player
            found.append(ban)
        if len(players) <= limit:
            return found, None
        after = players[-1]


def set_ban(lb: Installation, player: str, kind: BanKind, reason: str, ends_ms: int | None, act: Act) -> Ban:
    """Ban a player, or change its ban, and hide its entries in every standings that is not settled.

    The same ban once more changes nothing, but finishes what was cut off. Costs three small calls for each board.
    Raises player_not_found, player_erased.
    """
    before = lb.store.read(("HGET", lb.keys.player(player), "ban"))[0]
    after = {"kind": kind.value, "reason": reason, "ends_ms": ends_ms}
    reply = lb.store.change(
        "set_ban",
        _keys(lb, player),
        [player, lb.clock.now_ms(), kind.value, "" if ends_ms is None else ends_ms, act.actor, _pack_reason(reason)],
        act.on(player=player, before=read_ban(player, before).state if before else None, after=after),
    )
    match reply[0]:
        case b"erased" | b"merged":
            raise gone(player, reply)
        case b"missing":
            raise Problem("player_not_found")
    _place_everywhere(lb, player)
    return read_ban(player, reply[1])


def lift_ban(lb: Installation, player: str, act: Act) -> None:
    """End a player's ban, and show again what it hid, in every standings that is not settled.

    Stopped half way, whoever comes next finishes it: the same call, a submission, a sign-in, the worker. Costs as
    `set_ban`. Raises ban_not_found, player_not_found, player_erased.
    """
    ban = _read(lb, player)
    _lift(lb, player, "now", act.on(player=player, before=ban.state))


def lift_if_over(lb: Installation, player: str) -> bool:
    """Lift a ban whose end has passed; returns whether there was one. Costs one call where there was not."""
    return _lift(lb, player, "over")


def lift_due(lb: Installation) -> None:
    """Lift the bans that are over by now, some at a time. Raises Problem (503)."""
    due = lb.store.read(("ZRANGEBYSCORE", lb.keys.ban_ends, "-inf", lb.clock.now_ms(), "LIMIT", 0, LIFT_AT_ONCE))[0]
    for player in due:
        lift_if_over(lb, player.decode())


def _keys(lb: Installation, player: str) -> list[str]:
    return [lb.keys.player(player), lb.keys.bans, lb.keys.ban_ends]


def _pack_reason(reason: str) -> str:
    """As JSON: PostgreSQL's text has no place for the character 0."""
    return orjson.dumps(reason).decode()


def _read(lb: Installation, player: str) -> Ban:
    state, created_at, packed = lb.store.read(("HMGET", lb.keys.player(player), "state", "created_at", "ban"))[0]
    if state is not None:
        raise gone_in(player, state)
    if created_at is None:
        raise Problem("player_not_found")
    if packed is None:
        raise Problem("ban_not_found")
    return read_ban(player, packed)


def _lift(lb: Installation, player: str, when: str, act_on: bytes = b"") -> bool:
    keys = _keys(lb, player)
    reply = lb.store.change("begin_lift", keys, [player, lb.clock.now_ms(), when], act_on)
    if reply[0] != b"lifting":
        return False
    _place_everywhere(lb, player)
    lb.store.change("finish_lift", keys, [player, lb.clock.now_ms(), reply[1]])
    return True


def _place_everywhere(lb: Installation, player: str) -> None:
    for snapshot in walk_boards(lb):
        walk_standings(lb, snapshot.board.id, partial(_place, lb, player))


def _place(lb: Installation, player: str, snapshot: Snapshot, period_ids: list[str]) -> None:
    board, now = snapshot.board, lb.clock.now_ms()
    settled = settled_among(lb, snapshot, period_ids, now)
    live = [period_id for period_id in period_ids if period_id not in settled]
    if not live:
        return
    keys = [lb.keys.player(player), lb.keys.gate(board.id)]
    for period_id in live:
        keys += lb.keys.standings(board.id, period_id)
    args = [player, now, board.revision, snapshot.season, board.id, board.ties.value, len(board.tiebreaks), *live]
    if lb.store.change("place_player", keys, args)[0] == b"stale":
        raise StaleError
