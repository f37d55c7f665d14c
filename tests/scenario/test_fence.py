"""Between the last look and the mail: a worker stands still, is stopped, or loses the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from desk.errors import Conflict, Transient
from desk.failpoints import armed
from desk.moves import Verb
from desk.response import ResponseState
from mail.provider import NOWHERE, Origin, Ready, at_once
from tests.doubles.desk import FastClock
from tests.doubles.house import House
from tests.doubles.mailbox import ScriptedMailbox
from tests.scenario.test_sent_mail import approved, manager_does, sending
from tests.scenario.test_steps import clock as clock
from tests.scenario.test_steps import house as house
from workers.fence import Fence
from workers.sending import Sending


@pytest.mark.parametrize("point", ["sending.marked", "sending.looked"])
async def test_who_stood_still_before_it_handed_over_does_not_hand_over_what_is_unknown_by_now(
    house: House, point: str
) -> None:
    """Its lease ended, another worker found the reply unknown, and a manager sent it again."""
    response = await approved(house)
    with armed(f"{point}=block@1") as points:
        frozen = asyncio.create_task(sending(house)(response.id))
        await points[point].reached.wait()
        await sending(house)(response.id)
        assert await house.state() is ResponseState.UNKNOWN
        await manager_does(house, Verb.SEND_AGAIN, "s")
        await house.act(Verb.APPROVE, "again")
        await house.leave()
        assert len(house.mailbox.sent) == 1
    await frozen
    assert len(house.mailbox.sent) == 1
    assert await house.state() is ResponseState.SENT


async def test_who_stood_still_and_nobody_noticed_sends_it(house: House) -> None:
    response = await approved(house)
    with armed("sending.looked=block@1") as points:
        frozen = asyncio.create_task(sending(house)(response.id))
        await points["sending.looked"].reached.wait()
        house.clock.forward(seconds=60)
    await frozen
    assert (len(house.mailbox.sent), await house.state()) == (1, ResponseState.SENT)


class Slow(FastClock):
    """Each look takes three seconds."""

    def now(self) -> datetime:
        self.forward(seconds=3)
        return super().now()


async def test_a_machine_that_is_too_slow_to_be_sure_does_not_send(house: House) -> None:
    response = await approved(house)
    fence = Fence(house.store, response)
    house.store.clock = Slow(house.clock.now())
    with pytest.raises(Transient, match="too slow"):
        await fence()
    assert not fence.is_passed


async def test_a_look_at_what_somebody_else_has_refuses(house: House) -> None:
    response = await approved(house)
    fence = Fence(house.store, response)
    await fence()
    assert fence.is_passed
    await house.act(Verb.UNDO, "u")
    with pytest.raises(Conflict):
        await fence()
    assert not fence.is_passed


@pytest.mark.parametrize(
    ("point", "then"),
    [
        ("sending.looked", ResponseState.APPROVED),
        ("sending.handed_over", ResponseState.SENDING),
    ],
)
async def test_a_worker_that_is_stopped_puts_back_what_it_has_not_handed_over(
    house: House, point: str, then: ResponseState
) -> None:
    response = await approved(house)
    with armed(f"{point}=block@1") as points:
        stopped = asyncio.create_task(sending(house)(response.id))
        await points[point].reached.wait()
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
    assert await house.state() is then
    await house.leave()
    is_back = then is ResponseState.APPROVED
    assert await house.state() is ResponseState.SENT
    assert len(house.mailbox.sent) == 1
    assert ("lose" in await verbs(house)) is not is_back


@dataclass
class Silent(ScriptedMailbox):
    """Takes a mail and does not say so."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        await super().send(mime, sender, recipients, origin, ready)
        self.reached.set()
        await asyncio.sleep(60)


async def test_a_worker_that_is_stopped_before_the_answer_leaves_it_unknown(house: House) -> None:
    response = await approved(house)
    silent = Silent()
    slow = Sending(house.store, house.queue, {house.box: silent}, {})
    stopped = asyncio.create_task(slow(response.id))
    await silent.reached.wait()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert await house.state() is ResponseState.SENDING
    await sending(house)(response.id)
    assert await house.state() is ResponseState.UNKNOWN
    assert (len(silent.sent), house.mailbox.sent) == (1, [])


async def verbs(house: House) -> list[str]:
    return [entry.verb for entry in await house.store.history((await house.view()).ticket.id)]


async def test_a_database_that_is_away_then_does_not_make_it_unknown(house: House) -> None:
    response = await approved(house)
    house.mailbox.failures = [Transient("450 later")]
    with armed("sending.looked=block@1") as points:
        handing = asyncio.create_task(sending(house)(response.id))
        await points["sending.looked"].reached.wait()
        with armed("change.committing=raise@1"):
            points["sending.looked"].released.set()
            await handing
    assert await house.state() is ResponseState.APPROVED
    assert house.mailbox.sent == []
