"""How store and archive stand to each other.

Both hold the token of the archive's last step. A store that was emptied, exchanged, put back to an older state or that
lost its end in a power cut holds another one, and must not be archived on top of what the archive has.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING

from leaderboard import journal
from leaderboard.archive.readers import Position
from leaderboard.journal import JournalGapError, Mark, Record

if TYPE_CHECKING:
    from leaderboard.installation import Installation


#: The clocks of processes differ by some milliseconds; putting a store back takes longer.
CLOCKS_MS = 100


class Relation(Enum):
    #: The archive follows from this store.
    SAME = "same"
    #: It does, and the journal still holds the archive's last step: a reader was stopped after its commit.
    UNTRIMMED = "untrimmed"
    #: The store is as it was before the archive's last step; all it holds, the archive has.
    BEHIND = "behind"
    #: The store was put back, and has gone on since: each holds what the other does not.
    PARTED = "parted"
    #: The archive was put back: the store has dropped records that it does not have.
    OUTDATED = "outdated"
    #: The archive is of another store.
    STRANGERS = "strangers"


def relation_of(lb: Installation, mark: Mark, position: Position) -> Relation:
    if mark.token == position.token:
        return Relation.SAME
    if mark.generation != position.generation:
        return Relation.STRANGERS
    if mark.archived > position.number:
        return Relation.OUTDATED
    if mark.token == position.previous_token and _holds_last_step(lb, position):
        return Relation.UNTRIMMED
    return Relation.PARTED if _has_gone_on(lb, position) else Relation.BEHIND


def _has_gone_on(lb: Installation, position: Position) -> bool:
    """Whether a store that was put back has changed since: by the number of its newest record, or by its time."""
    number, at_ms = journal.read_newest(lb.store, lb.keys)
    return number > position.number or (at_ms or 0) > position.archived_ms + CLOCKS_MS


def _holds_last_step(lb: Installation, position: Position) -> bool:
    most = position.number - position.previous_number
    try:
        _, records = journal.read_records(lb.store, lb.keys, position.previous_number, most)
    except JournalGapError:
        return False
    return digest_of(records) == position.digest


def explain(relation: Relation, mark: Mark, position: Position) -> str:
    """What is wrong, and what to do."""
    if relation is Relation.STRANGERS:
        return (
            "the archive is of another store than this one: `leaderboard rebuild --replace` makes this store anew "
            "from the archive; or give the store an archive of its own"
        )
    if relation is Relation.OUTDATED:
        return (
            f"the archive is older than the store: it has record {position.number}, and {mark.archived} was archived "
            "(was it restored from a backup?); `leaderboard rebuild --archive --replace` fills it anew from the store"
        )
    gone_on = " and has taken changes since" if relation is Relation.PARTED else ""
    return (
        f"the archive is ahead of the store: it has record {position.number}, and the store was put back to "
        f"{mark.archived} or lost its end (an older backup, a power cut){gone_on}; `leaderboard rebuild --replace` "
        "makes the store anew from the archive"
    )


def digest_of(records: Sequence[Record]) -> bytes:
    """Of the records of one step."""
    digest = sha256()
    for record in records:
        digest.update(b"%d:%d:" % (record.number, len(record.packed)))
        digest.update(record.packed)
    return digest.digest()
