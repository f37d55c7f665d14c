"""Who is served first: what people and time change about it. On both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from desk import ranking
from desk.change import Change
from desk.classification import Urgency
from desk.email import Address
from desk.errors import Refused
from desk.moves import Verb
from desk.people import Role, User
from desk.priority import USUAL, Because, Weights, has_boost, score
from desk.steps import Step
from desk.store import Store
from desk.tables.people import vips as table
from desk.tables.sla import escalations
from desk.ticket import Ticket, TicketState
from tests.doubles.desk import (
    START,
    FastClock,
    Scene,
    drafted,
    mail,
    overdue,
    received,
    scene,
)
from workers.overload import Overload


class Ranks:
    """A queue that notes new ranks."""

    def __init__(self) -> None:
        self.scores: dict[tuple[Step, int], float] = {}

    async def rescore(self, step: Step, id: int, score: float) -> bool:
        self.scores[step, id] = score
        return True


async def another(at: Scene, address: str, urgency: Urgency = Urgency.NORMAL) -> Ticket:
    """One more ticket that waits with a draft."""
    async with at.store.change() as change:
        new = received(mail(f"From {address}", sender=Address("", address)), key=address)
        ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
        email = await change.receive(ticket, new)
    await drafted(at.store, ticket.id, email.id, "Hello.")
    async with at.store.change() as change:
        ticket = await change.ticket(ticket.id)
        due = START + timedelta(hours=2)
        changes = {"urgency": urgency, "due_at": due, "score": score(due, ()), "boosts": ()}
        return await change.set_ticket(ticket, Verb.RANK, changes)


async def do(at: Scene, verb: Verb, user: User, ticket: Ticket, text: str = "") -> str:
    outcome = await at.actions.act(
        await at.request(verb, user, ticket_id=ticket.id, text=text, key=f"{verb}{text}{ticket.id}")
    )
    return outcome.note or outcome.result


async def order(store: Store, *tickets: Ticket) -> list[int]:
    ids = await store.waiting([tickets[0].mailbox_id], 10)
    return [id for id in ids if id in {ticket.id for ticket in tickets}]


async def test_a_bump_overtakes_once_and_is_on_record(any_store: Store) -> None:
    at = await scene(any_store)
    first, second = await another(at, "a@x.example"), await another(at, "b@x.example")
    assert await order(any_store, first, second) == [first.id, second.id]
    assert await do(at, Verb.BUMP, at.ann, second) == "done"
    assert await order(any_store, first, second) == [second.id, first.id]
    bumped = await any_store.ticket(second.id)
    assert second.score - bumped.score == 60 * 60_000
    assert (Step.SHOW, second.id) in at.queue.jobs
    again = await at.actions.act(
        await at.request(Verb.BUMP, at.omar, ticket_id=second.id, key="again")
    )
    assert again.note == "It was moved up already"
    [entry] = [e for e in await any_store.history(second.id) if e.verb == Verb.BUMP]
    assert (entry.actor, "60" in entry.detail) == (at.ann.id, True)
    assert await do(at, Verb.BUMP, at.ann, second, "off") == "done"
    assert await order(any_store, first, second) == [first.id, second.id]
    # what a card says last is not about the queue
    assert (await any_store.view(second.id)).last is None


async def test_a_ticket_that_waits_for_nobody_is_not_moved(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.CLOSE))
    assert "waits for nobody" in await do(at, Verb.BUMP, at.ann, at.ticket)


async def test_a_bump_before_triage_moves_the_ticket_too(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        new = await change.open_ticket(at.ticket.mailbox_id, received(mail("New"), "9"), 9e12)
        await change.receive(new, received(mail("New"), "9"))
    await do(at, Verb.BUMP, at.ann, new)
    assert 9e12 - (await any_store.ticket(new.id)).score == 60 * 60_000


async def test_an_important_customer_moves_up_with_all_they_wait_for(any_store: Store) -> None:
    at = await scene(any_store)
    mine = [await another(at, "eve@big.example"), await another(at, "EVE@big.example")]
    colleague, other = await another(at, "adam@big.example"), await another(at, "eve@x.example")
    assert "Only a manager" in await do(at, Verb.VIP, at.ann, mine[0])
    await do(at, Verb.VIP, at.omar, mine[0])
    assert await vips(any_store, *mine, colleague, other) == [True, True, False, False]
    await do(at, Verb.VIP, at.omar, mine[0], "domain")
    assert await vips(any_store, *mine, colleague, other) == [True, True, True, False]
    await do(at, Verb.VIP, at.omar, mine[1], "off")
    assert await vips(any_store, *mine, colleague, other) == [False] * 4
    assert "Write vip" in await do(at, Verb.VIP, at.omar, mine[0], "please")
    assert (await any_store.ticket(mine[0].id)).score == mine[0].score


async def vips(store: Store, *tickets: Ticket) -> list[bool]:
    found = [await store.ticket(ticket.id) for ticket in tickets]
    return [has_boost(ticket.boosts, Because.VIP) for ticket in found]


async def test_no_address_of_an_important_customer_lies_in_plain(any_store: Store) -> None:
    at = await scene(any_store)
    await do(at, Verb.VIP, at.omar, at.ticket, "domain")
    async with any_store.read() as connection:
        rows = (await connection.execute(select(table))).all()
        assert "lindqvist" not in str(rows)
        for address, expected in (("any@Lindqvist.example", True), ("priya@x.example", False)):
            found = await ranking.is_vip(connection, any_store.vault, address)
            assert found is expected


async def test_a_new_question_starts_without_the_old_bump(any_store: Store) -> None:
    at = await scene(any_store)
    await do(at, Verb.BUMP, at.ann, at.ticket)

    async def write(change: Change, key: str) -> None:
        ticket = await change.ticket(at.ticket.id)
        await change.receive(ticket, received(mail("Again"), key))

    async with any_store.change() as change:
        live = await change.live_response(at.ticket.id)
        assert live is not None
        await change.move_response(live, Verb.RETIRE)
        await write(change, "2")
    assert has_boost((await any_store.ticket(at.ticket.id)).boosts, Because.BUMPED)
    async with any_store.change() as change:
        ticket = await change.ticket(at.ticket.id)
        await change.set_ticket(ticket, Verb.DELIVER, {"state": TicketState.WAITING})
        await write(change, "3")
    assert (await any_store.ticket(at.ticket.id)).boosts == ()


async def breached(store: Store, ticket: Ticket, *, is_told: bool = True) -> None:
    """A promise that was broken, as the watch and the board leave it."""
    row = {
        "ticket_id": ticket.id,
        "rung": "breach",
        "clock": 99,
        "due_at": ticket.due_at,
        "fired_at": store.clock.now() if is_told else None,
    }
    async with store.change() as change:
        await change.insert_or_ignore(escalations, row, ["ticket_id", "rung", "clock"])


async def test_what_is_late_makes_room_for_what_can_still_be_in_time(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    late, untold = await another(at, "a@x.example"), await another(at, "b@x.example")
    urgent = await another(at, "c@x.example", Urgency.HIGH)
    clock.forward(hours=3)
    fresh = await another(at, "d@x.example", Urgency.HIGH)
    async with any_store.change() as change:
        due = clock.now() + timedelta(hours=1)
        changes = {"due_at": due, "score": score(due, ())}
        await change.set_ticket(await change.ticket(fresh.id), Verb.RANK, changes)
    await breached(any_store, late)
    await breached(any_store, urgent)
    await breached(any_store, untold, is_told=False)
    line = Ranks()
    overload = Overload(any_store, line)
    assert [await overload(), await overload()] == [1, 0]  # once, and only what was told
    assert await order(any_store, late, urgent, fresh, untold) == [
        untold.id,
        urgent.id,
        fresh.id,
        late.id,
    ]
    moved = await any_store.ticket(late.id)
    assert moved.score - late.score == 240 * 60_000
    assert line.scores == {(Step.SHOW, late.id): moved.score}
    assert await Overload(any_store, line, Weights(late=0))() == 0
    # a person says that it cannot wait after all
    assert await do(at, Verb.CORRECT, at.ann, moved, "high") == "done"
    assert not has_boost((await any_store.ticket(late.id)).boosts, Because.LATE)


async def test_an_earlier_breach_is_not_the_one_that_counts(
    any_store: Store, clock: FastClock
) -> None:
    """We replied late, and the customer wrote again: now they wait for something else."""
    at = await scene(any_store)
    again = await another(at, "a@x.example")
    await breached(any_store, again)
    async with any_store.change() as change:
        due = START + timedelta(hours=3)
        await change.set_ticket(await change.ticket(again.id), Verb.RANK, {"due_at": due})
    clock.forward(hours=4)
    assert await Overload(any_store, Ranks())() == 0


async def test_a_rank_counts_who_is_served_before(any_store: Store) -> None:
    at = await scene(any_store)
    tickets = [at.ticket, *[await another(at, f"{n}@x.example") for n in range(3)]]
    await do(at, Verb.BUMP, at.ann, tickets[2])
    ranks = [(await any_store.view(ticket.id)).rank for ticket in tickets]
    assert [(rank.place, rank.waiting) for rank in ranks if rank] == [
        (1, 4),
        (3, 4),
        (2, 4),
        (4, 4),
    ]
    await at.actions.act(await at.request(Verb.CLOSE))
    assert (await any_store.view(at.ticket.id)).rank is None


async def test_only_whoever_may_moves_a_ticket(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        box = await change.add_mailbox("sales", "sales@lanewright.example", "maildir", "sales")
        stranger = await change.add_user("s@lanewright.example", "Sam", Role.AGENT, "other")
        ticket = await change.open_ticket(box.id, received(mail("Hidden"), "h"), 5.0)
        await change.receive(ticket, received(mail("Hidden"), "h"))
    assert "There is no ticket" in await do(at, Verb.BUMP, stranger, ticket)
    with pytest.raises(Refused):
        async with any_store.change() as change:
            await ranking.bump(change, ticket, USUAL, is_off=True)


async def test_a_person_corrects_the_urgency_and_the_place_follows(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    first, second = await another(at, "a@x.example"), await another(at, "b@x.example")
    assert await do(at, Verb.CORRECT, at.ann, second, "critical") == "done"
    corrected = await any_store.ticket(second.id)
    assert corrected.urgency is Urgency.CRITICAL
    assert corrected.due_at == START + timedelta(hours=1)
    assert corrected.score == score(corrected.due_at, corrected.boosts)
    assert await order(any_store, first, second) == [second.id, first.id]
    assert await do(at, Verb.CORRECT, at.ann, second, "LOW ") == "done"
    lowered = await any_store.ticket(second.id)
    assert (lowered.urgency, lowered.due_at) == (Urgency.LOW, START + timedelta(hours=72))
    assert await order(any_store, first, second) == [first.id, second.id]
    [promised] = await any_store.clocks(second.id)
    assert promised.due_at == lowered.due_at
    # the audit log alone says the same: nothing of this one was missed
    clock.forward(hours=2)
    assert second.id not in {one.ticket_id for one in (await any_store.audit_clocks())[1]}
    assert await do(at, Verb.CORRECT, at.omar, second, "low") == "It is low already"
    assert "Write one of low, normal" in await do(at, Verb.CORRECT, at.ann, second, "soon")
    entries = [e.detail for e in await any_store.history(second.id) if e.verb == Verb.CORRECT]
    assert entries == [
        '{"urgency":"critical","was":"normal"}',
        '{"urgency":"low","was":"critical"}',
    ]


async def test_a_promise_that_is_broken_stays_broken_when_a_person_lowers_the_urgency(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    await overdue(at)
    assert await do(at, Verb.CORRECT, at.ann, at.ticket, "low") == "done"
    [late] = await any_store.clocks(at.ticket.id)
    assert (late.is_breached, late.due_at) == (True, START + timedelta(hours=1))
    assert (await any_store.ticket(at.ticket.id)).due_at == START + timedelta(hours=72)
    # it is said again all the same
    clock.forward(minutes=20)
    assert await any_store.due_clocks() == [late.id]


async def test_what_was_not_read_yet_is_not_corrected(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        new = await change.open_ticket(at.ticket.mailbox_id, received(mail("New"), "9"), 1.0)
        await change.receive(new, received(mail("New"), "9"))
    assert "was not read yet" in await do(at, Verb.CORRECT, at.ann, new, "high")
