"""How much a click and a card ask of the database: so that it cannot grow unseen."""

from __future__ import annotations

from desk.email import Address
from desk.moves import Verb
from desk.store import Store
from tests.doubles.databases import counted
from tests.doubles.desk import drafted, mail, received, scene

VIEW = 12
ACTS = {
    Verb.APPROVE: 17,  # and claim
    Verb.UNDO: 13,  # and what was given up about it
    Verb.BUMP: 10,
    Verb.SNOOZE: 12,
    Verb.REJECT: 12,
    Verb.CLOSE: 15,  # and what was given up about its draft
}


async def test_a_click_asks_little_of_the_database(any_store: Store) -> None:
    at = await scene(any_store)
    for verb, most in ACTS.items():
        request = await at.request(verb)
        with counted(any_store) as said:
            assert (await at.actions.act(request)).result == "done", verb
        assert len(said) <= most, "\n".join([verb, *said])


async def test_many_cards_ask_no_more_than_one(any_store: Store) -> None:
    at = await scene(any_store)
    tickets = [at.ticket.id]
    for number in range(4):
        async with any_store.change() as change:
            new = received(mail(sender=Address("", f"{number}@x.example")), key=f"{number} new")
            ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
            email = await change.receive(ticket, new)
        await drafted(any_store, ticket.id, email.id, "Hello.")
        tickets.append(ticket.id)
    with counted(any_store) as said:
        assert len(await any_store.views(tickets)) == 5
    assert len(said) < VIEW, "\n".join(said)
    with counted(any_store) as said:
        assert (await any_store.view(at.ticket.id)).rank is not None
    assert len(said) <= VIEW, "\n".join(said)


async def test_an_important_domain_is_ranked_in_few_reads(any_store: Store) -> None:
    """However many wait, only those that move are written."""
    at = await scene(any_store)
    for number in range(6):
        async with any_store.change() as change:
            new = received(mail(sender=Address("", f"{number}@x.example")), key=f"{number} new")
            await change.receive(await change.open_ticket(at.ticket.mailbox_id, new, 1.0), new)
    request = await at.request(Verb.VIP, at.omar, text="domain")
    with counted(any_store) as said:
        assert (await at.actions.act(request)).result == "done"
    assert len(said) <= 15, "\n".join(said)
