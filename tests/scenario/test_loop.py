"""Two desks whose people approve everything at once, wired to answer each other: they stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desk.action import ActionRequest, Result, Seen
from desk.email import Address
from desk.engine import upgrade
from desk.ids import TicketId
from desk.moves import Verb
from desk.response import Draft, Envelope, ResponseState
from desk.steps import Step
from desk.store import Store
from mail.provider import message_id_of
from tests.doubles.desk import FastClock, job, mail, new_vault, received
from tests.doubles.house import House, made_house
from tests.doubles.mailbox import raw_mail
from tests.doubles.redis import RealRedis
from workers.drafting import SENDER_REPLIES, TICKET_REPLIES
from workers.queue import RedisQueue

OURS, THEIRS = "support@lanewright.example", "desk@other.example"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    return ours, theirs


@asynccontextmanager
async def desk(folder: Path, redis: RealRedis, address: str) -> AsyncIterator[House]:
    url = f"sqlite+aiosqlite:///{folder / 'desk.db'}"
    await upgrade(url)
    clock = FastClock(datetime.now(UTC))
    prefix = f"{{{folder.name}}}"
    async with (
        Store.open(url, new_vault(folder), clock) as store,
        RedisQueue(redis.url, prefix) as queue,
    ):
        yield await made_house(store, clock, queue, address)


async def answer(house: House, key: str) -> bool:
    """Read what came, approve the draft, send it; False when there is none to approve."""
    await house.settle()
    response = (await house.view()).response
    if response is None or response.state is not ResponseState.DRAFT:
        return False
    if not response.envelope.text.strip():
        return False
    await house.act(Verb.APPROVE, key)
    await house.leave()
    return True


def carry(mails: list[bytes], house: House) -> None:
    """What one side sent arrives at the other."""
    for raw in mails[len(house.mailbox.arrivals) :]:
        house.mailbox.arrive(raw)


async def test_two_desks_that_answer_each_other_stop(
    folders: tuple[Path, Path], real_redis: RealRedis
) -> None:
    async with (
        desk(folders[0], real_redis, OURS) as ours,
        desk(folders[1], real_redis, THEIRS) as theirs,
    ):
        first = raw_mail("Your offer", "Please send us your new price list.", "<1@other.example>")
        ours.mailbox.arrive(first.replace(b"priya@lindqvist.example", THEIRS.encode()))
        for round in range(8):
            is_ours = await answer(ours, f"o{round}")
            carry(ours.mailbox.sent, theirs)
            is_theirs = await answer(theirs, f"t{round}")
            carry([b"", *theirs.mailbox.sent], ours)
            if not (is_ours or is_theirs):
                break
        assert (len(ours.mailbox.sent), len(theirs.mailbox.sent)) == (3, 3)
        assert round == 3
        assert await tickets(ours) == await tickets(theirs) == 1


async def reply(house: House, id: TicketId) -> str:
    """Approve and send the draft; the reason when there is none."""
    response = (await house.view(id)).response
    assert response is not None
    if not response.envelope.text:
        return response.draft.reason
    seen = Seen(response.id, response.version, response.hash)
    outcome = await house.actions.act(
        ActionRequest(f"a{response.id}", house.ann, Verb.APPROVE, id, seen)
    )
    assert outcome.result is Result.DONE
    house.clock.forward(seconds=31)
    await house.queue.remove(Step.SENDING, response.id)
    await house.queue.put(job(Step.SENDING, response.id, 0.0))
    await house.runner.drain()
    return ""


async def answered(house: House, sender: str, subject: str) -> TicketId:
    """Somebody wrote, and a reply has left."""
    parsed = mail(subject, sender=Address("", sender))
    new = received(parsed, subject, house.clock.now())
    async with house.store.change() as change:
        ticket = await change.open_ticket(house.box, new, 1.0)
        email = await change.receive(ticket, new)
        content = Envelope((parsed.sender,), (), "Re: x", "Hello")
        response = await change.add_response(ticket, email.id, content, Draft("Hello"))
        await change.move_response(response, Verb.DELIVER, {"sent_at": change.now})
    return ticket.id


async def test_one_address_is_answered_so_often_an_hour_whatever_it_writes_about(
    folders: tuple[Path, Path], real_redis: RealRedis
) -> None:
    async with desk(folders[0], real_redis, OURS) as house:
        for number in range(SENDER_REPLIES):
            await answered(house, "Robot@Other.example", f"Case {number}")
        for number, is_drafted in ((1, False), (2, True)):
            raw = raw_mail(f"Robot {number}", f"Case {number * 7919}.", f"<m{number}@x>")
            house.mailbox.arrive(raw.replace(b"priya@lindqvist.example", b"robot@other.example"))
            await house.settle()
            response = (await house.view(SENDER_REPLIES + number)).response
            assert response is not None
            assert bool(response.envelope.text) is is_drafted
            assert is_drafted or "Perhaps a machine answers there" in response.draft.reason
            house.clock.forward(minutes=61)


async def test_one_conversation_is_answered_so_often_an_hour_whoever_writes(
    folders: tuple[Path, Path], real_redis: RealRedis
) -> None:
    """A machine that writes from an address of its own each time."""
    async with desk(folders[0], real_redis, OURS) as house:
        for number in range(TICKET_REPLIES + 1):
            before = message_id_of(house.mailbox.sent[-1]) if number else ""
            raw = raw_mail(f"Case {number}", f"It is {number * 7919}.", f"<m{number}@x>", before)
            who = f"robot+{number}@other.example".encode()
            house.mailbox.arrive(raw.replace(b"priya@lindqvist.example", who))
            await house.settle()
            reason = await reply(house, TicketId(1))
            assert ("Perhaps a machine" in reason) is (number == TICKET_REPLIES)
        assert len(house.mailbox.sent) == TICKET_REPLIES


@pytest.mark.parametrize(
    "odd",
    [
        "Auto-Submitted: (on holiday) AUTO-REPLIED; owner-email=x@y",
        "Auto-Submitted: no\nAuto-Submitted: auto-replied",
        "X-Autogenerated: Reply",
        "Precedence: Auto_Reply",
        "Return-Path: <>",
    ],
)
async def test_an_automatic_answer_with_odd_headers_gets_no_draft(
    folders: tuple[Path, Path], real_redis: RealRedis, odd: str
) -> None:
    async with desk(folders[0], real_redis, OURS) as house:
        house.mailbox.arrive(raw_mail("Help", "It leaks.", "<1@x>"))
        await house.settle()
        assert await reply(house, TicketId(1)) == ""
        answer = raw_mail("Re: Help", "I am away.", "<2@x>", message_id_of(house.mailbox.sent[0]))
        house.mailbox.arrive(odd.encode() + b"\n" + answer)
        await house.settle()
        response = (await house.view()).response
        assert response is None or response.state is ResponseState.SENT
        assert len(house.mailbox.sent) == 1


async def tickets(house: House) -> int:
    counts = await house.store.counts()
    return sum(n for state, n in counts.items() if state != "sent")
