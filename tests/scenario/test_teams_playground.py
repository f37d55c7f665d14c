"""A day's work in Microsoft's Agents Playground: by people in a browser, and by several at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bot.adaptive import draw
from bot.ticket_card import ticket_card
from desk.moves import Verb
from desk.people import Role
from desk.places import Network
from desk.response import ResponseState
from desk.store import Store
from tests.doubles.playground import EMAILS, PEOPLE, Playground, browsed, playground
from tests.doubles.teams import TeamsOffice, action, teams_office, words

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    # playwright leaves its pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PICTURES = os.environ.get("MAILDESK_TEST_PICTURES", "")
"""A folder for screenshots, for people who want to look."""


@dataclass
class Day:
    office: TeamsOffice
    place: Playground

    async def state(self) -> ResponseState:
        return (await self.office.response()).state

    async def picture(self, name: str) -> None:
        if PICTURES:
            await self.place.window.wait_for_timeout(700)
            await self.place.window.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


@pytest_asyncio.fixture
async def day(store: Store, tmp_path: Path) -> AsyncIterator[Day]:
    async with teams_office(store) as office:
        async with store.change() as change:
            await change.add_user(EMAILS["ann"], "Alex", Role.AGENT)
            await change.add_user(EMAILS["omar"], "Megan", Role.AGENT)
        async with playground(office.bot, tmp_path) as place:
            yield Day(office, place)


async def test_from_help_to_an_approved_reply_in_the_browser(day: Day) -> None:
    async with browsed(day.place) as place:
        await place.say("help")
        await place.sees("the tickets that wait, the next one first")
        await place.say("queue")
        await place.sees("#1 · Critical · Nobody in our office can log in")
        await place.say("show 1")
        await place.sees("Hello Priya, we are on it.")
        await day.picture("shown")
        await place.click("Edit")
        await place.window.locator("textarea:visible").last.fill("Hello Priya, by noon.\n\nAlex")
        await place.click("Save draft")
        await place.sees("edited by Alex")
        await place.sees("Hello Priya, by noon.")
        assert await day.state() is ResponseState.DRAFT
        await place.click("Approve & send")
        await place.sees("Approved by Alex, leaves at")
        assert await day.state() is ResponseState.APPROVED
        await day.picture("approved")
        await place.click("Undo")
        await place.sees("Approve & send")
        assert await day.state() is ResponseState.DRAFT
        await place.click("Approve & send")
        await place.sees("Approved by Alex, leaves at")
        assert await day.state() is ResponseState.APPROVED


async def test_a_colleagues_act_shows_up_and_a_late_press_is_told(day: Day) -> None:
    async with browsed(day.place) as place:
        await place.say("show 1")
        await place.sees("Approve & send")
        made = day.office.scene
        await made.actions.act(await made.request(Verb.APPROVE, made.omar))
        # the board has not drawn it yet
        await place.click("Approve & send")
        await place.sees("Approved by Omar, leaves at")
        await day.picture("late")
        await place.click("Undo")
        await place.sees("Approve & send")
        await made.actions.act(await made.request(Verb.CLAIM, made.omar))
        await day.office.board.show(made.ticket.id)
        await place.sees("Claimed by")
        await place.click("Approve & send")
        await place.sees("A colleague has claimed this ticket. Do it anyway?")
        await day.picture("question")
        await place.click("Do it anyway")
        await place.sees("Approved by Alex")


async def in_group(day: Day, line: str) -> str:
    """Ann writes to Maildesk in the group chat; the conversation's id."""
    config = (await day.place.ask("GET", "/_internal/v1/config"))["config"]
    group, bot = config["groupChats"][0]["id"], config["bot"]
    name = f"<at>{bot['name']}</at>"
    said = {
        "type": "text",
        "text": f"{name} {line}",
        "textFormat": "plain",
        "from": {"id": PEOPLE["ann"]},
        "mentions": [{"mentioned": bot, "text": name}],
    }
    await day.place.ask("POST", f"/_conversation/v1/conversations/{group}/messages", said)
    return str(group)


async def group_card(day: Day) -> tuple[str, str]:
    """The ticket is shown in the group chat, as a route does it: conversation and message."""
    group = await in_group(day, "help")
    async with asyncio.timeout(15):
        while not await day.office.store.conversation_reference(Network.TEAMS, group):  # noqa: ASYNC110 - records do not call back
            await asyncio.sleep(0.05)
    view = await day.office.store.view(day.office.scene.ticket.id)
    card = ticket_card(view, day.office.store.clock.now())
    await day.office.board.post(view.ticket.id, Network.TEAMS, group, card)
    (place,) = await day.office.store.places(view.ticket.id)
    return place.channel, place.message


async def test_what_is_asked_for_in_a_group_arrives_in_the_personal_chat(day: Day) -> None:
    async with browsed(day.place) as place:
        group = await in_group(day, "show 1")
        await place.sees("Approve & send")
        await place.click("Approve & send")
        await place.sees("Approved by Alex, leaves at")
        (known,) = await day.office.store.places(day.office.scene.ticket.id)
        assert known.channel != group


async def test_of_three_who_approve_at_once_in_a_group_one_does(day: Day) -> None:
    group, message = await group_card(day)
    view = await day.office.store.view(day.office.scene.ticket.id)
    approve = action(draw(ticket_card(view, day.office.store.clock.now())), "Approve & send")

    async def press(person: str) -> str:
        body = {
            "name": "adaptiveCard/action",
            "value": {"action": approve, "trigger": "manual"},
            "from": {"id": PEOPLE[person]},
            "conversation": {"id": group},
            "replyToId": message,
        }
        answer = await day.place.ask("POST", "/_conversation/v1/invoke", body)
        return words(answer["value"]) or str(answer["value"])

    ann, omar, zoe = await asyncio.gather(*map(press, PEOPLE))
    assert "maildesk user add adelev@example.com" in zoe
    assert "Undo" in ann
    assert "Undo" in omar
    assert (await day.office.scene.verbs()).count("approve") == 1
    # the second is told on top of the card who was first
    tops = sorted(said.startswith("Approved by") for said in (ann, omar))
    assert tops == [False, True]
