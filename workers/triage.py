"""Triage: label new tickets, find when an answer is due, and pass them on to drafting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from desk import priority, ranking, rules
from desk.change import Change
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Kind, ParsedEmail
from desk.errors import Conflict
from desk.failpoints import failpoint
from desk.faults import caught
from desk.handing_on import hand_on
from desk.ids import TicketId
from desk.moves import Verb
from desk.ports import Queue
from desk.priority import USUAL, Because, Boost, Weights
from desk.rules import Rule, job_for
from desk.steps import Step
from desk.store import Store
from desk.ticket import Ticket, TicketState
from desk.ticket_view import TicketView
from desk.views import read_views
from mail.compose import may_reply
from workers.arrivals import RESENT

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
        """Errors by ticket; the others are done, all in one transaction."""
        views = await self.store.views([TicketId(id) for id in ids])
        new = [view for view in views if view.ticket.state is TicketState.NEW]
        known = await self.classifier.classify([subject_and_reply(view) for view in new])
        triaged: list[Ticket] = []
        failed: dict[int, Exception] = {}
        async with self.store.change() as change:
            for view, classification in zip(new, known, strict=True):
                saved = await caught(self._save(change, view, classification))
                if isinstance(saved, Exception):
                    failed[view.ticket.id] = saved
                elif saved is not None:
                    triaged.append(saved)
        await failpoint("triage.stored")
        await hand_on(self.queue, *(job_for(ticket, Step.DRAFTING) for ticket in triaged))
        return failed

    async def _save(self, change: Change, view: TicketView, found: Classification) -> Ticket | None:
        """None when there is nothing to save any more: a newer mail came meanwhile, or a person
        was faster, and whoever it was has queued what follows."""
        try:
            return await self._save_apart(change, view, found)
        except Conflict:  # for example one of its clocks came to a rung
            [fresh] = await read_views(change.connection, change.vault, [view.ticket.id])
            is_same = fresh.email.id == view.email.id and fresh.ticket.state is TicketState.NEW
            return await self._save_apart(change, fresh, found) if is_same else None

    async def _save_apart(self, change: Change, view: TicketView, found: Classification) -> Ticket:
        """A mail that cannot be saved takes no other with it."""
        parsed = view.email.parsed
        text = subject_and_reply(view)
        known = rules.tempered(by_form(found, parsed, self.own))
        known = rules.raised(known, text, parsed.kind, view.unanswered, self.rules)
        async with change.apart():
            await change.classify(view.email.id, known)
            due = await change.aim_clocks(view.ticket, view.email.received_at, known.urgency.label)
            if may_reply(parsed, self.own) and view.unanswered < 2:
                await change.end_clocks(view.ticket.id, "nobody waits")
            boosts = await self._boosts(change, view, known)
            changes = {
                "urgency": known.urgency.label,
                "due_at": due,
                "score": priority.score(due, boosts, self.weights.most),
                "boosts": boosts,
            }
            return await change.move_ticket(
                view.ticket,
                Verb.TRIAGE,
                changes,
                urgency=known.urgency.label,
                category=known.category.label,
                model=known.model,
            )

    async def _boosts(
        self, change: Change, view: TicketView, known: Classification
    ) -> tuple[Boost, ...]:
        """What speaks for this mail; what an agent said of the ticket still holds, and that the
        same mail was sent again."""
        address = view.email.parsed.sender.address
        is_vip = self.weights.is_vip(address) or await ranking.is_vip(
            change.connection, change.vault, address
        )
        found = priority.boosts(known, view.answered, view.unanswered, is_vip, self.weights)
        found = priority.with_boost(found, Because.RESENT, RESENT if view.resends else 0)
        bumps = [boost for boost in view.ticket.boosts if boost[0] == Because.BUMPED]
        return (*found, *bumps)


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
