"""The console in a real Chromium, with the real adaptivecards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot.commands import Commands
from bot.console.connect import Console
from bot.console.hub import LocalHub
from desk.classification import Urgency
from desk.mails import Received
from desk.moves import Verb
from desk.people import User
from desk.response import Draft, Envelope, ResponseState
from desk.store import Store
from desk.ticket import Ticket
from tests.doubles.databases import Engines
from tests.doubles.desk import CUSTOMER, Scene, classified, mail, new_vault, received, scene
from tests.services import free_port, need, need_file

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    # playwright leaves its pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SCRIPTS = Path(__file__).parents[2] / "node_modules" / "adaptivecards" / "dist"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class HeldLine:
    """The line to a page, on which messages of some types are held back."""

    holds: set[str] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _page: Any = None

    def begin(self, route: Any) -> None:
        self._page = route
        route.connect_to_server().on_message(self._pass)

    def _pass(self, message: str) -> None:
        if json.loads(message)["type"] in self.holds:
            self.kept.append(message)
            self._more.set()
        else:
            self._page.send(message)

    def say(self, message: dict[str, object]) -> None:
        """As the desk would."""
        self._page.send(json.dumps(message))

    async def until_kept(self, messages: int) -> None:
        async with asyncio.timeout(15):
            while len(self.kept) < messages:
                self._more.clear()
                await self._more.wait()

    def let_go(self) -> None:
        self.holds.clear()
        while self.kept:
            self._page.send(self.kept.pop(0))


@dataclass
class Served:
    """A console on a port that may be closed and opened again."""

    scene: Scene
    console: Console
    port: int
    browser: Any
    problems: list[str] = field(default_factory=list)
    _windows: list[Any] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _background: asyncio.Task[None] | None = None

    async def start(self) -> None:
        app = web.Application()
        app.add_routes(self.console.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self._background = asyncio.create_task(self.console.run())

    async def stop(self) -> None:
        if self._background and self._runner:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background
            await self._runner.cleanup()
            self._background = self._runner = None

    async def close(self) -> None:
        for window in self._windows:
            await window.close()
        await self.stop()

    async def page(
        self, user: User | None = None, line: HeldLine | None = None, **options: object
    ) -> Any:
        """A browser window of this user in which everything that goes wrong is noted."""
        window = await self.browser.new_context(
            locale="en-GB", timezone_id="Europe/Berlin", **options
        )
        self._windows.append(window)
        page = await window.new_page()
        if line is not None:
            await page.route_web_socket("**/ws", line.begin)
        page.on("console", lambda said: self._note(said.type == "error", said.text))
        page.on("pageerror", lambda error: self._note(True, str(error)))
        page.on("response", lambda answer: self._note(answer.status >= 400, answer.url))
        page.set_default_timeout(15_000)
        token = self.console.new_token((user or self.scene.ann).id)
        await page.goto(f"http://127.0.0.1:{self.port}/login?token={token}")
        await page.wait_for_selector("#card .ac-adaptiveCard")
        return page

    def _note(self, is_problem: bool, what: str) -> None:
        if is_problem:
            self.problems.append(what)

    async def response(self) -> tuple[ResponseState, str]:
        found = await self.scene.response()
        assert found
        return found.state, found.envelope.text


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    chromium = need("chromium")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def served(
    tmp_path: Path, sqlite_url: str, browser: Any, engines: Engines
) -> AsyncIterator[Served]:
    need_file(SCRIPTS / "adaptivecards.min.js", "run  make setup")
    async with Store(engines.at(sqlite_url), new_vault(tmp_path)) as store:
        made = await scene(store)
        commands = Commands(store, made.actions)
        console = Console(store, made.actions, commands, LocalHub(), SCRIPTS)
        desk = Served(made, console, free_port(), browser)
        await desk.start()
        yield desk
        await desk.close()


async def add_ticket(made: Scene, subject: str, score: float) -> Ticket:
    """Another ticket with a draft, at this place of the queue."""
    new: Received = received(mail(subject), subject, datetime.now(UTC))
    async with made.store.change() as change:
        ticket = await change.open_ticket(made.ticket.mailbox_id, new, score)
        email = await change.receive(ticket, new)
        await change.classify(email.id, classified(Urgency.HIGH))
        due = {"urgency": Urgency.HIGH, "due_at": change.now + timedelta(hours=4), "score": score}
        triaged = await change.move_ticket(await change.ticket(ticket.id), Verb.TRIAGE, due)
        opened = await change.move_ticket(triaged, Verb.DRAFT)
        envelope = Envelope((CUSTOMER,), (), f"Re: {subject}", "Hello Priya, soon.")
        await change.add_response(
            opened, email.id, envelope, Draft(envelope.text, writer="extractive", score=60)
        )
    return await made.store.ticket(ticket.id)


CHOSEN = """() => {
  window.chosen = [];
  const note = (changes) => changes.map(({ target }) => target)
    .filter((button) => button.hasAttribute("aria-current"))
    .forEach((button) => window.chosen.push(button.closest("li").dataset.ticket));
  const what = { subtree: true, attributeFilter: ["aria-current"], attributeOldValue: true };
  new MutationObserver(note).observe(document.getElementById("rows"), what);
}"""
"""Notes in ``window.chosen`` which rows are selected from now on."""


def row(ticket: Ticket) -> str:
    return f'#rows [data-ticket="{ticket.id}"]'


async def card_says(page: Any, text: str) -> None:
    await page.locator("#card", has_text=text).wait_for()


async def open_edit(page: Any) -> Any:
    await page.keyboard.press("e")
    field = page.locator("#card textarea:visible")
    await field.wait_for()
    return field


async def test_from_the_printed_address_to_a_sent_reply_by_keyboard(served: Served) -> None:
    page = await served.page()
    assert await page.locator("#connection").inner_text() == "Connected"
    assert await page.locator('#card [role="heading"]').count() == 1
    await card_says(page, "Nobody in our office can log in")
    await page.keyboard.press("a")
    await card_says(page, "Approved by Ann, leaves at")
    await card_says(page, "· in")
    assert (await served.response())[0] is ResponseState.APPROVED
    await page.keyboard.press("u")
    await card_says(page, "Approve & send")
    assert (await served.response())[0] is ResponseState.DRAFT
    assert not served.problems


async def test_the_first_of_the_queue_is_shown_until_the_person_chooses(served: Served) -> None:
    page = await served.page()
    urgent = await add_ticket(served.scene, "Burning", 0.5)
    await served.console.hub.publish(urgent.id)
    await card_says(page, "Burning")
    await page.locator(row(served.scene.ticket)).click()
    await card_says(page, "Nobody in our office can log in")
    more = await add_ticket(served.scene, "Burning more", 0.1)
    await served.console.hub.publish(more.id)
    await page.locator(row(more)).wait_for()
    await card_says(page, "Nobody in our office can log in")
    subjects = await page.locator("#rows strong").all_inner_texts()
    assert subjects == ["Burning more", "Burning", "Nobody in our office can log in"]
    await page.keyboard.press("k")
    await card_says(page, "Burning")
    await page.keyboard.press("k")
    await card_says(page, "Burning more")
    assert not served.problems


async def test_what_is_typed_survives_what_a_colleague_does(served: Served) -> None:
    page = await served.page()
    other = await served.page(served.scene.omar)
    field = await open_edit(page)
    await field.fill("Ann's own words")
    await card_says(other, "Ann is editing")
    theirs = await open_edit(other)
    await theirs.fill("Omar's words")
    await other.get_by_role("button", name="Save draft").click()
    await card_says(other, "Omar's words")
    await page.locator("#changed:visible").wait_for()
    assert await field.input_value() == "Ann's own words"
    # sent on the old draft: refused, and the text stays
    await page.get_by_role("button", name="Save & send").click()
    await page.locator(".toast", has_text="changed after this card was drawn").wait_for()
    assert await field.input_value() == "Ann's own words"
    await page.get_by_role("button", name="Show it").click()
    await card_says(page, "Omar's words")
    assert await page.locator("#card textarea:visible").input_value() == "Ann's own words"
    await page.get_by_role("button", name="Save draft").click()
    await card_says(page, "edited by Ann")
    assert (await served.response())[1] == "Ann's own words"
    assert not served.problems


async def test_what_comes_late_or_between_takes_nobody_to_another_ticket(served: Served) -> None:
    second = await add_ticket(served.scene, "The second", 5.0)
    third = await add_ticket(served.scene, "The third", 6.0)
    page = await served.page(line=(line := HeldLine()))
    await page.evaluate(CHOSEN)
    line.holds.add("card")
    for messages in (1, 2):
        await page.keyboard.press("j")
        await line.until_kept(messages)
    line.let_go()
    await card_says(page, "The third")
    assert await page.evaluate("window.chosen") == [str(second.id), str(third.id)]
    # a row that is pressed is not replaced before it is let go
    await page.locator(row(second)).hover()
    await page.mouse.down()
    more = await add_ticket(served.scene, "The fourth", 7.0)
    await served.console.hub.publish(more.id)
    await page.locator("#counts", has_text="4 waiting").wait_for()
    await page.mouse.up()
    await card_says(page, "The second")
    await page.locator(row(more)).wait_for()
    counts = {"waiting": 100, "is_more": True, "reading": 0, "sent": 0}
    # its end is not told of every press
    await page.evaluate("document.dispatchEvent(new PointerEvent('pointerdown'))")
    line.say({"type": "queue", "rows": [], "counts": counts})
    await page.locator("#counts", has_text="100+ waiting").wait_for()
    assert await page.locator("#empty").is_hidden()
    await page.mouse.move(1, 1)
    await page.locator("#empty").wait_for()


async def test_no_answer_takes_the_pen_out_of_the_hand(served: Served) -> None:
    made = served.scene
    other = await add_ticket(made, "Another one", 5.0)
    await made.actions.act(await made.request(Verb.START_EDIT, made.omar))
    page = await served.page(line=(line := HeldLine()))
    field = await open_edit(page)
    await field.fill("M")
    await page.locator(".question", has_text="Take over?").wait_for()
    await page.keyboard.type("y own words")
    assert await field.input_value() == "My own words"
    assert (await made.store.ticket(made.ticket.id)).editing == made.omar.id
    # written on after Save
    line.holds |= {"done", "card"}
    await page.get_by_role("button", name="Save draft").click()
    await line.until_kept(1)
    await field.press("End")
    await page.keyboard.type(", and more")
    line.let_go()
    await page.locator("#changed:visible").wait_for()
    assert await field.input_value() == "My own words, and more"
    # while another ticket's answer is on its way
    line.holds.add("done")
    await page.get_by_role("button", name="Claim").click()
    await line.until_kept(1)
    await page.locator("#ticket").focus()
    await page.keyboard.press("j")
    await card_says(page, "Another one")
    field = await open_edit(page)
    await page.keyboard.type("Half")
    line.let_go()
    await page.locator(row(made.ticket), has_text="Claimed by you").wait_for()
    await page.keyboard.type(" a sent")
    assert (await field.input_value()).endswith("Half a sent")
    assert (await made.store.ticket(other.id)).assignee is None


async def test_what_is_typed_survives_looking_at_another_ticket(served: Served) -> None:
    other = await add_ticket(served.scene, "Another one", 5.0)
    page = await served.page()
    field = await open_edit(page)
    await field.fill("Half a sent")
    await page.locator(row(other)).click()
    await card_says(page, "Another one")
    await page.locator(row(served.scene.ticket)).click()
    await card_says(page, "Nobody in our office can log in")
    assert await page.locator("#card textarea:visible").input_value() == "Half a sent"


async def test_what_is_typed_is_kept_when_the_draft_is_gone(served: Served) -> None:
    page = await served.page()
    field = await open_edit(page)
    await field.fill("Too late, but mine")
    made = served.scene
    await made.actions.act(await made.request(Verb.CLOSE, made.omar))
    await served.console.hub.publish(made.ticket.id)
    await page.get_by_role("button", name="Show it").click()
    await card_says(page, "Closed by Omar")
    assert await page.locator("#kept-text").input_value() == "Too late, but mine"


async def test_what_the_person_did_is_shown_beside_what_is_typed_elsewhere(served: Served) -> None:
    page = await served.page()
    await page.get_by_role("button", name="More", exact=True).click()
    await page.keyboard.press("?")
    await page.locator("#keys", has_text="approve and send").wait_for()
    await page.keyboard.press("Escape")
    await page.locator("#card textarea:visible").fill("Shorter, please")
    await page.get_by_role("button", name="Approve & send").click()
    await card_says(page, "Approved by Ann")
    assert await page.locator("#kept-text").input_value() == "Shorter, please"
    assert await page.locator("#changed").is_hidden()
    assert not served.problems


async def test_approving_beside_unsaved_text_asks_first(served: Served) -> None:
    page = await served.page()
    field = await open_edit(page)
    await field.fill("Not saved yet")
    await page.get_by_role("button", name="Approve & send").click()
    question = page.locator(".toast", has_text="did not save it")
    await question.wait_for()
    assert (await served.response())[0] is ResponseState.DRAFT
    await question.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Save & send").click()
    await card_says(page, "Approved by Ann")
    assert await served.response() == (ResponseState.APPROVED, "Not saved yet")


async def test_a_blocking_finding_is_read_before_anything_leaves(served: Served) -> None:
    page = await served.page()
    field = await open_edit(page)
    await field.fill("Our IBAN is DE00")
    await page.get_by_role("button", name="Save draft").click()
    await card_says(page, "It tells an IBAN.")
    await page.keyboard.press("a")
    await card_says(page, "Send it anyway?")
    assert (await served.response())[0] is ResponseState.DRAFT
    await page.get_by_role("button", name="Send anyway", exact=True).click()
    await card_says(page, "Approved by Ann")


async def test_the_page_says_when_it_is_cut_off_and_comes_back_by_itself(served: Served) -> None:
    page = await served.page()
    field = await open_edit(page)
    await field.fill("Typed before")
    await served.stop()
    await page.locator('#connection[data-state="off"]').wait_for()
    served.problems.clear()  # the browser itself complains about the lost line
    await page.get_by_role("button", name="Save draft").click()
    await page.locator(".toast", has_text="nothing was sent").wait_for()
    await served.start()
    await page.locator('#connection[data-state="on"]').wait_for()
    assert await field.input_value() == "Typed before"
    await page.get_by_role("button", name="Save draft").click()
    await card_says(page, "edited by Ann")
    assert (await served.response())[1] == "Typed before"


async def test_commands_and_help_work_from_the_keyboard(served: Served) -> None:
    page = await served.page()
    await page.keyboard.press("/")
    await page.keyboard.type("help")
    await page.keyboard.press("Enter")
    await page.locator("#answer-text", has_text="the tickets that wait").wait_for()
    await page.keyboard.type(f"show {served.scene.ticket.id}")
    await page.keyboard.press("Enter")
    await page.locator("#mail-text", has_text="Since nine o'clock").wait_for()
    assert await page.locator("#answer").is_hidden()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await page.locator("#keys", has_text="approve and send").wait_for()
    assert not served.problems


async def test_what_a_command_did_to_the_first_of_the_queue_is_shown(served: Served) -> None:
    other = await add_ticket(served.scene, "Another one", 5e12)
    page = await served.page()
    await page.locator(row(other)).wait_for()
    await page.fill("#line", f"{served.scene.ticket.id} snooze 2h")
    await page.keyboard.press("Enter")
    await card_says(page, "Snoozed until")
    await page.locator(row(served.scene.ticket)).wait_for(state="detached")
    assert await page.locator("#rows [aria-current]").count() == 0
    assert not served.problems


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1280])
async def test_nothing_sticks_out_at_any_width_or_colour(
    served: Served, scheme: str, width: int
) -> None:
    page = await served.page(
        color_scheme=scheme, viewport={"width": width, "height": 800}, has_touch=width < 800
    )
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    tops = await page.locator("#card .ac-pushButton:visible").evaluate_all(
        "found => found.map(one => one.getBoundingClientRect().top)"
    )
    assert tops.count(tops[-1]) >= 3, "no button is alone below the others"
    busy = "47 waiting · 12 being drafted · 8 sent"
    await page.evaluate("text => { document.getElementById('counts').textContent = text }", busy)
    assert (await page.locator("header").bounding_box())["height"] < 60  # one line
    colours = await page.evaluate(
        "() => ['color', 'backgroundColor'].map("
        "name => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number)[0])"
    )
    assert (colours[0] > colours[1]) == (scheme == "dark")
    # what is answered is seen, wherever the page was scrolled to
    await page.fill("#line", "help")
    await page.keyboard.press("Enter")
    await page.locator("#answer-text", has_text="the tickets that wait").wait_for()
    box = await page.locator("#answer").bounding_box()
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 800
    assert not served.problems


async def test_what_was_done_behind_more_closes_it(served: Served) -> None:
    page = await served.page()
    more = page.get_by_role("button", name="More", exact=True)
    await more.click()
    await page.get_by_role("button", name="Reject draft").click()
    await card_says(page, "Draft rejected by Ann")
    await page.locator("#card [aria-expanded=true]").wait_for(state="detached")
    assert not served.problems


async def test_customers_words_stay_words(served: Served) -> None:
    evil = '<img src=x onerror="alert(1)"> [click](javascript:alert(1)) **bold**'
    made = served.scene
    ticket = await add_ticket(made, evil, 0.1)
    page = await served.page()
    await page.locator(row(ticket)).wait_for()
    await card_says(page, "img src=x onerror")
    assert await page.locator("#card img, #card a, #rows img").count() == 0
    assert not served.problems


async def test_a_file_is_attached_with_the_mouse(served: Served, tmp_path: Path) -> None:
    page = await served.page()
    prices = tmp_path / "Preise für 2027.pdf"
    prices.write_bytes(b"%PDF-1.7 prices")
    await page.set_input_files("#file", str(prices))
    await page.wait_for_selector("#card :text('Preise für 2027.pdf (15 B)')")
    response = await served.scene.response()
    assert response is not None
    assert [one.type for one in response.envelope.attachments] == ["application/pdf"]
    await page.screenshot(path=tmp_path / "attached.png")
    assert served.problems == []
