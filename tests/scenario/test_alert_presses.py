"""Alerts through Teams' door and the console's: what is done about them is seen where they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.board import Route
from desk.places import Network
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.desk import overdue
from tests.doubles.teams import (
    GROUP,
    Json,
    TeamsOffice,
    TeamsUser,
    action,
    actions,
    teams_office,
    words,
)
from tests.scenario.test_console import Desk
from tests.scenario.test_console import desk as desk
from tests.scenario.test_console import scripts as scripts


@pytest_asyncio.fixture
async def office(store: Store) -> AsyncIterator[TeamsOffice]:
    """Managers are told in the group."""
    async with teams_office(store) as made:
        made.board.managers = [Route(Network.TEAMS, GROUP)]
        yield made


async def alerted(office: TeamsOffice, user: TeamsUser) -> str:
    """The message with the alert, below the ticket's card."""
    await office.shown(user)
    before = set(office.connector.messages)
    await office.board.alert(await overdue(office.scene))
    messages = office.connector.messages
    [alert] = [id for id in messages.keys() - before if actions(messages[id])]
    return alert


def field_of(card: object, name: str) -> Json:
    """The menu under the button of a verb."""
    if isinstance(card, list):
        return next(filter(None, (field_of(part, name) for part in card)), {})
    if not isinstance(card, dict):
        return {}
    if card.get("type") == "Input.ChoiceSet" and card.get("id") == name:
        return card
    return field_of(list(card.values()), name)


async def choose(office: TeamsOffice, user: TeamsUser, alert: str, menu: str, choice: str) -> Json:
    card = office.card(alert)
    field = field_of(card, menu.lower())
    [value] = [one["value"] for one in field["choices"] if one["title"] == choice]
    return await user.press(action(card, menu), alert, **{field["id"]: value})


async def test_an_alert_is_acknowledged_in_teams_by_one_and_seen_by_all(
    office: TeamsOffice,
) -> None:
    ann, omar = office.user("ann"), office.user("omar")
    alert = await alerted(office, ann)
    old = action(office.card(alert), "Acknowledge")
    assert "Nobody has acknowledged this yet" in words(office.card(alert))
    answer = await ann.press(old, alert)
    assert "Overdue: Nobody in our office can log in" in words(answer["value"])
    await office.reads(alert, "Ann acknowledged")
    assert "Acknowledge" not in {one["title"] for one in actions(office.card(alert))}
    late = await omar.press(old, alert)
    assert words(late["value"]).startswith("Ann has acknowledged this already")
    assert "Overdue: " in words(late["value"])


async def test_an_alert_is_taken_over_in_teams(office: TeamsOffice) -> None:
    ann, omar = office.user("ann"), office.user("omar")
    alert = await alerted(office, ann)
    await omar.press(action(office.card(alert), "Take over"), alert)
    ticket = await office.store.ticket(office.scene.ticket.id)
    assert ticket.assignee == office.scene.omar.id
    await office.reads(alert, "Omar\nClaimed by")


async def test_an_alert_is_assigned_in_teams_by_managers_alone(office: TeamsOffice) -> None:
    ann, omar = office.user("ann"), office.user("omar")
    alert = await alerted(office, ann)
    refused = await choose(office, ann, alert, "Assign", "Omar")
    assert "Only a manager can do this" in words(refused["value"])
    await choose(office, omar, alert, "Assign", "Ann")
    await office.reads(alert, "Ann\nClaimed by")
    ticket = await office.store.ticket(office.scene.ticket.id)
    assert ticket.assignee == office.scene.ann.id


async def test_an_alert_is_snoozed_in_teams(office: TeamsOffice) -> None:
    ann = office.user("ann")
    alert = await alerted(office, ann)
    await choose(office, ann, alert, "Snooze", "for 4 hours")
    await office.reads(alert, "Snoozed until")
    ticket = await office.store.ticket(office.scene.ticket.id)
    assert ticket.state is TicketState.SNOOZED


async def test_a_late_ticket_is_acknowledged_on_its_card_in_the_console(desk: Desk) -> None:
    await overdue(desk.scene)
    async with desk.page() as mine, desk.page(desk.scene.omar) as other:
        card = await mine.open(desk.scene.ticket.id)
        await other.open(desk.scene.ticket.id)
        assert facts(card)["Alert"] == "nobody has acknowledged it yet"
        await mine.press(card, "Acknowledge")
        seen = await other.hear("card", lambda said: "Ann acknowledged" in facts(said)["Alert"])
        assert "Acknowledge" not in {one["title"] for one in actions(seen["card"])}
        key = await other.press(card, "Acknowledge")
        assert (await other.hear("note", key=key))["text"] == "Ann has acknowledged this already"


@pytest.mark.parametrize(
    ("line", "name", "said"),
    [
        ("1 acknowledge", "Alert", "Omar acknowledged"),
        ("1 take over", "Claimed by", "Omar"),
        ("1 assign ann", "Claimed by", "Ann"),
        ("1 snooze 4h", "Alert", "Omar acknowledged"),
    ],
)
async def test_a_late_ticket_is_taken_care_of_by_command_in_the_console(
    desk: Desk, line: str, name: str, said: str
) -> None:
    await overdue(desk.scene)
    async with desk.page(desk.scene.omar) as page:
        await page.open(desk.scene.ticket.id)
        await page.command(line)
        await page.hear("card", lambda card: said in facts(card).get(name, ""))


def facts(said: dict[str, Any]) -> dict[str, str]:
    [found] = [part for part in said["card"]["body"] if part["type"] == "FactSet"]
    return {fact["title"].replace("\xa0", " "): fact["value"] for fact in found["facts"]}
