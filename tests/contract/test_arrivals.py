"""What an arrived mail becomes, on both databases: nothing is lost, nothing is worked on twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from desk.action import Result
from desk.change import Change
from desk.email import Address, Bounce, Kind, ParsedEmail, Relation
from desk.ids import MailboxId, TicketId
from desk.mails import Received
from desk.moves import Verb
from desk.priority import score
from desk.response import ResponseState
from desk.standing import standing
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from mail.parse import parse
from mail.provider import Arrival, never_handed_over
from tests.doubles.desk import START, Scene, drafted, mail, received, scene
from tests.doubles.house import CalmClassifier
from tests.doubles.mailbox import ScriptedMailbox, parse_here, raw_mail
from workers.arrivals import take_in
from workers.intake import Intake
from workers.triage import Triage

TEXT = "My scanner has not worked since Monday and nobody answers the phone."
FIRST_ID = "<1@lindqvist.example>"
FIRST = raw_mail("Scanner", TEXT, FIRST_ID)


@dataclass
class Office:
    """A desk whose mailbox a test fills."""

    desk: Scene
    box: MailboxId
    mailbox: ScriptedMailbox
    intake: Intake
    _keys: int = field(default=0)

    async def arrive(
        self,
        raw: bytes,
        key: str = "",
        minutes: int = 1,
        is_sent: bool = False,
        thread: str = "",
        is_answered: bool = False,
    ) -> None:
        self._keys += 1
        at = START + timedelta(minutes=minutes)
        arrival = Arrival(key or f"k{self._keys}", raw, at, thread, is_sent, is_answered)
        self.mailbox.arrivals.append(arrival)
        await self.intake(self.box)

    async def tickets(self) -> int:
        return sum((await self.desk.store.counts()).values())

    async def relations(self) -> list[str]:
        async with self.desk.store.read() as connection:
            found = await connection.execute(text("SELECT relation FROM emails ORDER BY id"))
            return [row.relation for row in found]


async def office(store: Store) -> Office:
    """The scene's ticket #1 is somebody else's matter."""
    desk = await scene(store)
    mailbox = ScriptedMailbox()
    box = desk.ticket.mailbox_id
    intake = Intake(store, desk.queue, {box: mailbox}, parse_here)
    return Office(desk, box, mailbox, intake)


async def test_two_mails_that_a_server_does_not_hand_over_are_two_tickets(store: Store) -> None:
    here = await office(store)
    for number in (3, 4):
        await here.arrive(never_handed_over("The mail server", f"INBOX:1:{number}"))
    assert await here.relations() == ["mail", "mail", "mail"]
    assert await here.tickets() == 3


async def test_a_mail_read_again_is_stored_once(any_store: Store) -> None:
    here = await office(any_store)
    await here.arrive(FIRST, "a")
    await here.arrive(FIRST, "a")
    await here.arrive(FIRST, "b")  # the server gave it a new key
    assert await here.relations() == ["mail", "mail"]
    assert await here.tickets() == 2


async def test_a_copy_with_a_lists_footer_is_linked_and_changes_nothing(any_store: Store) -> None:
    here = await office(any_store)
    await here.arrive(FIRST)
    before = await any_store.ticket(TicketId(2))
    footer = "\n--\nsupport mailing list\nhttps://lists.example/support"
    await here.arrive(raw_mail("[support] Scanner", TEXT + footer, "<1@lindqvist.example>"))
    view = await any_store.view(TicketId(2))
    assert await here.relations() == ["mail", "mail", "copy"]
    assert (view.mails, view.ticket.version) == (1, before.version)
    assert view.email.parsed.text.strip() == TEXT


async def test_a_reused_message_id_with_other_words_is_a_new_mail(any_store: Store) -> None:
    here = await office(any_store)
    await here.arrive(FIRST)
    other = "Please cancel order 4711 and refund the whole amount to our account."
    await here.arrive(raw_mail("Cancel my order", other, "<1@lindqvist.example>"))
    assert await here.relations() == ["mail", "mail", "mail"]
    assert await here.tickets() == 3


async def test_a_forged_message_id_of_somebody_else_hides_nothing(any_store: Store) -> None:
    here = await office(any_store)
    forged = raw_mail("Scanner", TEXT, "<1@lindqvist.example>").replace(b"priya@", b"eve@")
    await here.arrive(forged)
    await here.arrive(FIRST)
    assert await here.relations() == ["mail", "mail", "mail"]


async def test_who_sends_it_again_comes_earlier_and_keeps_the_draft(any_store: Store) -> None:
    here = await office(any_store)
    await here.arrive(FIRST)
    await drafted(any_store, TicketId(2), (await any_store.view(TicketId(2))).email.id, "Hello")
    before = await any_store.view(TicketId(2))
    await here.arrive(raw_mail("Scanner", TEXT, "<2@lindqvist.example>"), minutes=60)
    await here.arrive(raw_mail("Scanner", TEXT, "<3@lindqvist.example>"), minutes=90)
    after = await any_store.view(TicketId(2))
    assert await here.relations() == ["mail", "mail", "resend", "resend"]
    assert (after.mails, after.resends, after.email.id) == (3, 2, before.email.id)
    assert after.response is not None
    assert after.response.state is ResponseState.DRAFT
    assert after.ticket.boosts == (*before.ticket.boosts, ("sent it again", 15))
    assert after.ticket.due_at is not None
    assert after.ticket.score == score(after.ticket.due_at, after.ticket.boosts)
    assert (Step.SHOW, 2) in here.desk.queue.jobs


async def test_a_mail_sent_again_before_it_was_read_is_no_answer_to_a_reply(
    any_store: Store,
) -> None:
    here = await office(any_store)
    await here.arrive(FIRST)
    await here.arrive(raw_mail("Scanner", TEXT, "<2@lindqvist.example>"), minutes=60)
    await Triage(any_store, here.desk.queue, CalmClassifier(), (), ())([2])
    assert (await any_store.ticket(TicketId(2))).boosts == (("sent it again", 15),)


async def test_a_question_sent_again_after_our_answer_is_worked_on(store: Store) -> None:
    here = await office(store)
    await here.arrive(FIRST)
    await drafted(store, TicketId(2), (await store.view(TicketId(2))).email.id, "Hello")
    await close(store, TicketId(2))
    await here.arrive(raw_mail("Scanner", TEXT, "<2@lindqvist.example>"), minutes=60)
    view = await store.view(TicketId(2))
    assert (view.ticket.state, view.email.copy_of) == (TicketState.NEW, 2)


@pytest.mark.parametrize(
    ("raw", "hours"),
    [
        (raw_mail("Scanner", TEXT, "<2@lindqvist.example>"), 73),
        (raw_mail("Scanner", TEXT + " Order 12.", "<2@lindqvist.example>"), 1),
        (raw_mail("Another scanner", TEXT, "<2@lindqvist.example>"), 1),
        (raw_mail("Scanner", TEXT, "<2@l.example>").replace(b"priya@", b"eve@"), 1),
    ],
    ids=["three days later", "other words", "another subject", "another sender"],
)
async def test_what_only_looks_alike_is_a_mail_of_its_own(
    store: Store, raw: bytes, hours: int
) -> None:
    here = await office(store)
    await here.arrive(FIRST, minutes=0)
    await here.arrive(raw, minutes=60 * hours)
    assert await here.relations() == ["mail", "mail", "mail"]


async def test_thanks_twice_are_two_answers(store: Store) -> None:
    here = await office(store)
    await here.arrive(raw_mail("Scanner", "Thanks!", "<1@lindqvist.example>"))
    await here.arrive(raw_mail("Scanner", "Thanks!", "<2@lindqvist.example>"))
    assert await here.relations() == ["mail", "mail", "mail"]


async def test_mailboxes_of_one_team_share_a_copy_and_others_do_not(store: Store) -> None:
    here = await office(store)
    await here.arrive(FIRST)
    async with store.change() as change:
        sales = await change.add_mailbox("sales", "sales@lanewright.example", "maildir")
        people = await change.add_mailbox("people", "p@lanewright.example", "maildir", "people")
        for box in (sales, people):
            again = replace(received(parse(FIRST), "x"), sha256=hashlib.sha256(FIRST).hexdigest())
            await taken(change, box.id, again)
    assert await here.relations() == ["mail", "mail", "copy", "mail"]
    assert await here.tickets() == 3


async def taken(change: Change, box: MailboxId, mail: Received) -> None:
    await take_in(change, await change.mailbox(box), mail)


async def test_a_conversation_of_the_provider_joins_what_names_no_ancestor(store: Store) -> None:
    here = await office(store)
    await here.arrive(FIRST, thread="t1")
    await here.arrive(
        raw_mail("And the printer?", "It is broken, too, I fear.", "<2@x>"), thread="t1"
    )
    await here.arrive(
        raw_mail("And the phone?", "It is broken, too, I fear.", "<3@x>"), thread="t2"
    )
    view = await store.view(TicketId(2))
    assert (view.mails, await here.tickets()) == (2, 3)
    assert (view.email.thread, view.email.key) == ("t1", "k2")


def answer(text: str = "It is fixed.", id: str = "<out@lanewright.example>") -> bytes:
    """What a colleague writes in a mail program."""
    return raw_mail("Re: Scanner", text, id, "<1@lindqvist.example>").replace(
        b"From: Priya Nair <priya@lindqvist.example>", b"From: support@lanewright.example"
    )


async def test_an_answer_from_a_mail_program_retires_the_draft(any_store: Store) -> None:
    here = await office(any_store)
    await here.arrive(FIRST)
    await drafted(any_store, TicketId(2), (await any_store.view(TicketId(2))).email.id, "Hello")
    await here.arrive(answer(), minutes=5, is_sent=True)
    view = await any_store.view(TicketId(2))
    assert view.ticket.state is TicketState.WAITING
    assert view.response is not None
    assert view.response.state is ResponseState.RETIRED
    assert standing(view).startswith("Answered from a mail program")
    assert view.unanswered == 0
    assert (Step.SHOW, 2) in here.desk.queue.jobs
    again = raw_mail("Re: Scanner", "No, it is not.", "<3@x>", "<out@lanewright.example>")
    await here.arrive(again, minutes=9)
    view = await any_store.view(TicketId(2))
    assert (view.ticket.state, view.mails, view.unanswered) == (TicketState.NEW, 2, 1)
    assert not standing(view).startswith("Answered")


async def test_the_same_sent_mail_counts_once_and_an_old_one_not(store: Store) -> None:
    here = await office(store)
    await here.arrive(FIRST, minutes=10)
    await here.arrive(answer(), "old", minutes=5, is_sent=True)
    assert (await store.ticket(TicketId(2))).state is TicketState.NEW
    await here.arrive(answer(), "new", minutes=15, is_sent=True)
    await here.arrive(answer(), "new", minutes=15, is_sent=True)
    assert (await store.ticket(TicketId(2))).state is TicketState.WAITING
    await here.arrive(raw_mail("Re: Scanner", "No.", "<3@x>", "<1@lindqvist.example>"), minutes=20)
    await here.arrive(answer(), "new", minutes=15, is_sent=True)
    assert (await store.ticket(TicketId(2))).state is TicketState.NEW


async def test_what_was_answered_before_we_came_is_known_and_nobodys_work(
    any_store: Store,
) -> None:
    here = await office(any_store)
    here.desk.queue.jobs.clear()
    await here.arrive(FIRST, minutes=-600, is_answered=True)
    view = await any_store.view(TicketId(2))
    assert (view.ticket.state, view.unanswered) == (TicketState.WAITING, 0)
    assert standing(view) == "Answered from a mail program before it came here"
    assert here.desk.queue.jobs == []
    assert [ticket.id for ticket, _ in await any_store.unfinished()] == [1]
    _, faults = await any_store.audit_clocks()
    assert [found for found in faults if found.ticket_id == 2] == []
    again = raw_mail("Re: Scanner", "It broke again.", "<3@lindqvist.example>", FIRST_ID)
    await here.arrive(again, minutes=9)
    view = await any_store.view(TicketId(2))
    assert (view.ticket.state, view.mails, view.unanswered) == (TicketState.NEW, 2, 1)
    assert (Step.TRIAGE, 2) in here.desk.queue.jobs


async def test_an_answered_copy_of_an_old_mail_ends_no_ticket_that_went_on(store: Store) -> None:
    here = await office(store)
    await here.arrive(FIRST, minutes=1)
    again = raw_mail("Re: Scanner", "It broke again.", "<3@lindqvist.example>", FIRST_ID)
    await here.arrive(again, minutes=9)
    footer = "\n-- \nsupport mailing list\nhttps://lists.example/support"
    copied = raw_mail("[list] Scanner", TEXT + footer, FIRST_ID)
    await here.arrive(copied, minutes=2, is_answered=True)
    assert await here.relations() == ["mail", "mail", "mail", "copy"]
    assert (await store.ticket(TicketId(2))).state is TicketState.NEW


async def test_sent_mail_about_nothing_we_know_makes_no_ticket(store: Store) -> None:
    here = await office(store)
    await here.arrive(raw_mail("Hello", "A first letter to a new client.", "<9@x>"), is_sent=True)
    assert await here.tickets() == 1


async def test_our_own_reply_in_the_sent_mail_ends_the_doubt(store: Store) -> None:
    here = await office(store)
    message_id = await approved_and_sent(here, ResponseState.UNKNOWN)
    ours = raw_mail("Re: Nobody", "We are on it, all of us.", message_id)
    await here.arrive(ours, is_sent=True)
    assert here.desk.queue.jobs[-1] == (Step.SENDING, 1)
    assert (await store.ticket(TicketId(1))).state is TicketState.OPEN


async def approved_and_sent(here: Office, state: ResponseState) -> str:
    """Ticket #1's reply, approved and handed over; its Message-ID."""
    desk = here.desk
    outcome = await desk.actions.act(await desk.request(Verb.APPROVE))
    assert outcome.result is Result.DONE
    async with desk.store.change() as change:
        response = await change.live_response(desk.ticket.id)
        assert response is not None
        response = await change.move_response(response, Verb.SEND)
        if state is ResponseState.UNKNOWN:
            response = await change.move_response(response, Verb.LOSE)
        else:
            ticket = await change.ticket(desk.ticket.id)
            await change.move_ticket(ticket, Verb.DELIVER)
            response = await change.move_response(response, Verb.DELIVER)
        return response.message_id


def report(message_id: str, is_final: bool = True) -> ParsedEmail:
    return mail(
        "Undelivered Mail Returned to Sender",
        sender=Address("", "mailer-daemon@mx.example"),
        kind=Kind.BOUNCE,
        bounce=Bounce(message_id, "priya@lindqvist.example", "5.1.1", "550 no such user", is_final),
    )


def bounced(parsed: ParsedEmail) -> Received:
    key = f"bounce {parsed.bounce}"
    return replace(received(parsed, key), sha256=hashlib.sha256(key.encode()).hexdigest())


async def test_a_reply_that_came_back_is_shown_on_its_card(any_store: Store) -> None:
    here = await office(any_store)
    message_id = await approved_and_sent(here, ResponseState.SENT)
    async with any_store.change() as change:
        await taken(change, here.box, bounced(report(message_id)))
    view = await any_store.view(TicketId(1))
    assert view.ticket.state is TicketState.OPEN
    assert standing(view) == "Your reply came back: 550 no such user"
    assert view.email.parsed.sender.address == "priya@lindqvist.example"
    assert await here.tickets() == 1 + 1  # the ticket, and one reply sent


async def test_a_report_of_a_delay_or_of_another_mail_is_a_ticket_of_its_own(store: Store) -> None:
    here = await office(store)
    message_id = await approved_and_sent(here, ResponseState.SENT)
    async with store.change() as change:
        await taken(change, here.box, bounced(report(message_id, is_final=False)))
        await taken(change, here.box, bounced(report("<other@x>")))
    assert (await store.ticket(TicketId(1))).state is TicketState.WAITING
    assert await here.relations() == [Relation.MAIL] * 3


async def close(store: Store, id: TicketId) -> None:
    async with store.change() as change:
        await change.move_ticket(await change.ticket(id), Verb.CLOSE)


async def test_one_mail_that_cannot_be_stored_holds_up_nobody(store: Store) -> None:
    here = await office(store)
    raws = [raw_mail(f"Matter {n}", f"{TEXT} {n}", f"<m{n}@x>") for n in range(3)]

    async def fragile(raw: bytes) -> ParsedEmail:
        parsed = parse(raw)
        # what no database takes: half a character
        return replace(parsed, text="\ud800") if parsed.subject == "Matter 1" else parsed

    here.mailbox.arrivals += [Arrival(f"m{n}", raw, START) for n, raw in enumerate(raws)]
    intake = replace(here.intake, parse=fragile)
    await intake(here.box)
    subjects = await subjects_of(store, range(2, 5))
    assert subjects == ["Matter 0", "A mail that could not be read", "Matter 2"]
    assert (await store.mailbox(here.box)).checkpoint == "3"
    await intake(here.box)
    assert await here.tickets() == 4


async def subjects_of(store: Store, ids: Sequence[int] | range) -> list[str]:
    return [(await store.ticket(TicketId(id))).subject for id in ids]


async def test_a_page_is_a_job_and_the_next_one_another(store: Store) -> None:
    here = await office(store)
    here.mailbox.arrivals += [
        Arrival(f"m{n}", raw_mail(f"Matter {n}", f"{TEXT} {n}", f"<m{n}@x>"), START)
        for n in range(60)
    ]
    await here.intake(here.box)
    assert (Step.INTAKE, here.box) in here.desk.queue.jobs
    assert await here.tickets() == 51
    here.desk.queue.jobs.clear()
    await here.intake(here.box)
    assert (Step.INTAKE, here.box) not in here.desk.queue.jobs
    assert await here.tickets() == 61
