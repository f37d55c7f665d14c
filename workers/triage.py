"""Triage: label new tickets, find when an answer is due, and pass them on to drafting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from desk import priority, ranking, rules
from desk.change import Change
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Kind, ParsedEmail
from desk.errors import DeskError
from desk.failpoints import failpoint
from desk.handing_on import hand_on
from desk.ids import TicketId
from desk.moves import Verb
from desk.ports import Queue
from desk.priority import USUAL, Because, Boost, Weights
from desk.rules import Rule, job_for
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from desk.ticket_view import TicketView
from mail.compose import may_reply

MACHINES = frozenset({Kind.BOUNCE, Kind.AUTO, Kind.CALENDAR})


class Classifier(Protocol):
    """Labels mails; ``emails`` are subject, an empty line, and what was written."""

    async def classify(self, emails: Sequence[str]) -> list[Classification]: ...


@dataclass(frozen=True, slots=True)
class Triage:
    """A batch step: one pass of the model for all claimed tickets. ``own`` are our addresses."""

    store: Store
    queue: Queue
    classifier: Classifier
    rules: tuple[Rule, ...]
    own: Collection[str]
    weights: Weights = USUAL

    async def __call__(self, ids: Sequence[int]) -> Mapping[int, Exception]:
        """Errors by ticket; the others are done."""
        views = await self.store.views([TicketId(id) for id in ids])
        new = [view for view in views if view.ticket.state is TicketState.NEW]
        known = await self.classifier.classify([subject_and_reply(view) for view in new])
        failed: dict[int, Exception] = {}
        for view, classification in zip(new, known, strict=True):
            try:
                await self._save(view, classification)
            except DeskError as error:
                failed[view.ticket.id] = error
        return failed

    async def _save(self, view: TicketView, found: Classification) -> None:
        parsed = view.email.parsed
        text = subject_and_reply(view)
        known = rules.tempered(by_form(found, parsed, self.own))
        known = rules.raised(known, text, parsed.kind, view.unanswered, self.rules)
        async with self.store.change() as change:
            await change.classify(view.email.id, known)
            due = await change.aim_clocks(view.ticket, view.email.received_at, known.urgency.label)
            if may_reply(parsed, self.own) and view.unanswered < 2:
                await change.end_clocks(view.ticket.id, "nobody waits")
            boosts = await self._boosts(change, view, known)
            score = priority.score(due, boosts, self.weights.most)
            ticket = await change.move_ticket(
                view.ticket,
                Verb.TRIAGE,
                {
                    "urgency": known.urgency.label,
                    "due_at": due,
                    "score": score,
                    "boosts": boosts,
                },
                urgency=known.urgency.label,
                category=known.category.label,
                model=known.model,
            )
        await failpoint("triage.stored")
        await hand_on(self.queue, job_for(ticket, Step.DRAFTING))

    async def _boosts(
        self, change: Change, view: TicketView, known: Classification
    ) -> tuple[Boost, ...]:
        """What speaks for this mail; and what an agent said of the ticket still holds."""
        address = view.email.parsed.sender.address
        is_vip = self.weights.is_vip(address) or await ranking.is_vip(
            change.connection, change.vault, address
        )
        found = priority.boosts(known, view.mails, view.unanswered, is_vip, self.weights)
        is_bumped = priority.has_boost(view.ticket.boosts, Because.BUMPED)
        bump = self.weights.bump if is_bumped else 0
        return priority.with_boost(found, Because.BUMPED, bump)


def subject_and_reply(view: TicketView) -> str:
    parsed = view.email.parsed
    return f"{parsed.subject}\n\n{parsed.reply or parsed.text}"


def by_form(found: Classification, parsed: ParsedEmail, own: Collection[str]) -> Classification:
    """Mail that no person wrote to us is known by its form; the model only guesses there.

    ``own`` are our addresses: what a list sends to one of them is a customer's mail.
    """
    is_machine = parsed.kind in MACHINES or (parsed.kind is Kind.LIST and may_reply(parsed, own))
    if not is_machine:
        return found
    return Classification(
        Label(Sentiment.NEUTRAL, 1.0),
        Label(Urgency.LOW, 1.0),
        Label(Category.OTHER, 1.0),
        model="form",
    )
