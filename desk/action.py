"""A click or command in our words, and what its handlers may ask of the desk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from desk.change import Change
from desk.email import Address, ParsedEmail
from desk.errors import Refused
from desk.files import NewFile
from desk.ids import ResponseId, TicketId
from desk.moves import Verb
from desk.people import User
from desk.priority import Weights
from desk.response import Citation, Finding
from desk.ticket import Ticket, TicketState

SIGNED = "It will be signed with your name."
CLAIMED = "A colleague has claimed this ticket. Do it anyway?"


class Review(Protocol):
    """Checks a text before a person sends it: (findings, score 0..100)."""

    def __call__(
        self,
        text: str,
        citations: tuple[Citation, ...],
        email: ParsedEmail,
        recipients: tuple[Address, ...],
    ) -> tuple[tuple[Finding, ...], int]: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """The response as the card showed it when the person decided."""

    id: ResponseId
    version: int
    hash: str


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """A click or command in our words.

    ``key`` is the same when a network delivers the same click twice. ``text`` is the edited reply
    (EDIT) or what the next draft should do (REGENERATE). ``confirmed`` says that the person has
    read the blocking findings; ``then_send`` approves what was just edited. For ASSIGN ``text`` is
    who, for SNOOZE how long, for REQUEUE and DISCARD which dead letter (all of the ticket when
    empty).
    """

    key: str
    user: User
    verb: Verb
    ticket_id: TicketId
    seen: Seen | None = None
    text: str = ""
    confirmed: bool = False
    then_send: bool = False
    file: NewFile | None = None


class Result(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    CONFIRM = "confirm"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``note`` is for the person alone; empty when the redrawn card says it all."""

    result: Result
    note: str = ""


class NeedsConfirmation(Refused):
    """The person must say yes to this first."""


class Late(Refused):
    """Somebody did something before; the answer says who did what when."""


class Desk(Protocol):
    """What handlers know of the desk: how a text is checked, how long an approved reply stays here,
    and what moves a ticket in the queue."""

    @property
    def review(self) -> Review: ...
    @property
    def undo(self) -> timedelta: ...
    @property
    def weights(self) -> Weights: ...


Handler = Callable[[Desk, Change, ActionRequest, Ticket], Awaitable[None]]


def ask_if_somebody_else(request: ActionRequest, ticket: Ticket) -> None:
    if is_somebody_elses(request, ticket) and not request.confirmed:
        raise NeedsConfirmation(CLAIMED)


def refuse_if_closed(ticket: Ticket) -> None:
    """There is nothing left to do; one that waits for the customer may be theirs who get the next
    mail."""
    if ticket.state is TicketState.CLOSED:
        raise Late


def is_somebody_elses(request: ActionRequest, ticket: Ticket) -> bool:
    return ticket.assignee not in (None, request.user.id)
