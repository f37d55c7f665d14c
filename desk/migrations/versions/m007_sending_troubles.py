"""Mailboxes that cannot be sent from, beside those that cannot be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desk.tables.schema import Instant

revision = "m007"
down_revision = "m006"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    connection = op.get_bind()
    times = "t.since, t.tell_at, t.told_at, t.ended_at"
    known = connection.execute(
        sa.text(
            f"SELECT t.mailbox_id, 'reading' AS part, m.problem, {times}"  # noqa: S608 - no input
            " FROM troubles t JOIN mailboxes m ON m.id = t.mailbox_id"
        ).columns(since=Instant(), tell_at=Instant(), told_at=Instant(), ended_at=Instant())
    )
    rows = [dict(row) for row in known.mappings()]
    op.drop_table("troubles")
    made = op.create_table(
        "troubles",
        sa.Column("mailbox_id", NUMBER, nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("tell_at", Instant(), nullable=False),
        sa.Column("told_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_troubles_mailbox_id"),
        sa.PrimaryKeyConstraint("mailbox_id", "part", name="pk_troubles"),
    )
    if rows:
        op.bulk_insert(made, rows)
