"""Make the tables of attempts: those that are open, and how many were opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]

    op.create_table(
        f"{namespace}_attempts",
        sa.Column("board", ID, primary_key=True),
        sa.Column("player", ID, primary_key=True),
        sa.Column("attempt", ID, primary_key=True),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{namespace}_attempts_player", f"{namespace}_attempts", ["player"])
    op.create_table(
        f"{namespace}_attempted",
        sa.Column("board", ID, primary_key=True),
        sa.Column("player", ID, primary_key=True),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{namespace}_attempted_player", f"{namespace}_attempted", ["player"])
