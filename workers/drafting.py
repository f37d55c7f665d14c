"""Drafting: passages, a redacted question, a writer, the checks, and the response they make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from desk.actions import Review
from desk.errors import Transient
from desk.model import (
    Category,
    Classification,
    Draft,
    Envelope,
    Kind,
    L,
    Label,
    ParsedEmail,
    Passage,
    Sentiment,
    Step,
    TicketId,
    TicketState,
    TicketView,
    Verb,
)
from desk.ports import Queue
from desk.store import Store
from inference.ladder import Question
from inference.language import detect
from inference.redact import Redacted, restore
from mail.compose import may_reply, reply_recipients

UNANSWERED = frozenset({Category.SPAM})
UNREADABLE = frozenset({Kind.CALENDAR, Kind.ENCRYPTED})
"""Mail whose matter lies in a form that is not text."""


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
        """None when nobody waits for an answer. ``instruction`` is an agent's wish."""
        if self._needs_no_answer(parsed, known):
            return None
        question, names = await self._question(parsed, known, signature, instruction)
        written = await self.ladder.write(question)
        if not written.text:
            return written
        # a placeholder that the writer invented stays in the text, and the checks block it
        text, _ = restore(written.text, names)
        to, _ = reply_recipients(parsed, self.own)
        findings, score = self.review(text, written.citations, parsed, to)
        return replace(written, text=text, findings=findings, score=score)

    def _needs_no_answer(self, parsed: ParsedEmail, known: Classification | None) -> bool:
        if parsed.kind in UNREADABLE or may_reply(parsed, self.own):
            return True
        is_sure = known is not None and "category" not in known.unsure
        return known is not None and is_sure and known.category.label in UNANSWERED

    async def _question(
        self,
        parsed: ParsedEmail,
        known: Classification | None,
        signature: str,
        instruction: str,
    ) -> tuple[Question, Mapping[str, str]]:
        """What the writer is asked: no personal data that was found is in it."""
        people = [a.name for a in (parsed.sender, *parsed.to, *parsed.cc) if a.name]
        body = parsed.reply or parsed.text
        subject = await self.redactor.redact(parsed.subject, people)
        text = await self.redactor.redact(body, people, subject.names)
        asked = await self.redactor.redact(instruction, people, text.names)
        customer = await self.redactor.redact(first_name(parsed.sender.name), people, asked.names)
        passages = await self._passages(f"{subject.text}\n\n{text.text}")
        question = Question(
            subject=subject.text,
            text=text.text,
            language=detect(body),
            category=certain(known, "category", Category.SUPPORT),
            sentiment=certain(known, "sentiment", Sentiment.NEUTRAL),
            customer=customer.text,
            instruction=asked.text,
            signature=signature,
            passages=tuple(passages),
        )
        return question, customer.names

    async def _passages(self, question: str) -> list[Passage]:
        """A knowledge base that is away makes a weaker draft, not a lost mail."""
        try:
            return await self.search(question, self.passages)
        except Transient:
            return []


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
        draft = await self.drafter.draft(parsed, view.classification, signature, instruction)
        async with self.store.change() as change:
            ticket = await change.move_ticket(view.ticket, Verb.DRAFT, {"instruction": ""})
            # an earlier reply of which nobody knows whether it left comes first
            is_free = await change.live_response(ticket.id) is None
            if draft is not None and is_free:
                await change.add_response(ticket, view.email.id, envelope(view, draft.text), draft)
        await self.queue.put(Step.SHOW, id, view.ticket.score)


def certain(known: Classification | None, part: str, otherwise: L) -> L:
    """A label that triage is sure of: a letter must not thank for the wrong thing."""
    if known is None or part in known.unsure:
        return otherwise
    label: Label[L] = getattr(known, part)
    return label.label


def envelope(view: TicketView, text: str) -> Envelope:
    parsed = view.email.parsed
    to, cc = reply_recipients(parsed, (view.mailbox.address,))
    subject = (
        parsed.subject if parsed.subject.lower().startswith("re:") else f"Re: {parsed.subject}"
    )
    return Envelope(to, cc, subject, text)


def first_name(name: str) -> str:
    """How to greet somebody; empty when the name does not tell.

    >>> first_name("Maria Gonzalez"), first_name("Gonzalez, Maria"), first_name("ACME Ltd")
    ('Maria', 'Maria', '')
    """
    given = name.split(",")[1] if "," in name else name
    words = given.split()
    if len(words) < 2 and "," not in name:
        return words[0] if words and words[0].istitle() else ""
    return words[0] if words and words[0].istitle() and not name.isupper() else ""
