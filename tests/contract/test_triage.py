"""A batch of triage on SQLite and PostgreSQL: what happens while the model works, and a mail that
cannot be saved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from desk import audit
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Mailbox
from desk.errors import Transient
from desk.failpoints import armed
from desk.ids import TicketId
from desk.moves import Verb
from desk.priority import Because
from desk.steps import Step
from desk.store import Store
from desk.ticket import Ticket, TicketState
from tests.doubles.desk import FastClock, ListQueue, mail, received
from workers.arrivals import RESENT, take_in
from workers.triage import Triage

CALM = Classification(
    Label(Sentiment.NEUTRAL, 0.95), Label(Urgency.NORMAL, 0.8), Label(Category.SUPPORT, 0.9)
)


async def nothing() -> None:
    """Nothing happens."""


@dataclass
class Slow:
    """A classifier during whose work something happens; ``wrong`` is no answer for a mail."""

    meanwhile: Callable[[], Awaitable[None]] = nothing
    wrong: str = "-"
    passes: int = 0

    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        self.passes += 1
        await self.meanwhile()
        broken = replace(CALM, category=replace(CALM.category, confidence=None))  # type: ignore[arg-type]
        return [broken if self.wrong in text else CALM for text in emails]


@dataclass
class Desk:
    store: Store
    box: Mailbox
    queue: ListQueue

    async def arrive(self, words: str, stored_as: str = "", **changes: object) -> Ticket | None:
        key = stored_as or words
        new = received(mail(f"Question {words}", **changes), key, self.store.clock.now())
        async with self.store.change() as change:
            new = replace(new, sha256=key, content_key=words)
            return (await take_in(change, self.box, new)).ticket

    async def triage(self, classifier: Slow, *ids: int) -> dict[int, str]:
        step = Triage(self.store, self.queue, classifier, (), [self.box.address])
        return {id: type(error).__name__ for id, error in (await step(ids)).items()}

    async def states(self) -> list[TicketState]:
        return [
            view.ticket.state for view in await self.store.views([TicketId(n) for n in (1, 2, 3)])
        ]


async def desk(store: Store, mails: int = 3) -> Desk:
    async with store.change() as change:
        box = await change.add_mailbox("support", "support@lanewright.example", "maildir")
    opened = Desk(store, box, ListQueue())
    for number in range(1, mails + 1):
        await opened.arrive(str(number))
    return opened


async def test_a_clock_that_comes_to_a_rung_meanwhile_costs_no_try(any_store: Store) -> None:
    at = await desk(any_store)

    async def rung() -> None:
        assert isinstance(any_store.clock, FastClock)
        any_store.clock.forward(days=3)
        due = await any_store.due_clocks()
        assert due
        for id in due:
            async with any_store.change() as change:
                await change.fire(id)

    slow = Slow(rung)
    assert await at.triage(slow, 1, 2, 3) == {}
    assert await at.states() == [TicketState.TRIAGED] * 3
    assert sorted(at.queue.jobs) == [(Step.DRAFTING, 1), (Step.DRAFTING, 2), (Step.DRAFTING, 3)]
    assert slow.passes == 1
    assert (await any_store.verify()).ok


async def test_a_mail_sent_again_meanwhile_still_counts(any_store: Store) -> None:
    at = await desk(any_store, 1)

    async def again() -> None:
        await at.arrive("1", message_id="<again@lindqvist.example>", stored_as="again")

    assert await at.triage(Slow(again), 1) == {}
    assert (await any_store.view(TicketId(1))).resends == 1
    boosts = (await any_store.ticket(TicketId(1))).boosts
    assert (Because.RESENT, RESENT) in boosts


async def test_a_newer_mail_meanwhile_is_triaged_instead(any_store: Store) -> None:
    at = await desk(any_store)

    async def newer() -> None:
        references = (mail("Question 1").message_id,)
        ticket = await at.arrive("further", message_id="<2@x.example>", references=references)
        assert ticket is not None
        assert ticket.id == 1

    assert await at.triage(Slow(newer), 1, 2, 3) == {}
    assert await at.states() == [TicketState.NEW, TicketState.TRIAGED, TicketState.TRIAGED]
    assert await at.triage(Slow(), 1) == {}
    assert (await any_store.view(TicketId(1))).classification is not None


async def test_what_another_worker_triaged_meanwhile_is_left_alone(any_store: Store) -> None:
    at = await desk(any_store)

    async def elsewhere() -> None:
        assert await at.triage(Slow(), 2) == {}

    assert await at.triage(Slow(elsewhere), 1, 2, 3) == {}
    assert await at.states() == [TicketState.TRIAGED] * 3
    assert (await any_store.ticket(TicketId(2))).version == 3


async def test_a_mail_that_cannot_be_saved_takes_no_other_with_it(any_store: Store) -> None:
    at = await desk(any_store)
    assert await at.triage(Slow(wrong="Question 2"), 1, 2, 3) == {2: "IntegrityError"}
    assert await at.states() == [TicketState.TRIAGED, TicketState.NEW, TicketState.TRIAGED]
    assert sorted(at.queue.jobs) == [(Step.DRAFTING, 1), (Step.DRAFTING, 3)]
    view = await any_store.view(TicketId(2))
    assert view.classification is None
    verdict = await any_store.verify()
    assert verdict.ok
    async with any_store.read() as connection:
        entries = [entry async for entry in audit.entries(connection)]
    assert not [e for e in entries if e.ticket_id == 2 and e.verb == Verb.TRIAGE]


async def test_a_batch_is_one_transaction(any_store: Store) -> None:
    at = await desk(any_store)
    with armed("change.committing=raise@2"):
        assert await at.triage(Slow(), 1, 2, 3) == {}
        assert await at.states() == [TicketState.TRIAGED] * 3
        try:
            async with any_store.change():
                """The second one."""
        except Transient:
            return
    raise AssertionError("there were two before")
