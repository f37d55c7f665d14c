"""Managers are told of urgent work that was given up, once, with both decisions at hand."""

from __future__ import annotations

import pytest

from bot.board import Board, Route
from desk.burial import bury
from desk.classification import Urgency
from desk.errors import Permanent, Transient
from desk.letter_office import LetterOffice
from desk.moves import Verb
from desk.places import Network
from desk.steps import Failure, Step
from desk.store import Store
from tests.doubles.desk import Scene, scene
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
    assert (await at.actions.act(await at.request(Verb.REQUEUE, at.omar))).note == ""
    assert await store.dead_letters() == []


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


async def test_a_report_that_is_given_up_is_not_tried_for_ever(store: Store) -> None:
    at = await scene(store)
    id = await given_up(at)
    async with store.change() as change:
        await bury(change, Step.REPORT, id, GONE, 1)
    assert await store.unreported() == []
    await LetterOffice(store, at.queue).discard(at.omar, id)
    assert [letter.step for letter in await store.dead_letters()] == [Step.REPORT]
