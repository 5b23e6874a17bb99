"""Entries that an import puts into standings which the store has no more. What the store does where it has them
(`put_entry` in store/lua/import.lua) is done here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, or_, select

from leaderboard.archive.erasure import free_name, last_before, leave_place
from leaderboard.entries import STAND_IN, shown_part, stand_in

if TYPE_CHECKING:
    from leaderboard.archive.gathered import Gathered
    from leaderboard.archive.tables import Tables

#: Board, period id.
_Where = tuple[str, str]


@dataclass(slots=True)
class _Standings:
    """What there is to be heeded in standings; in most of them nothing."""

    hidden: set[str] = field(default_factory=set)
    #: Place and what is random in it → stand-in.
    stand_ins: dict[tuple[bytes, str], str] = field(default_factory=dict)
    #: Whom they may be named after.
    anchors: set[str] = field(default_factory=set)

    def add(self, place: bytes, name: str) -> None:
        self.stand_ins[place, shown_part(name)] = name
        self.anchors.add(name.partition(STAND_IN)[0])


class Past:
    """The standings of a batch that are in the archive alone. Each is looked through once, O(N)."""

    def __init__(self, connection: Connection, tables: Tables, gathered: Gathered) -> None:
        self._connection, self._entries, self._gathered = connection, tables.entries, gathered
        self._known: dict[_Where, _Standings] = {}

    def forget(self) -> None:
        """Entries were renamed, or have gone."""
        self._known.clear()

    def admit(self, where: _Where, player: str, place: bytes, *, banned: bool) -> tuple[str, bool]:
        """Make way for an entry at a place; returns under which id it is to be kept, and whether hidden."""
        known = self._known.get(where) or self._look_through(where)
        if STAND_IN in player:
            name = known.stand_ins.get((place, shown_part(player))) or self._named(where, player, place)
            known.add(place, name)
            return name, False
        if banned and self._order_key(where, player) is None:
            known.hidden.add(player)
        if player in known.anchors:
            self._gathered.flush()
            before = self._order_key(where, player)
            if before is not None and before != place + player.encode():
                leave_place(self._connection, self._entries, *where, player, before, stays=False)
                self.forget()
        return player, player in known.hidden

    def _look_through(self, where: _Where) -> _Standings:
        self._gathered.flush()
        entries, known = self._entries.c, _Standings()
        rows = self._connection.execute(
            select(entries.player, entries.order_key, entries.hidden).where(
                entries.board == where[0],
                entries.period_id == where[1],
                or_(entries.hidden == 1, entries.player.contains(STAND_IN)),
            )
        )
        for player, order_key, hidden in rows:
            if hidden:
                known.hidden.add(player)
            else:
                known.add(order_key[: -len(player)], player)
        self._known[where] = known
        return known

    def _named(self, where: _Where, name: str, place: bytes) -> str:
        """As it is where the one it is named after stands right there, else after what stands before that."""
        anchor = name.partition(STAND_IN)[0]
        order_key = place + anchor.encode()
        if anchor and self._order_key(where, anchor) != order_key:
            self._gathered.flush()
            name = stand_in(last_before(self._connection, self._entries, *where, place, order_key), shown_part(name))
        if self._order_key(where, name) is None:
            return name
        self._gathered.flush()
        return free_name(self._connection, self._entries, *where, name)

    def _order_key(self, where: _Where, player: str) -> bytes | None:
        """Where a player's entry stands, also one that is yet to be written."""
        gathered = self._gathered.entry(*where, player)
        if gathered is not None:
            return gathered.order_key
        entries = self._entries.c
        return self._connection.execute(
            select(entries.order_key).where(
                entries.board == where[0], entries.period_id == where[1], entries.player == player
            )
        ).scalar()
