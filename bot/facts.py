"""The facts on a ticket's card: each a name and a sentence."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.words import amount, clean, ordinal, span
from desk.classification import Classification
from desk.email import Kind
from desk.ids import UserId
from desk.priority import parts
from desk.response import Response, ResponseState
from desk.signature import unsigned
from desk.sla.rungs import SlaClock
from desk.standing import when
from desk.ticket import TicketState
from desk.ticket_view import TicketView


def facts(view: TicketView, now: datetime) -> tuple[tuple[str, str], ...]:
    known = [] if view.classification is None else _labels(view, view.classification)
    if people := _recipients(view):
        known.append(("Reply to", people))
    if order := _order(view):
        known.append(("Order", order))
    known += _given_up(view)
    if files := enclosed(view.response):
        known.append(("Attached", files))
    if view.ticket.assignee is not None and not is_done(view):
        known.append(("Claimed by", view.names.get(view.ticket.assignee, "somebody")))
    if view.clock is not None:
        known.append(("Clock", told_clock(view.clock, now)))
    if view.alarm is not None:
        known.append(("Alert", told_alarm(view)))
    return tuple(known)


def _labels(view: TicketView, labels: Classification) -> list[tuple[str, str]]:
    return [
        ("Urgency", _urgency(view, labels)),
        ("Sentiment", _sentiment(labels)),
        _category(view, labels),
    ]


def _order(view: TicketView) -> str:
    """Where it stands in the queue, and what moved it there."""
    if is_done(view):
        return ""
    rank = view.rank
    place = [f"{ordinal(rank.place)} of {rank.waiting} at {when(rank.at)}"] if rank else []
    return "; ".join([*place, *parts(view.ticket)])


def _given_up(view: TicketView) -> list[tuple[str, str]]:
    """What the desk no longer tries by itself."""
    return [
        ("Given up", f"{letter.step}: {clean(letter.failure.reason)}") for letter in view.given_up
    ]


def enclosed(response: Response | None) -> str:
    """What leaves beside the text: an approval covers it."""
    if response is None or response.state is ResponseState.RETIRED:
        return ""
    files = response.envelope.attachments
    return ", ".join(f"{clean(file.name)} ({amount(file.size)})" for file in files)


def told_clock(clock: SlaClock, now: datetime) -> str:
    """What was promised, and how much of it is left."""
    hours = "" if clock.terms.calendar.is_always_open else " of working time"
    promise = f"{clock.goal} within {span(_minutes(clock.terms.target))}{hours}"
    if clock.running_since is None or clock.due_at is None:
        return f"{promise}; it pauses while we wait for the customer"
    left = _minutes(clock.left(now))
    if left < 0:
        return f"{promise}; overdue by {span(-left)}{hours}"
    return f"{promise}; {span(left)} left, due {when(clock.due_at)}"


def _minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)


def told_alarm(view: TicketView) -> str:
    """Who has seen that a ticket is late."""
    alarm = view.alarm
    if alarm is None:
        return ""
    if alarm.acknowledged_by is None or alarm.acknowledged_at is None:
        return "nobody has acknowledged it yet"
    name = view.names.get(UserId(alarm.acknowledged_by), "somebody")
    return f"{name} acknowledged at {when(alarm.acknowledged_at)}"


def _recipients(view: TicketView) -> str:
    """Whom the reply goes to, when that is not simply the writer: an approval covers it."""
    if view.response is None or not draft_text(view.response):
        return ""
    envelope = view.response.envelope
    people = [clean(a.address) for a in (*envelope.to, *envelope.cc)]
    return "" if people == [clean(view.email.parsed.sender.address)] else ", ".join(people)


def _urgency(view: TicketView, known: Classification) -> str:
    if view.ticket.urgency is not known.urgency.label:
        return f"{view.ticket.urgency.capitalize()}: set by hand"
    said = known.urgency.label.capitalize()
    if known.reasons:
        return f"{said}: {clean(', '.join(known.reasons))}"
    return f"{said} (unsure)" if "urgency" in known.unsure else said


def _sentiment(known: Classification) -> str:
    said = known.sentiment.label.capitalize()
    if "sentiment" in known.unsure:
        return f"{said} (unsure)"
    return (
        f"Very {said.lower()}" if known.sentiment.confidence >= 0.9 and said != "Neutral" else said
    )


def _category(view: TicketView, known: Classification) -> tuple[str, str]:
    """What it is about; of what no person wrote, what it is."""
    form = {
        Kind.BOUNCE: "A mail came back",
        Kind.AUTO: "Automatic reply",
        Kind.LIST: "Newsletter or list",
        Kind.CALENDAR: "Calendar invitation",
        Kind.ENCRYPTED: "Encrypted: open it in a mail program",
    }.get(view.email.parsed.kind)
    if form:
        return "Kind", form
    said = known.category.label.capitalize()
    return "Category", f"{said} (unsure)" if "category" in known.unsure else said


def is_done(view: TicketView) -> bool:
    return view.ticket.state in (TicketState.WAITING, TicketState.CLOSED)


def draft_text(response: Response | None, signer: str = "") -> str:
    if response is None or response.state is ResponseState.RETIRED:
        return ""
    return clean(unsigned(response.envelope.text, signer, response.draft.text))
