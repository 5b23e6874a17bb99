"""Make the table of reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]

    op.create_table(
        f"{namespace}_reviews",
        sa.Column("review", ID, primary_key=True),
        sa.Column("player", ID, nullable=False),
        sa.Column("board", ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("held", sa.LargeBinary, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("decided_ms", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{namespace}_reviews_state", f"{namespace}_reviews", ["state", "at_ms"])
    op.create_index(f"{namespace}_reviews_player", f"{namespace}_reviews", ["player"])
