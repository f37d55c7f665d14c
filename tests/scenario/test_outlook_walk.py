"""Outlook's mail through intake into the records, and replies out of them through Outlook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email import message_from_bytes
from email.utils import parseaddr

import pytest

from desk.email import ParsedEmail
from desk.ids import MailboxId, TicketId
from desk.moves import Verb
from desk.response import ResponseState
from desk.steps import Step
from desk.store import Store
from mail.outlook import OutlookProvider
from mail.parse import parse
from tests.doubles.desk import FastClock, ListQueue, scene
from tests.doubles.graph import Fault, Graph, graph
from workers.intake import Intake
from workers.sending import Sending

QUIRKS = ["shuffled", "empty_pages", "duplicates", "replays", "sparse"]


@dataclass
class Line:
    """One Outlook mailbox and the desk that reads it."""

    service: Graph
    provider: OutlookProvider
    store: Store
    mailbox: MailboxId

    async def take_in(self) -> None:
        queue = ListQueue([(Step.INTAKE, self.mailbox)])
        intake = Intake(self.store, queue, {self.mailbox: self.provider}, read)
        while (Step.INTAKE, self.mailbox) in queue.jobs:
            queue.jobs.clear()
            await intake(self.mailbox)

    async def tickets(self) -> int:
        counts = await self.store.counts()
        return sum(counts.values()) - counts["sent"]


async def read(raw: bytes) -> ParsedEmail:
    return await asyncio.to_thread(parse, raw)


@pytest.fixture
async def line(store: Store) -> AsyncIterator[Line]:
    async with store.change() as change:
        box = await change.add_mailbox("sales", "desk@contoso.example", "outlook")
    async with graph() as service, service.opened() as provider:
        yield Line(service, provider, store, box.id)


def question(number: int, sender: str = "") -> bytes:
    who = sender or f"customer{number}@example.org"
    head = f"Message-ID: <{number}@example.org>\r\nFrom: {who}\r\nTo: desk@contoso.example\r\n"
    return f"{head}Subject: Question {number}\r\n\r\nHow does part {number} work?\r\n".encode()


async def test_each_mail_becomes_one_ticket_whatever_graph_does(line: Line) -> None:
    for quirk in QUIRKS:
        setattr(line.service.box.quirks, quirk, True)
    for number in range(12):
        line.service.box.deliver(question(number))
    await line.take_in()
    assert await line.tickets() == 12
    line.service.box.forget_tokens()
    for number in range(12, 15):
        line.service.box.deliver(question(number))
    await line.take_in()
    assert await line.tickets() == 15


async def test_an_answer_written_in_outlook_ends_the_ticket(line: Line) -> None:
    line.service.box.deliver(question(1))
    await line.take_in()
    answer = (
        b"Message-ID: <a@contoso.example>\r\nFrom: desk@contoso.example\r\n"
        b"To: customer1@example.org\r\nIn-Reply-To: <1@example.org>\r\n"
        b"Subject: Re: Question 1\r\n\r\nIt does so like this.\r\n"
    )
    line.service.box.deliver(answer, folder="sentitems")
    await line.take_in()
    assert await line.tickets() == 1
    assert (await line.store.view(TicketId(1))).answered_at is not None


@pytest.mark.parametrize(
    ("fault", "state", "leaves"),
    [
        (None, ResponseState.SENT, 1),
        (Fault("/send", 504, done=True), ResponseState.SENT, 1),
        (Fault("/send", 504), ResponseState.APPROVED, 0),
        (Fault("/send", 400, "ErrorInvalidRecipients"), ResponseState.FAILED, 0),
    ],
)
async def test_a_reply_leaves_once_and_the_record_knows(
    store: Store, fault: Fault | None, state: ResponseState, leaves: int
) -> None:
    at, clock = await scene(store), store.clock
    assert isinstance(clock, FastClock)
    await at.actions.act(await at.request(Verb.APPROVE))
    clock.forward(minutes=1)
    response = await at.response()
    assert response is not None
    async with graph() as service, service.opened() as provider:
        service.faults.extend([fault] if fault else [])
        sending = Sending(store, at.queue, {at.ticket.mailbox_id: provider}, {})
        await sending(response.id)
        left = [message_from_bytes(raw) for raw in service.box.left]
    assert (await store.response(response.id)).state is state
    assert len(left) == leaves
    assert [parseaddr(str(mail["To"]))[1] for mail in left] == ["priya@lindqvist.example"] * leaves
