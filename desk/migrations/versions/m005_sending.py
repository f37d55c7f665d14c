"""Message-IDs under which a reply may have left before it was made a draft again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m005"
down_revision = "m004"


def upgrade() -> None:
    column = sa.Column("earlier_ids", sa.Text(), nullable=False, server_default="")
    op.add_column("responses", column)
