"""Comparing the entries of store and archive one by one, while both go on changing.

What looks different at first may only be on its way. So it is looked at again once the archive has caught up, and in a
moment in which the archive stands still: then it differs only if it changed in that very moment, which passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, select

from leaderboard import definitions
from leaderboard.entries import pack_entry, place_of
from leaderboard.rebuild.filling import Filling
from leaderboard.rebuild.verification import Difference
from leaderboard.rebuild.walk import AT_ONCE, Standings, count_entries, has_expired

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: What still differs after so many looks is different. An entry that changes ten times a second is the same in some
#: two of three looks.
LOOKS = 20


def compare_standings(filling: Filling, standings: Sequence[Standings]) -> list[Difference]:
    """What was found in each of them. Raises as `walk_store`."""
    filling.expect(count_entries(filling.lb, standings))
    return [_compare(filling, one) for one in standings]


def archived_standings(lb: Installation) -> list[Standings]:
    """All that have not expired, as the archive knows them."""
    standings = lb.archive.tables.standings
    with lb.archive.read() as connection:
        rows = connection.execute(select(standings).order_by(*standings.primary_key.columns)).all()
    found = (Standings(row.board, row.period_id, row.expires_ms) for row in rows)
    return [one for one in found if not has_expired(lb, one)]


def _compare(filling: Filling, standings: Standings) -> Difference:
    lb, count, cursor = filling.lb, 0, b""
    key = lb.keys.standings(standings.board, standings.period_id).entries
    suspects: set[str] = set()
    while cursor != b"0":
        cursor, flat = lb.store.read(("HSCAN", key, cursor or b"0", "COUNT", AT_ONCE))[0]
        stored = {player.decode(): entry for player, entry in zip(flat[::2], flat[1::2], strict=True)}
        with lb.archive.read() as connection:
            archived = _archived(lb, connection, standings, list(stored))
        held = _held(lb, standings, stored)
        suspects |= {player for player in stored if held.get(player) != archived.get(player)}
        filling.tell("comparing", len(stored))
        filling.keep_up()
    for players in _archived_players(lb, standings):
        count += len(players)
        suspects |= set(players) - _stored(lb, standings, players).keys()
        filling.keep_up()
    for _ in range(LOOKS):
        if not suspects or has_expired(lb, standings):
            return Difference(standings.board, standings.period_id, count, None)
        filling.catch_up()
        suspects = _still_different(filling, standings, sorted(suspects))
    example = f"{len(suspects)} entries differ, that of {min(suspects)!r} among them" if suspects else None
    return Difference(standings.board, standings.period_id, count, example)


def _still_different(filling: Filling, standings: Standings, suspects: list[str]) -> set[str]:
    different = set()
    for first in range(0, len(suspects), AT_ONCE):
        players = suspects[first : first + AT_ONCE]
        with filling.share() as connection:
            archived = _archived(filling.lb, connection, standings, players)
            stored = _stored(filling.lb, standings, players)
        different |= {player for player in players if archived.get(player) != stored.get(player)}
    return different


class _Held(NamedTuple):
    """An entry as the store holds it."""

    packed: bytes
    #: Its member in the order, where it is not hidden.
    member: bytes | None


def _archived(lb: Installation, connection: Connection, standings: Standings, players: list[str]) -> dict[str, _Held]:
    """The archive's rows, as the store would hold them: so a row that was read wrongly shows."""
    entries = lb.archive.tables.entries
    rows = connection.execute(
        select(entries).where(
            entries.c.board == standings.board,
            entries.c.period_id == standings.period_id,
            entries.c.player.in_(players),
        )
    )
    return {
        row.player: _Held(
            pack_entry(row.order_key.removesuffix(row.player.encode()), row.submissions, row.newest_ms, row.metadata),
            None if row.hidden else row.order_key[7:],
        )
        for row in rows
    }


def _stored(lb: Installation, standings: Standings, players: list[str]) -> dict[str, _Held]:
    key = lb.keys.standings(standings.board, standings.period_id).entries
    packed = lb.store.read(("HMGET", key, *players))[0] if players else []
    return _held(lb, standings, {player: entry for player, entry in zip(players, packed, strict=True) if entry})


def _held(lb: Installation, standings: Standings, entries: dict[str, bytes]) -> dict[str, _Held]:
    """Values of the entries hash, with whether they stand in the order."""
    definition = lb.store.read(("HGET", lb.keys.boards, standings.board))[0]
    if definition is None or not entries:
        # Deleted meanwhile, and its entries with it.
        return {}
    board = definitions.load(standings.board, definition)
    members = [place_of(board, player, entry).member for player, entry in entries.items()]
    scores = lb.store.read(("ZMSCORE", lb.keys.standings(board.id, standings.period_id).order, *members))[0]
    return {
        player: _Held(entry, None if score is None else member)
        for (player, entry), member, score in zip(entries.items(), members, scores, strict=True)
    }


def _archived_players(lb: Installation, standings: Standings) -> Iterator[list[str]]:
    entries = lb.archive.tables.entries
    players: list[str] = []
    while True:
        query = select(entries.c.player).where(
            entries.c.board == standings.board, entries.c.period_id == standings.period_id
        )
        if players:
            query = query.where(entries.c.player > players[-1])
        with lb.archive.read() as connection:
            players = list(connection.scalars(query.order_by(entries.c.player).limit(AT_ONCE)))
        if players:
            yield players
        if len(players) < AT_ONCE:
            return
