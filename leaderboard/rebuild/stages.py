"""What a rebuild writes, table by table, in shares of rows: the store's keys from the archive's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Table, func, select, tuple_

from leaderboard import definitions
from leaderboard.bans import read_ban
from leaderboard.entries import pack_entry, score_of
from leaderboard.gone import merged_into
from leaderboard.idempotency import ANSWER_KEPT_MS, KEPT_KEYS
from leaderboard.model import Ties
from leaderboard.opened import Kept, Opened, pack
from leaderboard.store.client import Command

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: Rows in one share.
AT_ONCE = 5_000

_PUBLIC = ("display_name", "avatar_url", "country")
_PROFILE = (*_PUBLIC, "platform", "attributes", "device", "identities", "merged", "absorbs")

#: One idempotency record (store/lua/replay.lua).
_REPLAY_WIDTH = 28


@dataclass(frozen=True, slots=True)
class Share:
    """Commands for some rows, and the key of the last of them; running them again changes nothing."""

    commands: list[Command]
    rows: int
    last: str


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    #: The shares that follow a key, all of them after "".
    shares: Callable[[Installation, str], Iterator[Share]]


def count_rows(lb: Installation) -> int:
    """How many rows there are, about, for whoever waits."""
    tables = lb.archive.tables
    counted = (
        tables.keys, tables.players, tables.sessions, tables.friends, tables.reviews, tables.attempts, tables.attempted,
        tables.entries, tables.boards,
    )  # fmt: skip
    with lb.archive.read() as connection:
        return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in counted)


def _by_key(
    table_name: str, write: Callable[[Installation, Sequence[Any]], list[Command]]
) -> Callable[[Installation, str], Iterator[Share]]:
    """The shares of a table in order of its primary key."""

    def shares(lb: Installation, after: str) -> Iterator[Share]:
        table: Table = getattr(lb.archive.tables, table_name)
        key = list(table.primary_key.columns)
        last = orjson.loads(after) if after else None
        while True:
            query = select(table).order_by(*key).limit(AT_ONCE)
            if last is not None:
                query = query.where(tuple_(*key) > tuple_(*last))
            with lb.archive.read() as connection:
                rows = connection.execute(query).all()
            if rows:
                last = [getattr(rows[-1], column.name) for column in key]
                yield Share(write(lb, rows), len(rows), orjson.dumps(last).decode())
            if len(rows) < AT_ONCE:
                return

    return shares


def _keys(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    return [("HSET", lb.keys.keys, row.key_id, row.record) for row in rows]


def _installation(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    commands: list[Command] = []
    for row in rows:
        if row.name == "maintenance" and row.value:
            value = orjson.loads(row.value)
            commands.append(("HSET", lb.keys.maintenance, "reason", value["reason"], "at", value["at"]))
        elif row.name == "signing":
            commands.append(("SET", lb.keys.signing, row.value))
    return commands


def _players(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    commands: list[Command] = []
    for row in rows:
        key = lb.keys.player(row.player)
        if row.state == "erased":
            commands += [("HSET", key, "state", "erased"), ("PEXPIREAT", key, row.erased_until_ms)]
            continue
        fields: list[str | int] = []
        for name in _PROFILE:
            if (value := getattr(row, name)) is not None:
                fields += (name, value)
        if row.created_ms is not None:
            fields += ("created_at", row.created_ms)
        if row.submissions:
            fields += ("submissions", row.submissions)
        if row.state is not None:
            fields += ("state", row.state)
        if row.ban is not None:
            fields += ("ban", row.ban)
            commands += _ban(lb, row.player, row.ban)
        if fields:
            commands.append(("HSET", key, *fields))
        public = {name: value for name in _PUBLIC if (value := getattr(row, name)) is not None}
        if public and (row.state is None or merged_into(row.state)):
            commands.append(("HSET", lb.keys.names, row.player, orjson.dumps(public)))
        commands += [("SET", lb.keys.device(digest), row.player) for digest in (row.device or "").split()]
        for provider, subject in orjson.loads(row.identities or "{}").items():
            # The nonce tells announcements apart, and there are none yet.
            commands.append(("SET", lb.keys.identity(provider, subject), f"{row.player};-"))
    return commands


def _ban(lb: Installation, player: str, packed: str) -> list[Command]:
    """What finds a ban."""
    ends_ms = read_ban(player, packed).ends_ms
    ends: list[Command] = [] if ends_ms is None else [("ZADD", lb.keys.ban_ends, ends_ms, player)]
    return [("ZADD", lb.keys.bans, 0, player), *ends]


def _sessions(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    now = lb.clock.now_ms()
    return [("HSET", lb.keys.player(row.player), row.session, row.expires_ms) for row in rows if row.expires_ms > now]


def _friends(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    commands: list[Command] = []
    for row in rows:
        commands.append(("HSET", lb.keys.friends(row.player), row.other, row.side))
        if row.side.startswith("blocked;"):
            commands.append(("SADD", lb.keys.blockers(row.other), row.player))
    return commands


def _reviews(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    """What is held; what was decided is in the archive alone."""
    return [("HSET", lb.keys.held(row.player), row.review, row.held) for row in rows if row.state == "open"]


def _attempts(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    commands: list[Command] = []
    now = lb.clock.now_ms()
    for row in rows:
        if row.expires_ms > now:
            key = lb.keys.attempts(row.board, row.player)
            kept = Kept(row.opened_ms, row.expires_ms, row.seed, row.epoch)
            commands.append(("HSET", key, row.attempt, pack(kept)))
            # As long as the longest of them: GT does nothing where there is no expiry yet.
            commands += [("PEXPIREAT", key, row.expires_ms, when) for when in ("NX", "GT")]
    return commands


def _attempted(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    return [
        ("HSET", lb.keys.attempted(row.board), row.player, pack(Opened(row.since_ms, row.attempts))) for row in rows
    ]


def _entries(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    """Rows come in order of standings, so each standings of a share is two commands, whatever their number."""
    commands: list[Command] = []
    tables, now = lb.archive.tables, lb.clock.now_ms()
    for (board_id, period_id), group in groupby(rows, key=lambda row: (row.board, row.period_id)):
        with lb.archive.read() as connection:
            definition = connection.execute(
                select(tables.boards.c.definition).where(tables.boards.c.board == board_id)
            ).scalar_one()
            expires_ms = connection.execute(
                select(tables.standings.c.expires_ms).where(
                    tables.standings.c.board == board_id, tables.standings.c.period_id == period_id
                )
            ).scalar_one()
        if expires_ms is not None and expires_ms <= now:
            continue
        board = definitions.load(board_id, definition.encode())
        keys = lb.keys.standings(board_id, period_id)
        order: list[Any] = []
        entries: list[Any] = []
        distinct: dict[bytes, int] = {}
        width = 7 * (len(board.tiebreaks) + 1)
        for row in group:
            order_key, player = row.order_key, row.player.encode()
            score = score_of(order_key)
            place = order_key[: -len(player)]
            entries += (player, pack_entry(place, row.submissions, row.newest_ms, row.metadata))
            if row.hidden:
                continue
            order += (score, order_key[7:])
            if board.ties is Ties.DENSE:
                distinct[order_key[:width]] = score
        commands.append(("HSET", keys.entries, *entries))
        if order:
            commands.append(("ZADD", keys.order, *order))
        if distinct:
            commands.append(
                ("ZADD", keys.distinct, *(part for member, score in distinct.items() for part in (score, member)))
            )
        if expires_ms is not None:
            commands += [("PEXPIREAT", key, expires_ms, "NX") for key in keys]
    return commands


def _standings(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    return [
        ("ZADD", lb.keys.kept(row.board), "+inf" if row.expires_ms is None else row.expires_ms, row.period_id)
        for row in rows
    ]


def _seasons(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    return [("HSET", lb.keys.seasons(row.board), row.season, row.started_ms) for row in rows]


def _boards(lb: Installation, rows: Sequence[Any]) -> list[Command]:
    """The gates come last: until a board has one, nothing is read of it."""
    commands: list[Command] = []
    for row in rows:
        gate = lb.keys.gate(row.board)
        if row.definition is None:
            commands.append(("HSET", gate, "revision", row.revision, "state", "deleted"))
            continue
        commands += [
            ("HSET", lb.keys.boards, row.board, row.definition),
            ("ZADD", lb.keys.board_index, 0, row.board),
            (
                "HSET", gate, "revision", row.revision, "state", row.state, "anchors", row.anchors,
                "season", row.season, "season_at", row.season_ms, "epoch", row.epoch,
            ),
        ]  # fmt: skip
    return commands


def _replays(lb: Installation, _after: str) -> Iterator[Share]:
    """The newest idempotency keys of each player. They are few enough to be gone through at once."""
    submissions = lb.archive.tables.submissions
    since_ms = lb.clock.now_ms() - ANSWER_KEPT_MS
    newest: defaultdict[str, list[bytes]] = defaultdict(list)
    last_id = None
    while True:
        query = select(submissions.c.id, submissions.c.player, submissions.c.at_ms, submissions.c.replay)
        if last_id is not None:
            query = query.where(submissions.c.id < last_id)
        with lb.archive.read() as connection:
            rows = connection.execute(query.order_by(submissions.c.id.desc()).limit(AT_ONCE)).all()
        for row in rows:
            if row.replay and len(newest[row.player]) < KEPT_KEYS:
                newest[row.player].append(row.replay)
        if len(rows) < AT_ONCE or rows[-1].at_ms < since_ms:
            break
        last_id = rows[-1].id
    commands: list[Command] = []
    for player, records in newest.items():
        if records:
            packed = b"".join(reversed(records))
            commands.append(("SET", lb.keys.replay(player), packed, "PX", ANSWER_KEPT_MS))
    for first in range(0, len(commands), AT_ONCE):
        yield Share(commands[first : first + AT_ONCE], 0, "")


STAGES = (
    Stage("keys", _by_key("keys", _keys)),
    Stage("installation", _by_key("installation", _installation)),
    Stage("players", _by_key("players", _players)),
    Stage("sessions", _by_key("sessions", _sessions)),
    Stage("friends", _by_key("friends", _friends)),
    Stage("reviews", _by_key("reviews", _reviews)),
    Stage("attempts", _by_key("attempts", _attempts)),
    Stage("attempts opened", _by_key("attempted", _attempted)),
    Stage("entries", _by_key("entries", _entries)),
    Stage("standings", _by_key("standings", _standings)),
    Stage("seasons", _by_key("seasons", _seasons)),
    Stage("idempotency keys", _replays),
    Stage("boards", _by_key("boards", _boards)),
)
