"""How far the archive has the journal of a partition, and who reads it: one reader at a time, by a lease.

Whoever takes a lease that has run out raises its epoch. Every step of a reader advances the position in the transaction
that writes the rows, and only under the epoch it was given; so what a reader that was taken for dead writes late is
refused as a whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, delete, select, update

from leaderboard.archive.filling import filled_by
from leaderboard.errors import LeaderboardError

if TYPE_CHECKING:
    from leaderboard.archive.database import Archive

#: There is one partition so far.
PARTITION = 0

#: How long a reader that says nothing is taken for alive.
LEASE_MS = 10_000


class LeaseLostError(LeaderboardError):
    """Another reader has taken over; nothing was written."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the archive stands. `token` names its last step, `digest` is of that step's records."""

    generation: str
    number: int
    token: str
    previous_number: int
    previous_token: str
    digest: bytes
    epoch: int
    #: When the reader last found the store as it left it.
    archived_ms: int = 0

    def after(self, number: int, digest: bytes) -> Position:
        return replace(
            self,
            number=number,
            token=secrets.token_hex(8),
            previous_number=self.number,
            previous_token=self.token,
            digest=digest,
        )


def known_generation(archive: Archive) -> str | None:
    """The generation of the store that the archive belongs to; None for an archive that holds nothing."""
    position = read_position(archive, partial=True)
    return position.generation if position else None


def read_position(archive: Archive, *, partial: bool = False) -> Position | None:
    """None for an archive that is new, and, unless it may be `partial`, for one that is being filled from the store and
    holds a part of it so far."""
    if not archive.exists():
        return None
    with archive.read() as connection:
        return _select(connection, archive) if partial or filled_by(connection, archive) is None else None


def read_owner(archive: Archive) -> str | None:
    """Who has the lease, or had it last without giving it up."""
    with archive.read() as connection:
        return connection.scalar(select(archive.tables.readers.c.owner))


def take_lease(archive: Archive, owner: str, now_ms: int) -> Position | None:
    """Become the reader, or stay it. None while another one is; raises LookupError when the archive is new."""
    readers = archive.tables.readers
    with archive.write() as connection:
        row = connection.execute(select(readers).where(readers.c.partition == PARTITION).with_for_update()).first()
        if row is None:
            raise LookupError("the archive is new")
        if row.owner not in (owner, None) and row.until_ms > now_ms:
            return None
        epoch = row.epoch if row.owner == owner else row.epoch + 1
        connection.execute(
            update(readers)
            .where(readers.c.partition == PARTITION)
            .values(owner=owner, epoch=epoch, until_ms=now_ms + LEASE_MS)
        )
        return _select(connection, archive)


def begin(archive: Archive, generation: str) -> None:
    """Make the archive that of a store; a second one that tries is told nothing and finds the first one's."""
    row = {
        "partition": PARTITION, "generation": generation, "number": 0, "token": generation, "previous_number": 0,
        "previous_token": generation, "digest": b"", "owner": None, "epoch": 0, "until_ms": 0, "archived_ms": 0,
    }  # fmt: skip
    with archive.write() as connection:
        connection.execute(archive.upsert(archive.tables.readers, row, keeping=row), [row])


def advance(connection: Connection, archive: Archive, position: Position, now_ms: int) -> None:
    """Take a step, or renew the lease with a position as it is. Raises LeaseLostError.

    Call it first in a transaction: it holds the row until the end of it.
    """
    readers = archive.tables.readers
    done = connection.execute(
        update(readers)
        .where(readers.c.partition == PARTITION, readers.c.epoch == position.epoch)
        .values(
            generation=position.generation,
            number=position.number,
            token=position.token,
            previous_number=position.previous_number,
            previous_token=position.previous_token,
            digest=position.digest,
            until_ms=now_ms + LEASE_MS,
            archived_ms=now_ms,
        )
    )
    if done.rowcount != 1:
        raise LeaseLostError("another reader has taken over")


def hold(connection: Connection, archive: Archive) -> Position | None:
    """Where the archive stands, and stays until the transaction ends: no reader takes a step meanwhile.

    None for one that is new.
    """
    readers = archive.tables.readers
    connection.execute(select(readers.c.epoch).where(readers.c.partition == PARTITION).with_for_update())
    return _select(connection, archive)


def begin_anew(
    connection: Connection,
    archive: Archive,
    position: Position,
    keeping: Container[Table] = (),
    owner: str | None = None,
) -> Position:
    """Empty the archive, but for some tables, and let it stand at a position; returns that with its new epoch.

    Whoever read until now is refused what it still writes. Call `hold` first.
    """
    before = _select(connection, archive)
    for table in archive.tables.metadata.sorted_tables:
        if table not in keeping:
            connection.execute(delete(table))
    begun = replace(position, epoch=before.epoch + 1 if before else 0)
    row = {
        "partition": PARTITION, "generation": begun.generation, "number": begun.number, "token": begun.token,
        "previous_number": begun.previous_number, "previous_token": begun.previous_token, "digest": begun.digest,
        "owner": owner, "epoch": begun.epoch, "until_ms": 0, "archived_ms": 0,
    }  # fmt: skip
    # There is a row already when two begin a new archive in the same moment: the later one goes on.
    connection.execute(archive.upsert(archive.tables.readers, row), [row])
    return begun


def give_up_lease(archive: Archive, position: Position) -> None:
    """Let another reader begin at once."""
    readers = archive.tables.readers
    with archive.write() as connection:
        connection.execute(
            update(readers)
            .where(readers.c.partition == PARTITION, readers.c.epoch == position.epoch)
            .values(owner=None, until_ms=0)
        )


def _select(connection: Connection, archive: Archive) -> Position | None:
    readers = archive.tables.readers
    row = connection.execute(select(readers).where(readers.c.partition == PARTITION)).first()
    if row is None:
        return None
    return Position(
        row.generation, row.number, row.token, row.previous_number, row.previous_token, row.digest, row.epoch,
        row.archived_ms,
    )  # fmt: skip
