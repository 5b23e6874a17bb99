"""Bans: who is banned, and which entries that hides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]
    op.add_column(f"{namespace}_entries", sa.Column("hidden", sa.SmallInteger, nullable=False, server_default="0"))
    op.add_column(f"{namespace}_players", sa.Column("ban", sa.Text))
