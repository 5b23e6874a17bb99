"""Taking a player out of the archive: nothing of it is left but the mark that refuses its id, and entries that stand
nameless in their places."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Table, Update, and_, delete, insert, or_, select, update

from leaderboard.entries import STAND_IN, shown_part, stand_in

if TYPE_CHECKING:
    from leaderboard.archive.tables import Tables


def erase_player(connection: Connection, tables: Tables, player: str, until_ms: int) -> None:
    """Entries that are still there are of standings that the store has no more. They stay, nameless, but for hidden
    ones: these have no place to stay in."""
    entries = tables.entries.c
    left = connection.execute(
        select(entries.board, entries.period_id, entries.order_key, entries.hidden).where(entries.player == player)
    ).all()
    for board, period_id, order_key, hidden in left:
        leave_place(connection, tables.entries, board, period_id, player, order_key, stays=not hidden)
    for table, condition in (
        (tables.entries, entries.player == player),
        (tables.submissions, tables.submissions.c.player == player),
        (tables.reviews, tables.reviews.c.player == player),
        (tables.attempts, tables.attempts.c.player == player),
        (tables.attempted, tables.attempted.c.player == player),
        (tables.sessions, tables.sessions.c.player == player),
        (tables.friends, or_(tables.friends.c.player == player, tables.friends.c.other == player)),
        (tables.players, tables.players.c.player == player),
    ):
        connection.execute(delete(table).where(condition))
    connection.execute(forget_player(tables.audit, tables.audit.c.player == player))
    row = {"player": player, "submissions": 0, "state": "erased", "erased_until_ms": until_ms}
    connection.execute(insert(tables.players).values(row))


def forget_player(audit: Table, condition: ColumnElement[bool]) -> Update:
    """What the audit keeps of acts on players that were erased: who, when and what, but nothing of the player."""
    return update(audit).where(condition).values(player=None, reason=None, state_before=None, state_after=None)


def rename_entry(
    connection: Connection, entries: Table, board: str, period_id: str, player: str, nameless: str
) -> None:
    """An entry that is there stays in its place under a stand-in."""
    here = and_(entries.c.board == board, entries.c.period_id == period_id)
    order_key = connection.execute(select(entries.c.order_key).where(here, entries.c.player == player)).scalar()
    if order_key is None:
        return
    # While the archive is being filled from the store (leaderboard/rebuild/archive.py) it may be there already.
    connection.execute(delete(entries).where(here, entries.c.player == nameless))
    renamed = order_key[: -len(player.encode())] + nameless.encode()
    connection.execute(
        update(entries).where(here, entries.c.player == player).values(player=nameless, order_key=renamed, metadata=b"")
    )


def last_before(
    connection: Connection, entries: Table, board: str, period_id: str, place: bytes, order_key: bytes
) -> str:
    """Who stands last at a place before an order key; '' for nobody."""
    query = (
        select(entries.c.player)
        .where(entries.c.board == board, entries.c.period_id == period_id, entries.c.hidden == 0)
        .where(entries.c.order_key >= place, entries.c.order_key < order_key)
        .order_by(entries.c.order_key.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() or ""


def leave_place(
    connection: Connection, entries: Table, board: str, period_id: str, player: str, order_key: bytes, *, stays: bool
) -> None:
    """As the store does it (store/lua/remove.lua): what is named after the player gets another stand-in, too."""
    place, behind = order_key[: -len(player.encode())], order_key + STAND_IN.encode()
    here = and_(entries.c.board == board, entries.c.period_id == period_id, entries.c.hidden == 0)
    at = entries.c.order_key
    # The byte that follows is a digit or a letter up to f.
    named_after = select(entries.c.player).where(here, at > behind, at < behind + b"g").order_by(at)
    before = last_before(connection, entries, board, period_id, place, order_key)
    renamed = [(player, secrets.token_hex(6))] if stays else []
    renamed += [(nameless, shown_part(nameless)) for nameless in connection.execute(named_after).scalars()]
    for old, random in renamed:
        before = free_name(connection, entries, board, period_id, stand_in(before, random))
        rename_entry(connection, entries, board, period_id, old, before)


def free_name(connection: Connection, entries: Table, board: str, period_id: str, name: str) -> str:
    """A stand-in, or the next behind it that no entry has: what is random in it may be that of another place, too."""
    has = select(entries.c.player).where(entries.c.board == board, entries.c.period_id == period_id)
    while connection.execute(has.where(entries.c.player == name)).first() is not None:
        name = stand_in(name, shown_part(name))
    return name
