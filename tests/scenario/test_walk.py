"""One e-mail's whole walk, for real: from ``app.py run`` through the console to the sent mail."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from desk.email import ParsedEmail
from desk.ids import TicketId
from desk.store import Store
from desk.vault import open_vault
from mail.parse import parse
from tests.doubles.command_line import command
from tests.doubles.maildesk import ROOT, Maildesk, running
from tests.scenario.test_console_browser import FLAGS
from tests.services import need

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(150),
    # playwright leaves its pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def sample(name: str) -> ParsedEmail:
    return parse((ROOT / "samples" / "mailbox" / name).read_bytes())


ANGRIEST = sample("10-trucks-leave-at-one.eml")
REPLY = """Dear Ms Verhoeven,

we have renewed the certificate: everybody can log in again since 12:20.

Ann, Lanewright Support"""
QUIET = {"receive", "triage", "draft", "start_edit", "claim"}


async def says(page: Any, text: str, seconds: int = 20) -> None:
    await page.locator("#card", has_text=text).wait_for(timeout=1000 * seconds)


def replies(maildesk: Maildesk, asked: ParsedEmail) -> list[Path]:
    read = [(file, parse(file.read_bytes())) for file in maildesk.sent]
    return [file for file, email in read if email.in_reply_to == asked.message_id]


async def replies_within(seconds: float, maildesk: Maildesk, asked: ParsedEmail) -> list[Path]:
    """What was sent in reply, as soon as there is any."""
    try:
        async with asyncio.timeout(seconds):
            while not replies(maildesk, asked):  # noqa: ASYNC110 - another process sends
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    return replies(maildesk, asked)


async def test_the_angriest_mail_is_edited_approved_undone_approved_and_sent_once(
    tmp_path: Path,
) -> None:
    chromium = need("chromium")
    from playwright.async_api import async_playwright

    data = tmp_path / "var"
    async with (
        running(data, MAILDESK_UNDO_SECONDS="4") as maildesk,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(maildesk.address)
        # how soon the first card comes is for bench/start.py to measure
        await says(page, "40 people locked out", 60)
        top = page.locator("#rows [data-ticket]").first
        assert "40 people locked out" in await top.inner_text()
        number = int(await top.get_attribute("data-ticket") or 0)

        await page.get_by_role("button", name="Edit", exact=True).click()
        field = page.locator("#card textarea:visible")
        await field.fill(REPLY)
        await page.get_by_role("button", name="Save draft").click()
        await says(page, "edited by")
        await page.get_by_role("button", name="Approve & send").click()
        await says(page, "Approved by")
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_role("button", name="Approve & send").wait_for()
        assert await replies_within(6, maildesk, ANGRIEST) == []
        await page.get_by_role("button", name="Approve & send").click()
        await says(page, "Sent by")
        await browser.close()

        file = await the_only_reply(maildesk, ANGRIEST)
        assert maildesk.sent == [file]
        assert await maildesk.stop() == 0

    assert_answers(file, ANGRIEST, REPLY)
    assert (await history(data, number))[:3] == ["receive", "triage", "draft"]
    assert [verb for verb in await history(data, number) if verb not in QUIET] == [
        "edit",
        "approve",
        "undo",
        "approve",
        "send",
        "deliver",
    ]
    code, [verdict], _ = await command(data, "audit", "verify", "--json")
    assert (code, verdict["ok"]) == (0, True)


async def the_only_reply(maildesk: Maildesk, asked: ParsedEmail) -> Path:
    """The sent mail; it stays the only one."""
    [file] = await replies_within(15, maildesk, asked)
    await asyncio.sleep(2)
    assert replies(maildesk, asked) == [file]
    return file


def assert_answers(file: Path, asked: ParsedEmail, text: str) -> None:
    sent = parse(file.read_bytes())
    assert sent.reply.strip() == text
    assert sent.in_reply_to == asked.message_id
    assert sent.references == (*asked.references, asked.message_id)
    assert [a.address for a in sent.to] == [asked.sender.address]
    assert sent.subject == f"Re: {asked.subject}"


async def history(data: Path, ticket: int) -> list[str]:
    """The verbs of its audit entries; a verb on ticket and response at once counts once."""
    url = f"sqlite+aiosqlite:///{data / 'desk.db'}"
    async with Store.open(url, open_vault(data / "key")) as store:
        verbs = [entry.verb for entry in await store.history(TicketId(ticket))]
    return [verb for verb, _ in groupby(verbs)]
