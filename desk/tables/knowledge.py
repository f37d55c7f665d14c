"""The articles."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from desk.tables.schema import Instant, Words, id_column, metadata

knowledge_base = Table(
    "knowledge_base",
    metadata,
    id_column(),
    Column("name", String(255), nullable=False, unique=True),
    Column("title", Words, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("passages", Integer, nullable=False),
    Column("added_at", Instant, nullable=False),
)
