"""Merging: who was merged into a player, and whose merge is not finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]
    op.add_column(f"{namespace}_players", sa.Column("merged", sa.Text))
    op.add_column(f"{namespace}_players", sa.Column("absorbs", sa.Text))
