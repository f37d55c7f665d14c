"""Jobs that were given up: kept sealed, decided about once, and never hidden. On both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from desk import audit, burial
from desk.classification import Urgency
from desk.errors import Refused
from desk.letter_office import LetterOffice
from desk.moves import Verb
from desk.response import ResponseState
from desk.standing import standing
from desk.steps import Ending, Failure, Step
from desk.store import Store
from desk.tables.jobs import attempts
from desk.tables.jobs import dead_letters as table
from desk.ticket import TicketState
from tests.doubles.desk import FastClock, Scene, overdue, scene

GONE = Failure("Transient from TimeoutError", "eve@lindqvist.example cannot be reached.", "a:1 b")


async def buried(at: Scene, step: Step, id: int | None = None, why: Failure = GONE) -> int:
    async with at.store.change() as change:
        return await burial.bury(change, step, id or at.ticket.id, why, 5)


async def triage_given_up(at: Scene) -> int:
    """A new mail came to the ticket, and triage never got through it."""
    async with at.store.change() as change:
        live = await change.live_response(at.ticket.id)
        if live is not None:
            await change.move_response(live, Verb.RETIRE)
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.RECEIVE)
    return await buried(at, Step.TRIAGE)


async def state(at: Scene) -> TicketState:
    return (await at.store.ticket(at.ticket.id)).state


async def test_a_letter_tells_all_that_was_tried(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    for number in range(6):
        clock.forward(seconds=10)
        async with any_store.change() as change:
            why = Failure(f"Transient{number}", "…", f"step:{number} run")
            await burial.remember(change, Step.TRIAGE, at.ticket.id, why)
            await burial.remember(change, Step.TRIAGE, 99, why)
    clock.forward(seconds=10)
    letter = await any_store.dead_letter(await buried(at, Step.TRIAGE))
    assert letter is not None
    # five runs in all: the four before this one, of its own job, the oldest first
    tried = [f"Transient{number}" for number in (2, 3, 4, 5)]
    assert [attempt.error for attempt in letter.attempts] == [*tried, GONE.error]
    assert [attempt.trace for attempt in letter.attempts][-2:] == ["step:5 run", "a:1 b"]
    assert letter.attempts[-1].at == clock.now()
    assert (letter.failure.error, letter.tries, letter.ticket_id) == (GONE.error, 5, at.ticket.id)
    async with any_store.read() as connection:
        left = (await connection.scalars(select(attempts.c.target))).all()
    assert set(left) == {99}


async def test_no_address_and_no_reason_lies_in_plain(any_store: Store) -> None:
    at = await scene(any_store)
    letter = await any_store.dead_letter(await buried(at, Step.SHOW))
    assert letter is not None
    assert letter.failure.reason == "(an address) cannot be reached."
    async with any_store.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert "reached" not in str(row)
    assert "eve" not in str(row)


async def test_a_job_has_one_open_letter_however_often_it_fails(any_store: Store) -> None:
    at = await scene(any_store)
    first = await buried(at, Step.ALERT, 7)
    again = await buried(at, Step.ALERT, 7, Failure("Permanent", "The channel is archived."))
    [letter] = await any_store.dead_letters()
    assert (first, letter.failure.reason) == (again, "The channel is archived.")


async def test_of_four_that_requeue_at_once_one_has_it_run(any_store: Store) -> None:
    at = await scene(any_store)
    id = await triage_given_up(at)
    assert await state(at) is TicketState.OPEN
    office = LetterOffice(any_store, at.queue)
    asked = [office.requeue(at.omar, id, "the model is back") for _ in range(4)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in told if isinstance(one, Refused)]
    assert len(refused) == 3
    assert "was requeued by Omar" in str(refused[0])
    assert [step for step, _ in at.queue.jobs].count(Step.TRIAGE) == 1
    assert await state(at) is TicketState.NEW
    assert (await at.verbs()).count("requeue") == 2  # the letter, and the ticket's move
    letter = await any_store.dead_letter(id)
    assert letter is not None
    assert (letter.ending, letter.closed_by) == (Ending.REQUEUED, at.omar.id)
    assert (letter.note, await any_store.dead_letters()) == ("the model is back", [])


async def test_a_draft_that_was_given_up_is_written_after_all(any_store: Store) -> None:
    at = await scene(any_store)
    await triage_given_up(at)
    async with any_store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.REGENERATE)
    id = await buried(at, Step.DRAFTING)
    await LetterOffice(any_store, at.queue).requeue(at.omar, id)
    assert await state(at) is TicketState.TRIAGED
    assert (Step.DRAFTING, at.ticket.id) in at.queue.jobs


@pytest.mark.parametrize("step", [Step.SENDING, Step.ALERT, Step.DRAFTING, Step.SHOW])
@pytest.mark.parametrize("decision", ["requeue", "discard"])
async def test_a_decision_is_drawn_on_the_cards(
    any_store: Store, step: Step, decision: str
) -> None:
    at = await scene(any_store)
    response = await at.response()
    assert response is not None
    targets = {Step.SENDING: response.id, Step.ALERT: await overdue(at)}
    id = await buried(at, step, targets.get(step))
    await shown(at)
    office = LetterOffice(any_store, at.queue)
    await (office.requeue if decision == "requeue" else office.discard)(at.omar, id)
    assert ((Step.SHOW, at.ticket.id) in at.queue.jobs) == (step is not Step.SHOW)


async def shown(at: Scene) -> None:
    """The cards are as the records are."""
    ticket = await at.store.ticket(at.ticket.id)
    async with at.store.change() as change:
        await change.record_shown(ticket.id, ticket.version)
    at.queue.jobs.clear()


async def test_what_has_moved_on_is_not_moved_back(any_store: Store) -> None:
    """A person has written the reply meanwhile: requeueing must not throw it away."""
    at = await scene(any_store)
    id = await buried(at, Step.DRAFTING)
    before = await at.response()
    await LetterOffice(any_store, at.queue).requeue(at.omar, id)
    assert await state(at) is TicketState.OPEN
    assert await at.response() == before


async def test_a_reply_that_was_given_up_is_said_and_can_be_taken_back(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    await shown(at)
    id = await buried(at, Step.SENDING, response.id)
    view = await any_store.view(at.ticket.id)
    assert view.ticket.shown_version < view.ticket.version
    assert [letter.id for letter in view.given_up] == [id]
    assert standing(view).startswith("Not sent: (an address) cannot be reached.")
    await LetterOffice(any_store, at.queue).discard(at.omar, id, "wrote by hand")
    view = await any_store.view(at.ticket.id)
    assert view.response is not None
    assert view.response.state is ResponseState.FAILED
    assert standing(view).startswith("Not sent: (an address) cannot be reached.")
    assert view.given_up == ()


async def test_a_reply_that_was_handed_over_is_unknown_when_it_is_given_up(
    any_store: Store,
) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        await change.move_response(response, Verb.SEND)
    await LetterOffice(any_store, at.queue).discard(
        at.omar, await buried(at, Step.SENDING, response.id)
    )
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.UNKNOWN


@pytest.mark.parametrize(
    ("step", "after"), [(Step.TRIAGE, TicketState.NEW), (Step.DRAFTING, TicketState.TRIAGED)]
)
async def test_a_ticket_that_was_snoozed_meanwhile_is_tried_again_too(
    any_store: Store, step: Step, after: TicketState
) -> None:
    at = await scene(any_store)
    letter = await triage_given_up(at) if step is Step.TRIAGE else await drafting_given_up(at)
    await at.actions.act(await at.request(Verb.SNOOZE, text="2h"))
    assert await state(at) is TicketState.SNOOZED
    await LetterOffice(any_store, at.queue).requeue(at.omar, letter)
    assert await state(at) is after


async def drafting_given_up(at: Scene) -> int:
    await at.actions.act(await at.request(Verb.REGENERATE))
    return await buried(at, Step.DRAFTING)


async def test_what_is_discarded_is_not_queued_again(any_store: Store) -> None:
    at = await scene(any_store)
    alert = await overdue(at)
    office = LetterOffice(any_store, at.queue)
    letters = [await buried(at, Step.SHOW), await buried(at, Step.ALERT, alert)]
    assert await any_store.untold() == []  # a manager decides first
    for id in letters:
        closed = await office.discard(at.omar, id, "x" * 600)
        assert len(closed.note) == 500
    assert {step for step, _ in at.queue.jobs} <= {Step.SHOW}  # the card says what was decided
    await shown(at)
    assert await any_store.unfinished() == []
    assert await any_store.untold() == []


async def test_what_is_requeued_is_asked_for_again(any_store: Store) -> None:
    at = await scene(any_store)
    alert = await overdue(at)
    office = LetterOffice(any_store, at.queue)
    for step, id in ((Step.SHOW, at.ticket.id), (Step.ALERT, alert), (Step.INTAKE, 1)):
        await office.requeue(at.omar, await buried(at, step, id))
        assert (step, id) in at.queue.jobs
    assert (Step.INTAKE, 1) not in at.queue.urgent
    assert (Step.ALERT, alert) in at.queue.urgent
    assert await any_store.untold() == [alert]


async def test_what_waits_for_a_decision_is_not_queued_with_what_was_decided(store: Store) -> None:
    at = await scene(store)
    alert = await overdue(at)
    letters = [await buried(at, Step.SHOW), await buried(at, Step.ALERT, alert)]
    await LetterOffice(store, at.queue).requeue(at.omar, letters[1])
    assert at.queue.jobs == [(Step.ALERT, alert)]


async def test_redis_may_be_away_when_a_manager_decides(any_store: Store) -> None:
    at = await scene(any_store)
    id = await triage_given_up(at)
    at.queue.is_away = True
    await LetterOffice(any_store, at.queue).requeue(at.omar, id)
    [(ticket, _)] = await any_store.unfinished()
    assert ticket.state is TicketState.NEW  # so the sweep queues it


async def test_only_managers_see_and_decide(any_store: Store) -> None:
    at = await scene(any_store)
    id = await buried(at, Step.SHOW)
    office = LetterOffice(any_store, at.queue)
    for asked in (
        office.listing(at.ann),
        office.letter(at.ann, id),
        office.requeue(at.ann, id),
        office.discard(at.ann, id),
    ):
        with pytest.raises(Refused, match="Only a manager"):
            await asked
    with pytest.raises(Refused, match="There is no dead letter 99"):
        await office.requeue(at.omar, 99)
    assert len(await office.listing(at.omar)) == 1


async def test_a_new_mail_overtakes_what_was_given_up(any_store: Store) -> None:
    at = await scene(any_store)
    id = await triage_given_up(at)
    async with any_store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.RECEIVE)
    letter = await any_store.dead_letter(id)
    assert letter is not None
    assert (letter.is_open, letter.ending) == (False, Ending.OVERTAKEN)


async def test_managers_are_told_once_of_what_is_urgent_or_was_never_read(
    any_store: Store,
) -> None:
    at = await scene(any_store)  # a critical ticket
    urgent = await buried(at, Step.SHOW)
    assert await any_store.unreported() == [urgent]
    async with any_store.change() as change:
        await change.set_ticket(
            await change.ticket(at.ticket.id), Verb.RANK, {"urgency": Urgency.LOW}
        )
    assert await any_store.unreported() == []
    unread = await triage_given_up(at)
    assert await any_store.unreported() == [unread]
    report = await buried(at, Step.REPORT, unread)
    assert report not in await any_store.unreported()
    assert await any_store.unreported() == []  # telling it was given up, too
    office = LetterOffice(any_store, at.queue)
    await office.requeue(at.omar, report)
    assert await any_store.unreported() == [unread]
    await office.discard(at.omar, await buried(at, Step.REPORT, unread))
    assert await any_store.unreported() == []
    async with any_store.read() as connection:
        told = [one async for one in audit.entries(connection) if one.verb == Step.REPORT]
    assert [(one.subject, one.actor) for one in told] == [(f"dead_letter:{unread}", at.omar.id)]


async def test_failed_runs_of_long_ago_are_forgotten(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        await burial.remember(change, Step.DRAFTING, 99, GONE)
    clock.forward(days=31)
    await buried(at, Step.SHOW)
    async with any_store.read() as connection:
        assert (await connection.scalars(select(attempts.c.target))).all() == []


async def test_a_letter_about_a_reply_that_is_taken_back_is_overtaken(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    id = await buried(at, Step.SENDING, response.id)
    await at.actions.act(await at.request(Verb.UNDO))
    await assert_overtaken(at, id, "")


async def test_a_letter_about_a_reply_that_did_leave_is_overtaken(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        response = await change.move_response(response, Verb.SEND)
        await change.move_response(response, Verb.LOSE)
    id = await buried(at, Step.SENDING, response.id)
    outcome = await at.actions.act(await at.request(Verb.MARK_SENT, at.omar, confirmed=True))
    assert outcome.result == "done"
    await assert_overtaken(at, id, "Marked as sent by Omar")


@pytest.mark.parametrize(
    ("path", "verb"),
    [
        ([Verb.APPROVE], Verb.RETIRE),  # the customer wrote again
        ([Verb.APPROVE, Verb.SEND, Verb.LOSE], Verb.SEND_AGAIN),
    ],
)
async def test_a_letter_about_sending_is_overtaken_by_what_comes_instead(
    store: Store, path: list[Verb], verb: Verb
) -> None:
    at = await scene(store)
    response = await at.response()
    assert response is not None
    async with store.change() as change:
        for step in path:
            response = await change.move_response(response, step)
    id = await buried(at, Step.SENDING, response.id)
    async with store.change() as change:
        await change.move_response(response, verb)
    await assert_overtaken(at, id, "")


async def assert_overtaken(at: Scene, id: int, line: str) -> None:
    view = await at.store.view(at.ticket.id)
    assert (view.given_up, standing(view)[: len(line) or None]) == ((), line)
    letter = await at.store.dead_letter(id)
    assert letter is not None
    assert letter.ending is Ending.OVERTAKEN
