"""The commands people type: one grammar, answers for the person alone, rights from the records."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from bot.commands import NOBODY_FREE, QUEUE_LENGTH, Commands, Reply, read_command
from desk.action import Result
from desk.burial import bury
from desk.decisions import DISCARD
from desk.ids import TicketId, UserId
from desk.moves import Verb
from desk.people import Role
from desk.response import ResponseState
from desk.steps import Failure, Step
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.desk import FastClock, Scene, mail, received, scene


async def say(at: Scene, line: str, key: str = "") -> Reply:
    return await Commands(at.store, at.actions).run(at.ann, line, key)


@pytest.mark.parametrize(
    ("line", "word", "ticket", "rest"),
    [
        ("", "help", None, ""),
        ("  HELP ", "help", None, ""),
        ("12 approve", "approve", 12, ""),
        ("approve #12", "approve", 12, ""),
        ("#12", "show", 12, ""),
        ("12 regenerate  shorter please", "regenerate", 12, "shorter please"),
        ("why 12", "why", 12, ""),
        ("take over 12", "take", 12, "over"),
        ("12 take over", "take", 12, "over"),
        ("12 ack", "acknowledge", 12, ""),  # as it was once called
        ("queue", "queue", None, ""),
        ("12345678901234567890 approve", "12345678901234567890", None, "approve"),
    ],
)
def test_case_and_order_do_not_matter(line: str, word: str, ticket: int | None, rest: str) -> None:
    found = read_command(line)
    assert (found.word, found.ticket, found.rest) == (word, ticket, rest)


async def test_help_names_every_command(store: Store) -> None:
    at = await scene(store)
    told = (await say(at, "help")).text
    assert all(word in told for word in ("queue", "next", "mine", "show 12", "why 12", "stats"))
    assert "I do not know “dance”" in (await say(at, "dance")).text


async def test_queue_next_and_mine(store: Store) -> None:
    at = await scene(store)
    assert (await say(at, "queue")).text.startswith("#1 · Critical · Nobody in our office can")
    [card] = (await say(at, "next")).cards
    assert card.ticket_id == at.ticket.id
    assert "claimed nothing" in (await say(at, "mine")).text
    await say(at, "1 claim")
    assert "#1" in (await say(at, "mine")).text


async def test_next_looks_behind_what_colleagues_have_claimed(store: Store) -> None:
    at = await scene(store)
    for n in range(QUEUE_LENGTH):
        await another(at, f"claimed {n}", at.omar.id)
    await Commands(store, at.actions).run(at.omar, "1 claim")
    assert (await say(at, "next")).text == NOBODY_FREE
    free = await another(at, "free")
    [card] = (await say(at, "next")).cards
    assert card.ticket_id == free


async def another(at: Scene, subject: str, assignee: UserId | None = None) -> TicketId:
    """Another open ticket, without a draft."""
    new = received(mail(subject), uuid4().hex)
    async with at.store.change() as change:
        ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
        await change.receive(ticket, new)
        ticket = await change.ticket(ticket.id)
        await change.move_ticket(ticket, Verb.GIVE_UP, {"assignee": assignee})
    return ticket.id


async def test_an_empty_queue_is_good_news(store: Store) -> None:
    at = await scene(store)
    await say(at, "1 close")
    assert (await say(at, "queue")).text == "Nobody waits. Well done."
    assert (await say(at, "next")).text == "Nobody waits. Well done."
    assert (await store.ticket(at.ticket.id)).state is TicketState.CLOSED


async def test_show_tells_the_whole_mail_beside_the_card(store: Store) -> None:
    at = await scene(store)
    reply = await say(at, "show 1")
    assert "From Priya Nair <priya@lindqvist.example>" in reply.text
    assert "Since nine o'clock nobody can log in." in reply.text
    assert len(reply.cards) == 1


async def test_approve_undo_and_approve_again(store: Store) -> None:
    at = await scene(store)
    [card] = (await say(at, "1 approve", "a")).cards
    assert card.status.startswith("Approved by Ann")
    await say(at, "1 undo", "b")
    response = await at.response()
    assert response is not None
    assert response.state is ResponseState.DRAFT
    await say(at, "1 approve", "c")
    assert (await say(at, "1 approve", "c")).text == "That was done already."


async def test_a_question_is_answered_with_anyway(store: Store) -> None:
    at = await scene(store)
    await at.actions.act(await at.request(Verb.CLAIM, at.omar))
    told = (await say(at, "1 approve", "a")).text
    assert told.endswith("To do it anyway:  1 approve anyway")
    [card] = (await say(at, "1 approve anyway", "b")).cards
    assert card.status.startswith("Approved by Ann")


async def test_regenerate_takes_what_it_should_do_differently(store: Store) -> None:
    at = await scene(store)
    await say(at, "1 regenerate shorter, and warmer")
    assert (await store.ticket(at.ticket.id)).instruction == "shorter, and warmer"


async def test_a_question_keeps_what_the_next_draft_should_do(store: Store) -> None:
    at = await scene(store)
    await at.actions.act(await at.request(Verb.CLAIM, at.omar))
    told = (await say(at, "1 regenerate not so long", "a")).text
    assert told.endswith("To do it anyway:  1 regenerate not so long anyway")
    assert (await say(at, "1 regenerate not so long anyway", "b")).cards
    assert (await store.ticket(at.ticket.id)).instruction == "not so long"


async def test_why_tells_the_parts_of_the_order(store: Store) -> None:
    at = await scene(store)
    told = (await say(at, "why 1")).text
    assert "#1 is critical because of “nobody can log in”" in told
    assert "It comes 20 min earlier: very unhappy." in told


async def test_stats_count(store: Store) -> None:
    at = await scene(store)
    assert (await say(at, "stats")).text.startswith("1 wait for an answer, 0 are being read")
    async with store.change() as change:
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "north")
        sue = await change.add_user("sue@lanewright.example", "Sue", Role.AGENT, "south")
    theirs = await Commands(store, at.actions).run(sue, "stats")
    assert theirs.text.startswith("0 wait for an answer, 0 are being read")


async def test_managers_are_told_which_mailbox_needs_a_sign_in(store: Store) -> None:
    at = await scene(store)
    [mailbox] = await store.mailboxes()
    async with store.change() as change:
        await change.save_checkpoint(mailbox.id, "", "support needs sign-in")
        boss = await change.add_user("boss@x.example", "Boss", Role.MANAGER)
    assert "needs sign-in" not in (await say(at, "stats")).text
    commands = Commands(at.store, at.actions)
    assert "Mailbox support: support needs sign-in" in (await commands.run(boss, "stats", "")).text


async def test_a_number_that_is_missing_or_hidden_is_said(store: Store) -> None:
    at = await scene(store)
    assert "Which ticket?" in (await say(at, "approve")).text
    assert (await say(at, "show 99")).text == "There is no ticket #99 in your mailboxes"
    async with store.change() as change:
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "billing")
    stranger = replace(at.ann, team="sales", role=Role.AGENT)
    hidden = await Commands(store, at.actions).run(stranger, "show 1")
    assert hidden.text == "There is no ticket #1 in your mailboxes"
    assert (await Commands(store, at.actions).run(stranger, "queue")).text.startswith("Nobody")


async def test_what_is_more_than_fits_is_said(store: Store) -> None:
    at = await scene(store)
    for n in range(QUEUE_LENGTH):
        assert "… and more" not in (await say(at, "queue")).text
        await another(at, "" if n else "last")
    lines = (await say(at, "queue")).text.splitlines()
    assert (len(lines), lines[-1]) == (QUEUE_LENGTH + 1, "… and more")
    assert "(no subject)" in lines[3]
    assert "due in" not in lines[3], "it was never triaged, so nothing is promised"


async def test_overdue_is_said_in_the_queue(store: Store, clock: FastClock) -> None:
    at = await scene(store)
    clock.forward(hours=3)
    assert "overdue by 2 h" in (await say(at, "queue")).text


async def test_managers_decide_about_what_was_given_up(store: Store) -> None:
    at = await scene(store)
    commands = Commands(store, at.actions)

    async def by_omar(line: str) -> str:
        return (await commands.run(at.omar, line)).text

    assert await by_omar("dead") == "Nothing was given up."
    failure = Failure("Transient from TimeoutError", "Slack is gone.", "post:1 post")
    async with store.change() as change:
        for step, id in ((Step.SHOW, at.ticket.id), (Step.INTAKE, 1), (Step.INTAKE, 2)):
            await bury(change, step, id, failure, 5)
    assert (await by_omar("dead")).splitlines() == [
        "3 · intake · given up after 5 tries: Slack is gone.",
        "2 · intake · given up after 5 tries: Slack is gone.",
        "1 · show of #1 · given up after 5 tries: Slack is gone.",
    ]
    assert "Transient from TimeoutError  (post:1 post)" in await by_omar("dead show 3")
    assert await by_omar("dead 3") == await by_omar("DEAD show #3")
    assert await by_omar("dead requeue 2 3 it is back") == (
        "2 requeued: intake.\n3 requeued: intake."
    )
    assert (Step.INTAKE, 2) in at.queue.jobs
    assert "Dead letter 2 was requeued by Omar" in await by_omar("dead discard 2 1")
    # a number in the reason is no dead letter
    assert (await by_omar("dead discard 2 and not 1 or 77")).count(".") == 1
    assert "“it is back”" in await by_omar("dead show 2")
    assert await by_omar("dead") == "Nothing was given up."
    assert "Write dead," in await by_omar("dead dance 3")
    assert "There is no dead letter 77" in await by_omar("dead requeue 77")
    assert "Only a manager can do this" in (await say(at, "dead")).text


async def test_a_card_tells_what_was_given_up_and_a_manager_tries_again(store: Store) -> None:
    at = await scene(store)
    failure = Failure("Permanent", "The channel is archived.", "")
    async with store.change() as change:
        await bury(change, Step.SHOW, at.ticket.id, failure, 1)
    [card] = (await say(at, "show 1")).cards
    assert ("Given up", "show: The channel is archived.") in card.facts
    assert [b.verb for b in card.buttons][-2:] == [Verb.REQUEUE, Verb.DISCARD]
    refused = await at.actions.act(await at.request(Verb.REQUEUE))
    assert refused.note == "Only a manager can do this, and you are registered as agent"
    asked = await at.actions.act(await at.request(Verb.DISCARD, at.omar))
    assert (asked.result, asked.note) == (Result.CONFIRM, DISCARD)
    assert (await at.actions.act(await at.request(Verb.REQUEUE, at.omar))).note == ""
    assert (Step.SHOW, at.ticket.id) in at.queue.jobs
    late = await at.actions.act(await at.request(Verb.DISCARD, at.omar))
    assert "nothing of this ticket is given up" in late.note
    [card] = (await say(at, "show 1")).cards
    assert "Given up" not in dict(card.facts)


async def test_bump_and_vip_are_explained_on_the_card_and_by_why(store: Store) -> None:
    at = await scene(store)
    await say(at, "1 bump")
    await Commands(store, at.actions).run(at.omar, "1 vip domain")
    [card] = (await say(at, "show 1")).cards
    parts = "20 min earlier: very unhappy; 60 min earlier: moved up by hand"
    assert f"{parts}; 30 min earlier: an important customer" in dict(card.facts)["Order"]
    assert dict(card.facts)["Order"].startswith("1st of 1 at ")
    told = (await say(at, "why 1")).text
    assert "It comes 60 min earlier: moved up by hand." in told
    assert "It is the 1st of 1." in told
    assert (await say(at, "1 bump")).text == "It was moved up already"


async def test_a_corrected_urgency_is_told_as_such(store: Store) -> None:
    at = await scene(store)
    [card] = (await say(at, "1 urgency low")).cards
    assert dict(card.facts)["Urgency"] == "Low: set by hand"
    assert "#1 is low because somebody said so" in (await say(at, "why 1")).text
    assert (await say(at, "1 urgency soon")).text == "Write one of low, normal, high, critical"
