"""Microsoft's Agents Playground: Teams' client on this machine, in a Chromium and over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.services import free_port, need, need_file

CLI = Path(__file__).parents[2] / "node_modules/@microsoft/m365agentsplayground/cli.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PEOPLE = {"ann": "user-id-0", "omar": "user-id-1", "zoe": "user-id-2"}
"""Its own people are Alex, Megan and Adele, with addresses at example.com."""
EMAILS = {"ann": "alexw@example.com", "omar": "meganb@example.com"}


@dataclass
class Playground:
    url: str
    window: Any = None

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}{path}", json=body) as answer,
        ):
            text = await answer.text()
            assert answer.status < 300, f"{answer.status} {text[:500]}"
            return await answer.json() if answer.content_type == "application/json" else text

    # -- as a person in the browser

    async def say(self, text: str) -> None:
        box = self.window.get_by_role("textbox").first
        for _ in range(10):  # a page that is still being built forgets what is typed
            await box.click()
            await self.window.keyboard.type(text)
            if text in await box.evaluate("box => box.value ?? box.innerText"):
                break
            await self.window.wait_for_timeout(300)
        await self.window.keyboard.press("Enter")

    async def sees(self, text: str) -> None:
        seen = "text => document.body.innerText.replaceAll('\\u00a0', ' ').includes(text)"
        await self.window.wait_for_function(seen, arg=text, timeout=30_000)

    async def click(self, name: str) -> None:
        button = self.window.get_by_role("button", name=name, exact=True).last
        await button.click(timeout=10_000)


@asynccontextmanager
async def playground(endpoint: str, folder: Path) -> AsyncIterator[Playground]:
    node = need("node")
    need_file(CLI, "run  make setup")
    port = free_port()
    line = f"start -e {endpoint} -c msteams -p {port} --disable-telemetry"
    process = await asyncio.create_subprocess_exec(
        node,
        str(CLI),
        *line.split(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,  # it writes a log there
        start_new_session=True,
    )
    try:
        place = Playground(f"http://127.0.0.1:{port}")
        await _answering(place)
        yield place
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _answering(place: Playground) -> None:
    deadline = time.monotonic() + 40
    while True:
        try:
            await place.ask("GET", "/_internal/v1/config")
        except aiohttp.ClientError:
            assert time.monotonic() < deadline, "the playground does not start"
            await asyncio.sleep(0.2)
        else:
            return


@asynccontextmanager
async def browsed(place: Playground) -> AsyncIterator[Playground]:
    """With a window of a Chromium that reaches loopback only."""
    chromium = need("chromium")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = await browser.new_context(viewport={"width": 1400, "height": 1300})
        await context.route("**/*", _loopback_only)
        place.window = await context.new_page()
        await place.window.goto(place.url)
        await place.window.get_by_role("textbox").first.wait_for(timeout=30_000)
        yield place
        await browser.close()


async def _loopback_only(route: Any) -> None:
    host = route.request.url.split("/")[2].split(":")[0]
    await (route.continue_() if host in ("127.0.0.1", "localhost") else route.abort())
