"""Comparing standings in store and archive: how many entries, and a checksum over all of them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from leaderboard import definitions
from leaderboard.entries import pack_entry, pack_number
from leaderboard.model import Board, Ties

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: Entries read from the store at once.
AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Difference:
    """One standings, as it was found in both."""

    board: str
    period_id: str
    entries: int
    #: What differs, in words; None for nothing.
    difference: str | None


def verify_standings(lb: Installation, meanwhile: Callable[[], None] = lambda: None) -> list[Difference]:
    """Compare every standings that has not expired. `meanwhile` is called now and then.

    Of a store in use the archive must have everything, or they differ by what it has not got yet.
    """
    tables, found = lb.archive.tables, []
    with lb.archive.read() as connection:
        known = {
            row.board: definitions.load(row.board, row.definition.encode())
            for row in connection.execute(select(tables.boards.c.board, tables.boards.c.definition)).all()
            if row.definition is not None
        }
        standings = connection.execute(select(tables.standings).order_by(*tables.standings.primary_key.columns)).all()
    for row in standings:
        if row.expires_ms is None or row.expires_ms > lb.clock.now_ms():
            with lb.archive.read() as connection:
                compared = _compare(lb, connection, known[row.board], row.period_id)
            # It may have expired while it was looked at.
            if row.expires_ms is None or row.expires_ms > lb.clock.now_ms():
                found.append(compared)
            meanwhile()
    return found


def _compare(lb: Installation, connection: Connection, board: Board, period_id: str) -> Difference:
    keys = lb.keys.standings(board.id, period_id)
    archived, in_archive, distinct = _digest(_archived(lb, connection, board, period_id), board)
    stored, in_store, _ = _digest(_stored(lb, board, period_id), board)
    hidden, different = _compare_hidden(lb, connection, board, period_id)
    hashed, kept_distinct = lb.store.read(("HLEN", keys.entries), ("ZCARD", keys.distinct))
    difference = None
    if not archived == stored == hashed - hidden:
        difference = (
            f"{archived} entries in the archive, {stored} in the store's order, {hashed - hidden} in its entries"
            + (f", but for {hidden} that are hidden" if hidden else "")
        )
    elif different:
        difference = f"{different} hidden entries differ"
    elif in_archive != in_store:
        difference = "the checksums differ"
    elif board.ties is Ties.DENSE and kept_distinct != distinct:
        difference = f"{distinct} distinct results in the archive, {kept_distinct} in the store"
    return Difference(board.id, period_id, archived + hidden, difference)


def _compare_hidden(lb: Installation, connection: Connection, board: Board, period_id: str) -> tuple[int, int]:
    """How many entries the archive has that stand in no order, and of how many the store's are others."""
    entries, keys = lb.archive.tables.entries, lb.keys.standings(board.id, period_id)
    rows = connection.execute(
        select(entries).where(entries.c.board == board.id, entries.c.period_id == period_id, entries.c.hidden != 0)
    ).all()
    different = 0
    for first in range(0, len(rows), AT_ONCE):
        share = rows[first : first + AT_ONCE]
        packed = lb.store.read(("HMGET", keys.entries, *(row.player for row in share)))[0]
        for row, entry in zip(share, packed, strict=True):
            place = row.order_key[: -len(row.player.encode())]
            different += entry != pack_entry(place, row.submissions, row.newest_ms, row.metadata)
    return len(rows), different


def _digest(entries: Iterator[tuple[bytes, bytes | None]], board: Board) -> tuple[int, bytes, int]:
    """How many, the checksum of them in order, and how many distinct results they have."""
    digest, count, distinct, last = sha256(), 0, 0, None
    width = 7 * (len(board.tiebreaks) + 1)
    for order_key, packed in entries:
        digest.update(b"%d:%d:" % (len(order_key), len(packed or b"")))
        digest.update(order_key)
        digest.update(packed or b"")
        count += 1
        distinct += order_key[:width] != last
        last = order_key[:width]
    return count, digest.digest(), distinct


def _archived(
    lb: Installation, connection: Connection, board: Board, period_id: str
) -> Iterator[tuple[bytes, bytes | None]]:
    entries = lb.archive.tables.entries
    rows = connection.execution_options(yield_per=AT_ONCE).execute(
        select(entries)
        .where(entries.c.board == board.id, entries.c.period_id == period_id, entries.c.hidden == 0)
        .order_by(entries.c.order_key)
    )
    for row in rows:
        place = row.order_key[: -len(row.player.encode())]
        yield row.order_key, pack_entry(place, row.submissions, row.newest_ms, row.metadata)


def _stored(lb: Installation, board: Board, period_id: str) -> Iterator[tuple[bytes, bytes | None]]:
    keys = lb.keys.standings(board.id, period_id)
    head = 7 * (len(board.tiebreaks) + 1)
    for first in range(0, 10**15, AT_ONCE):
        flat = lb.store.read(("ZRANGE", keys.order, first, first + AT_ONCE - 1, "WITHSCORES"))[0]
        if not flat:
            return
        members = flat[::2]
        packed = lb.store.read(("HMGET", keys.entries, *(member[head:] for member in members)))[0]
        for member, score, entry in zip(members, flat[1::2], packed, strict=True):
            yield pack_number(int(score)) + member, entry
