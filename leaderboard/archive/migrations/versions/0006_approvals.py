"""What approvals changed, so that they can be taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    namespace = op.get_context().opts["namespace"]
    op.add_column(f"{namespace}_reviews", sa.Column("changed", sa.LargeBinary))
