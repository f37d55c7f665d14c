"""Managers are told of urgent work that was given up, once, with both decisions at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot import adaptive
from bot.board import Board, Route
from bot.card import Card
from bot.messages import card_at
from bot.press import read_press
from bot.slack import draw as slack_draw
from bot.slack.read_action import read_carried
from desk.action import ActionRequest, Outcome, Result
from desk.burial import bury
from desk.classification import Urgency
from desk.errors import Permanent, Transient
from desk.failpoints import armed
from desk.letter_office import LetterOffice
from desk.moves import Verb
from desk.people import User
from desk.places import Network
from desk.standing import unmarked
from desk.steps import Failure, Step
from desk.store import Store
from tests.doubles.blocks import problems
from tests.doubles.desk import Scene, overdue, scene
from tests.scenario.test_board import Wall, board

GONE = Failure("Transient", "The mail server is gone.", "")


async def given_up(at: Scene, step: Step = Step.DRAFTING) -> int:
    async with at.store.change() as change:
        return await bury(change, step, at.ticket.id, GONE, 5)


def managed(store: Store, slack: Wall, teams: Wall) -> Board:
    shown = board(store, slack, teams)
    shown.managers = [Route(Network.SLACK, "bosses"), Route(Network.TEAMS, "heads")]
    return shown


async def test_managers_are_told_once_and_decide_on_the_card(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    id = await given_up(at)
    assert await store.unreported() == [id]
    shown = managed(store, slack, teams)
    await shown.report(id)
    await shown.report(id)
    assert (slack.calls, teams.calls) == (["post bosses"], ["post heads"])
    assert await store.unreported() == []
    card = slack.cards["bosses"]
    assert card.title == "Given up: Nobody in our office can log in"
    assert "given up after 5 tries: The mail server is gone." in card.status
    assert [button.verb for button in card.buttons] == [Verb.REQUEUE, Verb.DISCARD]
    assert problems(slack_draw.draw(card, ZoneInfo("UTC"))["blocks"]) == []
    assert (await at.actions.act(await at.request(Verb.REQUEUE, at.omar))).note == ""
    assert await store.dead_letters() == []


@pytest.mark.parametrize("verb", [Verb.REQUEUE, Verb.DISCARD])
@pytest.mark.parametrize("network", [Network.SLACK, Network.TEAMS])
async def test_a_report_decides_about_what_it_tells_of_alone(
    store: Store, network: Network, verb: Verb
) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    alert = await overdue(at)
    async with store.change() as change:
        other = await bury(change, Step.ALERT, alert, GONE, 5)
    id = await given_up(at)
    await managed(store, slack, teams).report(id)
    wall, channel = (slack, "bosses") if network is Network.SLACK else (teams, "heads")
    request = pressed(wall.cards[channel], network, verb, at.omar)
    assert await at.actions.act(request) == Outcome(Result.DONE)
    assert [letter.id for letter in await store.dead_letters()] == [other]
    late = await at.actions.act(replace(request, key="late"))
    assert late == Outcome(Result.REFUSED, "Somebody has decided about this job already")
    # the ticket's own card is about all of it
    assert await at.actions.act(await at.request(verb, at.omar, confirmed=True)) == Outcome(
        Result.DONE
    )
    assert await store.dead_letters() == []


def pressed(card: Card, network: Network, verb: Verb, user: User) -> ActionRequest:
    """What a click on the drawn card asks for."""
    if network is Network.SLACK:
        blocks = slack_draw.draw(card, ZoneInfo("UTC"))["blocks"]
        values = [e["value"] for b in blocks if b["type"] == "actions" for e in b["elements"]]
        said = [read_carried(value) for value in values]
        carried = next(one for one in said if one is not None and one.verb is verb)
        return ActionRequest(
            "k", user, verb, carried.ticket_id, carried.seen, carried.text, carried.confirmed
        )
    presses = [read_press(data) for data in executed(adaptive.draw(card))]
    return next(press for press in presses if press.verb is verb).request("k", user)


def executed(node: Any) -> list[dict[str, object]]:
    """The data of every button of an adaptive card that does something."""
    if isinstance(node, list):
        return [data for one in node for data in executed(one)]
    if not isinstance(node, dict):
        return []
    own = [node["data"]] if node.get("type") == "Action.Execute" else []
    return [*own, *executed([*node.values()])]


async def test_only_urgent_work_is_told_and_what_nobody_could_judge(store: Store) -> None:
    at = await scene(store)
    async with store.change() as change:
        ticket = await change.ticket(at.ticket.id)
        await change.set_ticket(ticket, Verb.RANK, {"urgency": Urgency.NORMAL})
    await given_up(at)
    assert await store.unreported() == []
    unread = await given_up(at, Step.TRIAGE)
    assert await store.unreported() == [unread]


async def test_what_was_decided_meanwhile_is_not_told(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    id = await given_up(at)
    await LetterOffice(store, at.queue).discard(at.omar, id)
    await managed(store, slack, teams).report(id)
    assert slack.calls == []


async def test_managers_whom_nobody_reached_are_told_later(store: Store) -> None:
    at = await scene(store)
    slack = Wall(broken={"bosses": Transient("Away")})
    teams = Wall(broken={"heads": Permanent("Archived")})
    id = await given_up(at)
    shown = managed(store, slack, teams)
    with pytest.raises(Transient):
        await shown.report(id)
    assert await store.unreported() == [id]
    slack.broken.clear()
    await shown.report(id)
    assert await store.unreported() == []


async def test_what_is_decided_is_seen_on_every_report(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    alert = await overdue(at)
    async with store.change() as change:
        id = await bury(change, Step.ALERT, alert, GONE, 5)
    shown = managed(store, slack, teams)
    await shown.show(at.ticket.id)
    await shown.report(id)
    assert len(slack.cards["bosses"].buttons) == 2
    await LetterOffice(store, at.queue).discard(at.omar, id)
    assert (Step.SHOW, at.ticket.id) in at.queue.jobs
    slack.calls.clear()
    await shown.show(at.ticket.id)
    await shown.show(at.ticket.id)
    for card in (slack.cards["bosses"], teams.cards["heads"]):
        assert unmarked(card.status, ZoneInfo("UTC")) == "Discarded by Omar, 10:01"
        assert card.buttons == ()
        assert card.facts[-1][0] == "Was given up"
    assert "Given up" not in dict(slack.cards["desk"].facts)
    assert slack.calls == ["update desk", "update bosses"]


@pytest.mark.parametrize("network", [Network.SLACK, Network.TEAMS])
async def test_a_report_stays_a_report_when_it_is_pressed(store: Store, network: Network) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    id = await given_up(at)
    await managed(store, slack, teams).report(id)
    wall, channel = (slack, "bosses") if network is Network.SLACK else (teams, "heads")
    view = await store.view(at.ticket.id)
    assert await card_at(store, network, f"in {channel}", view) == wall.cards[channel]
    await at.actions.act(await at.request(Verb.REQUEUE, at.omar))
    card = await card_at(store, network, f"in {channel}", await store.view(at.ticket.id))
    assert card.status.startswith("Requeued by Omar")
    own = await card_at(store, network, "another", view)
    assert own.is_own


async def test_a_report_that_was_posted_and_not_noted_is_found_again(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    id = await given_up(at)
    shown = managed(store, slack, teams)
    # told nowhere, as far as anybody knows
    with armed("reports.posted=raise"), pytest.raises(Transient):
        await shown.report(id)
    await shown.report(id)
    assert (slack.calls, teams.calls) == (["post bosses"], ["post heads"])
    assert await store.unreported() == []


async def test_a_report_that_is_given_up_is_not_tried_for_ever(store: Store) -> None:
    at = await scene(store)
    id = await given_up(at)
    async with store.change() as change:
        await bury(change, Step.REPORT, id, GONE, 1)
    assert await store.unreported() == []
    await LetterOffice(store, at.queue).discard(at.omar, id)
    assert [letter.step for letter in await store.dead_letters()] == [Step.REPORT]
