"""The words of answers to commands: a line of the queue, a whole mail, why a ticket stands where it
stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.words import clean, clip, ordinal, span
from desk.priority import earlier, explained
from desk.standing import standing, when
from desk.ticket_view import TicketView


def listed(view: TicketView, now: datetime) -> str:
    """One line of a queue."""
    ticket = view.ticket
    subject = clean(clip(ticket.subject, 70)) or "(no subject)"
    who = view.names.get(ticket.assignee, "") if ticket.assignee else ""
    said = [f"#{ticket.id}", ticket.urgency.capitalize(), subject, _due(view, now)]
    return " · ".join(filter(None, (*said, who, standing(view))))


def _due(view: TicketView, now: datetime) -> str:
    due = view.ticket.due_at
    if due is None:
        return ""
    left = int((due - now).total_seconds() // 60)
    return f"due in {span(left)}" if left >= 0 else f"overdue by {span(-left)}"


def whole_mail(view: TicketView) -> str:
    """The customer's latest mail with its history."""
    parsed = view.email.parsed
    at = when(view.email.received_at or datetime.now(UTC))
    return f"From {clean(str(parsed.sender))}, {at}\n\n{clean(parsed.text).strip() or '(no text)'}"


def why(view: TicketView, most: int) -> str:
    """The parts of the score, in words."""
    ticket = view.ticket
    if ticket.due_at is None:
        return f"#{ticket.id} was not triaged yet."
    because = _because(view)
    lines = [
        f"#{ticket.id} is {ticket.urgency}{because}: an answer is due at {when(ticket.due_at)}."
    ]
    lines += [f"It comes {part}." for part in explained(ticket, most)]
    served = ticket.due_at - timedelta(minutes=earlier(ticket.boosts, most))
    place = f" It is the {ordinal(view.rank.place)} of {view.rank.waiting}." if view.rank else ""
    lines.append(f"So it is served as if it were due at {when(served)}.{place}")
    lines.append("The ticket with the earliest time is served first; waiting moves it forward.")
    return "\n".join(lines)


def _because(view: TicketView) -> str:
    known = view.classification
    if known is None:
        return ""
    if known.urgency.label is not view.ticket.urgency:
        return f" because somebody said so; triage said {known.urgency.label}"
    return f" because of {', '.join(map(clean, known.reasons))}" if known.reasons else ""
