"""Keep the identities of players."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]
    op.add_column(f"{namespace}_players", sa.Column("identities", sa.Text))
