"""A reply: a draft until approved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desk.email import Address, Attachment
from desk.ids import EmailId, ResponseId, TicketId, UserId


class ResponseState(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"
    RETIRED = "retired"


LIVE = frozenset(
    {
        ResponseState.DRAFT,
        ResponseState.APPROVED,
        ResponseState.SENDING,
        ResponseState.UNKNOWN,
        ResponseState.FAILED,
    }
)
"""States of a response that still wants something; a ticket has at most one such response."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a knowledge-base article. ``article`` is its file name, ``title`` its headline,
    ``heading`` the path of headings above it; ``score`` the cosine similarity to the question."""

    article: str
    title: str
    heading: str
    text: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Citation:
    """``[n]`` in a reply stands for this passage."""

    n: int
    passage: Passage


class Severity(StrEnum):
    """How much a finding matters. BLOCKING needs a second confirmation before sending."""

    GOOD = "good"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found in a draft; ``reason`` is a sentence for the card."""

    check: str
    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A reply as a writer proposes it. ``score`` 0..100. Empty ``text`` means: no draft, and
    ``reason`` says why. ``writer`` is the rung of the ladder ("tgi", "extractive"), ``model`` what
    ran there, ``prompt`` the version of the prompt."""

    text: str
    citations: tuple[Citation, ...] = ()
    findings: tuple[Finding, ...] = ()
    score: int = 0
    writer: str = ""
    model: str = ""
    prompt: str = ""
    needs_human: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What would leave: everything that an approval covers."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A reply to one email: a draft until approved. ``hash`` covers exactly the envelope.

    ``send_after`` is when it may be sent, or, while it is unknown, looked for the next time, and
    ``tries`` how often that did not work. ``earlier_ids`` are the Message-IDs of versions that may
    have left before it was made a draft again.
    """

    id: ResponseId
    ticket_id: TicketId
    email_id: EmailId
    state: ResponseState
    version: int
    hash: str
    envelope: Envelope
    draft: Draft
    created_at: datetime
    message_id: str = ""
    edited_by: UserId | None = None
    approved_by: UserId | None = None
    approved_at: datetime | None = None
    send_after: datetime | None = None
    sent_at: datetime | None = None
    tries: int = 0
    failure: str = ""
    earlier_ids: tuple[str, ...] = ()
