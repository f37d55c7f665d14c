"""What dead letters and priorities need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desk.tables.schema import Instant

revision = "m003"
down_revision = "m002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # made anew: reasons lay there in plain text, and what is still wanted the sweep queues again
    op.drop_table("dead_letters")
    op.create_table(
        "dead_letters",
        sa.Column("id", ID, nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(255), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("reported_at", Instant(), nullable=True),
        sa.Column("ending", sa.String(16), nullable=True),
        sa.Column("closed_by", ID, nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["closed_by"], ["users.id"], name="fk_dead_letters_closed_by"),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
    )
    op.create_index("ix_dead_letters_ticket_id", "dead_letters", ["ticket_id"])
    op.create_index(
        "uq_dead_letters_open",
        "dead_letters",
        ["step", "target"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("error", sa.String(255), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
    )
    op.create_index("ix_attempts_at", "attempts", ["at"])
    op.create_index("ix_attempts_job", "attempts", ["step", "target"])
    op.create_table(
        "vips",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("added_by", ID, nullable=True),
        sa.Column("added_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["added_by"], ["users.id"], name="fk_vips_added_by"),
        sa.PrimaryKeyConstraint("key", name="pk_vips"),
    )
