"""What becomes of a ticket when its reply has left, and when it must not leave any more."""

from __future__ import annotations

import pytest

from desk.delivery import deliver, give_way
from desk.moves import Verb
from desk.response import ResponseState
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.desk import Scene, mail, received, scene


async def writes_again(at: Scene) -> None:
    """A further mail, that was read and waits for its draft because a reply may have left."""
    async with at.store.change() as change:
        new = received(mail("And now?"), "2", change.now)
        await change.receive(await change.ticket(at.ticket.id), new)
        ticket = await change.ticket(at.ticket.id)
        for verb in (Verb.TRIAGE, Verb.DRAFT):
            ticket = await change.move_ticket(ticket, verb)


async def is_sending(at: Scene) -> None:
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with at.store.change() as change:
        await change.move_response(response, Verb.SEND)


@pytest.mark.parametrize("is_snoozed", [False, True])
@pytest.mark.parametrize(
    ("is_latest", "after"), [(True, TicketState.WAITING), (False, TicketState.TRIAGED)]
)
async def test_a_reply_that_left_is_waited_for_unless_the_customer_wrote_again(
    store: Store, is_snoozed: bool, is_latest: bool, after: TicketState
) -> None:
    at = await scene(store)
    await is_sending(at)
    if not is_latest:
        await writes_again(at)
    if is_snoozed:
        await at.actions.act(await at.request(Verb.SNOOZE))
    async with store.change() as change:
        response = await change.live_response(at.ticket.id)
        assert response is not None
        await deliver(change, response, Verb.DELIVER, {"sent_at": change.now})
    ticket, newest = await store.progress(at.ticket.id)
    assert newest is not None
    assert (ticket.state, newest.state) == (after, ResponseState.SENT)
    assert newest.sent_at == store.clock.now()


@pytest.mark.parametrize("is_snoozed", [False, True])
async def test_a_reply_that_gives_way_has_the_new_mail_drafted(
    store: Store, is_snoozed: bool
) -> None:
    at = await scene(store)
    if is_snoozed:
        await at.actions.act(await at.request(Verb.SNOOZE))
    async with store.change() as change:
        response = await change.live_response(at.ticket.id)
        assert response is not None
        await give_way(change, response)
    ticket, newest = await store.progress(at.ticket.id)
    assert newest is not None
    assert (ticket.state, newest.state) == (TicketState.TRIAGED, ResponseState.RETIRED)
