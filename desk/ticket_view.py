"""All that a card or a command says about a ticket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from desk.classification import Classification
from desk.email import Email, Mailbox
from desk.ids import UserId
from desk.moves import Verb
from desk.response import Response
from desk.sla.rungs import Escalation, SlaClock
from desk.steps import DeadLetter
from desk.ticket import Rank, Ticket


@dataclass(frozen=True, slots=True)
class TicketView:
    """Everything a card or a command says about a ticket, read in one transaction.

    ``email`` is the customer's latest mail, ``mails`` how many there are, ``names`` the display
    names of all users mentioned by id, ``last`` the latest audit entry that a person should see
    ("sent by Ann at …"), as (verb, user id or None, time). ``unanswered`` counts the customer's
    mails since the one that we answered last, ``answered`` those before. ``answered_at`` is when
    somebody answered the latest mail from another mail client; ``resends`` counts how often it was
    sent again; ``bounce`` is why our reply to it came back, "" if it did not. ``given_up`` are the
    open dead letters;
    ``rank`` is None when nobody asked for it, or when the ticket waits for no person.
    """

    ticket: Ticket
    mailbox: Mailbox
    email: Email
    mails: int
    classification: Classification | None
    response: Response | None
    names: dict[UserId, str]
    last: tuple[Verb, UserId | None, datetime] | None = None
    answered: int = 0
    unanswered: int = 1
    clock: SlaClock | None = None
    alarm: Escalation | None = None
    answered_at: datetime | None = None
    resends: int = 0
    bounce: str = ""
    given_up: tuple[DeadLetter, ...] = ()
    rank: Rank | None = None
