"""A desk with one Gmail mailbox, and mails to put into it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from desk.ids import MailboxId
from desk.store import Store
from desk.tables.tickets import answers, emails
from mail.gmail import GmailProvider
from mail.provider import Arrival, Origin, Page
from tests.doubles.desk import ListQueue
from tests.doubles.google import Google
from tests.doubles.google_account import gmail_account
from tests.doubles.mailbox import parse_here
from workers.intake import Intake


def mail(number: int) -> bytes:
    """Each by somebody else, on something else: no two are copies."""
    lines = [
        f"Message-ID: <m{number}@customer{number}.example>",
        f"From: Customer {number} <somebody@customer{number}.example>",
        "To: support@lanewright.example",
        f"Subject: Question {number}",
        "",
        f"What about order {number * 7919}?",
        "",
    ]
    return "\r\n".join(lines).encode()


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def subject(raw: bytes) -> str:
    return raw.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()


def numbers(page: Page) -> list[int]:
    return [int(subject(one.raw).removeprefix("Question ")) for one in page.arrivals]


def origin_of(arrival: Arrival) -> Origin:
    return Origin(arrival.key, arrival.thread)


@dataclass
class House:
    """A mailbox whose mail is taken in."""

    store: Store
    google: Google
    id: MailboxId
    problems: list[str] = field(default_factory=list)

    async def take_in(
        self, provider: GmailProvider, pages: int = 1_000_000, seconds: float = 40.0
    ) -> None:
        """As the schedule does: again and again, until it went well and there is no more, or so
        many ``pages`` were taken in."""
        queue = ListQueue()
        intake = Intake(self.store, queue, {self.id: provider}, parse_here)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            queue.jobs.clear()
            await intake(self.id)
            problem = (await self.store.mailbox(self.id)).problem
            if problem:
                self.problems.append(problem)
                await asyncio.sleep(0.05)
                continue
            pages -= 1
            if pages == 0 or not any(step == "intake" for step, _ in queue.jobs):
                return
        pytest.fail(f"never done: {self.problems[-3:]}")

    async def taken(self) -> list[int]:
        """The numbers of all mails that were taken in, each as often as it was."""
        query = select(emails.c.message_id).where(emails.c.mailbox_id == self.id)
        async with self.store.read() as connection:
            ids = (await connection.scalars(query)).all()
        return sorted(int(id.removeprefix("<m").partition("@")[0]) for id in ids)

    async def taken_subjects(self) -> list[str]:
        """In the order in which they were taken in."""
        query = select(emails.c.id).where(emails.c.mailbox_id == self.id).order_by(emails.c.id)
        async with self.store.read() as connection:
            ids = (await connection.scalars(query)).all()
        return [(await self.store.email(id)).parsed.subject for id in ids]

    async def answers(self) -> int:
        async with self.store.read() as connection:
            return (await connection.scalar(select(func.count()).select_from(answers))) or 0


@asynccontextmanager
async def gmail_house(store: Store, emulator: str) -> AsyncIterator[House]:
    async with gmail_account(emulator) as google:
        async with store.change() as change:
            box = await change.add_mailbox("support", google.address, "gmail")
        yield House(store, google, box.id)
