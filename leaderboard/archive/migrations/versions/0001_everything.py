"""Make every table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]

    op.create_table(
        f"{namespace}_readers",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("previous_number", sa.BigInteger, nullable=False),
        sa.Column("previous_token", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("archived_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        f"{namespace}_installation",
        sa.Column("name", ID, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_boards",
        sa.Column("board", ID, primary_key=True),
        sa.Column("definition", sa.Text),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("season", sa.Integer),
        sa.Column("season_ms", sa.BigInteger),
        sa.Column("epoch", sa.BigInteger),
        sa.Column("anchors", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_seasons",
        sa.Column("board", ID, primary_key=True),
        sa.Column("season", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_standings",
        sa.Column("board", ID, primary_key=True),
        sa.Column("period_id", ID, primary_key=True),
        sa.Column("expires_ms", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_entries",
        sa.Column("board", ID, primary_key=True),
        sa.Column("period_id", ID, primary_key=True),
        sa.Column("player", ID, primary_key=True),
        sa.Column("order_key", sa.LargeBinary, nullable=False),
        sa.Column("submissions", sa.Integer, nullable=False),
        sa.Column("newest_ms", sa.BigInteger),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{namespace}_entries_player", f"{namespace}_entries", ["player"])
    op.create_table(
        f"{namespace}_players",
        sa.Column("player", ID, primary_key=True),
        sa.Column("created_ms", sa.BigInteger),
        sa.Column("display_name", sa.Text),
        sa.Column("avatar_url", sa.Text),
        sa.Column("country", sa.Text),
        sa.Column("platform", sa.Text),
        sa.Column("attributes", sa.Text),
        sa.Column("device", sa.Text),
        sa.Column("submissions", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("state", sa.Text),
        sa.Column("erased_until_ms", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_sessions",
        sa.Column("player", ID, primary_key=True),
        sa.Column("session", ID, primary_key=True),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_friends",
        sa.Column("player", ID, primary_key=True),
        sa.Column("other", ID, primary_key=True),
        sa.Column("side", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{namespace}_friends_other", f"{namespace}_friends", ["other"])
    op.create_table(
        f"{namespace}_keys",
        sa.Column("key_id", ID, primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{namespace}_submissions",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("board", ID, nullable=False),
        sa.Column("player", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("score", sa.BigInteger, nullable=False),
        sa.Column("decimals", sa.SmallInteger, nullable=False),
        sa.Column("tiebreaks", sa.Text, nullable=False),
        sa.Column("achieved_ms", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("replay", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(f"{namespace}_submissions_player", f"{namespace}_submissions", ["player", "id"])
