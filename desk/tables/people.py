"""Users, where they are known, and the customers who matter most."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table

from desk.tables.schema import Instant, id_column, metadata, of

users = Table(
    "users",
    metadata,
    id_column(),
    Column("email_index", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("team", String(64), nullable=False, default=""),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("network", String(16), primary_key=True),
    Column("external_id", String(128), primary_key=True),
    of(users),
)

conversations = Table(
    "conversations",
    metadata,
    Column("network", String(16), primary_key=True),
    Column("channel", String(255), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

vips = Table(
    "vips",
    metadata,
    # of an address, or of a domain with its @
    Column("key", String(64), primary_key=True),
    Column("added_by", ForeignKey(users.c.id)),
    Column("added_at", Instant, nullable=False),
)
