"""What is kept of attempts, as store/lua/attempt.lua packs it."""

from __future__ import annotations

from typing import NamedTuple


class Kept(NamedTuple):
    """Of an attempt that is open."""

    opened_ms: int
    expires_ms: int
    seed: int
    #: The revision that its board was created with.
    epoch: int


class Opened(NamedTuple):
    """How many attempts a player has opened on a board since the beginning of a period."""

    since_ms: int
    attempts: int


def read_kept(packed: bytes) -> Kept:
    return Kept(*map(int, packed.split(b";")))


def read_opened(packed: bytes) -> Opened:
    return Opened(*map(int, packed.split(b";")))


def pack(kept: Kept | Opened) -> str:
    return ";".join(map(str, kept))
