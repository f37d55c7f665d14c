"""A customer conversation that we work on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desk.classification import Urgency
from desk.ids import MailboxId, TicketId, UserId


class TicketState(StrEnum):
    NEW = "new"
    TRIAGED = "triaged"
    OPEN = "open"
    SNOOZED = "snoozed"
    WAITING = "waiting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A customer conversation we work on.

    ``version`` grows with every change of the ticket or of its response; ``shown_version`` is the
    version its cards show. ``score`` orders the queue: milliseconds since 1970, earliest first;
    ``boosts`` are (reason, minutes) taken off the due time. ``instruction`` is what an agent asked
    of the next draft.
    """

    id: TicketId
    mailbox_id: MailboxId
    state: TicketState
    version: int
    shown_version: int
    subject: str
    created_at: datetime
    updated_at: datetime
    urgency: Urgency = Urgency.NORMAL
    due_at: datetime | None = None
    score: float = 0.0
    boosts: tuple[tuple[str, int], ...] = ()
    assignee: UserId | None = None
    editing: UserId | None = None
    editing_since: datetime | None = None
    snoozed_until: datetime | None = None
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Rank:
    """The ``place``-th of the ``waiting`` tickets that wait for a person, at a moment."""

    place: int
    waiting: int
    at: datetime
