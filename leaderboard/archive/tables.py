"""Every table of the archive. This page is its data layout.

``lb`` stands for the namespace. All ``*_ms`` are milliseconds since 1970. Ids sort and compare by bytes, on both
databases; what is JSON is kept as text or bytes and never looked into here. A column without "or NULL" is never NULL.

About the archive itself
    ``lb_readers``        partition → how far its journal is here: generation of the store, number of the last record,
                          token and digest of the batch it came with, previous_number and previous_token of the batch
                          before; the worker's lease: owner (or NULL), epoch (grows with every change of owner),
                          until_ms; archived_ms, when the last batch was written
    ``lb_installation``   name → value: ``maintenance`` (JSON, empty when it has ended), ``signing`` (the secret that
                          signing keys are derived from)
    ``lb_schema``         the revision of these tables (leaderboard/archive/migrations)

About boards
    ``lb_boards``         board → definition (JSON as in the store, NULL once it was deleted), and what its gate
                          holds: revision, state; season, season_ms, epoch, anchors (JSON), each or NULL
    ``lb_seasons``        board, season number → started_ms; it ended when the next one started
    ``lb_standings``      board, period id → expires_ms (or NULL: never) of its entries
    ``lb_entries``        board, period id, player → order_key (score, tiebreaks, achieved_at, 7 bytes each, and player
                          id: sorted by it, best first, see store/lua/order.lua), submissions, newest_ms (or NULL where
                          it is achieved_at), metadata (leaderboard/attached.py, may be empty), hidden
                          (1 where it is in no order, as its player is banned, else 0); also found by player

About players
    ``lb_players``        player → created_ms, display_name, avatar_url, country, platform, attributes (JSON), device
                          (digests, spaces between), identities (JSON: provider → subject), each or NULL; submissions;
                          state (``erasing``, ``erased``, ``merging;into``, ``merged;into`` or NULL), erased_until_ms
                          (or NULL); ban (store/lua/ban.lua, or NULL); merged (players that were merged into it,
                          spaces between, or NULL), absorbs (one whose merge is not finished, or NULL)
    ``lb_sessions``       player, session (``s:<digest>``) → expires_ms
    ``lb_friends``        player, other → side (``state;at_ms;who``, see store/lua/friends.lua); also found by other
    ``lb_reviews``        review → player, board, at_ms, rules (the names of those that are broken, a space before and
                          after each), state (``open``, ``approved``, ``rejected``), held (what was held, packed: see
                          store/lua/review.lua), decision (JSON or NULL: who, why), decided_ms (or NULL), changed
                          (what an approval changed, packed: see leaderboard/held.py; or NULL)
    ``lb_attempts``       board, player, attempt that is open → opened_ms, expires_ms, seed, epoch (the revision its
                          board was created with); also found by player
    ``lb_attempted``      board, player → since_ms, attempts: how many it has opened since then; also found by player
    ``lb_keys``           key id → record (JSON)

What happened, one by one
    ``lb_submissions``    id (grows as the journal does) → at_ms, board, player, kind (``submission``, ``correction``,
                          ``held``, ``reopened``: an approved one that counts no more), score (scaled, as submitted)
                          and its decimals, tiebreaks (JSON), achieved_ms, metadata
                          (leaderboard/attached.py, may be empty), changed (bits), replay (28 bytes of
                          store/lua/replay.lua, or empty); also found by player
    ``lb_audit``          id (grows as the journal does) → at_ms, actor (key id, ``setting-admin``, ``cli``, …), name of
                          its key, role, operation, board, period_id, player, key_id, reason, request_id, state_before,
                          state_after (JSON), all but the first and role and operation or NULL; also found by board and
                          by player. Rows are only added; of an erased player they lose what is of the player
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.types import TypeEngine

_Kind = type[TypeEngine[Any]] | TypeEngine[Any]

#: Text in keys. PostgreSQL would otherwise sort it by the rules of some language, and differently after an upgrade.
ID = Text().with_variant(Text(collation="C"), "postgresql")

#: SQLite numbers rows by itself only where the key is called INTEGER; that has 64 bits there.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class Tables:
    """The tables of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.metadata = MetaData()
        #: Where alembic notes the revision; not one of `metadata`.
        self.schema = f"{namespace}_schema"

        def table(name: str, *columns: Column[Any], **options: Any) -> Table:
            return Table(f"{namespace}_{name}", self.metadata, *columns, **options)

        def found_by_text(name: str, *columns: Column[Any]) -> Table:
            # SQLite would keep the key twice, beside a number of its own, and look up twice.
            return table(name, *columns, sqlite_with_rowid=False)

        self.readers = table(
            "readers",
            Column("partition", Integer, primary_key=True, autoincrement=False),
            _required("generation", Text),
            _required("number", BigInteger),
            _required("token", Text),
            _required("previous_number", BigInteger),
            _required("previous_token", Text),
            _required("digest", LargeBinary),
            Column("owner", Text),
            _required("epoch", BigInteger),
            _required("until_ms", BigInteger),
            _required("archived_ms", BigInteger),
        )
        self.installation = found_by_text("installation", _id("name"), _required("value", Text))
        self.boards = found_by_text(
            "boards",
            _id("board"),
            Column("definition", Text),
            _required("revision", BigInteger),
            _required("state", Text),
            Column("season", Integer),
            Column("season_ms", BigInteger),
            Column("epoch", BigInteger),
            Column("anchors", Text),
        )
        self.seasons = found_by_text(
            "seasons",
            _id("board"),
            Column("season", Integer, primary_key=True, autoincrement=False),
            _required("started_ms", BigInteger),
        )
        self.standings = found_by_text("standings", _id("board"), _id("period_id"), Column("expires_ms", BigInteger))
        self.entries = found_by_text(
            "entries",
            _id("board"),
            _id("period_id"),
            _id("player"),
            _required("order_key", LargeBinary),
            _required("submissions", Integer),
            Column("newest_ms", BigInteger),
            _required("metadata", LargeBinary),
            Column("hidden", SmallInteger, nullable=False, server_default="0"),
        )
        Index(f"{namespace}_entries_player", self.entries.c.player)
        self.players = found_by_text(
            "players",
            _id("player"),
            Column("created_ms", BigInteger),
            Column("display_name", Text),
            Column("avatar_url", Text),
            Column("country", Text),
            Column("platform", Text),
            Column("attributes", Text),
            Column("device", Text),
            Column("submissions", BigInteger, nullable=False, server_default="0"),
            Column("state", Text),
            Column("erased_until_ms", BigInteger),
            Column("identities", Text),
            Column("ban", Text),
            Column("merged", Text),
            Column("absorbs", Text),
        )
        self.sessions = found_by_text("sessions", _id("player"), _id("session"), _required("expires_ms", BigInteger))
        self.friends = found_by_text("friends", _id("player"), _id("other"), _required("side", Text))
        Index(f"{namespace}_friends_other", self.friends.c.other)
        self.keys = found_by_text("keys", _id("key_id"), _required("record", Text))
        self.reviews = found_by_text(
            "reviews",
            _id("review"),
            _required("player", ID),
            _required("board", ID),
            _required("at_ms", BigInteger),
            _required("rules", Text),
            _required("state", Text),
            _required("held", LargeBinary),
            Column("decision", Text),
            Column("decided_ms", BigInteger),
            Column("changed", LargeBinary),
        )
        Index(f"{namespace}_reviews_state", self.reviews.c.state, self.reviews.c.at_ms)
        Index(f"{namespace}_reviews_player", self.reviews.c.player)
        self.attempts = found_by_text(
            "attempts",
            _id("board"),
            _id("player"),
            _id("attempt"),
            _required("opened_ms", BigInteger),
            _required("expires_ms", BigInteger),
            _required("seed", BigInteger),
            _required("epoch", BigInteger),
        )
        Index(f"{namespace}_attempts_player", self.attempts.c.player)
        self.attempted = found_by_text(
            "attempted",
            _id("board"),
            _id("player"),
            _required("since_ms", BigInteger),
            _required("attempts", BigInteger),
        )
        Index(f"{namespace}_attempted_player", self.attempted.c.player)
        self.submissions = table(
            "submissions",
            Column("id", NUMBER, primary_key=True),
            _required("at_ms", BigInteger),
            _required("board", ID),
            _required("player", ID),
            _required("kind", Text),
            _required("score", BigInteger),
            _required("decimals", SmallInteger),
            _required("tiebreaks", Text),
            _required("achieved_ms", BigInteger),
            _required("metadata", LargeBinary),
            _required("changed", Integer),
            _required("replay", LargeBinary),
            # A number is never given again, as on PostgreSQL.
            sqlite_autoincrement=True,
        )
        Index(f"{namespace}_submissions_player", self.submissions.c.player, self.submissions.c.id)
        self.audit = table(
            "audit",
            Column("id", NUMBER, primary_key=True),
            _required("at_ms", BigInteger),
            _required("actor", ID),
            Column("name", Text),
            _required("role", Text),
            _required("operation", ID),
            Column("board", ID),
            Column("period_id", ID),
            Column("player", ID),
            Column("key_id", ID),
            Column("reason", Text),
            Column("request_id", Text),
            Column("state_before", Text),
            Column("state_after", Text),
            sqlite_autoincrement=True,
        )
        Index(f"{namespace}_audit_board", self.audit.c.board, self.audit.c.id)
        Index(f"{namespace}_audit_player", self.audit.c.player, self.audit.c.id)


@cache
def tables(namespace: str) -> Tables:
    """The tables of a namespace, always the same objects."""
    return Tables(namespace)


def _id(name: str) -> Column[str]:
    return Column(name, ID, primary_key=True)


def _required(name: str, kind: _Kind) -> Column[Any]:
    return Column(name, kind, nullable=False)
