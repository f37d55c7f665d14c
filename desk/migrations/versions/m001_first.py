"""The first tables, the head of the audit log, and the triggers that keep the log append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desk.tables.schema import Instant

revision = "m001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LIVE_ONLY = "state IN ('draft', 'approved', 'sending', 'unknown', 'failed')"

SQLITE_TRIGGERS = """
CREATE TRIGGER audit_logs_no_{verb} BEFORE {verb} ON audit_logs
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
"""
POSTGRES_FUNCTION = """
CREATE FUNCTION audit_logs_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
"""
POSTGRES_TRIGGER = """
CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_append_only()
"""


def upgrade() -> None:
    create_tables()
    heads = sa.table("audit_heads", sa.column("id"), sa.column("n"), sa.column("hash"))
    op.bulk_insert(heads, [{"id": 1, "n": 0, "hash": "0" * 64}])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(SQLITE_TRIGGERS.format(verb=verb))
    else:
        op.execute(POSTGRES_FUNCTION)
        op.execute(POSTGRES_TRIGGER)


def create_tables() -> None:
    op.create_table(
        "action_keys",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=("pk_action_keys")),
    )
    op.create_table(
        "audit_heads",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_audit_heads")),
    )
    op.create_table(
        "audit_logs",
        sa.Column(
            "n",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.BigInteger(), nullable=True),
        sa.Column("verb", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("n", name=("pk_audit_logs")),
    )
    op.create_index(("ix_audit_logs_ticket_id"), "audit_logs", ["ticket_id"], unique=False)
    op.create_table(
        "conversations",
        sa.Column("network", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=255), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("network", "channel", name=("pk_conversations")),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_dead_letters")),
    )
    op.create_index(
        "ix_dead_letters_open", "dead_letters", ["is_open", "step", "target"], unique=False
    )
    op.create_table(
        "knowledge_base",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("added_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_knowledge_base")),
        sa.UniqueConstraint("name", name=("uq_knowledge_base_name")),
    )
    op.create_table(
        "mailboxes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("team", sa.String(length=64), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_mailboxes")),
        sa.UniqueConstraint("name", name=("uq_mailboxes_name")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email_index", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("team", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_users")),
        sa.UniqueConstraint("email_index", name=("uq_users_email_index")),
    )
    op.create_table(
        "identities",
        sa.Column("network", sa.String(length=16), nullable=False),
        sa.Column("external_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=("fk_identities_user_id")),
        sa.PrimaryKeyConstraint("network", "external_id", name=("pk_identities")),
    )
    op.create_index(("ix_identities_user_id"), "identities", ["user_id"], unique=False)
    op.create_table(
        "tickets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "mailbox_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("shown_version", sa.Integer(), nullable=False),
        sa.Column("subject_index", sa.String(length=64), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("urgency", sa.String(length=16), nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("score", sa.Float(precision=53), nullable=False),
        sa.Column("boosts", sa.Text(), nullable=False),
        sa.Column("assignee", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("editing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("editing_since", Instant(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["assignee"], ["users.id"], name=("fk_tickets_assignee")),
        sa.ForeignKeyConstraint(["editing"], ["users.id"], name=("fk_tickets_editing")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=("fk_tickets_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_tickets")),
    )
    op.create_index(("ix_tickets_mailbox_id"), "tickets", ["mailbox_id"], unique=False)
    op.create_index("ix_tickets_state_score", "tickets", ["state", "score"], unique=False)
    op.create_index(
        "ix_tickets_subject", "tickets", ["mailbox_id", "subject_index", "updated_at"], unique=False
    )
    op.create_table(
        "cards",
        sa.Column(
            "ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("network", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=255), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("posted_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=("fk_cards_ticket_id")),
        sa.UniqueConstraint(
            "ticket_id", "network", "channel", name=("uq_cards_ticket_id_network_channel")
        ),
    )
    op.create_table(
        "emails",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "mailbox_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column(
            "ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("provider_key", sa.String(length=1000), nullable=False),
        sa.Column("message_id", sa.String(length=998), nullable=False),
        sa.Column("sender_index", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=("fk_emails_mailbox_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=("fk_emails_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_emails")),
        sa.UniqueConstraint(
            "mailbox_id", "provider_key", name=("uq_emails_mailbox_id_provider_key")
        ),
    )
    op.create_index("ix_emails_bytes", "emails", ["mailbox_id", "sha256"], unique=False)
    op.create_index("ix_emails_message", "emails", ["message_id"], unique=False)
    op.create_index(("ix_emails_sender_index"), "emails", ["sender_index"], unique=False)
    op.create_index(("ix_emails_ticket_id"), "emails", ["ticket_id"], unique=False)
    op.create_table(
        "escalations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("rung", sa.String(length=32), nullable=False),
        sa.Column("clock", sa.Integer(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("fired_at", Instant(), nullable=True),
        sa.Column(
            "acknowledged_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("acknowledged_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"], ["users.id"], name=("fk_escalations_acknowledged_by")
        ),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=("fk_escalations_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_escalations")),
        sa.UniqueConstraint(
            "ticket_id", "rung", "clock", name=("uq_escalations_ticket_id_rung_clock")
        ),
    )
    op.create_table(
        "classifications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sentiment", sa.String(length=16), nullable=False),
        sa.Column("sentiment_confidence", sa.Float(), nullable=False),
        sa.Column("urgency", sa.String(length=16), nullable=False),
        sa.Column("urgency_confidence", sa.Float(), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("category_confidence", sa.Float(), nullable=False),
        sa.Column("unsure", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["email_id"], ["emails.id"], name=("fk_classifications_email_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_classifications")),
    )
    op.create_index(("ix_classifications_email_id"), "classifications", ["email_id"], unique=False)
    op.create_table(
        "responses",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("email_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("writer", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("prompt", sa.String(length=32), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("edited_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "approved_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("approved_at", Instant(), nullable=True),
        sa.Column("send_after", Instant(), nullable=True),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["approved_by"], ["users.id"], name=("fk_responses_approved_by")),
        sa.ForeignKeyConstraint(["edited_by"], ["users.id"], name=("fk_responses_edited_by")),
        sa.ForeignKeyConstraint(["email_id"], ["emails.id"], name=("fk_responses_email_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=("fk_responses_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_responses")),
    )
    op.create_index(("ix_responses_email_id"), "responses", ["email_id"], unique=False)
    op.create_index("ix_responses_state", "responses", ["state", "send_after"], unique=False)
    op.create_index(("ix_responses_ticket_id"), "responses", ["ticket_id"], unique=False)
    op.create_index(
        "uq_responses_live",
        "responses",
        ["ticket_id"],
        unique=True,
        sqlite_where=sa.text(LIVE_ONLY),
        postgresql_where=sa.text(LIVE_ONLY),
    )
