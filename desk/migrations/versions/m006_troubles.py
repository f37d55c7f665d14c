"""Mailboxes that cannot be read: since when, and whether managers were told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desk.tables.schema import Instant

revision = "m006"
down_revision = "m005"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "troubles",
        sa.Column("mailbox_id", NUMBER, nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("tell_at", Instant(), nullable=False),
        sa.Column("told_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_troubles_mailbox_id"),
        sa.PrimaryKeyConstraint("mailbox_id", name="pk_troubles"),
    )
