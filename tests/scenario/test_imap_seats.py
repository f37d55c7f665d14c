"""How many connections a mailbox has at once, of all processes together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from desk.errors import Transient
from mail import imap_seat
from mail.imap import ImapProvider
from mail.imap_seat import Occupied, Seat, Seats
from mail.smtp import SmtpSender
from tests.doubles.dovecot import dovecot
from tests.doubles.imap_box import account, mail, numbers
from tests.doubles.imapd import imapd
from tests.doubles.redis import RealRedis
from workers.limits import RedisLimits


@pytest.fixture
async def limits(real_redis: RealRedis) -> AsyncIterator[RedisLimits]:
    async with RedisLimits(real_redis.url) as limits:
        yield limits


def worker(port: int, limits: RedisLimits, connections: int = 3) -> ImapProvider:
    """The mailbox as one process opens it."""
    given = account(port, connections=connections)
    return ImapProvider(given, SmtpSender("127.0.0.1", 9), limits=limits)


async def test_one_process_listens_and_another_takes_over_when_it_ends(
    limits: RedisLimits,
) -> None:
    with dovecot() as server:
        async with worker(server.imap, limits) as second:
            page = await second.fetch("")
            async with worker(server.imap, limits) as first:
                await first.wait(0.1)
                assert not await second.wait(0.5)  # and has no connection for it
            while await second.wait(0.3):
                pass
            waiting = asyncio.create_task(second.wait(10))
            await asyncio.sleep(0.2)
            server.deliver(mail(1))
            assert await waiting
            assert numbers(await second.fetch(page.checkpoint)) == [1]


async def test_no_more_connections_than_allowed_are_open(limits: RedisLimits) -> None:
    async with imapd() as server:
        boxes = [worker(server.port, limits, connections=3) for _ in range(4)]
        for box in boxes[:2]:
            await box.fetch("")
        third = asyncio.create_task(boxes[2].fetch(""))
        await asyncio.sleep(0.3)
        assert (third.done(), server.sessions) == (False, 2)
        await boxes[0].__aexit__(None, None, None)
        await asyncio.wait_for(third, 5)
        assert server.sessions == 3
        for box in boxes[1:]:
            await box.__aexit__(None, None, None)


async def test_a_seat_that_is_not_free_is_told_in_time(limits: RedisLimits) -> None:
    seats = Seats("imap:one", 1, limits)
    first, second = Seat(seats), Seat(seats)
    await first.take(10)
    started = time.monotonic()
    with pytest.raises(Occupied, match="connections are in use"):
        await second.take(0.2)
    assert time.monotonic() - started < 5
    await first.give_back()
    await second.take(10)
    await second.give_back()


async def test_without_redis_mail_is_read_uncounted(
    limits: RedisLimits, real_redis: RealRedis
) -> None:
    async with imapd() as server:
        server.mails = {1: mail(1)}
        real_redis.kill()
        async with worker(server.port, limits) as box:
            assert numbers(await box.fetch("")) == [1]


def test_an_unused_connection_makes_room_before_others_give_up() -> None:
    assert imap_seat.UNUSED < imap_seat.PATIENCE
    assert issubclass(Occupied, Transient)


async def test_who_is_called_off_while_waiting_leaves_the_seat_to_others(
    limits: RedisLimits,
) -> None:
    seats = Seats("imap:one", 1, limits)
    first, second, third = Seat(seats), Seat(seats), Seat(seats)
    await first.take(10)
    waiting = asyncio.create_task(second.take(30))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not second.is_taken
    await first.give_back()
    await third.take(10)
    await third.give_back()
    await second.take(10)
    await second.give_back()
