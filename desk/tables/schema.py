"""What all tables share. Values cross from and to rows in desk.records and desk.sla.records;
``LargeBinary`` columns named ``sealed`` hold JSON sealed by the vault for their row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must carry its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """A text that others wrote: PostgreSQL takes no NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def id_column() -> Column[int]:
    # SQLite numbers rows by itself only for a column of type INTEGER
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def of(table: Table, *, nullable: bool = False, index: bool = True) -> Column[int]:
    name = "mailbox" if table.name == "mailboxes" else table.name.removesuffix("s")
    return Column(f"{name}_id", ForeignKey(table.c.id), nullable=nullable, index=index)


def read_columns(table: Table) -> list[Column[Any]]:
    """All columns but the raw mail, which may weigh 40 MB and no reader of rows needs."""
    return [column for column in table.c if column.name != "raw"]


def part_of(row: RowMapping, table: Table) -> dict[str, Any]:
    """The columns of one table out of a row of joined ones."""
    return {column.name: row[column] for column in read_columns(table)}
