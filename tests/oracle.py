"""What boards must do, in plain Python: lists kept sorted by the total order.

Written from the design, not from the Lua. Scores are scaled integers and instants milliseconds, as submitted: nothing
here is packed or rounded. Where the design leaves a choice, the oracle makes the one the service has made:

- `latest`, two different results of the same instant: when the later arrival states its achieved_at, the better of the
  two in the total order stays, whatever came first; when the server stamped it, it is the newer one and wins.
- `latest`, the same score and tiebreaks again: achieved_at is the earlier of the two, metadata follows the newest.
- `sum`: a submission of nothing but zeros never moves achieved_at.
- A percentile counts as worse whoever comes later in the total order, equal results included.
- Around a player or a score, an even limit shows one more entry before the middle than after it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

#: |scaled score|, |tiebreak| and every sum of them.
LIMIT = 10**15 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OutOfRange(Exception):
    """A sum would leave the range; nothing has changed."""


@dataclass(frozen=True)
class Rules:
    """The part of a board's definition that decides standings."""

    order: str = "desc"
    policy: str = "best"
    ties: str = "ordinal"
    decimals: int = 0
    #: (name, order)
    tiebreaks: tuple[tuple[str, str], ...] = ()

    def definition(self) -> dict[str, Any]:
        """The members of a board definition that say this."""
        return {
            "order": self.order,
            "policy": self.policy,
            "ties": self.ties,
            "decimals": self.decimals,
            "tiebreaks": [{"name": name, "order": order} for name, order in self.tiebreaks],
        }


@dataclass(frozen=True)
class Play:
    """One submission: its score, tiebreaks in the board's order, and when it was achieved."""

    player: str
    score: int
    tiebreaks: tuple[int, ...] = ()
    achieved_at: int = 0
    #: The caller stated achieved_at; otherwise the server stamped it on arrival.
    stated: bool = False
    metadata: Any = None


@dataclass(frozen=True)
class Entry:
    player: str
    score: int
    tiebreaks: tuple[int, ...]
    achieved_at: int
    metadata: Any
    #: achieved_at of the newest submission, which `latest` goes by and whose metadata `sum` shows.
    newest_at: int

    @property
    def result(self) -> tuple[int, tuple[int, ...]]:
        """What `ties` and achieved_at look at."""
        return self.score, self.tiebreaks

    @property
    def visible(self) -> tuple[Any, ...]:
        return self.player, *self.result, self.achieved_at, self.metadata


#: An entry's place; places compare as the total order does.
Place = tuple[int, tuple[int, ...], int, bytes]


@dataclass
class Standings:
    """The entries of one board in one period, best first."""

    rules: Rules
    entries: list[Entry] = field(default_factory=list)
    _by_player: dict[str, Entry] = field(default_factory=dict)

    # -- the total order

    def result_key(self, score: int, tiebreaks: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        orders = [order for _, order in self.rules.tiebreaks]
        return (
            _better_first(self.rules.order, score),
            tuple(_better_first(order, value) for order, value in zip(orders, tiebreaks, strict=True)),
        )

    def place(self, entry: Entry) -> Place:
        return (*self.result_key(*entry.result), entry.achieved_at, entry.player.encode())

    # -- writing

    def after(self, play: Play) -> Entry:
        """The entry that a submission leaves its player with. Raises OutOfRange."""
        new = Entry(play.player, play.score, play.tiebreaks, play.achieved_at, play.metadata, play.achieved_at)
        old = self._by_player.get(play.player)
        if old is None:
            return new
        match self.rules.policy:
            case "best":
                return new if self.place(new) < self.place(old) else old
            case "latest":
                return self._latest(old, new, play.stated)
            case "sum":
                return self._sum(old, new)
        raise ValueError(self.rules.policy)

    def _latest(self, old: Entry, new: Entry, stated: bool) -> Entry:
        newer = new.newest_at > old.newest_at
        if new.newest_at == old.newest_at:
            newer = not stated or self.result_key(*new.result) < self.result_key(*old.result)
        if new.result == old.result:
            return replace(
                new if newer else old,
                achieved_at=min(old.achieved_at, new.achieved_at),
                newest_at=max(old.newest_at, new.newest_at),
            )
        return new if newer else old

    def _sum(self, old: Entry, new: Entry) -> Entry:
        score = old.score + new.score
        tiebreaks = tuple(a + b for a, b in zip(old.tiebreaks, new.tiebreaks, strict=True))
        if any(abs(number) > LIMIT for number in (score, *tiebreaks)):
            raise OutOfRange
        changes = any((new.score, *new.tiebreaks))
        newest = new if new.newest_at >= old.newest_at else old
        return Entry(
            old.player,
            score,
            tiebreaks,
            max(old.achieved_at, new.achieved_at) if changes else old.achieved_at,
            newest.metadata,
            newest.newest_at,
        )

    def put(self, entry: Entry) -> bool:
        """Set a player's entry; return whether anything changed that can be seen."""
        old = self._by_player.get(entry.player)
        if old:
            self.remove(entry.player)
        insort(self.entries, entry, key=self.place)
        self._by_player[entry.player] = entry
        return old is None or old.visible != entry.visible

    def submit(self, play: Play) -> bool:
        return self.put(self.after(play))

    def correct(self, play: Play) -> None:
        """What an admin sets holds, whatever was there."""
        self.put(Entry(play.player, play.score, play.tiebreaks, play.achieved_at, play.metadata, play.achieved_at))

    def remove(self, player: str) -> bool:
        entry = self._by_player.pop(player, None)
        if entry is None:
            return False
        del self.entries[self._index(entry)]
        return True

    # -- reading

    def __contains__(self, player: str) -> bool:
        return player in self._by_player

    def __len__(self) -> int:
        return len(self.entries)

    def _index(self, entry: Entry) -> int:
        return bisect_left(self.entries, self.place(entry), key=self.place)

    def entry(self, player: str) -> Entry:
        return self._by_player[player]

    def rows(self) -> list[tuple[int, Entry]]:
        """All entries with their ranks."""
        return list(zip(number(self.rules.ties, self.entries), self.entries, strict=True))

    def rank(self, player: str) -> int:
        entry = self._by_player[player]
        if self.rules.ties == "ordinal":
            return self._index(entry) + 1
        better = self.entries[: self._before(*entry.result)]
        if self.rules.ties == "competition":
            return len(better) + 1
        return len({other.result for other in better}) + 1

    def _before(self, score: int, tiebreaks: Sequence[int]) -> int:
        key = self.result_key(score, tiebreaks)
        return bisect_left(self.entries, key, key=lambda entry: self.result_key(*entry.result))

    def percentile(self, player: str) -> float:
        worse = len(self) - 1 - self._index(self._by_player[player])
        return 100 * worse / (len(self) - 1) if len(self) > 1 else 100.0

    def page(self, offset: int, limit: int) -> list[tuple[int, Entry]]:
        return self.rows()[offset : offset + limit]

    def page_after(self, place: Place, limit: int) -> list[tuple[int, Entry]]:
        return [row for row in self.rows() if self.place(row[1]) > place][:limit]

    def page_before(self, place: Place, limit: int) -> list[tuple[int, Entry]]:
        return [row for row in self.rows() if self.place(row[1]) < place][-limit:]

    def around(self, player: str, limit: int) -> list[tuple[int, Entry]]:
        return self._middle(self._index(self._by_player[player]), limit)

    def around_score(self, score: int, limit: int) -> list[tuple[int, Entry]]:
        order = self.rules.order
        better = [entry for entry in self.entries if _better_first(order, entry.score) < _better_first(order, score)]
        return self._middle(len(better), limit)

    def _middle(self, index: int, limit: int) -> list[tuple[int, Entry]]:
        return self.page(max(0, min(index - limit // 2, len(self) - limit)), limit)

    def lookup(self, players: Iterable[str]) -> list[tuple[int, Entry]]:
        return [(self.rank(player), self.entry(player)) for player in players if player in self]

    def among(self, players: Iterable[str]) -> list[tuple[int, int, Entry]]:
        """(rank among these, rank on the board, entry) of those of some players who have an entry."""
        friends = Standings(self.rules)
        for player in players:
            if player in self:
                friends.put(self.entry(player))
        return [(rank, self.rank(entry.player), entry) for rank, entry in friends.rows()]

    def distribution(self, buckets: int) -> list[tuple[int, int, int]]:
        """(lowest, highest, how many) of each of some equal ranges of scores, lowest first."""
        scores = [entry.score for entry in self.entries]
        if not scores:
            return []
        low, high = min(scores), max(scores)
        width = -(-(high - low + 1) // buckets)
        return [
            (start, start + width - 1, sum(start <= score < start + width for score in scores))
            for start in range(low, high + 1, width)
        ]


@dataclass
class Board:
    """A board with the periods season, alltime and weekly (Monday 00:00 UTC), and its players."""

    rules: Rules
    season: int = 1
    standings: dict[str, Standings] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    friendships: set[frozenset[str]] = field(default_factory=set)

    def at(self, period_id: str) -> Standings:
        return self.standings.setdefault(period_id, Standings(self.rules))

    def counts_in(self, achieved_at: int) -> list[str]:
        """The period ids a submission counts in."""
        return [f"s{self.season}", "all", week_of(achieved_at)]

    def submit(self, play: Play) -> list[tuple[str, bool, int | None, int, int]]:
        """(period id, changed, rank before, rank after, score) in each period. Raises OutOfRange."""
        period_ids = self.counts_in(play.achieved_at)
        # All or nothing: a sum may fit into this week and not into all time.
        entries = [self.at(period_id).after(play) for period_id in period_ids]
        done = []
        for period_id, entry in zip(period_ids, entries, strict=True):
            place = self.at(period_id)
            before = place.rank(play.player) if play.player in place else None
            changed = place.put(entry)
            done.append((period_id, changed, before, place.rank(play.player), entry.score))
        self.known.add(play.player)
        return done

    def correct(self, period_id: str, play: Play) -> None:
        self.at(period_id).correct(play)
        self.known.add(play.player)

    def erase(self, player: str) -> None:
        for standings in self.standings.values():
            standings.remove(player)
        self.friendships = {pair for pair in self.friendships if player not in pair}
        self.erased.add(player)

    def reset(self) -> None:
        self.season += 1

    def befriend(self, player: str, others: Iterable[str]) -> None:
        self.friendships |= {frozenset({player, other}) for other in others}

    def friends_and_self(self, player: str) -> set[str]:
        return {player}.union(*(pair for pair in self.friendships if player in pair))


def number(ties: str, entries: Sequence[Entry]) -> list[int]:
    """The ranks of entries that are in order: 1,2,3 · 1,1,3 · 1,1,2."""
    ranks: list[int] = []
    for i, entry in enumerate(entries):
        if i == 0:
            ranks.append(1)
        elif ties != "ordinal" and entry.result == entries[i - 1].result:
            ranks.append(ranks[-1])
        else:
            ranks.append(ranks[-1] + 1 if ties == "dense" else i + 1)
    return ranks


def instant(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def week_of(at_ms: int) -> str:
    year, week, _ = instant(at_ms).isocalendar()
    return f"{year:04}-W{week:02}"


def show_instant(at_ms: int) -> str:
    """RFC 3339 UTC with milliseconds, as the service writes it."""
    return instant(at_ms).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def read_instant(text: str) -> int:
    """What `show_instant` was given."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _better_first(order: str, value: int) -> int:
    return -value if order == "desc" else value
