"""The card of an alert: what is late, since when, and who takes care."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.card import Button, Card, Look, Tone
from bot.facts import told_clock
from bot.ticket_card import quoted, told_due, told_who
from bot.words import clean, clip
from desk.classification import Urgency
from desk.ids import TicketId, UserId
from desk.moves import Verb
from desk.people import User
from desk.sla.rungs import BREACH, WARNING, Escalation, SlaClock, place_of
from desk.standing import standing, when
from desk.ticket_view import TicketView

QUOTE_LIMIT = 300
MOST_PEOPLE = 100
LATER = (("1h", "for 1 hour"), ("4h", "for 4 hours"), ("1d", "for a day"))


def alert_card(
    view: TicketView, told: Escalation, clock: SlaClock, people: Sequence[User], now: datetime
) -> Card:
    """``people`` are those who can be given the ticket."""
    ticket, is_over = view.ticket, clock.ended_at is not None
    subject = clean(ticket.subject) or "(no subject)"
    is_late = clock.due_at is not None and clock.due_at <= now
    title = subject if is_over else f"{_headline(told, is_late=is_late)}: {subject}"
    status = _status(view, told, is_over=is_over)
    return Card(
        ticket_id=ticket.id,
        version=ticket.version,
        seen=None,
        tone=_tone(is_late=is_late, is_over=is_over),
        title=title,
        who=told_who(view),
        due="" if is_over else told_due(clock.due_at, now),
        status=status,
        facts=_facts(view, clock, now),
        quote=clip(quoted(view), QUOTE_LIMIT),
        below_quote="",
        draft="",
        no_draft="",
        findings=(),
        sources=(),
        buttons=() if is_over else _buttons(view, told, people),
        footer=_footer(ticket.id, people),
        line=f"{title} (#{ticket.id}). {status}",
        drawn_at=now,
        alert=told.id,
    )


def _footer(id: TicketId, people: Sequence[User]) -> str:
    said = [f"#{id}", f"the ticket and its draft: show {id}"]
    if len(people) > MOST_PEOPLE:
        said.append(f"others than the first {MOST_PEOPLE}: {id} assign NAME")
    return " · ".join(said)


def state_of(view: TicketView, told: Escalation, clock: SlaClock) -> str:
    """Changes when an alert must be drawn anew."""
    if clock.ended_at is not None:
        return "over"
    ticket = view.ticket
    return f"seen by {told.acknowledged_by}, with {ticket.assignee}, until {ticket.snoozed_until}"


def nudge(view: TicketView | None, told: Escalation, clock: SlaClock) -> str:
    """What is said in the thread of the ticket's card; before a breach that is the same for all."""
    at = when(clock.due_at) if clock.due_at is not None else "soon"
    if view is None or place_of(told.rung) < BREACH:
        begins = "Due soon" if place_of(told.rung) >= WARNING else "Half of the time is gone"
        return f"{begins}: the {clock.goal} is due at {at}."
    return f"Overdue: the {clock.goal} was due at {at}. {_status(view, told, is_over=False)}."


def _headline(told: Escalation, *, is_late: bool) -> str:
    """A warning that is drawn anew after the due time says so."""
    if not is_late:
        return "Due soon"
    return "Overdue" if place_of(told.rung) <= BREACH else "Still overdue"


def _tone(*, is_late: bool, is_over: bool) -> Tone:
    if is_over:
        return Tone.DONE
    return Tone.ALARM if is_late else Tone.WARNING


def _status(view: TicketView, told: Escalation, *, is_over: bool) -> str:
    if is_over:
        return standing(view) or "No reply is due any more"
    if told.acknowledged_by is None or told.acknowledged_at is None:
        return "Nobody has acknowledged this yet"
    name = view.names.get(UserId(told.acknowledged_by), "somebody")
    return f"{name} acknowledged at {when(told.acknowledged_at)}"


def _facts(view: TicketView, clock: SlaClock, now: datetime) -> tuple[tuple[str, str], ...]:
    owner = view.ticket.assignee
    until = view.ticket.snoozed_until
    known = (
        ("Urgency", Urgency(view.ticket.urgency).capitalize()),
        ("Clock", told_clock(clock, now) if clock.ended_at is None else ""),
        ("Written at", when(view.email.received_at)),
        ("Claimed by", view.names.get(owner, "somebody") if owner else "nobody"),
        ("Snoozed until", when(until) if until else ""),
    )
    return tuple((name, said) for name, said in known if said)


def _buttons(view: TicketView, told: Escalation, people: Sequence[User]) -> tuple[Button, ...]:
    seen = told.acknowledged_at is not None
    acknowledge = () if seen else (Button(Verb.ACKNOWLEDGE, "Acknowledge", Look.PRIMARY),)
    names = tuple((f"u{user.id}", clip(clean(user.name), 40)) for user in people[:MOST_PEOPLE])
    assign = (Button(Verb.ASSIGN, "Assign", choices=names),) if names else ()
    later = Button(Verb.SNOOZE, "Snooze", choices=LATER)
    return (*acknowledge, Button(Verb.TAKE, "Take over"), *assign, later)
