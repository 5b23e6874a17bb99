"""Everything that is stored about a player, for that player. All of it comes from the archive, of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import Connection, select

from leaderboard import definitions
from leaderboard.archive.freshness import wait_for_archive
from leaderboard.audit import KeptAct, read_act
from leaderboard.bans import Ban, read_ban
from leaderboard.entries import place_of, read_entry
from leaderboard.held import Held, read_held
from leaderboard.model import Board, Entry
from leaderboard.players import Profile, get_profile

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How long a request waits for the archive to get what has just happened.
WAIT_S = 3.0


@dataclass(frozen=True, slots=True)
class KeptFriend:
    player: str
    state: str
    since_ms: int
    #: Whose act it was: a player, or `server`.
    by: str


@dataclass(frozen=True, slots=True)
class KeptEntry:
    board: Board
    period_id: str
    #: Without a rank: the standings may be over and gone from the store.
    entry: Entry
    submissions: int


@dataclass(frozen=True, slots=True)
class KeptSubmission:
    at_ms: int
    board: str
    kind: str
    #: Scaled by `decimals`.
    score: int
    decimals: int
    tiebreaks: dict[str, int]
    achieved_ms: int
    metadata: bytes


@dataclass(frozen=True, slots=True)
class KeptReview:
    id: str
    board: str
    at_ms: int
    state: str
    rules: list[str]
    held: Held


@dataclass(frozen=True, slots=True)
class KeptAttempt:
    """An attempt that is open."""

    id: str
    board: str
    seed: int
    opened_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class KeptCount:
    """How many attempts it has opened on a board since an instant."""

    board: str
    since_ms: int
    opened: int


@dataclass(frozen=True, slots=True)
class PlayerData:
    profile: Profile
    at_ms: int
    #: The hashes of the device ids that it signs in with.
    devices: list[str]
    #: The players that were merged into it. What they submitted, and have in settled standings, is theirs still.
    merged: list[str]
    #: When its sessions end.
    sessions_ms: list[int]
    friends: list[KeptFriend]
    entries: list[KeptEntry]
    submissions: list[KeptSubmission]
    reviews: list[KeptReview]
    attempts: list[KeptAttempt]
    attempts_opened: list[KeptCount]
    #: What admins did to it, oldest first; by whom is not the player's.
    acts: list[KeptAct]
    #: None where there is none, and for the player itself.
    ban: Ban | None


def export_player(lb: Installation, player: str, *, with_ban: bool) -> PlayerData:
    """`with_ban` is for others than the player: one that is shadow-banned must not be told.

    Raises player_not_found, player_erased, player_merged; archive_unavailable when it is away or too far behind.
    """
    profile = get_profile(lb, player)
    wait_for_archive(lb, WAIT_S)
    sessions = lb.archive.tables.sessions
    with lb.archive.read() as connection:
        merged = merged_players(lb, connection, player)
        own = [player, *merged]
        return PlayerData(
            profile,
            lb.clock.now_ms(),
            _devices(lb, connection, own),
            merged,
            list(
                connection.scalars(
                    select(sessions.c.expires_ms).where(sessions.c.player == player).order_by("expires_ms")
                )
            ),
            list(_friends(lb, connection, own)),
            list(_entries(lb, connection, own)),
            submissions_of(lb, connection, own),
            list(_reviews(lb, connection, own)),
            list(_attempts(lb, connection, own)),
            list(_attempts_opened(lb, connection, own)),
            list(_acts(lb, connection, own, with_bans=with_ban)),
            _ban(lb, connection, player) if with_ban else None,
        )


def merged_players(lb: Installation, connection: Connection, player: str) -> list[str]:
    """Who was merged into a player, or is being."""
    players = lb.archive.tables.players
    row = connection.execute(select(players.c.merged, players.c.absorbs).where(players.c.player == player)).first()
    if row is None:
        return []
    absorbed = [*merged_players(lb, connection, row.absorbs), row.absorbs] if row.absorbs else []
    return [*(row.merged or "").split(), *absorbed]


def _devices(lb: Installation, connection: Connection, own: list[str]) -> list[str]:
    players = lb.archive.tables.players
    packed = connection.scalars(select(players.c.device).where(players.c.player.in_(own)))
    return sorted(digest for digests in packed for digest in (digests or "").split())


def _ban(lb: Installation, connection: Connection, player: str) -> Ban | None:
    players = lb.archive.tables.players
    packed = connection.scalar(select(players.c.ban).where(players.c.player == player))
    return read_ban(player, packed) if packed else None


def _friends(lb: Installation, connection: Connection, own: list[str]) -> Iterator[KeptFriend]:
    friends = lb.archive.tables.friends
    for row in connection.execute(select(friends).where(friends.c.player.in_(own)).order_by(friends.c.other)):
        state, at_ms, by = row.side.split(";", 2)
        yield KeptFriend(row.other, state, int(at_ms), by)


def _entries(lb: Installation, connection: Connection, own: list[str]) -> Iterator[KeptEntry]:
    entries, boards = lb.archive.tables.entries, lb.archive.tables.boards
    rows = connection.execute(
        select(entries, boards.c.definition)
        .join(boards, boards.c.board == entries.c.board)
        .where(entries.c.player.in_(own))
        .order_by(entries.c.board, entries.c.period_id, entries.c.player)
    )
    for row in rows:
        board = definitions.load(row.board, row.definition.encode())
        head = row.order_key[: -len(row.player)]
        packed = head + bytes(4) + row.metadata
        entry = read_entry(board, 0, place_of(board, row.player, packed), packed, None)
        yield KeptEntry(board, row.period_id, entry, row.submissions)


def _reviews(lb: Installation, connection: Connection, own: list[str]) -> Iterator[KeptReview]:
    reviews = lb.archive.tables.reviews
    for row in connection.execute(select(reviews).where(reviews.c.player.in_(own)).order_by(reviews.c.at_ms)):
        yield KeptReview(row.review, row.board, row.at_ms, row.state, row.rules.split(), read_held(row.held))


def _attempts(lb: Installation, connection: Connection, own: list[str]) -> Iterator[KeptAttempt]:
    table, now = lb.archive.tables.attempts, lb.clock.now_ms()
    query = select(table).where(table.c.player.in_(own), table.c.expires_ms > now).order_by(table.c.opened_ms)
    for row in connection.execute(query):
        yield KeptAttempt(row.attempt, row.board, row.seed, row.opened_ms, row.expires_ms)


def _attempts_opened(lb: Installation, connection: Connection, own: list[str]) -> Iterator[KeptCount]:
    table = lb.archive.tables.attempted
    for row in connection.execute(select(table).where(table.c.player.in_(own)).order_by(table.c.board)):
        yield KeptCount(row.board, row.since_ms, row.attempts)


def submissions_of(
    lb: Installation, connection: Connection, own: list[str], *, board: str | None = None, newest: int | None = None
) -> list[KeptSubmission]:
    """What a player submitted, under all its ids, oldest first; or the newest so many, on one board, newest first."""
    submissions = lb.archive.tables.submissions
    query = select(submissions).where(submissions.c.player.in_(own))
    if board is not None:
        query = query.where(submissions.c.board == board)
    if newest is not None:
        query = query.order_by(submissions.c.id.desc()).limit(newest)
    else:
        query = query.order_by(submissions.c.id)
    return [
        KeptSubmission(
            row.at_ms, row.board, row.kind, row.score, row.decimals, orjson.loads(row.tiebreaks), row.achieved_ms,
            row.metadata,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def _acts(lb: Installation, connection: Connection, own: list[str], *, with_bans: bool) -> Iterator[KeptAct]:
    audit = lb.archive.tables.audit
    query = select(audit).where(audit.c.player.in_(own)).order_by(audit.c.id)
    if not with_bans:
        query = query.where(audit.c.operation.not_in(("put_ban", "delete_ban")))
    for row in connection.execute(query):
        yield read_act(row)
