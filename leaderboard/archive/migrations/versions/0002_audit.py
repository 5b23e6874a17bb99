"""Keep every act of an admin."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]
    op.create_table(
        f"{namespace}_audit",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", ID, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("operation", ID, nullable=False),
        sa.Column("board", ID),
        sa.Column("period_id", ID),
        sa.Column("player", ID),
        sa.Column("key_id", ID),
        sa.Column("reason", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("state_before", sa.Text),
        sa.Column("state_after", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index(f"{namespace}_audit_board", f"{namespace}_audit", ["board", "id"])
    op.create_index(f"{namespace}_audit_player", f"{namespace}_audit", ["player", "id"])
