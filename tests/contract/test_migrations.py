"""What an earlier version wrote is there after the upgrade."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import column, insert, table

from desk.engine import create_engine, upgrade
from desk.ids import MailboxId
from desk.store import Store
from desk.tables.mailboxes import mailboxes
from desk.tables.schema import Instant
from desk.troubles import Part, Trouble
from tests.doubles.databases import new_database, url_of_file
from tests.doubles.desk import START, new_vault

BEFORE = table(
    "troubles",
    column("mailbox_id"),
    *(column(name, Instant()) for name in ("since", "tell_at", "told_at")),
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return url_of_file(tmp_path / "desk.db")
    return await new_database(request.getfixturevalue("postgres_socket"))


async def test_who_was_told_of_a_mailbox_that_cannot_be_read_hears_of_its_end(
    url: str, tmp_path: Path
) -> None:
    await upgrade(url, "m006")
    told = START + timedelta(minutes=15)
    box = {"id": 1, "name": "support", "address": "a@b.example", "kind": "imap", "team": ""}
    episode = {"mailbox_id": 1, "since": START, "tell_at": told, "told_at": told}
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.execute(insert(mailboxes).values(**box, checkpoint="", problem="It broke"))
        await connection.execute(insert(BEFORE).values(episode))
    await engine.dispose()
    await upgrade(url)
    async with Store.open(url, new_vault(tmp_path)) as store:
        assert await store.troubles() == [
            Trouble(MailboxId(1), Part.READING, "It broke", START, told, told, None)
        ]
