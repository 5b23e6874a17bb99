"""Walking through the store, a share at a time, and writing what is there into the archive's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, Table

from leaderboard import definitions, journal
from leaderboard.entries import STAND_IN, unpack_head
from leaderboard.held import review_row
from leaderboard.opened import read_kept, read_opened
from leaderboard.rebuild.filling import Filling

if TYPE_CHECKING:
    from leaderboard.installation import Installation

Row = dict[str, Any]

#: Entries, or keys of players, in one share; the store is held up by about a millisecond for it.
AT_ONCE = 2_000

#: Boards in one share, each with all its seasons and standings; and players with all their friends.
BOARDS_AT_ONCE = FRIENDS_AT_ONCE = 200

_PROFILE = (
    "display_name", "avatar_url", "country", "platform", "attributes", "device", "identities", "merged", "absorbs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standings:
    board: str
    period_id: str
    #: None for never.
    expires_ms: int | None


def walk_store(filling: Filling) -> None:
    """Write everything that the archive keeps and the store has. Doing it again changes nothing.

    What comes, changes or goes meanwhile is the journal's: SCAN and its like return all that is there from their
    beginning to their end. Raises RebuildError, DivergedError, JournalGapError, SettingError, Problem (503).
    """
    lb, keys = filling.lb, filling.lb.keys
    filling.tell("looking around", 0)
    counted, boards = _look_around(lb), sorted(board_ids(lb))
    standings: list[Standings] = []
    with filling.share() as connection:
        _write_installation(lb, connection)
    for first in range(0, len(boards), BOARDS_AT_ONCE):
        with filling.share() as connection:
            standings += _write_of_boards(lb, connection, boards[first : first + BOARDS_AT_ONCE])
        filling.keep_up()
    standings = [one for one in standings if not has_expired(lb, one)]
    filling.expect(
        count_entries(lb, standings) + counted["player"] + counted["friends"] + counted["held"] + counted["attempts"]
    )
    for one in standings:
        _write_standings(filling, one)
    _write_each(filling, "players", _scan(lb, keys.player("")), _write_players)
    _write_each(filling, "friends", _scan(lb, keys.friends(""), FRIENDS_AT_ONCE), _write_friends)
    _write_each(filling, "attempts", _scan(lb, keys.attempts("", "")[:-1], FRIENDS_AT_ONCE), _write_attempts)
    _write_attempted(filling, boards)
    _write_each(filling, "reviews", _scan(lb, keys.held(""), FRIENDS_AT_ONCE), _write_reviews)


def board_ids(lb: Installation) -> set[str]:
    """Of every board there ever was: the gates of deleted ones stay."""
    return {board for chunk in _scan(lb, lb.keys.gate("")) for board in chunk}


def has_expired(lb: Installation, standings: Standings) -> bool:
    return standings.expires_ms is not None and standings.expires_ms <= lb.clock.now_ms()


def upsert(
    lb: Installation, connection: Connection, table: Table, rows: Sequence[Row], keeping: Sequence[str] = ()
) -> None:
    if rows:
        connection.execute(lb.archive.upsert(table, rows[0], keeping), rows)


# -- boards, and what is the installation's ----------------------------------------------------------------------------


def write_boards(lb: Installation, connection: Connection, number: int) -> None:
    """Definitions and gates: without them the records that wait in the journal behind a number cannot be read.

    Definitions are those that the first of these records was written by; what changed since, the records say.
    """
    boards = sorted(board_ids(lb))
    if not boards:
        return
    names = ("revision", "state", "season", "season_at", "epoch", "anchors")
    packed, *gates = lb.store.read(
        ("HMGET", lb.keys.boards, *boards), *(("HMGET", lb.keys.gate(board), *names) for board in boards)
    )
    rows: list[Row] = []
    # Looked for only now: what is not found has not changed until after it was read.
    redefined = _redefined_since(lb, number)
    for board, definition, gate in zip(boards, packed, gates, strict=True):
        revision, state, season, season_at, epoch, anchors = gate
        if revision is None or state is None:
            continue
        live = definition is not None and state != b"deleted"
        rows.append(
            {
                "board": board,
                "definition": (redefined.get(board, definition if live else None) or b"").decode() or None,
                "revision": int(revision),
                "state": state.decode() if live else "deleted",
                "season": int(season) if live and season else None,
                "season_ms": int(season_at) if live and season_at else None,
                "epoch": int(epoch) if live and epoch else None,
                "anchors": anchors.decode() if live and anchors else None,
            }
        )
    upsert(lb, connection, lb.archive.tables.boards, rows)


def _redefined_since(lb: Installation, number: int) -> dict[str, bytes]:
    """Boards that were defined or deleted behind a number, and how they were defined before; b"" for not at all."""
    found: dict[str, bytes] = {}
    while records := journal.read_records(lb.store, lb.keys, number, AT_ONCE)[1]:
        for record in records:
            kind, _, board, *values = journal.unpack(record)
            if kind in (b"board", b"delete_board"):
                found.setdefault(board.decode(), values[-1])
        number = records[-1].number
    return found


def _write_of_boards(lb: Installation, connection: Connection, boards: Sequence[str]) -> list[Standings]:
    """Seasons, and which standings there are; definitions are as the journal says from the beginning on."""
    tables, seasons, standings = lb.archive.tables, [], []
    replies = lb.store.read(
        *(command for board in boards for command in (
            ("HGETALL", lb.keys.seasons(board)), ("ZRANGE", lb.keys.kept(board), 0, -1, "WITHSCORES"),
        ))
    )  # fmt: skip
    for board, begun, kept in zip(boards, replies[::2], replies[1::2], strict=True):
        for number, started_ms in _pairs(begun):
            seasons.append({"board": board, "season": int(number), "started_ms": int(started_ms)})
        for period_id, score in _pairs(kept):
            standings.append(Standings(board, period_id.decode(), None if score == b"inf" else int(float(score))))
    upsert(lb, connection, tables.seasons, seasons)
    rows = [{"board": one.board, "period_id": one.period_id, "expires_ms": one.expires_ms} for one in standings]
    upsert(lb, connection, tables.standings, rows)
    return standings


def _write_installation(lb: Installation, connection: Connection) -> None:
    """Maintenance, the signing secret and keys."""
    tables = lb.archive.tables
    maintenance, secret, issued = lb.store.read(
        ("HMGET", lb.keys.maintenance, "reason", "at"), ("GET", lb.keys.signing), ("HGETALL", lb.keys.keys)
    )
    reason, at = maintenance
    if at is not None:
        value = orjson.dumps({"reason": (reason or b"").decode(), "at": int(at)}).decode()
        upsert(lb, connection, tables.installation, [{"name": "maintenance", "value": value}])
    if secret is not None:
        upsert(lb, connection, tables.installation, [{"name": "signing", "value": secret.decode()}])
    rows = [{"key_id": key_id.decode(), "record": record.decode()} for key_id, record in _pairs(issued)]
    upsert(lb, connection, tables.keys, rows)


# -- entries ---------------------------------------------------------------------------------------------------------


def _read_entries(
    lb: Installation, standings: Standings, cursor: bytes, pattern: str = "*"
) -> tuple[bytes, dict[bytes, Row]]:
    """Some entries of a standings, by player, as rows of the archive, and where to go on: b"0" at the end."""
    definition, (cursor, flat) = lb.store.read(
        # With the definition of the same moment: it says how to read them.
        ("HGET", lb.keys.boards, standings.board),
        (
            "HSCAN", lb.keys.standings(standings.board, standings.period_id).entries, cursor,
            "MATCH", pattern, "COUNT", AT_ONCE,
        ),
    )  # fmt: skip
    if definition is None:
        # Deleted meanwhile, and its entries with it.
        return b"0", {}
    tiebreaks = len(definitions.load(standings.board, definition).tiebreaks)
    rows = {player: _entry_row(standings, player, packed, tiebreaks) for player, packed in _pairs(flat)}
    _mark_hidden(lb, standings, rows)
    return cursor, rows


def _mark_hidden(lb: Installation, standings: Standings, rows: dict[bytes, Row]) -> None:
    """Those that do not stand in the order. One that moves just now looks so too, and its record is archived later."""
    if rows:
        order = lb.keys.standings(standings.board, standings.period_id).order
        scores = lb.store.read(("ZMSCORE", order, *(row["order_key"][7:] for row in rows.values())))[0]
        for row, score in zip(rows.values(), scores, strict=True):
            row["hidden"] = int(score is None)


def _entry_row(standings: Standings, player: bytes, packed: bytes, tiebreaks: int) -> Row:
    """The row of an entry, from the value of the entries hash."""
    place, submissions, newest_ms = unpack_head(packed, tiebreaks)
    head = len(place) + (4 if newest_ms is None else 11)
    return {
        "board": standings.board, "period_id": standings.period_id, "player": player.decode(),
        "order_key": place + player, "submissions": submissions, "newest_ms": newest_ms, "metadata": packed[head:],
    }  # fmt: skip


def _write_standings(filling: Filling, standings: Standings) -> None:
    """All that was there from the beginning; then, once more, the nameless ones.

    An entry that is made nameless meanwhile changes its field. If it had not been come to before, the archive cannot
    rename it, and if the new field lies where the walk has been already, it is not come to any more.
    """
    if _write_entries(filling, standings, "*") > 1:
        _write_entries(filling, standings, f"*{STAND_IN}*")


def _write_entries(filling: Filling, standings: Standings, pattern: str) -> int:
    """Those that match; returns in how many shares they were read."""
    lb, cursor, shares = filling.lb, b"", 0
    while cursor != b"0":
        with filling.share() as connection:
            cursor, found = _read_entries(lb, standings, cursor or b"0", pattern)
            upsert(lb, connection, lb.archive.tables.entries, list(found.values()))
        shares += 1
        filling.tell("entries", len(found))
        filling.keep_up()
    return shares


def count_entries(lb: Installation, standings: Sequence[Standings]) -> int:
    keys = [lb.keys.standings(one.board, one.period_id).entries for one in standings]
    return sum(lb.store.read(*(("HLEN", key) for key in keys))) if keys else 0


# -- players ---------------------------------------------------------------------------------------------------------


def _write_players(lb: Installation, connection: Connection, players: Sequence[str]) -> None:
    """Profiles, counters, devices, sessions; of erased ones the mark."""
    tables, keys = lb.archive.tables, [lb.keys.player(player) for player in players]
    replies = lb.store.read(*(command for key in keys for command in (("HGETALL", key), ("PEXPIRETIME", key))))
    rows: list[Row] = []
    sessions: list[Row] = []
    for player, flat, expires_ms in zip(players, replies[::2], replies[1::2], strict=True):
        fields = {name.decode(): value.decode() for name, value in _pairs(flat)}
        state = fields.get("state")
        if not fields or (state == "erased" and expires_ms < 0):
            # Gone by now.
            continue
        rows.append(
            {
                "player": player,
                "created_ms": int(fields["created_at"]) if "created_at" in fields else None,
                **{name: fields.get(name) for name in _PROFILE},
                "submissions": int(fields.get("submissions", 0)),
                "state": state,
                "ban": fields.get("ban"),
                "erased_until_ms": expires_ms if state == "erased" else None,
            }
        )
        sessions += (
            {"player": player, "session": name, "expires_ms": int(value)}
            for name, value in fields.items()
            if name.startswith("s:")
        )
    upsert(lb, connection, tables.players, rows)
    upsert(lb, connection, tables.sessions, sessions)


def _write_friends(lb: Installation, connection: Connection, players: Sequence[str]) -> None:
    replies = lb.store.read(*(("HGETALL", lb.keys.friends(player)) for player in players))
    rows = [
        {"player": player, "other": other.decode(), "side": side.decode()}
        for player, flat in zip(players, replies, strict=True)
        for other, side in _pairs(flat)
    ]
    upsert(lb, connection, lb.archive.tables.friends, rows)


def _write_reviews(lb: Installation, connection: Connection, players: Sequence[str]) -> None:
    """Those that are open; only the archive knew of others, and who reopened these."""
    replies = lb.store.read(*(("HGETALL", lb.keys.held(player)) for player in players))
    rows = [review_row(review.decode(), packed) for flat in replies for review, packed in _pairs(flat)]
    upsert(lb, connection, lb.archive.tables.reviews, rows, keeping=("decision",))


def _write_attempts(lb: Installation, connection: Connection, places: Sequence[str]) -> None:
    """Those that are open, of some players on some boards: `<board>:<player>`."""
    pairs = [place.split(":") for place in places]
    replies = lb.store.read(*(("HGETALL", lb.keys.attempts(board, player)) for board, player in pairs))
    rows = [
        {"board": board, "player": player, "attempt": attempt.decode()} | read_kept(packed)._asdict()
        for (board, player), flat in zip(pairs, replies, strict=True)
        for attempt, packed in _pairs(flat)
    ]
    upsert(lb, connection, lb.archive.tables.attempts, rows)


def _write_attempted(filling: Filling, boards: Sequence[str]) -> None:
    """How many each player has opened on each board."""
    lb = filling.lb
    for board in boards:
        cursor = b""
        while cursor != b"0":
            with filling.share() as connection:
                key = lb.keys.attempted(board)
                cursor, flat = lb.store.read(("HSCAN", key, cursor or b"0", "COUNT", AT_ONCE))[0]
                rows = [
                    {"board": board, "player": player.decode()} | read_opened(packed)._asdict()
                    for player, packed in _pairs(flat)
                ]
                upsert(lb, connection, lb.archive.tables.attempted, rows)
            filling.keep_up()


def _write_each(
    filling: Filling,
    stage: str,
    chunks: Iterator[list[str]],
    write: Callable[[Installation, Connection, Sequence[str]], None],
) -> None:
    for ids in chunks:
        with filling.share() as connection:
            write(filling.lb, connection, ids)
        filling.tell(stage, len(ids))
        filling.keep_up()


# -- looking ---------------------------------------------------------------------------------------------------------


def _scan(lb: Installation, prefix: str, at_once: int = AT_ONCE) -> Iterator[list[str]]:
    """What follows a prefix in the names of keys, each once or more often."""
    found: dict[str, None] = {}
    for keys in _scan_keys(lb, f"{prefix}*"):
        found.update(dict.fromkeys(key.decode()[len(prefix) :] for key in keys))
        while len(found) >= at_once:
            yield [found.popitem()[0] for _ in range(at_once)]
    if found:
        yield list(found)


def _scan_keys(lb: Installation, pattern: str) -> Iterator[list[bytes]]:
    cursor = b""
    while cursor != b"0":
        cursor, keys = lb.store.read(("SCAN", cursor or b"0", "MATCH", pattern, "COUNT", AT_ONCE))[0]
        yield keys


def _look_around(lb: Installation) -> Counter[str]:
    """How many keys there are of each kind, for whoever waits."""
    home = len(lb.keys.player("")) - len("player:")
    return Counter(
        key[home:].partition(b":")[0].decode() for keys in _scan_keys(lb, f"{lb.keys.namespace}:*") for key in keys
    )


def _pairs(flat: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
