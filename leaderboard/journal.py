"""The journal: what changed, in order, until the archive has it. store/lua/journal.lua writes it.

Records are numbered 1, 2, 3, … within one generation of the store. Each says how things stand after a change, so
writing it twice, or only the last of several, comes to the same. A record is a list: its kind, when it happened (ms),
then

    submit       player, board, created_ms, count (false: as it was), score and tiebreaks in order space, achieved_ms,
                 metadata, changed (bits), replay (28 bytes, or none), then of each standings: period id, entry without
                 its metadata (store/lua/entry.lua), bits: 1 where its metadata is the submission's and not what it was,
                 2 where it is hidden
    hold         player, review, created_ms, held (store/lua/review.lua), replay (28 bytes, or none)
    find         player, review, held: an entry is reviewed (store/lua/outliers.lua)
    decide       player, review, held, state (approved, rejected), decision (JSON: who, why), what an approval changed
                 (see leaderboard/held.py; none of a rejection)
    reopen       player, review, held, count (false: as it was), decision: an approval is taken back where there is one
    attempt      player, created_ms, board, attempt, attempt as it is kept, how many were opened ("" where that is not
                 counted): store/lua/attempt.lua
    close_attempt  player, board, attempt: it was scored, has expired, or gave way
    entry        board, period id, player, entry without its metadata, metadata, 1 where it is hidden: put there as it
                 is, not by a submission
    past_entry   the same, for standings that only the archive has: it finds out under which stand-in, and whether
                 hidden (leaderboard/archive/past.py)
    standings    board, period id, expires_ms or false: it has its first entry
    remove       board, period id, player
    hide         board, period id, player, 1 where its entry is hidden from now on and 0 where it is shown again
    anonymise    board, period id, player or stand-in, stand-in: the entry stays in its place, nameless
    player       player, created_ms, {field: value, "" for none}; a merge is written so, too: state, absorbs, merged,
                 submissions are such fields then (store/lua/merge.lua)
    ban          player, ban (store/lua/ban.lua; "" for none)
    session      player, session field, expires_ms
    end_session  player, session field
    erasing      player
    erased       player, until_ms
    friend       player, other, side ("" for none)
    board        board, definition (JSON), revision, state, season, season_ms, epoch, anchors (JSON), definition before
                 ("" for none)
    delete_board board, revision, definition before
    reset        board, season that ended, season that began, expires_ms of the former or false
    key          key id, record (JSON)
    signing      secret (hex): what signing keys are derived from
    maintenance  "begin" or "end", reason
    audit        act (JSON, leaderboard/audit.py), entry before, entry after: packed, "" for none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from leaderboard.errors import LeaderboardError

if TYPE_CHECKING:
    from leaderboard.keys import Keys
    from leaderboard.store.client import Store


class JournalGapError(LeaderboardError):
    """The journal does not go on where the archive stopped."""


class Record(NamedTuple):
    number: int
    #: As it stands in the journal.
    packed: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """What the store says of itself and of the archive."""

    generation: str
    #: The last number that was archived and dropped, and the token of that step.
    archived: int
    token: str
    #: It began with what an archive held: an archive that holds nothing is not this one's.
    rebuilt: bool = False

    @property
    def had_archive(self) -> bool:
        """Whether an archive that holds nothing cannot be this store's."""
        return self.rebuilt or self.archived > 0


def read_mark(store: Store, keys: Keys) -> Mark | None:
    """None for a store that is not claimed."""
    return _mark(store.read(_ask_mark(keys))[0])


def read_records(store: Store, keys: Keys, after: int, most: int) -> tuple[Mark | None, list[Record]]:
    """The records that follow a number, and the mark at the same moment or just before.

    Raises JournalGapError when the first is not the next, or one is missing between them; Problem (503).
    """
    mark, found = store.read(_ask_mark(keys), ("XRANGE", keys.journal, f"1-{after + 1}", "+", "COUNT", most))
    records = [Record(int(record_id[2:]), fields[1]) for record_id, fields in found]
    for expected, record in enumerate(records, after + 1):
        if record.number != expected:
            raise JournalGapError(f"the journal lacks its record {expected}; the next is {record.number}")
    return _mark(mark), records


def unpack(record: Record) -> list[Any]:
    """The record's list; all its strings are bytes."""
    fields: list[Any] = msgpack.unpackb(record.packed, raw=True, strict_map_key=False)
    return fields


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the archive has not got yet."""

    records: int
    #: When the oldest of them was written; None without any.
    oldest_ms: int | None


def read_waiting(store: Store, keys: Keys) -> Waiting:
    length, first = store.read(("XLEN", keys.journal), ("XRANGE", keys.journal, "-", "+", "COUNT", 1))
    return Waiting(length, unpack(Record(0, first[0][1][1]))[1] if first else None)


def read_newest(store: Store, keys: Keys) -> tuple[int, int | None]:
    """The number of the newest record there ever was, and when it was written, if it is still there."""
    found = store.read(("XREVRANGE", keys.journal, "+", "-", "COUNT", 1))[0]
    at_ms = unpack(Record(0, found[0][1][1]))[1] if found else None
    return last_number(store, keys), at_ms


def last_number(store: Store, keys: Keys) -> int:
    """The number of the newest record there ever was; 0 before the first."""
    info = store.read(("XINFO", "STREAM", keys.journal))[0]
    pairs = dict(zip(info[::2], info[1::2], strict=True))
    return int(pairs[b"last-generated-id"].partition(b"-")[2])


def _ask_mark(keys: Keys) -> tuple[str, ...]:
    return ("HMGET", keys.store, "generation", "archived", "token", "rebuilt")


def _mark(values: list[bytes | None]) -> Mark | None:
    generation, archived, token, rebuilt = values
    if generation is None or archived is None or token is None:
        return None
    return Mark(generation.decode(), int(archived), token.decode(), rebuilt is not None)
