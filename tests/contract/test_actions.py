"""What people may do to a ticket, on both databases: once, in order, and only what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.facts import draft_text
from bot.ticket_card import ticket_card
from desk.action import CLAIMED, SIGNED, Outcome, Result
from desk.actions import HANDLERS
from desk.moves import Verb
from desk.records import envelope_hash
from desk.replies import AS_WRITTEN
from desk.response import ResponseState
from desk.rules import is_covered_by
from desk.standing import standing
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.desk import FastClock, mail, received, scene, steps

DONE = Outcome(Result.DONE)


async def test_approving_starts_the_undo_window_and_queues_the_sending(any_store: Store) -> None:
    at = await scene(any_store)
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.APPROVED
    assert response.approved_by == at.ann.id
    assert response.send_after == any_store.clock.now() + at.actions.undo
    assert response.message_id.endswith("@lanewright.example>")
    assert (Step.SENDING, response.id) in at.queue.jobs
    assert Step.SHOW in steps(at.queue.jobs)
    assert (await any_store.ticket(at.ticket.id)).assignee == at.ann.id


async def test_a_hundred_clicks_at_once_approve_once(any_store: Store) -> None:
    at = await scene(any_store)
    users = [at.ann, at.omar]
    requests = [
        replace(await at.request(Verb.APPROVE, users[n % 2]), key=f"click-{n}", confirmed=True)
        for n in range(24)
    ]
    outcomes: Sequence[Outcome] = await asyncio.gather(*map(at.actions.act, requests))
    assert [o.result for o in outcomes].count(Result.DONE) == 1
    assert {o.result for o in outcomes} == {Result.DONE, Result.REFUSED}
    assert (await at.verbs()).count("approve") == 1


async def test_a_click_delivered_twice_counts_once(any_store: Store) -> None:
    at = await scene(any_store)
    request = await at.request(Verb.CLAIM)
    assert await at.actions.act(request) == DONE
    assert await at.actions.act(request) == Outcome(Result.DUPLICATE)


async def test_a_late_click_is_told_who_was_faster(any_store: Store) -> None:
    at = await scene(any_store)
    late = await at.request(Verb.APPROVE, at.omar)
    await at.actions.act(await at.request(Verb.APPROVE))
    outcome = await at.actions.act(replace(late, confirmed=True))
    assert outcome.result is Result.REFUSED
    assert "Approved by Ann" in outcome.note


async def test_an_edit_is_saved_but_not_sent(any_store: Store) -> None:
    at = await scene(any_store)
    before = await at.response()
    assert await at.actions.act(await at.request(Verb.EDIT, text=" Better.\r\nAnn ")) == DONE
    after = await at.response()
    assert before is not None
    assert after is not None
    assert after.envelope.text == "Better.\nAnn"
    assert after.state is ResponseState.DRAFT
    assert after.edited_by == at.ann.id
    assert after.hash != before.hash
    assert after.draft.score == 90
    assert Step.SENDING not in steps(at.queue.jobs)


async def test_save_and_send_is_both_in_one(any_store: Store) -> None:
    at = await scene(any_store)
    request = await at.request(Verb.EDIT, text="Better.", then_send=True)
    assert await at.actions.act(request) == DONE
    response = await at.response()
    assert response is not None
    assert (response.state, response.envelope.text) == (ResponseState.APPROVED, "Better.")
    assert (await at.verbs())[-3:] == ["edit", "claim", "approve"]


async def test_what_was_not_on_the_card_cannot_be_approved(any_store: Store) -> None:
    at = await scene(any_store)
    stale = await at.request(Verb.APPROVE)
    await at.actions.act(await at.request(Verb.EDIT, text="Something else."))
    outcome = await at.actions.act(stale)
    assert outcome.result is Result.REFUSED
    assert "changed after this card was drawn" in outcome.note
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.DRAFT


async def test_undo_takes_the_approval_back_and_it_can_be_given_again(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    assert await at.actions.act(await at.request(Verb.UNDO, at.omar)) == DONE
    undone = await at.response()
    assert undone is not None
    assert (undone.state, undone.send_after, undone.message_id) == (ResponseState.DRAFT, None, "")
    assert await at.actions.act(await at.request(Verb.APPROVE, key="again")) == DONE
    assert (await at.verbs())[-4:] == ["claim", "approve", "undo", "approve"]


async def test_there_is_no_undo_once_it_is_being_sent(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        await change.move_response(response, Verb.SEND)
    outcome = await at.actions.act(await at.request(Verb.UNDO))
    assert outcome == Outcome(Result.REFUSED, "Being sent")


async def test_a_blocking_finding_needs_a_second_yes(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.EDIT, text="Our IBAN is DE00."))
    outcome = await at.actions.act(await at.request(Verb.APPROVE))
    assert outcome == Outcome(Result.CONFIRM, "It tells an IBAN.")
    sure = await at.request(Verb.APPROVE, key="sure", confirmed=True)
    assert await at.actions.act(sure) == DONE


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 100_001])
async def test_a_text_that_cannot_be_sent_is_refused_and_changes_nothing(
    any_store: Store, text: str
) -> None:
    at = await scene(any_store)
    before = await at.response()
    outcome = await at.actions.act(await at.request(Verb.EDIT, text=text))
    assert outcome.result is Result.REFUSED
    assert await at.response() == before


async def test_a_claimed_ticket_asks_before_somebody_else_acts(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.CLAIM))
    asking = (Verb.APPROVE, Verb.CLAIM, Verb.RELEASE, Verb.REJECT, Verb.REGENERATE, Verb.CLOSE)
    for verb in asking:
        outcome = await at.actions.act(await at.request(verb, at.omar))
        assert outcome == Outcome(Result.CONFIRM, CLAIMED)
    taken = await at.request(Verb.CLAIM, at.omar, confirmed=True, key="take over")
    assert await at.actions.act(taken) == DONE
    assert (await any_store.ticket(at.ticket.id)).assignee == at.omar.id


@pytest.mark.parametrize("verb", [Verb.REJECT, Verb.REGENERATE, Verb.CLOSE])
async def test_a_yes_decides_about_what_a_colleague_has_claimed(store: Store, verb: Verb) -> None:
    at = await scene(store)
    await at.actions.act(await at.request(Verb.CLAIM))
    assert await at.actions.act(await at.request(verb, at.omar, confirmed=True)) == DONE
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.RETIRED


@pytest.mark.parametrize("verb", [Verb.CLAIM, Verb.TAKE, Verb.ASSIGN, Verb.CLOSE])
async def test_what_is_closed_is_nobodys_any_more(store: Store, verb: Verb) -> None:
    at = await scene(store)
    await at.actions.act(await at.request(Verb.CLOSE, at.omar))
    outcome = await at.actions.act(await at.request(verb, at.omar, text="Ann"))
    assert outcome.result is Result.REFUSED
    assert outcome.note.startswith("Closed by Omar, ")
    assert (await store.ticket(at.ticket.id)).assignee is None


async def test_what_waits_for_the_customer_can_be_handed_on(store: Store) -> None:
    """Their next mail comes to whoever has it then."""
    at = await scene(store)
    async with store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.DELIVER)
    assert await at.actions.act(await at.request(Verb.ASSIGN, at.omar, text="Ann")) == DONE
    async with store.change() as change:
        await change.receive(await change.ticket(at.ticket.id), received(mail("Re: it"), "2"))
    assert (await store.ticket(at.ticket.id)).assignee == at.ann.id


async def test_one_yes_answers_only_what_was_asked(any_store: Store) -> None:
    """Claimed by a colleague and blocked by a finding: both are asked at once."""
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.CLAIM))
    sent = await at.request(Verb.EDIT, at.omar, text="Our IBAN is DE00.", then_send=True)
    outcome = await at.actions.act(sent)
    assert outcome.result is Result.CONFIRM
    assert "IBAN" in outcome.note
    assert "colleague" in outcome.note
    await at.actions.act(await at.request(Verb.EDIT, text="Our IBAN is DE00."))
    asked = await at.actions.act(await at.request(Verb.APPROVE, at.omar))
    assert "IBAN" in asked.note
    assert "colleague" in asked.note


async def test_saving_and_sending_asks_when_somebody_else_has_claimed_it(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.CLAIM))
    sent = await at.request(Verb.EDIT, at.omar, text="Better.", then_send=True)
    assert (await at.actions.act(sent)).result is Result.CONFIRM
    sure = await at.request(
        Verb.EDIT, at.omar, text="Better.", then_send=True, confirmed=True, key="sure"
    )
    assert await at.actions.act(sure) == DONE


async def test_another_draft_does_not_replace_what_a_colleague_wrote_meanwhile(
    any_store: Store,
) -> None:
    at = await scene(any_store)
    stale = await at.request(Verb.REGENERATE, at.omar)
    await at.actions.act(await at.request(Verb.EDIT, text="My own words."))
    assert (await at.actions.act(stale)).result is Result.REFUSED
    response = await at.response()
    assert response is not None
    assert (response.state, response.envelope.text) == (ResponseState.DRAFT, "My own words.")


async def test_release_gives_it_back(any_store: Store) -> None:
    at = await scene(any_store)
    assert (await at.actions.act(await at.request(Verb.RELEASE))).result is Result.REFUSED
    await at.actions.act(await at.request(Verb.CLAIM))
    assert await at.actions.act(await at.request(Verb.RELEASE, key="back")) == DONE
    assert (await any_store.ticket(at.ticket.id)).assignee is None


async def test_a_rejected_draft_can_be_written_again(any_store: Store) -> None:
    at = await scene(any_store)
    assert await at.actions.act(await at.request(Verb.REJECT)) == DONE
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.RETIRED
    assert await at.actions.act(await at.request(Verb.REGENERATE, text="shorter")) == DONE
    ticket = await any_store.ticket(at.ticket.id)
    assert (ticket.state, ticket.instruction) == (TicketState.TRIAGED, "shorter")
    assert Step.DRAFTING in steps(at.queue.jobs)


async def test_after_a_rejected_draft_a_person_can_still_write(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.REJECT))
    written = await at.request(Verb.EDIT, text="My own words.", then_send=True)
    assert await at.actions.act(written) == DONE
    response = await at.response()
    assert response is not None
    assert (response.state, response.envelope.text) == (ResponseState.APPROVED, "My own words.")


async def test_a_draft_that_a_new_mail_retired_is_not_written_again(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.REJECT))
    stale = await at.request(Verb.EDIT, text="Too late.")
    async with any_store.change() as change:
        await change.receive(await change.ticket(at.ticket.id), received(mail("Re: it"), "2"))
    assert (await at.actions.act(stale)).result is Result.REFUSED


async def test_an_agent_makes_a_refused_reply_a_draft_again(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    for verb in (Verb.SEND, Verb.FAIL):
        response = await at.response()
        assert response is not None
        async with any_store.change() as change:
            await change.move_response(response, verb)
    assert await at.actions.act(await at.request(Verb.SEND_AGAIN)) == DONE


async def test_regenerate_retires_the_draft(any_store: Store) -> None:
    at = await scene(any_store)
    assert await at.actions.act(await at.request(Verb.REGENERATE)) == DONE
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.RETIRED


async def test_closing_retires_the_draft_but_not_a_reply_on_its_way(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    outcome = await at.actions.act(await at.request(Verb.CLOSE))
    assert outcome.result is Result.REFUSED
    await at.actions.act(await at.request(Verb.UNDO))
    assert await at.actions.act(await at.request(Verb.CLOSE, key="now")) == DONE
    assert (await any_store.ticket(at.ticket.id)).state is TicketState.CLOSED


async def test_only_a_manager_makes_an_unknown_reply_a_draft_again(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    for verb in (Verb.SEND, Verb.LOSE):
        response = await at.response()
        assert response is not None
        async with any_store.change() as change:
            await change.move_response(response, verb)
    agent = await at.actions.act(await at.request(Verb.SEND_AGAIN))
    assert agent == Outcome(
        Result.REFUSED, "Only a manager can do this, because it may reach the customer twice"
    )
    asked = await at.actions.act(await at.request(Verb.SEND_AGAIN, at.omar))
    assert asked.result is Result.CONFIRM
    sure = await at.request(Verb.SEND_AGAIN, at.omar, confirmed=True, key="sure")
    assert await at.actions.act(sure) == DONE


async def test_editing_is_shown_and_taken_over(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.START_EDIT))
    assert (await any_store.ticket(at.ticket.id)).editing == at.ann.id
    asked = await at.actions.act(await at.request(Verb.START_EDIT, at.omar))
    assert asked.result is Result.CONFIRM
    sure = await at.request(Verb.START_EDIT, at.omar, confirmed=True, key="sure")
    assert await at.actions.act(sure) == DONE
    await at.actions.act(await at.request(Verb.EDIT, at.omar, text="Mine."))
    assert (await any_store.ticket(at.ticket.id)).editing is None


@pytest.mark.parametrize("verb", [Verb.CLOSE, Verb.APPROVE])
async def test_who_begins_to_edit_too_late_is_told_what_happened(
    any_store: Store, verb: Verb
) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.START_EDIT))
    late = await at.request(Verb.START_EDIT, key="late")
    await at.actions.act(await at.request(verb, at.omar, confirmed=True))
    outcome = await at.actions.act(late)
    assert outcome.result is Result.REFUSED
    assert outcome.note.startswith("Closed by Omar, " if verb is Verb.CLOSE else "Approved by Omar")
    assert (await any_store.ticket(at.ticket.id)).editing is None


async def test_a_rejected_draft_can_be_edited_and_still_says_that_it_was_rejected(
    any_store: Store,
) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.REJECT))
    assert await at.actions.act(await at.request(Verb.START_EDIT)) == DONE
    assert standing(await any_store.view(at.ticket.id)).startswith("Draft rejected by Ann, ")


async def test_a_release_does_not_change_who_closed_it(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.CLAIM))
    await at.actions.act(await at.request(Verb.CLOSE, at.omar, confirmed=True))
    assert await at.actions.act(await at.request(Verb.RELEASE)) == DONE
    assert standing(await any_store.view(at.ticket.id)).startswith("Closed by Omar, ")


async def test_agents_of_another_team_neither_see_nor_touch_it(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "billing")
    stranger = replace(at.ann, team="sales")
    outcome = await at.actions.act(await at.request(Verb.CLAIM, stranger))
    assert outcome.note == "There is no ticket #1 in your mailboxes"
    colleague = replace(at.ann, team="billing")
    assert await at.actions.act(await at.request(Verb.CLAIM, colleague)) == DONE


async def test_a_redis_that_is_away_does_not_stop_a_person(any_store: Store) -> None:
    at = await scene(any_store)
    at.queue.is_away = True
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE
    [(_, response)] = await any_store.unfinished()
    assert response is not None
    assert response.state is ResponseState.APPROVED


async def test_a_new_mail_retires_what_the_person_saw(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    stale = await at.request(Verb.APPROVE)
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        await change.move_response(response, Verb.RETIRE)
        await change.receive(await change.ticket(at.ticket.id), received(mail("Re: it"), "2"))
    outcome = await at.actions.act(stale)
    assert outcome == Outcome(Result.REFUSED, "Being read and drafted")


def test_every_verb_of_a_person_has_its_handler_and_its_role() -> None:
    from desk.access import NEEDS

    assert set(HANDLERS) == set(NEEDS)


async def test_whoever_approves_signs_and_the_approval_covers_that(any_store: Store) -> None:
    at = await scene(any_store, "Hello.\n\nKind regards\n{agent}\nThe desk")
    view = await at.store.view(at.ticket.id)
    assert draft_text(view.response).endswith("[your name]\nThe desk")
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE
    approved = await at.response()
    assert approved is not None
    assert approved.envelope.text == "Hello.\n\nKind regards\nAnn\nThe desk"
    assert approved.hash == envelope_hash(approved.envelope)
    assert is_covered_by(approved, approved.message_id), "found later, it is known as these words"
    view = await at.store.view(at.ticket.id)
    assert draft_text(view.response) == approved.envelope.text
    assert await at.actions.act(await at.request(Verb.UNDO)) == DONE
    undone = await at.response()
    assert undone is not None
    assert undone.envelope.text.endswith("\n{agent}\nThe desk")
    assert undone.hash == envelope_hash(undone.envelope)


async def test_what_a_person_wrote_in_braces_leaves_as_it_is_written_after_a_yes(
    any_store: Store,
) -> None:
    at = await scene(any_store, "Hello.\n\n{agent}")
    await at.actions.act(await at.request(Verb.EDIT, text="Write {agent} there.\n\n{agent}"))
    view = await at.store.view(at.ticket.id)
    assert draft_text(view.response) == "Write {agent} there.\n\n[your name]"
    asked = await at.actions.act(await at.request(Verb.APPROVE))
    assert asked == Outcome(Result.CONFIRM, AS_WRITTEN)
    assert await at.actions.act(await at.request(Verb.APPROVE, confirmed=True)) == DONE
    view = await at.store.view(at.ticket.id)
    assert draft_text(view.response) == "Write {agent} there.\n\nAnn"
    assert view.response is not None
    assert view.response.envelope.text == draft_text(view.response)
    assert await at.actions.act(await at.request(Verb.UNDO)) == DONE
    undone = await at.response()
    assert undone is not None
    assert undone.envelope.text == "Write {agent} there.\n\n{agent}"


async def test_words_that_may_have_left_keep_their_name(any_store: Store) -> None:
    at = await scene(any_store, "Hello.\n\n{agent}")
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE
    for verb in (Verb.SEND, Verb.LOSE):
        async with any_store.change() as change:
            response = await change.live_response(at.ticket.id)
            assert response is not None
            await change.move_response(response, verb)
    again = await at.request(Verb.SEND_AGAIN, at.omar, confirmed=True)
    assert await at.actions.act(again) == DONE
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE
    assert await at.actions.act(await at.request(Verb.UNDO)) == DONE
    undone = await at.response()
    assert undone is not None
    assert undone.envelope.text == "Hello.\n\nAnn"
    assert is_covered_by(undone, undone.earlier_ids[0])


async def test_who_approves_what_a_colleague_claimed_is_told_that_they_sign(
    any_store: Store,
) -> None:
    at = await scene(any_store, "Hello.\n\n{agent}")
    assert await at.actions.act(await at.request(Verb.CLAIM)) == DONE
    view = await at.store.view(at.ticket.id)
    assert ticket_card(view, at.store.clock.now()).draft == "Hello.\n\nAnn"
    assert ticket_card(view, at.store.clock.now(), "Omar").draft == "Hello.\n\nOmar"
    asked = await at.actions.act(await at.request(Verb.APPROVE, at.omar))
    assert asked == Outcome(Result.CONFIRM, f"{SIGNED} {CLAIMED}")
    sure = await at.request(Verb.APPROVE, at.omar, confirmed=True)
    assert await at.actions.act(sure) == DONE
    approved = await at.response()
    assert approved is not None
    assert approved.envelope.text == "Hello.\n\nOmar"
