"""The same walk through Slack and through Teams, both at once in one real process, with a real
client or emulator each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.command_line import command
from tests.doubles.maildesk import Maildesk, running
from tests.doubles.playground import EMAILS, Playground, browsed, playground
from tests.doubles.slack import BOT, CHANNEL, SECRET, Call, SlackDoor
from tests.doubles.slack_user import SlackUser, words
from tests.scenario.test_walk import (
    ANGRIEST,
    REPLY,
    assert_answers,
    replies_within,
    sample,
    the_only_reply,
)
from tests.services import free_port, need

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(180),
    # playwright leaves its pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

P1 = sample("26-api-502-six-sites-stopped.eml")
SORTING = """Hello,

the API answers again since 12:20, and all six sites are sorting.

Ann, Lanewright Support"""


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not is_so():  # noqa: ASYNC110 - another process works
            await asyncio.sleep(0.1)


def has_field(view: dict[str, Any]) -> bool:
    return any(block["type"] == "input" for block in view["blocks"])


async def first_in_queue(data: Path) -> str:
    _, rows, _ = await command(data, "queue", "list", "--limit", "1", "--json")
    return str(rows[0]["subject"]) if rows else ""


async def test_the_walk_through_slack_and_the_walk_through_teams(
    tmp_path: Path, door: SlackDoor
) -> None:
    need("chromium")
    data, port = tmp_path / "var", free_port()
    channels = (await door.ask("conversations.list"))["channels"]
    channel = next(c["id"] for c in channels if c["name"] == CHANNEL)
    settings = {
        "MAILDESK_SLACK__BOT_TOKEN": BOT,
        "MAILDESK_SLACK__SIGNING_SECRET": SECRET,
        "MAILDESK_SLACK__API_URL": door.api,
        "MAILDESK_SLACK__CHANNEL": channel,
        "MAILDESK_SLACK__POST_FROM": "critical",
        "MAILDESK_TEAMS__IS_LOCAL_TEST": "true",
        "MAILDESK_UNDO_SECONDS": "5",
    }
    await command(data, "user", "add", "ann@lanewright.example", "--name", "Ann")
    await command(data, "user", "add", EMAILS["ann"], "--name", "Ann")
    async with (
        running(data, port, **settings) as maildesk,
        playground(f"http://127.0.0.1:{port}/api/messages", tmp_path) as place,
        browsed(place),
        asyncio.TaskGroup() as both,
    ):
        both.create_task(walk_through_slack(maildesk, door, channel))
        both.create_task(walk_through_teams(maildesk, place))


async def walk_through_slack(maildesk: Maildesk, door: SlackDoor, channel: str) -> None:
    members = {m["name"]: m for m in (await door.ask("users.list"))["members"]}
    ann = SlackUser("ann", members["ann"]["id"], door, f"http://127.0.0.1:{maildesk.port}")

    def cards() -> list[Call]:
        posts = door.of("chat.postMessage")
        return [p for p in posts if P1.subject in str(p.args) and "thread_ts" not in p.args]

    await until(lambda: bool(cards()))
    ts = str(cards()[0].answer["ts"])

    async def card_says(text: str) -> None:
        async with asyncio.timeout(20):
            while text not in words(await ann.card(channel, ts)):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)

    await ann.click(channel, ts, "Edit")
    # on a busy machine the form first says "One moment…"
    await until(lambda: bool(door.of("views.open")) and has_field(ann.opened()))
    answer = await ann.submit(SORTING)
    assert answer.status == 200, answer.text
    await card_says("edited by Ann")
    await ann.click(channel, ts, "Approve & send")
    await card_says("Approved by Ann")
    await ann.click(channel, ts, "Undo")
    await card_says("Approve & send")
    assert await replies_within(7, maildesk, P1) == []
    await ann.click(channel, ts, "Approve & send")
    await card_says("Sent by Ann")
    assert_answers(await the_only_reply(maildesk, P1), P1, SORTING)
    assert len(cards()) == 1, "the card was updated in place"


async def walk_through_teams(maildesk: Maildesk, place: Playground) -> None:
    async with asyncio.timeout(60):
        while "40 people" not in await first_in_queue(maildesk.data):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.5)
    await place.say("next")
    await place.sees("40 people locked out")
    await place.click("Edit")
    await place.window.locator("textarea:visible").last.fill(REPLY)
    await place.click("Save draft")
    await place.sees("edited by Ann")
    await place.click("Approve & send")
    await place.sees("Approved by Ann, leaves at")
    await place.click("Undo")
    await place.sees("Approve & send")
    assert await replies_within(7, maildesk, ANGRIEST) == []
    await place.click("Approve & send")
    await place.sees("Sent by Ann")
    assert_answers(await the_only_reply(maildesk, ANGRIEST), ANGRIEST, REPLY)
