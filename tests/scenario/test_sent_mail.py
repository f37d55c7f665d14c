"""Replies of which nobody knows whether they left: looked for, told, decided by a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from desk.action import ActionRequest, Outcome, Result, Seen
from desk.errors import Ambiguous, Permanent, Transient
from desk.failpoints import armed
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role
from desk.response import Response, ResponseState, Severity
from desk.rules import message_id
from desk.standing import standing
from desk.ticket import TicketState
from tests.doubles.house import House
from tests.doubles.mailbox import parse_here, raw_mail
from tests.scenario.test_steps import FIRST
from tests.scenario.test_steps import clock as clock
from tests.scenario.test_steps import house as house
from workers.intake import Intake
from workers.sending import Sending

AGAIN = raw_mail("Re: Scanner", "And?", "<2@x>", "<1@lindqvist.example>")


async def current(house: House) -> Response:
    response = (await house.view()).response
    assert response is not None
    return response


async def approved(house: House) -> Response:
    """Its time to be undone is over."""
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    house.clock.forward(seconds=31)
    return await current(house)


async def lost(house: House, *, keeps: bool = False) -> Response:
    """Approved, handed over, and the line broke."""
    house.mailbox.arrive(FIRST)
    house.mailbox.failures, house.mailbox.keeps = [Ambiguous("the line broke")], keeps
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    return await current(house)


async def step(house: House) -> None:
    """The sender looks at the reply now."""
    await sending(house)((await current(house)).id)


def sending(house: House) -> Sending:
    return Sending(house.store, house.queue, {house.box: house.mailbox}, {})


async def manager_does(house: House, verb: Verb, key: str, *, confirmed: bool = True) -> Outcome:
    omar = await house.store.user_by_email("omar@lanewright.example")
    if omar is None:
        async with house.store.change() as change:
            omar = await change.add_user("omar@lanewright.example", "Omar", Role.MANAGER)
    response = await current(house)
    seen = Seen(response.id, response.version, response.hash)
    request = ActionRequest(key, omar, verb, TicketId(1), seen, confirmed=confirmed)
    return await house.actions.act(request)


async def test_it_is_looked_for_less_and_less_often_and_the_card_says_when(house: House) -> None:
    response = await lost(house)
    pauses = []
    for _ in range(11):
        assert response.send_after is not None
        assert "looks there again at" in standing(await house.view())
        wait = response.send_after - house.clock.now()
        pauses.append(int(wait.total_seconds()))
        house.clock.forward(seconds=wait.total_seconds() - 1)
        await step(house)
        assert await current(house) == response, "it was looked for too early"
        house.clock.forward(seconds=1)
        await step(house)
        response = await current(house)
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert (response.state, house.mailbox.sent) == (ResponseState.UNKNOWN, [])


@pytest.mark.parametrize("error", [Transient("away"), Permanent("signed out")])
async def test_sent_mail_that_cannot_be_read_is_asked_again_and_no_dead_letter(
    house: House, error: Exception
) -> None:
    await lost(house, keeps=False)
    real = house.mailbox.find_sent

    class Away:
        async def find_sent(self, message_id: str) -> bool:
            raise error

    broken = Sending(house.store, house.queue, {house.box: Away()}, {})  # type: ignore[dict-item]
    for minutes in (1, 2, 4):
        house.clock.forward(minutes=minutes)
        await broken((await current(house)).id)
    assert (await current(house)).tries == 4
    assert await real("") is False
    assert await house.store.dead_letters() == []


async def test_a_manager_who_knows_marks_it_as_sent(house: House) -> None:
    await lost(house)
    asked = await manager_does(house, Verb.MARK_SENT, "m", confirmed=False)
    assert asked.result is Result.CONFIRM
    assert (await manager_does(house, Verb.MARK_SENT, "m2")).result is Result.DONE
    view = await house.view()
    assert (await house.state(), view.ticket.state) == (ResponseState.SENT, TicketState.WAITING)
    assert standing(view).startswith("Marked as sent by Omar")
    late = await manager_does(house, Verb.MARK_SENT, "m3")
    assert "Marked as sent by Omar" in late.note
    house.clock.forward(hours=2)
    await step(house)
    assert house.mailbox.sent == []


async def test_an_agent_cannot_mark_it_as_sent(house: House) -> None:
    response = await lost(house)
    seen = Seen(response.id, response.version, response.hash)
    request = ActionRequest("m", house.ann, Verb.MARK_SENT, TicketId(1), seen, confirmed=True)
    outcome = await house.actions.act(request)
    assert outcome.note == "Only a manager can do this, and you are registered as agent"


async def test_what_was_made_a_draft_again_is_found_after_all_and_not_sent_twice(
    house: House,
) -> None:
    """The customer's mail server was slow, and the sent mail shows it late."""
    first = await lost(house)
    assert (await manager_does(house, Verb.SEND_AGAIN, "s")).result is Result.DONE
    draft = await current(house)
    assert (draft.state, draft.earlier_ids) == (ResponseState.DRAFT, (first.message_id,))
    await house.act(Verb.APPROVE, "again")
    house.mailbox.sent.append(b"Message-ID: %s\r\n\r\n" % first.message_id.encode())
    await house.leave()
    view = await house.view()
    assert (await house.state(), view.ticket.state) == (ResponseState.SENT, TicketState.WAITING)
    assert len(house.mailbox.sent) == 1
    assert (await current(house)).message_id == first.message_id


async def test_other_words_than_those_that_left_are_for_a_person_to_decide(house: House) -> None:
    first = await lost(house)
    await manager_does(house, Verb.SEND_AGAIN, "s")
    await house.act(Verb.EDIT, "e", text="Something better.", then_send=True)
    house.mailbox.sent.append(b"Message-ID: %s\r\n\r\n" % first.message_id.encode())
    await house.leave()
    draft = await current(house)
    assert (draft.state, draft.approved_by, draft.message_id) == (ResponseState.DRAFT, None, "")
    assert [f.severity for f in draft.draft.findings] == [Severity.BLOCKING]
    await house.act(Verb.EDIT, "e2", text="Even better.")
    outcome = await manager_does(house, Verb.APPROVE, "p", confirmed=False)
    assert "An earlier version of this reply has left after all" in outcome.note
    assert (await manager_does(house, Verb.APPROVE, "p2")).result is Result.DONE
    await house.leave()
    assert await house.state() is ResponseState.SENT
    assert len(house.mailbox.sent) == 2


async def test_a_draft_is_looked_for_without_changing_under_the_reader(house: House) -> None:
    first = await lost(house)
    await manager_does(house, Verb.SEND_AGAIN, "s")
    before = await current(house)
    [(_, asks)] = await house.store.unfinished()
    assert asks is not None
    for _ in range(3):
        house.clock.forward(minutes=1)
        await step(house)
    assert await current(house) == before
    house.mailbox.sent.append(b"Message-ID: %s\r\n\r\n" % first.message_id.encode())
    await step(house)
    assert await house.state() is ResponseState.SENT
    await house.runner.drain()
    assert await house.store.unfinished() == []


async def test_an_answer_to_a_version_that_left_joins_its_ticket(house: House) -> None:
    first = await lost(house)
    await manager_does(house, Verb.SEND_AGAIN, "s")
    house.mailbox.arrive(raw_mail("Other words", "Thanks!", "<3@x>", first.message_id))
    forged = message_id(replace(first, version=99), "lanewright.example")
    house.mailbox.arrive(raw_mail("Yet other words", "Hi", "<4@x>", forged))
    await house.settle()
    assert [(await house.view(n)).mails for n in (1, 2)] == [2, 1]


async def test_when_the_customer_wrote_meanwhile_send_again_gives_way_to_the_new_mail(
    house: House,
) -> None:
    response = await lost(house)
    house.mailbox.arrive(AGAIN)
    await house.settle()
    assert (await current(house)).id == response.id, "it comes first"
    asked = await manager_does(house, Verb.SEND_AGAIN, "s", confirmed=False)
    assert "the customer has written again" in asked.note
    assert (await manager_does(house, Verb.SEND_AGAIN, "s2")).result is Result.DONE
    await house.runner.drain()
    draft = await current(house)
    assert (draft.state, draft.email_id) == (ResponseState.DRAFT, 2)
    assert (await house.store.response(response.id)).state is ResponseState.RETIRED


async def test_a_reply_that_did_not_leave_gives_way_to_a_new_mail(house: House) -> None:
    """The customer writes while the mail server refuses for now: it must not go out later."""
    response = await approved(house)
    house.mailbox.failures = [Transient("450 later")]
    with armed("sending.marked=block@1") as points:
        handing = asyncio.create_task(sending(house)(response.id))
        await points["sending.marked"].reached.wait()
        house.mailbox.arrive(AGAIN)
        await Intake(house.store, house.queue, {house.box: house.mailbox}, parse_here)(house.box)
    await handing
    assert (await house.store.response(response.id)).state is ResponseState.RETIRED
    await house.settle()
    assert house.mailbox.sent == []
    assert (await current(house)).email_id == 2


async def test_undo_and_dispatch_at_the_same_moment_have_one_winner(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    for round in range(8):
        sent = len(house.mailbox.sent)
        await house.act(Verb.APPROVE, f"a{round}")
        house.clock.forward(seconds=31)
        response = await current(house)
        seen = Seen(response.id, response.version, response.hash)
        undo = ActionRequest(f"u{round}", house.ann, Verb.UNDO, TicketId(1), seen)
        first, second = [house.actions.act(undo), sending(house)(response.id)][
            :: 1 - 2 * (round % 2)
        ]
        outcomes = await asyncio.gather(first, second)
        outcome = next(one for one in outcomes if isinstance(one, Outcome))
        was_undone = outcome.result is Result.DONE
        assert len(house.mailbox.sent) - sent == (0 if was_undone else 1)
        expected = ResponseState.DRAFT if was_undone else ResponseState.SENT
        assert await house.state() is expected
        if not was_undone:
            break


async def test_what_a_held_up_worker_did_hand_over_is_noted_whatever_was_thought(
    house: House,
) -> None:
    response = await approved(house)
    blind = Sending(house.store, house.queue, {}, {})
    with armed("sending.handed_over=block@1") as points:
        stale = asyncio.create_task(sending(house)(response.id))
        await points["sending.handed_over"].reached.wait()
        await blind(response.id)
        assert await house.state() is ResponseState.UNKNOWN
    await stale
    assert await house.state() is ResponseState.SENT
    assert len(house.mailbox.sent) == 1


async def test_a_database_that_does_not_answer_after_the_hand_over_does_not_make_it_unknown(
    house: House,
) -> None:
    await approved(house)
    # passing 1 is the mark as being sent, 2 the note that it left
    with armed("change.committing=raise@2"):
        await sending(house)((await current(house)).id)
    assert await house.state() is ResponseState.SENT
    assert len(house.mailbox.sent) == 1


async def test_nothing_is_looked_for_before_its_time_after_redis_lost_everything(
    house: House,
) -> None:
    response = await lost(house)
    [(ticket, asks)] = await house.store.unfinished()
    assert asks == response
    assert response.send_after == house.clock.now() + timedelta(seconds=10)
    assert ticket.id == 1
