"""What SLA clocks and escalations need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desk.tables.schema import Instant

revision = "m002"
down_revision = "m001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("tickets", sa.Column("snoozed_until", Instant()))
    op.add_column("escalations", sa.Column("moot", sa.String(32)))
    create_clocks()
    create_alerts()


def create_clocks() -> None:
    op.create_table(
        "sla_clocks",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("ticket_id", NUMBER, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("goal", sa.String(16), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("running_since", Instant()),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("next_at", Instant()),
        sa.Column("due_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.Column("is_aimed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_sla_clocks_ticket_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sla_clocks"),
        sa.UniqueConstraint("ticket_id", "number", name="uq_sla_clocks_ticket_id_number"),
    )
    op.create_index("ix_sla_clocks_next_at", "sla_clocks", ["next_at"])


def create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("escalation_id", NUMBER, nullable=False),
        sa.Column("network", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(255), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("shown", sa.String(64), nullable=False),
        sa.Column("posted_at", Instant()),
        sa.ForeignKeyConstraint(
            ["escalation_id"], ["escalations.id"], name="fk_alerts_escalation_id"
        ),
        sa.UniqueConstraint(
            "escalation_id",
            "network",
            "channel",
            name="uq_alerts_escalation_id_network_channel",
        ),
    )
