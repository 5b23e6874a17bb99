"""Players that are not there any more, or not under that id (store/lua/gone.lua)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from leaderboard.errors import FieldError, Problem

if TYPE_CHECKING:
    from leaderboard.installation import Installation

_MERGED = re.compile(r"merg(?:ing|ed);(.+)")


def gone(player: str, reply: Sequence[Any]) -> Problem:
    """What a reply of `erased` or `merged` means."""
    return player_merged(player, reply[1].decode()) if reply[0] == b"merged" else Problem("player_erased")


def gone_in(player: str, state: bytes | str) -> Problem:
    """What a state of a player means."""
    into = merged_into(state)
    return player_merged(player, into) if into else Problem("player_erased")


def merged_into(state: bytes | str | None) -> str | None:
    """Who a player in this state is now; None for one that was not merged into another."""
    found = _MERGED.fullmatch(state.decode() if isinstance(state, bytes) else state or "")
    return found[1] if found else None


def player_merged(player: str, into: str, pointer: str | None = None) -> Problem:
    detail = f"The player {player} was merged into {into}."
    errors = (FieldError(pointer, "player_merged", detail),) if pointer else ()
    return Problem("player_merged", detail, errors=errors, extra={"player": player, "into": into})


def check_not_merged(lb: Installation, player: str) -> None:
    """For reads that have found nothing of a player. One read. Raises player_merged."""
    into = merged_into(lb.store.read(("HGET", lb.keys.player(player), "state"))[0])
    if into:
        raise player_merged(player, into)
