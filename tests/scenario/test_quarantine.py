"""A mail that stops its parser reaches a card as such, and holds up nothing else."""

from __future__ import annotations

from datetime import timedelta

from bot.ticket_card import ticket_card
from desk.ids import TicketId
from desk.rules import Job
from desk.store import Store
from mail.parse_pool import ParsePool
from tests.doubles.desk import FastClock
from tests.doubles.mailbox import ScriptedMailbox, raw_mail
from workers.drafting import left_to_a_person
from workers.intake import Intake


class NoQueue:
    """Takes every job and does none."""

    async def put(self, *jobs: Job) -> None:
        pass


async def test_a_quarantined_mail_becomes_a_ticket_between_its_neighbours(
    store: Store, clock: FastClock
) -> None:
    async with store.change() as change:
        box = await change.add_mailbox("support", "support@lanewright.example", "maildir")
    mailbox = ScriptedMailbox()
    mailbox.arrive(raw_mail("Broken kettle", "It leaks.", "<1@lindqvist.example>"))
    endless = b"Content-Type: text/html\n" + raw_mail("Endless lamp", "<li>x" * 59_000, "<2@x.y>")
    mailbox.arrive(endless)
    mailbox.arrive(raw_mail("Lost parcel", "Where is it?", "<3@lindqvist.example>"))
    async with ParsePool(workers=1, seconds=0.1) as pool:
        await Intake(store, NoQueue(), {box.id: mailbox}, pool.parse)(box.id)
    views = [await store.view(TicketId(number)) for number in (1, 2, 3)]
    assert [view.ticket.subject for view in views] == [
        "Broken kettle",
        "Endless lamp",
        "Lost parcel",
    ]
    reasons = [view.email.parsed.quarantine for view in views]
    assert reasons == ["", "reading it took longer than 0.1 s.", ""]
    card = ticket_card(views[1], clock.now() + timedelta(minutes=1))
    assert "quarantined: reading it took longer than 0.1 s." in card.quote
    assert "Open it in a mail program" in card.quote
    assert "Not all of it" not in card.below_quote  # once is enough
    assert "could not be read safely" in left_to_a_person(views[1].email.parsed, None, "")
    assert (await store.mailbox(box.id)).checkpoint == "3"
