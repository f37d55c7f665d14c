"""What deduplication, sent mail and sign-ins need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desk.tables.schema import Instant

revision = "m004"
down_revision = "m003"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    relate_emails()
    create_answers()
    create_sign_ins()
    create_files()


def relate_emails() -> None:
    for name, type, default in (
        ("relation", sa.String(16), "mail"),
        ("content_index", sa.String(64), ""),
        ("thread", sa.String(255), ""),
    ):
        op.add_column("emails", sa.Column(name, type, nullable=False, server_default=default))
    op.add_column("emails", sa.Column("copy_of", NUMBER, nullable=True))
    op.create_index("ix_emails_content", "emails", ["mailbox_id", "content_index"])
    op.create_index("ix_emails_thread", "emails", ["mailbox_id", "thread"])


def create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("mailbox_id", NUMBER, nullable=False),
        sa.Column("ticket_id", NUMBER, nullable=False),
        sa.Column("email_id", NUMBER, nullable=False),
        sa.Column("provider_key", sa.String(1000), nullable=False),
        sa.Column("message_index", sa.String(64), nullable=False),
        sa.Column("sent_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_answers_mailbox_id"),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_answers_ticket_id"),
        sa.ForeignKeyConstraint(["email_id"], ["emails.id"], name="fk_answers_email_id"),
        sa.PrimaryKeyConstraint("id", name="pk_answers"),
        sa.UniqueConstraint(
            "mailbox_id", "provider_key", name="uq_answers_mailbox_id_provider_key"
        ),
    )
    op.create_index("ix_answers_ticket_id", "answers", ["ticket_id"])
    op.create_index("ix_answers_message_index", "answers", ["message_index"])


def create_sign_ins() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("mailbox_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_sign_ins_mailbox_id"),
        sa.PrimaryKeyConstraint("mailbox_id", name="pk_sign_ins"),
    )


def create_files() -> None:
    op.create_table(
        "files",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("response_id", NUMBER, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["response_id"], ["responses.id"], name="fk_files_response_id"),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.UniqueConstraint("response_id", "sha256", name="uq_files_response_id_sha256"),
    )
