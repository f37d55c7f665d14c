"""What a page of the console has been shown, whatever happens while it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from bot.console.hub import LocalHub
from bot.console.post import PATIENCE, Page, Pages
from desk.ids import TicketId
from desk.moves import Verb
from desk.store import Store
from tests.doubles.desk import Scene, scene
from tests.doubles.slack_office import SlowStore
from tests.scenario.test_console import second_ticket


class Browser:
    """Takes what it is sent, unless it stands still."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.offered = 0
        self.more = asyncio.Event()
        self.on_queue: Callable[[], None] = lambda: None
        self._room = asyncio.Semaphore(1000)

    async def send_str(self, data: str) -> None:
        self.offered += 1
        self.more.set()
        await self._room.acquire()
        said = json.loads(data)
        self.heard.append(said)
        if said["type"] == "queue":
            self.on_queue()

    async def close(self) -> bool:
        return True

    def stand_still(self, after: int) -> None:
        self._room = asyncio.Semaphore(after)

    def go_on(self) -> None:
        for _ in range(1000):
            self._room.release()

    async def until_offered(self, messages: int) -> None:
        while self.offered < messages:
            self.more.clear()
            await self.more.wait()

    def told(self, type: str) -> list[TicketId]:
        return [said["id"] for said in self.heard if said["type"] == type]


def page_of(at: Scene) -> tuple[Page, Browser]:
    browser = Browser()
    return Page(browser, at.ann.id, at.store), browser


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def kept_up_to_date(pages: Pages, hub: LocalHub) -> AsyncIterator[None]:
    running = asyncio.create_task(pages.run(hub))
    try:
        yield
    finally:
        await stopped(running)


@pytest.mark.parametrize("taken", [0, 1])
async def test_what_was_interrupted_while_it_was_sent_is_sent_again(
    store: Store, taken: int
) -> None:
    page, browser = page_of(at := await scene(store))
    page.select(at.ticket.id)
    browser.stand_still(taken)
    asked = asyncio.create_task(page.show_card())
    await browser.until_offered(taken + 1)
    await stopped(asked)
    browser.go_on()
    await page.show_card()
    assert browser.told("mail") == [at.ticket.id]
    assert browser.told("card")[-1:] == [at.ticket.id]


async def test_a_ticket_that_is_opened_again_while_it_is_sent_is_sent_again(store: Store) -> None:
    page, browser = page_of(at := await scene(store))
    page.select(at.ticket.id)
    browser.stand_still(0)
    asked = asyncio.create_task(page.show_card())
    await browser.until_offered(1)
    page.select(at.ticket.id)
    browser.go_on()
    await asked
    await page.show_card()
    assert browser.told("card") == [at.ticket.id] * 2


async def test_a_ticket_that_must_not_be_seen_takes_no_other_from_the_page(
    slow_store: SlowStore,
) -> None:
    page, browser = page_of(at := await scene(slow_store))
    page.select(TicketId(999))
    browser.on_queue = slow_store.hold
    pages = Pages()
    pages.add(page)
    async with kept_up_to_date(pages, LocalHub()):
        await browser.until_offered(1)
        await asyncio.sleep(0.02)  # the hidden one is being read; the person goes on
        page.select(at.ticket.id)
        slow_store.let_go()
        await page.show_card()
    assert (page.shown, browser.told("card")) == (at.ticket.id, [at.ticket.id])


async def test_a_browser_that_takes_nothing_holds_up_nobody_else(store: Store) -> None:
    at = await scene(store)
    pages, hub = Pages(), LocalHub()
    stuck, other = page_of(at), page_of(at)
    for page, _ in (stuck, other):
        page.select(at.ticket.id)
        pages.add(page)
    stuck[1].stand_still(0)
    async with kept_up_to_date(pages, hub), asyncio.timeout(PATIENCE - 1):
        await other[1].until_offered(3)  # queue, card and mail
        await at.actions.act(await at.request(Verb.CLAIM))
        await hub.publish(at.ticket.id)
        await other[1].until_offered(5)
        assert stuck[1].heard == []
        stuck[1].go_on()
        await stuck[1].until_offered(4)
    heard = {said["type"]: said for said in stuck[1].heard}
    assert heard == {said["type"]: said for said in other[1].heard}, "the latest of each"


async def test_a_card_says_which_opening_it_knows_of(store: Store) -> None:
    page, browser = page_of(at := await scene(store))
    other = await second_ticket(at)
    page.select(at.ticket.id, asked=7)
    await page.show_card()
    page.select(other)  # a command did it, not the person
    await page.show_card()
    cards = [(said["id"], said["asked"]) for said in browser.heard if said["type"] == "card"]
    assert cards == [(at.ticket.id, 7), (other, 7)]
