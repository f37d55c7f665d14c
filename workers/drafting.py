"""Drafting: passages, a redacted question, a writer, the checks, and the response they make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from inference.question import Question

from desk.actions import Review
from desk.errors import Transient
from desk.model import (
    Category,
    Draft,
    Envelope,
    Finding,
    Kind,
    Passage,
    Sentiment,
    Severity,
    Step,
    TicketId,
    TicketState,
    TicketView,
    Verb,
)
from desk.ports import Queue
from desk.store import Store
from inference.language import detect
from inference.redact import Redacted, restore
from mail.compose import may_reply, reply_recipients

UNANSWERED = frozenset({Category.SPAM})


class Search(Protocol):
    async def __call__(self, question: str, k: int = 4) -> list[Passage]: ...


class Redactor(Protocol):
    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted: ...


class Ladder(Protocol):
    async def write(self, question: Question) -> Draft: ...


@dataclass(frozen=True, slots=True)
class Drafting:
    """``own`` are the addresses of our mailboxes; ``signatures`` close a reply, by mailbox name."""

    store: Store
    queue: Queue
    search: Search
    redactor: Redactor
    ladder: Ladder
    review: Review
    own: Collection[str]
    signatures: Mapping[str, str]
    passages: int = 4

    async def __call__(self, id: int) -> None:
        view = await self.store.view(TicketId(id))
        if view.ticket.state is not TicketState.TRIAGED:
            return
        draft = await self._draft(view)
        async with self.store.change() as change:
            ticket = await change.move_ticket(view.ticket, Verb.DRAFT, {"instruction": ""})
            # an earlier reply of which nobody knows whether it left comes first
            is_free = await change.live_response(ticket.id) is None
            if draft is not None and is_free:
                await change.add_response(ticket, view.email.id, envelope(view, draft.text), draft)
        await self.queue.put(Step.SHOW, id, view.ticket.score)

    async def _draft(self, view: TicketView) -> Draft | None:
        """None when nobody waits for an answer."""
        parsed, known = view.email.parsed, view.classification
        if parsed.kind is not Kind.PERSON or may_reply(parsed, self.own):
            return None
        if (
            known is not None
            and known.category.label in UNANSWERED
            and "category" not in known.unsure
        ):
            return None
        question, names = await self._question(view)
        written = await self.ladder.write(question)
        if not written.text:
            return written
        text, invented = restore(written.text, names)
        to, _ = reply_recipients(parsed, self.own)
        findings, score = self.review(text, written.citations, parsed, to)
        findings += tuple(
            Finding("placeholder", Severity.BLOCKING, f"The draft names somebody unknown: {name}.")
            for name in invented
        )
        return replace(written, text=text, findings=findings, score=score)

    async def _question(self, view: TicketView) -> tuple[Question, Mapping[str, str]]:
        """What the writer is asked: no personal data that was found is in it."""
        parsed, known = view.email.parsed, view.classification
        people = [a.name for a in (parsed.sender, *parsed.to, *parsed.cc) if a.name]
        body = parsed.reply or parsed.text
        subject = await self.redactor.redact(parsed.subject, people)
        text = await self.redactor.redact(body, people, subject.names)
        customer = await self.redactor.redact(first_name(parsed.sender.name), people, text.names)
        passages = await self._passages(f"{subject.text}\n\n{text.text}")
        question = Question(
            subject=subject.text,
            text=text.text,
            language=detect(body),
            category=known.category.label if known else Category.OTHER,
            sentiment=known.sentiment.label if known else Sentiment.NEUTRAL,
            customer=customer.text,
            instruction=view.ticket.instruction,
            signature=self.signatures.get(view.mailbox.name, ""),
            passages=tuple(passages),
        )
        return question, customer.names

    async def _passages(self, question: str) -> list[Passage]:
        """A knowledge base that is away makes a weaker draft, not a lost mail."""
        try:
            return await self.search(question, self.passages)
        except Transient:
            return []


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
