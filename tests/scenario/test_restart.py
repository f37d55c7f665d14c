"""The whole of Maildesk, killed in the middle of its first mails: none is lost, none is doubled."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.maildesk import ROOT, running

SAMPLES = len(list((ROOT / "samples" / "mailbox").glob("*.eml")))
CONVERSATIONS = SAMPLES - 1  # one sample goes on with the matter of an earlier one
COUNT = "SELECT count(*), count(DISTINCT sha256), count(DISTINCT ticket_id) FROM emails"


def counted(data: Path) -> tuple[int, int, int]:
    """Mails, different mails, tickets."""
    connection = sqlite3.connect(data / "desk.db", timeout=10)
    try:
        mails, different, tickets = connection.execute(COUNT).fetchone()
        return mails, different, tickets
    finally:
        connection.close()


def delivered(data: Path) -> int:
    """How far the feed came."""
    return len(list((data / "mail" / "support" / "new").glob("*")))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - another process works
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_killed_during_the_feed_every_mail_is_a_ticket_once(tmp_path: Path) -> None:
    data = tmp_path / "var"
    for part in (10, 25):
        async with running(data) as maildesk:
            await until(lambda: delivered(data) >= part)  # noqa: B023 - awaited at once
            await maildesk.kill()
        assert delivered(data) < SAMPLES, "it was killed too late to show anything"
    async with running(data) as maildesk:
        await until(lambda: counted(data)[0] >= SAMPLES)
        assert await maildesk.stop() == 0
    assert counted(data) == (SAMPLES, SAMPLES, CONVERSATIONS)
