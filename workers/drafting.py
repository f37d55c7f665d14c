"""Drafting: passages, a redacted question, a writer, the checks, and the response they make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from desk.action import Review
from desk.classification import Category, Classification, L, Label, Sentiment
from desk.email import Kind, ParsedEmail
from desk.errors import DeskError
from desk.failpoints import failpoint
from desk.faults import caught, kind, trace
from desk.handing_on import hand_on
from desk.ids import EmailId, TicketId
from desk.moves import Verb
from desk.ports import Queue
from desk.response import Draft, Envelope, Finding, Passage, Severity
from desk.rules import job_for
from desk.steps import Step
from desk.store import Store
from desk.ticket import Ticket, TicketState
from desk.ticket_view import TicketView
from inference.ladder import Question
from inference.language import detect
from inference.redact import Found, Redacted, restore, substitute
from mail.compose import may_reply, reply_recipients, reply_subject

log = structlog.get_logger()

LOOP_WINDOW = timedelta(hours=1)
TICKET_REPLIES = 3
SENDER_REPLIES = 10
"""After so many replies within the window, on one ticket or to one address, no more are drafted."""

UNREADABLE = {
    Kind.CALENDAR: "this is an invitation: answer it in a mail program",
    Kind.ENCRYPTED: "only a mail program can open this mail",
}


UNASKED = Finding(
    "knowledge base",
    Severity.WARNING,
    "The knowledge base could not be asked: regenerate this when it can, for an answer from it.",
)


class Search(Protocol):
    async def __call__(self, question: str, k: int = 4) -> list[Passage]: ...


class Redactor(Protocol):
    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted: ...


class Ladder(Protocol):
    async def write(self, question: Question) -> Draft: ...


@dataclass(frozen=True, slots=True)
class Drafter:
    """Drafts an answer to one mail. ``own`` are the addresses of our mailboxes."""

    search: Search
    redactor: Redactor
    ladder: Ladder
    review: Review
    own: Collection[str]
    passages: int = 4

    async def draft(
        self,
        parsed: ParsedEmail,
        known: Classification | None,
        signature: str = "",
        instruction: str = "",
    ) -> Draft | None:
        """None when nobody could be answered; an empty draft with its reason when a person has to
        write. ``instruction`` is an agent's wish."""
        if may_reply(parsed, self.own):
            return None
        if reason := left_to_a_person(parsed, known, instruction):
            return Draft("", needs_human=True, reason=reason)
        question, names = await self._question(parsed, known, signature, instruction)
        passages = await self._passages(f"{question.subject}\n\n{question.text}")
        written = await self.ladder.write(replace(question, passages=tuple(passages or ())))
        missing = () if passages is not None else (UNASKED,)
        reason, _ = restore(written.reason, names)
        if not written.text:
            reasons = (reason, *(one.reason for one in missing))
            return replace(written, reason=" ".join(reasons).strip())
        # a placeholder that the writer invented stays in the text, and the checks block it
        text, _ = restore(written.text, names)
        to, _ = reply_recipients(parsed, self.own)
        findings, score = self.review(text, written.citations, parsed, to)
        found = (*missing, *findings)
        return replace(written, text=text, reason=reason, findings=found, score=score)

    async def _question(
        self,
        parsed: ParsedEmail,
        known: Classification | None,
        signature: str,
        instruction: str,
    ) -> tuple[Question, Mapping[str, str]]:
        """What the writer is asked: no personal data that was found is in it."""
        writers = (parsed.sender, *parsed.reply_to, *parsed.to, *parsed.cc)
        people = [a.name for a in writers if a.name]
        # whoever signs is often not whom the header names
        signed = await self.redactor.redact(parsed.signature, people)
        people += [name for key, name in signed.names.items() if key.startswith("<PERSON_")]
        body = parsed.reply or parsed.text
        subject = await self.redactor.redact(parsed.subject, people)
        text = await self.redactor.redact(body, people, subject.names)
        asked = await self.redactor.redact(instruction, people, text.names)
        # hidden whatever it is: names like Mark and Rose are words, too, and not found alone
        given = first_name(parsed.sender.name)
        customer = substitute(given, [Found("PERSON", 0, len(given), 1.0)], asked.names)
        question = Question(
            subject=subject.text,
            text=text.text,
            language=detect(body),
            category=certain(known, "category", Category.SUPPORT),
            sentiment=certain(known, "sentiment", Sentiment.NEUTRAL),
            customer=customer.text,
            instruction=asked.text,
            signature=signature,
        )
        return question, customer.names

    async def _passages(self, question: str) -> list[Passage] | None:
        """None of a knowledge base that is away or refuses: that makes a weaker draft, not a lost
        mail."""
        found = await caught(self.search(question, self.passages))
        if not isinstance(found, Exception):
            return found
        if isinstance(found, DeskError):
            log.warning("drafted without passages", error=str(found))
        else:
            log.error("drafted without passages", error=kind(found), at=trace(found))
        return None


@dataclass(frozen=True, slots=True)
class Drafting:
    """The step. ``signatures`` close a reply, by mailbox name."""

    store: Store
    queue: Queue
    drafter: Drafter
    signatures: Mapping[str, str]

    async def __call__(self, id: int) -> None:
        view = await self.store.view(TicketId(id))
        if view.ticket.state is not TicketState.TRIAGED:
            return
        parsed, signature = view.email.parsed, self.signatures.get(view.mailbox.name, "")
        instruction = view.ticket.instruction
        looped = "" if instruction else await self._looped(view)
        draft = (
            Draft("", needs_human=True, reason=looped)
            if looped and not may_reply(parsed, self.drafter.own)
            else await self.drafter.draft(parsed, view.classification, signature, instruction)
        )
        async with self.store.change() as change:
            ticket = await change.ticket(view.ticket.id)
            if not is_still_asked(view, ticket, await change.latest_email(ticket.id)):
                return  # whoever changed it has queued what follows
            ticket = await change.move_ticket(ticket, Verb.DRAFT, {"instruction": ""})
            # an earlier reply of which nobody knows whether it left comes first
            is_free = await change.live_response(ticket.id) is None
            if draft is not None and is_free:
                content = envelope(parsed, draft.text, self.drafter.own)
                await change.add_response(ticket, view.email.id, content, draft)
        await failpoint("drafting.stored")
        await hand_on(self.queue, job_for(ticket, Step.SHOW))

    async def _looped(self, view: TicketView) -> str:
        """Two desks that answer each other stop here, whatever their mails say of themselves
        (RFC 3834 §2); a person who asks for a draft gets one."""
        since = self.store.clock.now() - LOOP_WINDOW
        on_ticket, to_sender = await self.store.recent_replies(view, since)
        if on_ticket < TICKET_REPLIES and to_sender < SENDER_REPLIES:
            return ""
        return (
            f"{max(on_ticket, to_sender)} replies went there within an hour."
            " Perhaps a machine answers there: write only if a person does"
        )


def is_still_asked(view: TicketView, ticket: Ticket, latest: EmailId) -> bool:
    """Whether a draft that was written for ``view`` is wanted; that a clock of the ticket came to
    a rung meanwhile, or that it was moved up, changes nothing about it."""
    is_same_wish = ticket.instruction == view.ticket.instruction
    return ticket.state is TicketState.TRIAGED and latest == view.email.id and is_same_wish


def left_to_a_person(parsed: ParsedEmail, known: Classification | None, instruction: str) -> str:
    """Why no writer is asked; empty when one is. Somebody who asks for a draft gets one."""
    if parsed.quarantine:
        return "this mail could not be read safely: answer it in a mail program"
    if parsed.kind in UNREADABLE:
        return UNREADABLE[parsed.kind]
    is_spam = certain(known, "category", Category.SUPPORT) is Category.SPAM
    return "this looks like spam" if is_spam and not instruction else ""


def certain(known: Classification | None, part: str, otherwise: L) -> L:
    """A label that triage is sure of: a letter must not thank for the wrong thing."""
    if known is None or part in known.unsure:
        return otherwise
    label: Label[L] = getattr(known, part)
    return label.label


def envelope(parsed: ParsedEmail, text: str, own: Collection[str]) -> Envelope:
    """What an approval covers is what leaves: recipients and subject as ``compose`` keeps them."""
    to, cc = reply_recipients(parsed, own)
    return Envelope(to, cc, reply_subject(parsed.subject), text)


TITLES = ("dr", "prof", "mr", "mrs", "ms", "mx", "herr", "frau", "mme", "m", "sr", "sra", "sir")


def first_name(name: str) -> str:
    """How to greet somebody; empty when the name does not tell.

    >>> first_name("Maria Gonzalez"), first_name("Gonzalez, Maria"), first_name("ACME Ltd")
    ('Maria', 'Maria', '')
    >>> first_name("Dr. Maria Gonzalez"), first_name("Herr Müller"), first_name("Acme, Inc.")
    ('Maria', '', '')
    """
    given = name.split(",")[1] if "," in name else name
    words = given.split()
    while words and words[0].rstrip(".").lower() in TITLES:
        # what is left of "Herr Müller" is no first name
        words = words[1:] if len(words) > 2 else []
    if not words or not words[0].istitle() or words[0].endswith("."):
        return ""
    return "" if name.isupper() and len(words) > 1 else words[0]
