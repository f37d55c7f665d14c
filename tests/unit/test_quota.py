"""What a provider allows a mailbox: paces, pauses, retries and the breaker, by a clock that is
moved by hand."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from desk.errors import Ambiguous, DeskError, Permanent, Throttled, Transient
from desk.ports import SystemClock
from mail.bucket import LocalLimits
from mail.http import LONGEST_PAUSE, Answer
from mail.quota import GMAIL, GRAPH, Pace, Patience, Quota
from tests.doubles.desk import START, FastClock

PACE = Pace(rate=10, burst=10, slots=2)


@dataclass
class Bucket:
    """Limits whose answers are given beforehand. ``is_away``: Redis does not answer."""

    waits: deque[float] = field(default_factory=deque)
    is_away: bool = False
    forgets: bool = False  # Redis goes away while a slot is held
    costs: list[float] = field(default_factory=list)

    async def take(self, key: str, cost: float, rate: float, burst: float) -> float:
        if self.is_away:
            raise Transient("Redis did not answer")
        wait = self.waits.popleft() if self.waits else 0.0
        if not wait:
            self.costs.append(cost)
        return wait

    @asynccontextmanager
    async def slot(self, key: str, slots: int, seconds: float) -> AsyncIterator[None]:
        if self.is_away:
            raise Transient("Redis did not answer")
        yield
        if self.forgets:
            raise Transient("Redis did not answer")


@dataclass
class Desk:
    """A quota whose sleeps move the clock."""

    limits: Bucket = field(default_factory=Bucket)
    clock: FastClock = field(default_factory=FastClock)
    slept: list[float] = field(default_factory=list)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        self.quota = Quota("box", PACE, self.limits, self.clock, self.patience, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.forward(seconds=seconds)

    async def call(self, *outcomes: DeskError | str, is_sending: bool = False) -> str:
        """The first outcome for the first try, and so on; the last one for ever."""
        left = deque(outcomes)

        async def request() -> str:
            outcome = left.popleft() if len(left) > 1 else left[0]
            if isinstance(outcome, DeskError):
                raise outcome
            return outcome

        return await self.quota.call(5, request, is_sending=is_sending)


async def test_a_busy_server_is_asked_again_and_each_try_costs() -> None:
    desk = Desk()
    assert await desk.call(Transient("500"), Transient("reset"), "page") == "page"
    assert desk.limits.costs == [5, 5, 5]
    assert len(desk.slept) == 2


async def test_pauses_grow_with_full_jitter_up_to_a_cap() -> None:
    patience = Patience(base=1, cap=8)
    for tries, most in enumerate((1, 2, 4, 8, 8)):
        found = [patience.pause(tries) for _ in range(200)]
        assert 0 <= min(found) < most * 0.2
        assert most * 0.8 < max(found) <= most


@pytest.mark.parametrize("seconds", [1.0, 20.0])
async def test_no_call_is_made_while_the_server_asks_for_a_pause(seconds: float) -> None:
    desk = Desk()
    assert await desk.call(Throttled("429", seconds), "page") == "page"
    assert desk.clock.now() - START >= timedelta(seconds=seconds)


async def test_a_long_pause_is_told_to_the_caller_and_kept_in_mind() -> None:
    desk = Desk()
    with pytest.raises(Throttled) as first:
        await desk.call(Throttled("429", 600), "page")
    assert first.value.seconds == 600
    with pytest.raises(Throttled) as second:
        await desk.call("page")
    assert 599 < second.value.seconds <= 600
    assert desk.limits.costs == [5]
    desk.clock.forward(seconds=601)
    assert await desk.call("page") == "page"


async def test_others_wait_out_a_pause_that_one_was_asked_for() -> None:
    desk = Desk()
    desk.quota.breaker.pause(3)
    assert await desk.call("page") == "page"
    assert desk.slept == [pytest.approx(3, abs=0.1)]


async def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    desk = Desk()
    desk.quota.breaker.pause(40)
    desk.quota.breaker.pause(3)
    assert desk.quota.breaker.remaining == pytest.approx(40, abs=0.1)
    desk.clock.forward(seconds=41)
    desk.quota.breaker.pause(3)
    assert desk.quota.breaker.remaining == pytest.approx(3, abs=0.1)


async def test_a_call_gives_up_when_its_budget_is_spent() -> None:
    desk = Desk(patience=Patience(tries=1000, base=10, cap=10, budget=30))
    with pytest.raises(Throttled):  # without Retry-After, which opens no breaker
        await desk.call(Throttled("429", 0))
    assert 15 < sum(desk.slept) <= 30


@pytest.mark.parametrize("error", [Permanent("400"), Ambiguous("lost")])
async def test_what_may_not_be_tried_again_is_not(error: DeskError) -> None:
    desk = Desk()
    with pytest.raises(type(error)):
        await desk.call(error, "twice")
    assert desk.limits.costs == [5]


async def test_five_failures_leave_the_server_alone_until_one_probe_succeeds() -> None:
    desk = Desk(patience=Patience(tries=5, base=0, cap=0))
    with pytest.raises(Transient):
        await desk.call(Transient("500"))
    assert desk.quota.breaker.state == "open"
    with pytest.raises(Throttled, match="left alone"):
        await desk.call("page")
    assert len(desk.limits.costs) == 5
    desk.clock.forward(seconds=16)
    assert await desk.call("page") == "page"
    assert desk.quota.breaker.state == "closed"


async def test_calls_wait_for_their_units() -> None:
    desk = Desk(Bucket(waits=deque([0.5, 0.25])))
    assert await desk.call("page") == "page"
    assert desk.slept == [0.5, 0.25]


async def test_many_calls_that_read_do_not_keep_a_mail_from_being_sent() -> None:
    pace = Pace(rate=400, burst=100, slots=10)
    quota = Quota("box", pace, LocalLimits(), SystemClock())

    async def done() -> None:
        await asyncio.sleep(0)

    async def read() -> None:
        while True:
            await quota.call(5, done)

    readers = [asyncio.create_task(read()) for _ in range(8)]
    await asyncio.sleep(0.3)  # what there was at once is spent
    started = time.monotonic()
    for _ in range(2):
        await quota.call(100, done, is_sending=True)
    assert time.monotonic() - started < 10, "else they would never get there"
    for reader in readers:
        reader.cancel()


async def test_without_redis_reading_goes_on_and_sending_waits() -> None:
    desk = Desk(Bucket(is_away=True))
    assert await desk.call("page") == "page"
    with pytest.raises(Transient, match="Redis"):
        await desk.call("sent", is_sending=True)
    assert desk.quota.breaker.state == "closed"


async def test_a_redis_that_goes_away_after_a_mail_was_sent_does_not_undo_it() -> None:
    desk = Desk(Bucket(forgets=True))
    assert await desk.call("sent", is_sending=True) == "sent"


async def test_without_redis_each_process_keeps_the_pace_by_itself() -> None:
    limits = LocalLimits()
    assert [await limits.take("box", 5, 10, 10) for _ in range(2)] == [0, 0]
    assert 0.4 < await limits.take("box", 5, 10, 10) <= 0.5
    assert await limits.take("other", 5, 10, 10) == 0
    now = most = 0

    async def hold() -> None:
        nonlocal now, most
        async with limits.slot("box", 2, 60):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(hold() for _ in range(4)))
    assert most == 2


async def test_the_paces_stay_below_what_the_providers_allow() -> None:
    for pace, seconds, most in ((GMAIL, 60, 15_000), (GRAPH, 600, 10_000)):
        parts = [pace.part(is_sending) for is_sending in (True, False)]
        assert sum(burst + seconds * rate for _, rate, burst in parts) <= most
    assert GRAPH.slots == 4


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("-4", 0),
        ("", 0),
        ("soon", 0),
        ("nan", 0),
        ("1e999", LONGEST_PAUSE),
        ("999999999999999", LONGEST_PAUSE),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE),
        ("Fri, 20 Nov 2026 09:02:00 GMT", 120),
        ("Fri, 20 Nov 2026 08:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    answer = Answer("host", 429, {"Retry-After": header}, b"")
    assert answer.retry_after(START) == seconds
