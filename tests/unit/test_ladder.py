"""The ladder and its breakers, with scripted writers and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from desk.breaker import Breaker
from desk.errors import Ambiguous, Misconfigured, Permanent, Throttled, Transient
from desk.response import Draft
from inference.extractive import Extractive
from inference.ladder import Ladder, Question
from inference.letter import Letters
from inference.tgi import Server, Tgi
from tests.doubles.tgi import FakeTgi, Fault

QUESTION = Question("Secret subject", "secret words")


class HandClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Scripted:
    """A writer that does what its script says, then answers."""

    def __init__(self, name: str, *script: BaseException) -> None:
        self.name = name
        self.script = deque(script)
        self.calls = 0

    async def write(self, question: Question) -> Draft:
        self.calls += 1
        if self.script:
            raise self.script.popleft()
        return Draft(text=f"by {self.name}")


class Slow(Scripted):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.go = asyncio.Event()

    async def write(self, question: Question) -> Draft:
        await self.go.wait()
        return await super().write(question)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def down(times: int) -> list[Exception]:
    return [Transient("away") for _ in range(times)]


async def test_the_first_writer_that_answers_wins(clock: HandClock) -> None:
    first, second = Scripted("first"), Scripted("second")
    draft = await Ladder([first, second], clock).write(QUESTION)
    assert (draft.text, draft.writer, second.calls) == ("by first", "first", 0)


@pytest.mark.parametrize(
    "error",
    [
        Transient("away"),
        Throttled("busy", 3),
        Permanent("refused"),
        Misconfigured("wrong key"),
        Ambiguous("who knows"),
        ValueError("a bug"),
        RecursionError(),
        asyncio.CancelledError(),
    ],
)
async def test_a_writer_that_fails_is_followed_by_the_next(
    clock: HandClock, error: BaseException
) -> None:
    ladder = Ladder([Scripted("first", error), Scripted("second")], clock)
    assert (await ladder.write(QUESTION)).writer == "second"
    assert ladder.states["first"] in ("closed", "paused")


async def test_when_nobody_can_write_the_reason_says_who_failed_and_why(clock: HandClock) -> None:
    ladder = Ladder([Scripted("tgi", *down(1)), Scripted("extractive", Permanent("no"))], clock)
    draft = await ladder.write(QUESTION)
    assert (draft.text, draft.needs_human) == ("", True)
    assert draft.reason == "No writer could draft a reply: tgi: away; extractive: no."
    empty = await Ladder([], clock).write(QUESTION)
    assert empty.reason == "No writer could draft a reply: none is set up."


async def test_a_fall_is_logged_once_by_name_and_without_the_mail(clock: HandClock) -> None:
    ladder = Ladder([Scripted("tgi", Permanent("secret words")), Scripted("next")], clock)
    with capture_logs() as logs:
        await ladder.write(QUESTION)
    assert logs == [
        {"event": "writer.fell", "writer": "tgi", "error": "Permanent", "log_level": "warning"}
    ]


async def test_a_bug_in_a_writer_is_logged_by_its_place_and_opens_no_breaker(
    clock: HandClock,
) -> None:
    broken = Scripted("tgi", *(KeyError("secret words") for _ in range(8)))
    ladder = Ladder([broken, Scripted("next", Transient("away"))], clock)
    with capture_logs() as logs:
        draft = await ladder.write(QUESTION)
    reason = "No writer could draft a reply: tgi: Unexpected KeyError; next: away."
    assert (draft.needs_human, draft.reason) == (True, reason)
    assert (logs[0]["event"], logs[0]["error"]) == ("writer.broke", "KeyError")
    assert re.search(r"test_ladder:\d+ write$", logs[0]["at"])
    assert "secret" not in str(logs)
    for _ in range(7):
        await ladder.write(QUESTION)
    assert (broken.calls, ladder.states["tgi"]) == (8, "closed")


async def test_five_failures_open_the_breaker_and_the_writer_is_left_alone(
    clock: HandClock,
) -> None:
    first = Scripted("first", *down(5))
    ladder = Ladder([first, Scripted("second")], clock)
    for _ in range(8):
        assert (await ladder.write(QUESTION)).writer == "second"
        clock.pass_(1)
    assert first.calls == 5
    assert ladder.states == {"first": "open", "second": "closed"}


async def test_failures_far_apart_do_not_open_it(clock: HandClock) -> None:
    first = Scripted("first", *down(10))
    ladder = Ladder([first, Scripted("second")], clock)
    for _ in range(10):
        await ladder.write(QUESTION)
        clock.pass_(8)
    assert first.calls == 10


async def test_after_its_rest_one_probe_closes_it_again(clock: HandClock) -> None:
    first = Scripted("first", *down(5))
    ladder = Ladder([first, Scripted("second")], clock)
    for _ in range(5):
        await ladder.write(QUESTION)
    clock.pass_(14.9)
    assert (await ladder.write(QUESTION)).writer == "second"
    clock.pass_(0.1)
    assert (await ladder.write(QUESTION)).writer == "first"
    assert ladder.states["first"] == "closed"


async def test_a_probe_that_fails_opens_it_for_another_rest(clock: HandClock) -> None:
    first = Scripted("first", *down(6))
    ladder = Ladder([first, Scripted("second")], clock)
    for _ in range(5):
        await ladder.write(QUESTION)
    clock.pass_(15)
    await ladder.write(QUESTION)
    assert (first.calls, ladder.states["first"]) == (6, "open")
    clock.pass_(14)
    await ladder.write(QUESTION)
    assert first.calls == 6


async def probing(clock: HandClock) -> tuple[Slow, Ladder, asyncio.Task[Draft]]:
    """A writer that rested, and is asked whether it is back."""
    slow = Slow("slow")
    slow.script.extend(down(5))
    ladder = Ladder([slow, Scripted("second")], clock)
    slow.go.set()
    for _ in range(5):
        await ladder.write(QUESTION)
    clock.pass_(15)
    slow.go.clear()
    probe = asyncio.create_task(ladder.write(QUESTION))
    await asyncio.sleep(0)
    return slow, ladder, probe


async def test_only_one_call_probes(clock: HandClock) -> None:
    slow, ladder, probe = await probing(clock)
    assert (await ladder.write(QUESTION)).writer == "second"
    slow.go.set()
    assert (await probe).writer == "slow"


async def test_a_cancelled_probe_lets_another_one_through(clock: HandClock) -> None:
    slow, ladder, probe = await probing(clock)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    slow.go.set()
    assert (await ladder.write(QUESTION)).writer == "slow"


async def test_our_own_mistakes_never_open_it(clock: HandClock) -> None:
    first = Scripted("first", *[Permanent("422") for _ in range(20)])
    ladder = Ladder([first, Scripted("second")], clock)
    for _ in range(20):
        await ladder.write(QUESTION)
    assert (first.calls, ladder.states["first"]) == (20, "closed")


async def test_a_throttled_writer_is_left_alone_as_long_as_it_asked(clock: HandClock) -> None:
    first = Scripted("first", Throttled("busy", 7))
    ladder = Ladder([first, Scripted("second")], clock)
    await ladder.write(QUESTION)
    clock.pass_(6.9)
    await ladder.write(QUESTION)
    assert (first.calls, ladder.states["first"]) == (1, "paused")
    clock.pass_(0.1)
    assert (await ladder.write(QUESTION)).writer == "first"


async def test_throttling_counts_as_no_failure(clock: HandClock) -> None:
    first = Scripted("first", *[Throttled("busy", 1) for _ in range(9)])
    ladder = Ladder([first, Scripted("second")], clock)
    for _ in range(9):
        await ladder.write(QUESTION)
        clock.pass_(1)
    assert (await ladder.write(QUESTION)).writer == "first"


async def test_an_empty_draft_that_asks_for_a_person_is_an_answer(clock: HandClock) -> None:
    class Unsure(Scripted):
        async def write(self, question: Question) -> Draft:
            return Draft(text="", needs_human=True, reason="no passage")

    draft = await Ladder([Unsure("first"), Scripted("second")], clock).write(QUESTION)
    assert (draft.writer, draft.reason) == ("first", "no passage")


def test_a_late_success_does_not_close_an_open_breaker(clock: HandClock) -> None:
    breaker = Breaker(clock)
    assert breaker.admits()
    for _ in range(5):
        breaker.failed()
    breaker.succeeded()
    assert breaker.state == "open"


async def test_a_real_client_falls_down_the_ladder_and_climbs_back(clock: HandClock) -> None:
    faults = deque(
        [Fault(status=503), Fault(cut=True), Fault(status=424)] + [Fault(status=500)] * 2
    )
    async with FakeTgi(faults=faults) as server, Tgi(Server(server.url), Letters()) as tgi:
        ladder = Ladder([tgi, Extractive(Letters())], clock)
        writers = [(await ladder.write(QUESTION)).writer for _ in range(7)]
        assert writers == ["extractive"] * 7
        assert len(server.requests) == 5
        clock.pass_(15)
        assert (await ladder.write(QUESTION)).writer == "tgi"


async def test_a_second_server_takes_over_from_the_first(clock: HandClock) -> None:
    dead = Tgi(Server("http://127.0.0.1:9", name="tgi"), Letters())
    async with FakeTgi(info=None) as server, dead:
        other = Tgi(Server(server.url, name="openai"), Letters())
        async with other:
            draft = await Ladder([dead, other], clock).write(QUESTION)
    assert draft.writer == "openai"
