"""What a provider allows one mailbox: units a second, calls at once, pauses it asks for.

Every call to Gmail and to Microsoft Graph goes through ``Quota.call``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import TypeVar

from desk.breaker import Breaker
from desk.errors import DeskError, Permanent, Refused, Throttled, Transient
from desk.ports import Clock, Limits
from mail.bucket import LocalLimits

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]

_chance = SystemRandom().random

SLOT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Pace:
    """``rate`` units a second up to ``burst`` at once, and ``slots`` calls at the same time.

    Sending has a part of its own: many small calls that read would never let a bucket fill to what
    one mail costs.
    """

    rate: float
    burst: float
    slots: int
    sending: float = 0.25

    def part(self, is_sending: bool) -> tuple[str, float, float]:
        """Its name, and its units a second and at once."""
        share = self.sending if is_sending else 1 - self.sending
        return "sending" if is_sending else "reading", self.rate * share, self.burst * share


GMAIL = Pace(rate=240, burst=250, slots=10)
"""15,000 units a user and minute, 250 a second: https://developers.google.com/gmail/api/reference/quota
A full bucket and a minute's filling stay below that."""

GRAPH = Pace(rate=15, burst=500, slots=4)
"""10,000 requests in ten minutes and 4 at once, for an app and a mailbox:
https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a call is tried: full jitter over ``base`` doubled up to ``cap``
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), ``budget`` seconds
    of waiting in all."""

    tries: int = 6
    base: float = 0.5
    cap: float = 20.0
    budget: float = 60.0

    def pause(self, tries: int) -> float:
        return _chance() * min(self.cap, self.base * 2.0**tries)


class OneItem(Transient):
    """The server fails to hand over this one item, which says nothing about the others."""


class Quota:
    """One mailbox's. ``limits`` are shared by all processes.

    While Redis is away reading goes on, each process by its own count; sending waits.
    """

    def __init__(
        self,
        mailbox: str,
        pace: Pace,
        limits: Limits,
        clock: Clock,
        patience: Patience | None = None,
        sleep: Sleep = asyncio.sleep,
        breaker: Breaker | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._pace = pace
        self._limits = limits
        self._here = LocalLimits()
        self._patience = patience or Patience()
        self._sleep = sleep
        self.breaker = breaker or Breaker(clock)

    async def call(
        self, weight: float, request: Callable[[], Awaitable[T]], *, is_sending: bool = False
    ) -> T:
        """What ``request`` returns, tried again where it raises Transient.

        Raises what it raised at last; Throttled at once while the mailbox is left alone for longer
        than the budget, and Transient for a call ``is_sending`` when Redis is away.
        """
        purse = _Purse(self._patience.budget, self._sleep)
        for tries in range(self._patience.tries):
            await self._admission(purse)
            try:
                return await self._once(weight, request, is_sending, purse)
            except _Away as away:
                raise away.error from away
            except Throttled as error:
                is_last = tries + 1 == self._patience.tries
                await purse.spend(error.seconds + self._patience.pause(tries), error, is_last)
            except Transient as error:
                is_last = tries + 1 == self._patience.tries
                await purse.spend(self._patience.pause(tries), error, is_last)
        raise AssertionError("the last try raises")

    async def _admission(self, purse: _Purse) -> None:
        """Through the breaker: a pause is waited for if the budget allows."""
        while not self.breaker.admits():
            left = self.breaker.remaining or 1.0  # half open: somebody else tries
            sentence = f"The server of {self._mailbox} is left alone for {left:.0f} seconds"
            await purse.spend(left + 0.01, Throttled(sentence, left), self.breaker.state == "open")

    async def _once(
        self,
        weight: float,
        request: Callable[[], Awaitable[T]],
        is_sending: bool,
        purse: _Purse,
    ) -> T:
        """One try, and its outcome told to the breaker whatever happens."""
        tell = self.breaker.dropped
        try:
            await self._take(weight, is_sending, purse)
            async with self._slot(is_sending, purse):
                try:
                    result = await request()
                    tell = self.breaker.succeeded
                    return result
                except DeskError as error:
                    tell = self._verdict(error)
                    raise
        finally:
            tell()

    def _verdict(self, error: DeskError) -> Callable[[], None]:
        match error:
            case Throttled() if error.seconds > 0:
                return partial(self.breaker.pause, error.seconds)
            case Throttled():
                return self.breaker.dropped
            case OneItem():
                return self.breaker.dropped
            case Permanent():
                return self.breaker.succeeded  # it works, and does not want this
            case Refused():
                return self.breaker.dropped  # nothing was asked after all
            case _:
                return self.breaker.failed

    async def _take(self, weight: float, is_sending: bool, purse: _Purse) -> None:
        name, rate, burst = self._pace.part(is_sending)
        limits = self._limits
        while True:
            try:
                wait = await limits.take(f"{self._mailbox}:{name}", weight, rate, burst)
            except Transient as error:
                if is_sending:
                    raise _Away(error) from error
                limits = self._here
                continue
            if wait <= 0:
                return
            await purse.spend(wait, Throttled(f"{self._mailbox} has used up its quota", wait))

    @asynccontextmanager
    async def _slot(self, is_sending: bool, purse: _Purse) -> AsyncIterator[None]:
        """Giving it back may fail: the slot then ends by itself, and what was done stands."""
        slot = self._limits.slot(self._mailbox, self._pace.slots, SLOT_SECONDS)
        try:
            async with asyncio.timeout(max(purse.left, 1.0)):
                await slot.__aenter__()
        except TimeoutError as error:
            raise Transient(f"All connections of {self._mailbox} are in use") from error
        except Transient as error:
            if is_sending:
                raise _Away(error) from error
            slot = self._here.slot(self._mailbox, self._pace.slots, SLOT_SECONDS)
            await slot.__aenter__()
        try:
            yield
        finally:
            with suppress(Transient):
                await slot.__aexit__(None, None, None)


class _Away(Exception):
    """Redis is away, and without it this call must not be made."""

    def __init__(self, error: Transient) -> None:
        super().__init__(str(error))
        self.error = error


class _Purse:
    """The seconds a call may wait, all its tries together."""

    def __init__(self, budget: float, sleep: Sleep) -> None:
        self.left = budget
        self._sleep = sleep

    async def spend(self, seconds: float, error: Transient, is_last: bool = False) -> None:
        """Sleep, or raise ``error`` when that is too long or was the last time."""
        if is_last or seconds > self.left:
            raise error
        self.left -= seconds
        await self._sleep(seconds)
