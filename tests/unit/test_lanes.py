"""What a page asked for keeps its order where the order matters, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.console.lanes import MOST, Lanes


class Log:
    """Notes what begins and what ends; everything waits for the gate."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.gate = asyncio.Event()

    def work(self, name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self.said.append(f"{name}…")
            await self.gate.wait()
            self.said.append(name)

        return run


async def test_the_same_press_and_other_tickets_wait_for_nothing() -> None:
    log, lanes = Log(), Lanes()
    for lane, same in ((1, "approve"), (1, "approve"), (2, "claim"), (None, "open")):
        await lanes.begin(lane, same, log.work(f"{lane} {same}"))
    await asyncio.sleep(0.01)
    assert log.said == ["1 approve…", "1 approve…", "2 claim…", "None open…"]
    log.gate.set()
    await lanes.finish()


async def test_another_press_on_the_same_ticket_waits_for_all_before_it() -> None:
    log, lanes = Log(), Lanes()
    for same in ("start", "start", "edit", "approve", "edit"):
        await lanes.begin(1, same, log.work(same))
    await asyncio.sleep(0.01)
    assert log.said == ["start…", "start…"]
    log.gate.set()
    await lanes.finish()
    assert log.said[2:] == [
        "start",
        "start",
        "edit…",
        "edit",
        "approve…",
        "approve",
        "edit…",
        "edit",
    ]


async def test_a_page_that_asks_without_end_is_listened_to_again_when_something_is_done() -> None:
    log, lanes = Log(), Lanes()
    for number in range(MOST - 1):
        await lanes.begin(number, "claim", log.work(str(number)))
    last = asyncio.create_task(lanes.begin(MOST, "claim", log.work("last")))
    await asyncio.sleep(0.01)
    assert not last.done()
    log.gate.set()
    await last
    await lanes.finish()
    assert log.said[-1] == "last"
