"""Background work: its steps, and jobs that were given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desk.ids import DeadLetterId, TicketId, UserId


class Step(StrEnum):
    """A unit of background work. Its jobs are named ``<step>:<id>``."""

    INTAKE = "intake"  # id of a mailbox
    TRIAGE = "triage"  # id of a ticket
    DRAFTING = "drafting"  # id of a ticket
    SENDING = "sending"  # id of a response
    SHOW = "show"  # id of a ticket
    ALERT = "alert"  # id of an escalation
    REPORT = "report"  # id of a dead letter
    WARN = "warn"  # id of a mailbox


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. ``error`` names the classes and ``trace`` files, lines and functions: both
    without a word of what it worked on. ``reason`` is a sentence for people."""

    error: str
    reason: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed run of a job."""

    at: datetime
    error: str
    trace: str


class Ending(StrEnum):
    """How a dead letter was closed."""

    REQUEUED = "requeued"
    DISCARDED = "discarded"
    OVERTAKEN = "overtaken"  # something changed, and what was given up was wanted anew


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was given up: after ``tries`` runs, of which ``attempts`` are known, oldest first.

    ``target`` is the job's id and ``ticket_id`` the ticket that it concerns, if any. ``note`` is
    what the manager said who closed it.
    """

    id: DeadLetterId
    step: Step
    target: int
    ticket_id: TicketId | None
    failure: Failure
    tries: int
    attempts: tuple[Attempt, ...]
    created_at: datetime
    is_open: bool = True
    ending: Ending | None = None
    closed_by: UserId | None = None
    closed_at: datetime | None = None
    note: str = ""
