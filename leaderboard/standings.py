"""Reading standings. One round trip each (two among friends), once the board and period are known; ranks are exact.

What a shadow-banned player has is hidden; `hidden_self` names one that reads for itself, to whom its own entries are
shown as if they stood in their place, and everybody's ranks as they would be then.

Each raises StaleError when the board is another by now: call them within `BoardCache.use`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from leaderboard.boards import TRIES, Snapshot, StaleError, keeps_changing
from leaderboard.cursors import Cursor, Direction
from leaderboard.entries import Place, place_of, read_entry, result_of
from leaderboard.errors import Problem
from leaderboard.model import Board, Entry, Occurrence, Ties
from leaderboard.scores import scale
from leaderboard.seasons import current_occurrence
from leaderboard.store.client import FunctionCall

if TYPE_CHECKING:
    from leaderboard.installation import Installation


@dataclass(frozen=True, slots=True)
class Page:
    total: int
    entries: list[Entry]
    next: Cursor | None
    previous: Cursor | None


@dataclass(frozen=True, slots=True)
class Found:
    """Entries of players, in the order asked for; None where there is none."""

    total: int
    entries: list[Entry | None]
    #: Places from 1 in the total order, 0 for no entry: what percentiles are made of.
    ordinals: list[int]


@dataclass(frozen=True, slots=True)
class FriendEntry:
    entry: Entry
    board_rank: int


@dataclass(frozen=True, slots=True)
class FriendsPage:
    """`total` counts the player and those friends who have an entry."""

    total: int
    entries: list[FriendEntry]
    next: Cursor | None
    previous: Cursor | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Scores from `low` to `high`, both included, scaled."""

    low: int
    high: int
    count: int


def page_at(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, limit: int, offset: int, *, hidden_self: str = ""
) -> Page:
    return _page(lb, snapshot, occurrence, limit, hidden_self, "offset", offset)


def page_from(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, limit: int, cursor: Cursor, *, hidden_self: str = ""
) -> Page:
    """The page after or before a place. The place need not exist any more."""
    place = cursor.place
    return _page(lb, snapshot, occurrence, limit, hidden_self, cursor.direction.value, place.score, place.member)


def page_around_score(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, limit: int, score: int | Decimal, *,
    hidden_self: str = "",
) -> Page:  # fmt: skip
    """`limit` entries with the place where a score would stand in their middle, where the edges allow."""
    board = snapshot.board
    scaled = scale(score, board.decimals, "?around_score") * board.order.sign
    return _page(lb, snapshot, occurrence, limit, hidden_self, "score", scaled, b"")


def page_around_player(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, limit: int, player: str, *, hidden_self: str = ""
) -> Page:
    """`limit` entries with the player in their middle, where the edges allow. Raises entry_not_found."""
    return _page(lb, snapshot, occurrence, limit, hidden_self, "around", player)


def find_entries(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, players: Sequence[str], *, hidden_self: str = ""
) -> Found:
    reply = current(lb.store.ask(*lookup_call(lb, snapshot, occurrence, players, hidden_self)))
    return _found(snapshot.board, players, reply)


def find_entry(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, player: str, *, hidden_self: str = ""
) -> tuple[Entry, int, float]:
    """The entry of a player, the number of entries, and its percentile: 100 for the best, 0 for the worst.

    Raises entry_not_found.
    """
    found = find_entries(lb, snapshot, occurrence, [player], hidden_self=hidden_self)
    entry = found.entries[0]
    if entry is None:
        raise Problem("entry_not_found")
    if found.total <= 1:
        return entry, found.total, 100.0
    return entry, found.total, 100 * (found.total - found.ordinals[0]) / (found.total - 1)


def find_player_entries(
    lb: Installation,
    snapshots: Sequence[Snapshot],
    may_read: Callable[[Board], bool],
    player: str,
    now_ms: int,
    *,
    hidden_self: str = "",
) -> list[tuple[Board, Occurrence, Entry, int]]:
    """A player's entries in the current occurrence of every period of some boards, with their totals."""
    rows: dict[str, list[tuple[Board, Occurrence, Entry, int]]] = {snapshot.board.id: [] for snapshot in snapshots}
    waiting = snapshots
    for _ in range(TRIES):
        places = [
            (snapshot, current_occurrence(snapshot, period, now_ms))
            for snapshot in waiting
            if may_read(snapshot.board)
            for period in snapshot.board.periods
        ]
        calls = [lookup_call(lb, *place, [player], hidden_self) for place in places]
        replies = lb.store.ask_many(calls) if calls else []
        stale: set[str] = set()
        for (snapshot, occurrence), reply in zip(places, replies, strict=True):
            board = snapshot.board
            if reply[0] == b"stale":
                stale.add(board.id)
                rows[board.id].clear()
                continue
            found = _found(board, [player], reply)
            if found.entries[0] is not None and board.id not in stale:
                rows[board.id].append((board, occurrence, found.entries[0], found.total))
        if not stale:
            return [row for of_board in rows.values() for row in of_board]
        waiting = lb.boards.reload_many(sorted(stale))
    raise keeps_changing()


def page_of_friends(
    lb: Installation,
    snapshot: Snapshot,
    occurrence: Occurrence,
    player: str,
    limit: int,
    cursor: Cursor | None,
    *,
    hidden_self: str = "",
) -> FriendsPage:
    """A page of the standings among a player and its friends."""
    board = snapshot.board
    order, entries, _ = lb.keys.standings(board.id, occurrence.id)
    keys = [lb.keys.gate(board.id), order, entries, lb.keys.friends(player)]
    args: list[str | int] = [board.revision, snapshot.season, len(board.tiebreaks), hidden_self, player]
    flat = current(lb.store.ask("friends_entries", keys, args))
    players = [friend.decode() for friend in flat[::2]]
    packed = dict(zip(players, flat[1::2], strict=True))
    places = sorted((place_of(board, friend, packed[friend]), friend) for friend in players)
    ranks = number(board, [place for place, _ in places])
    first, end = 0, limit
    if cursor and cursor.direction is Direction.AFTER:
        first = bisect_right(places, cursor.place, key=lambda item: item[0])
        end = first + limit
    elif cursor:
        end = bisect_left(places, cursor.place, key=lambda item: item[0])
        first = max(0, end - limit)
    shown = places[first:end]
    if not shown:
        return FriendsPage(len(places), [], None, None)
    # Score and rank are of the first call, so that they agree; only the name and the board's rank are of the second.
    found = find_entries(lb, snapshot, occurrence, [friend for _, friend in shown], hidden_self=hidden_self)
    return FriendsPage(
        len(places),
        [
            FriendEntry(
                read_entry(board, rank, place, packed[friend], None)._replace(player=on_board.player), on_board.rank
            )
            for rank, (place, friend), on_board in zip(ranks[first:end], shown, found.entries, strict=True)
            # One that left between the two calls is left out.
            if on_board is not None
        ],
        Cursor(Direction.AFTER, occurrence.id, shown[-1][0]) if end < len(places) else None,
        Cursor(Direction.BEFORE, occurrence.id, shown[0][0]) if first > 0 else None,
    )


def count_entries(
    lb: Installation, snapshot: Snapshot, occurrences: Sequence[Occurrence], *, hidden_self: str
) -> list[int]:
    """How many entries each occurrence has, for a player that reads for itself."""
    calls = [lookup_call(lb, snapshot, occurrence, [], hidden_self) for occurrence in occurrences]
    return [current(reply)[0] for reply in lb.store.ask_many(calls)] if calls else []


def distribution(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, buckets: int, *, hidden_self: str = ""
) -> tuple[int, list[Bucket]]:
    """How many entries have a score in each of at most `buckets` equal ranges, lowest first."""
    board = snapshot.board
    keys = [lb.keys.gate(board.id), *lb.keys.standings(board.id, occurrence.id)]
    args: list[str | int] = [
        board.revision, snapshot.season, board.order.sign, buckets, len(board.tiebreaks), hidden_self,
    ]  # fmt: skip
    total, low, width, *counts = current(lb.store.ask("distribution", keys, args))
    return total, [Bucket(low + i * width, low + (i + 1) * width - 1, count) for i, count in enumerate(counts)]


def number(board: Board, places: Sequence[Place], first: int = 1, index: int = 0) -> Sequence[int]:
    """Ranks for consecutive places, by the board's ties.

    first  the rank of the first of them; index  how many entries are before it
    """
    if board.ties is Ties.ORDINAL:
        return range(first, first + len(places))
    ranks: list[int] = []
    rank, before = first, None
    for i, place in enumerate(places):
        result = result_of(board, place)
        if i and result != before:
            rank = rank + 1 if board.ties is Ties.DENSE else index + i + 1
        before = result
        ranks.append(rank)
    return ranks


def _page(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, limit: int, hidden_self: str, mode: str,
    *where: str | bytes | int,
) -> Page:  # fmt: skip
    board = snapshot.board
    reply = current(
        lb.store.ask(
            "page",
            [lb.keys.gate(board.id), *lb.keys.standings(board.id, occurrence.id), lb.keys.names],
            [board.revision, snapshot.season, mode, limit, board.ties.value, len(board.tiebreaks), hidden_self, *where],
        )
    )
    if not reply:
        raise Problem("entry_not_found")
    total, index, first_rank, found, packed, names = reply
    places = [Place(int(score), member) for member, score in zip(found[::2], found[1::2], strict=True)]
    ranks = number(board, places, first_rank, index)
    entries = [
        read_entry(board, rank, place, value, name)
        for rank, place, value, name in zip(ranks, places, packed, names, strict=True)
    ]
    following = bool(places) and index + len(places) < total
    return Page(
        total,
        entries,
        Cursor(Direction.AFTER, occurrence.id, places[-1]) if following else None,
        Cursor(Direction.BEFORE, occurrence.id, places[0]) if places and index > 0 else None,
    )


def lookup_call(
    lb: Installation, snapshot: Snapshot, occurrence: Occurrence, players: Sequence[str], hidden_self: str = ""
) -> FunctionCall:
    """The call of `lookup` (store/lua/standings.lua)."""
    board = snapshot.board
    keys = [lb.keys.gate(board.id), *lb.keys.standings(board.id, occurrence.id), lb.keys.names]
    args = [board.revision, snapshot.season, board.ties.value, len(board.tiebreaks), hidden_self, *players]
    return "lookup", keys, args


def current(reply: list[Any]) -> list[Any]:
    """The reply of a read, unless the board is another by now (StaleError)."""
    if reply and reply[0] == b"stale":
        raise StaleError
    return reply


def _found(board: Board, players: Sequence[str], reply: list[Any]) -> Found:
    total, packed, names, ranks, ordinals = reply
    entries = [
        read_entry(board, rank, place_of(board, player, value), value, name) if value and rank else None
        for player, value, name, rank in zip(players, packed, names, ranks, strict=True)
    ]
    return Found(total, entries, ordinals)
