"""Making a store anew from the archive.

While it goes on, the store is not claimed: nothing is answered from it, and nothing changes. How far it is stands in
the store itself, so that a rebuild which was cut off goes on where it stopped.
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import getpid
from typing import TYPE_CHECKING

from leaderboard import journal
from leaderboard.archive import readers
from leaderboard.archive.readers import Position
from leaderboard.claim import PARTITIONS, SCHEMA, TRUSTED_S
from leaderboard.errors import LeaderboardError, SettingError
from leaderboard.rebuild.stages import STAGES, count_rows
from leaderboard.rebuild.verification import Difference, verify_standings
from leaderboard.relation import Relation, relation_of

if TYPE_CHECKING:
    from leaderboard.installation import Installation

log = logging.getLogger(__name__)

#: How long another reader's lease is waited for.
LEASE_WAIT_S = 15.0

#: Keys of the store that are looked at, and deleted, at once.
DELETE_AT_ONCE = 5_000

#: The stage before those that write.
_EMPTYING = "emptying"


class RebuildError(LeaderboardError):
    """The store could not be made anew; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    rows: int
    standings: int
    entries: int
    #: It went on where an earlier one had been cut off.
    resumed: bool


def rebuild(
    lb: Installation, *, replacing: bool = False, progress: Callable[[str, int, int], None] = lambda *_: None
) -> Rebuilt:
    """Fill an empty store from the archive, verify every standings, and claim it.

    With `replacing`, whatever this installation has in the store goes first. `progress` is told the stage, how many
    rows are done and how many there are. Raises RebuildError, SettingError, Problem (503).
    """
    position = _take_lease(lb)
    try:
        return _rebuild(lb, position, replacing, progress)
    finally:
        latest = readers.read_position(lb.archive)
        if latest is not None:
            readers.give_up_lease(lb.archive, replace(latest, epoch=position.epoch))


def needed(lb: Installation) -> Relation | None:
    """Whether a rebuild would lose nothing and mend something: the store is empty, or behind its archive.

    Only for a store that nobody else uses at the moment. None when all is well, or when it is for a person to decide.
    """
    position = readers.read_position(lb.archive)
    if position is None:
        return None
    mark = journal.read_mark(lb.store, lb.keys)
    if mark is None:
        return None if lb.store.read(("EXISTS", lb.keys.boards))[0] and not _under_way(lb) else Relation.BEHIND
    relation = relation_of(lb, mark, position)
    return relation if relation is Relation.BEHIND else None


def _rebuild(
    lb: Installation, position: Position, replacing: bool, progress: Callable[[str, int, int], None]
) -> Rebuilt:
    under_way = _under_way(lb)
    finished = under_way is not None and under_way["generation"] == position.generation
    resumed = finished or (under_way is not None and under_way["token"] == position.token)
    if not resumed:
        under_way = _begin(lb, position, _check_may_begin(lb, position, replacing))
    assert under_way is not None  # noqa: S101  it is resumed, or has begun
    if under_way["stage"] == _EMPTYING:
        _empty(lb, position, under_way)
    total, done = count_rows(lb), 0
    if not finished:
        done = _fill(lb, position, under_way, lambda name, rows: progress(name, rows, total))
    standings = verify_standings(lb, lambda: _renew(lb, position))
    different = [check for check in standings if check.difference]
    if different:
        raise RebuildError(_describe(different))
    _finish(lb, position, under_way["generation"])
    return Rebuilt(done, len(standings), sum(check.entries for check in standings), resumed)


def _check_may_begin(lb: Installation, position: Position, replacing: bool) -> bool:
    """Whether the store and the archive belong together, so that what waits in the journal must be archived first."""
    mark = journal.read_mark(lb.store, lb.keys)
    holds = mark is not None or lb.store.read(("EXISTS", lb.keys.boards))[0]
    if holds and not replacing:
        raise RebuildError("the store holds data of this installation; --replace deletes it first")
    return mark is not None and relation_of(lb, mark, position) in (Relation.SAME, Relation.UNTRIMMED)


def _begin(lb: Installation, position: Position, together: bool) -> dict[str, str]:
    """Close the store: from now on nothing changes."""
    under_way = {"generation": secrets.token_hex(8), "token": position.token, "stage": _EMPTYING, "after": ""}
    was_open = journal.read_mark(lb.store, lb.keys) is not None
    keys = [lb.keys.store, lb.keys.journal, lb.keys.rebuild]
    reply = lb.store.call("begin_rebuild", keys, ["archived" if together else "", *_flat(under_way)])
    if reply[0] == b"waiting":
        raise RebuildError(
            "records wait in the journal that are not archived yet; let `leaderboard worker` archive them first"
        )
    if was_open:
        # Processes trust what they read for a moment yet.
        time.sleep(TRUSTED_S + lb.settings.store_timeout_s)
    return under_way


def _empty(lb: Installation, position: Position, under_way: dict[str, str]) -> None:
    """Delete what this installation has in the store."""
    cursor = None
    while cursor != 0:
        cursor, keys = _scan(lb, cursor or 0)
        keys = [key for key in keys if key.decode() != lb.keys.rebuild]
        if keys:
            lb.store.write("UNLINK", *keys)
        _renew(lb, position)
    lb.store.write("HSET", lb.keys.rebuild, "stage", "0")
    under_way["stage"] = "0"


def _scan(lb: Installation, cursor: int) -> tuple[int, list[bytes]]:
    following, keys = lb.store.read(("SCAN", cursor, "MATCH", f"{lb.keys.namespace}:*", "COUNT", DELETE_AT_ONCE))[0]
    return int(following), keys


def _fill(lb: Installation, position: Position, under_way: dict[str, str], told: Callable[[str, int], None]) -> int:
    """Write stage after stage. Each share of rows goes together with the word that it is done."""
    done = 0
    renewed_s = time.monotonic()
    for number in range(int(under_way["stage"]), len(STAGES)):
        stage = STAGES[number]
        after = under_way["after"] if number == int(under_way["stage"]) else ""
        for share in stage.shares(lb, after):
            progress = ("HSET", lb.keys.rebuild, "stage", number, "after", share.last)
            lb.store.write_many([*share.commands, progress])
            done += share.rows
            told(stage.name, done)
            if time.monotonic() - renewed_s > readers.LEASE_MS / 3000:
                _renew(lb, position)
                renewed_s = time.monotonic()
        lb.store.write("HSET", lb.keys.rebuild, "stage", number + 1, "after", "")
    return done


def _finish(lb: Installation, position: Position, generation: str) -> None:
    """The archive first: a rebuild that is cut off between the two is known by its generation."""
    after = replace(
        position, generation=generation, number=0, token=generation, previous_number=0, previous_token=generation,
        digest=b"",
    )  # fmt: skip
    with lb.archive.write() as connection:
        readers.advance(connection, lb.archive, after, lb.clock.now_ms())
    lb.store.call("finish_rebuild", [lb.keys.store, lb.keys.journal, lb.keys.rebuild], [SCHEMA, PARTITIONS, generation])


def _take_lease(lb: Installation) -> Position:
    if readers.read_position(lb.archive) is None:
        raise RebuildError("there is no archive to rebuild the store from")
    lb.archive.migrate()
    owner = f"rebuild:{socket.gethostname()}:{getpid()}:{secrets.token_hex(4)}"
    deadline = time.monotonic() + LEASE_WAIT_S
    while (position := readers.take_lease(lb.archive, owner, lb.clock.now_ms())) is None:
        if time.monotonic() > deadline:
            raise RebuildError("a worker is archiving, or another rebuild is under way; stop it first")
        time.sleep(0.2)
    return position


def _renew(lb: Installation, position: Position) -> None:
    with lb.archive.write() as connection:
        readers.advance(connection, lb.archive, position, lb.clock.now_ms())


def _under_way(lb: Installation) -> dict[str, str] | None:
    flat = [value.decode() for value in lb.store.read(("HGETALL", lb.keys.rebuild))[0]]
    return dict(zip(flat[::2], flat[1::2], strict=True)) or None


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _describe(different: list[Difference]) -> str:
    shown = "; ".join(f"{check.board} {check.period_id}: {check.difference}" for check in different[:5])
    return f"{len(different)} standings differ from the archive, and the store stays closed: {shown}"


__all__ = ["RebuildError", "Rebuilt", "SettingError", "needed", "rebuild"]
