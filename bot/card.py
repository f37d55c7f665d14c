"""What a card says, before any network's JSON: built once, drawn by each network in its own way.

Customer text reaches a card as it is; escaping is the drawing's business. Times are marks made by
``desk.standing.when``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from desk.action import Seen
from desk.classification import Classification, Urgency
from desk.email import Kind
from desk.ids import TicketId, UserId
from desk.moves import Verb
from desk.priority import parts
from desk.replies import AGAIN, INSTEAD, IT_LEFT
from desk.response import Finding, Response, ResponseState, Severity
from desk.sla import SlaClock
from desk.standing import standing, when
from desk.ticket import TicketState
from desk.ticket_view import TicketView

QUOTE_LIMIT = 600
LAST_WORD = re.compile(r"(?<=\S)\s+\S*$")
PRIVATE_USE = re.compile("[\ue000\ue001]")


class Tone(StrEnum):
    """How the head of a card looks; its words say the same."""

    ALARM = "alarm"  # critical
    WARNING = "warning"  # high
    CALM = "calm"
    DONE = "done"  # nothing to do any more


class Look(StrEnum):
    PRIMARY = "primary"
    DANGER = "danger"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Button:
    """Something to do. ``confirm`` is a question to say yes to first; ``asks`` opens a field for
    text, already filled with ``text``; ``choices`` are (value, words) to choose from; without
    either, ``text`` goes along. ``is_quiet`` puts it behind More."""

    verb: Verb
    label: str
    look: Look = Look.PLAIN
    confirm: str = ""
    asks: str = ""
    text: str = ""
    is_quiet: bool = False
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One ticket. ``line`` is its notification: all that matters in one sentence. ``alert`` is the
    escalation that the card tells of, 0 on the ticket's own."""

    ticket_id: TicketId
    version: int
    seen: Seen | None
    tone: Tone
    title: str
    who: str
    due: str
    status: str
    facts: tuple[tuple[str, str], ...]
    quote: str
    below_quote: str
    draft: str
    no_draft: str
    findings: tuple[Finding, ...]
    sources: tuple[tuple[int, str], ...]
    buttons: tuple[Button, ...]
    footer: str
    line: str
    alert: int = 0

    @property
    def key(self) -> TicketId:
        """By which a network finds it again: the ticket, or less than zero for an alert."""
        return TicketId(-self.alert) if self.alert else self.ticket_id


def ticket_card(view: TicketView, now: datetime) -> Card:
    """The card of a ticket as it stands."""
    ticket, response = view.ticket, view.response
    title = clean(ticket.subject) or "(no subject)"
    is_done = _is_done(view)
    return Card(
        ticket_id=ticket.id,
        version=ticket.version,
        seen=Seen(response.id, response.version, response.hash) if response else None,
        tone=Tone.DONE if is_done else _tone(ticket.urgency),
        title=title,
        who=told_who(view),
        due="" if is_done else _due(view, now),
        status=standing(view),
        facts=_facts(view, now),
        quote=quoted(view),
        below_quote=_below_quote(view),
        draft=_draft(response),
        no_draft=_no_draft(view),
        findings=_findings(response),
        sources=_sources(response),
        buttons=(*_buttons(view), *_decisions(view)),
        footer=_footer(view),
        line=_line(view, title),
    )


def clean(text: str) -> str:
    """Without the characters that mark times."""
    return PRIVATE_USE.sub("", text)


def _tone(urgency: Urgency) -> Tone:
    return {Urgency.CRITICAL: Tone.ALARM, Urgency.HIGH: Tone.WARNING}.get(urgency, Tone.CALM)


def _is_done(view: TicketView) -> bool:
    return view.ticket.state in (TicketState.WAITING, TicketState.CLOSED)


def told_who(view: TicketView) -> str:
    sender = view.email.parsed.sender
    name = clean(sender.name or sender.address)
    address = f" <{clean(sender.address)}>" if sender.name else ""
    count = f"{_nth(view.mails)} mail" if view.mails > 1 else ""
    again = "sent it again" if view.resends else ""
    said = (name + address, f"to {view.mailbox.name}", _copied(view), count, again)
    return " · ".join(filter(None, said))


def _copied(view: TicketView) -> str:
    """Who else reads along: a lawyer in Cc matters to whoever answers."""
    people = [clean(a.name or a.address) for a in view.email.parsed.cc]
    if not people:
        return ""
    more = f" and {len(people) - 2} more" if len(people) > 2 else ""
    return f"copy to {', '.join(people[:2])}{more}"


def _nth(number: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")


def _due(view: TicketView, now: datetime) -> str:
    due = view.ticket.due_at
    if due is None:
        return ""
    minutes = int((due - now).total_seconds() // 60)
    if minutes < 0:
        return f"Overdue since {when(due)}"
    return f"Due in {span(minutes)} · {when(due)}"


def span(minutes: int) -> str:
    """A length of time in words.

    >>> span(42), span(90), span(60 * 30)
    ('42 min', '1 h 30 min', '1 d 6 h')
    """
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _facts(view: TicketView, now: datetime) -> tuple[tuple[str, str], ...]:
    known = view.classification
    if known is None:
        return tuple(_given_up(view))
    facts = [
        ("Urgency", _urgency(view, known)),
        ("Mood", _mood(known)),
        ("Kind", _kind(view, known)),
    ]
    if people := _recipients(view):
        facts.append(("Reply to", people))
    if order := _order(view):
        facts.append(("Order", order))
    facts += _given_up(view)
    if enclosed := _enclosed(view.response):
        facts.append(("Attached", enclosed))
    if view.ticket.assignee is not None and not _is_done(view):
        facts.append(("Claimed by", view.names.get(view.ticket.assignee, "somebody")))
    if view.clock is not None:
        facts.append(("Clock", told_clock(view.clock, now)))
    if view.alarm is not None:
        facts.append(("Alert", told_alarm(view)))
    return tuple(facts)


def _order(view: TicketView) -> str:
    """Where it stands in the queue, and what moved it there."""
    if _is_done(view):
        return ""
    rank = view.rank
    place = [f"{ordinal(rank.place)} of {rank.waiting} at {when(rank.at)}"] if rank else []
    return "; ".join([*place, *parts(view.ticket)])


def ordinal(number: int) -> str:
    """
    >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '102nd', '112th']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number // 10 % 10 == 1 else ending}"


def _given_up(view: TicketView) -> list[tuple[str, str]]:
    """What the desk no longer tries by itself."""
    return [
        ("Given up", f"{letter.step}: {clean(letter.failure.reason)}") for letter in view.given_up
    ]


def _enclosed(response: Response | None) -> str:
    """What leaves beside the text: an approval covers it."""
    if response is None or response.state is ResponseState.RETIRED:
        return ""
    files = response.envelope.attachments
    return ", ".join(f"{clean(file.name)} ({amount(file.size)})" for file in files)


def amount(count: int) -> str:
    """
    >>> amount(900), amount(2048), amount(3_500_000)
    ('900 B', '2 kB', '3.5 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def told_clock(clock: SlaClock, now: datetime) -> str:
    """What was promised, and how much of it is left."""
    hours = "" if clock.terms.calendar.is_always_open else " of working time"
    promise = f"{clock.goal} within {span(_minutes(clock.terms.target))}{hours}"
    if clock.running_since is None or clock.due_at is None:
        return f"{promise}; it pauses while we wait for the customer"
    left = _minutes(clock.left(now))
    if left < 0:
        return f"{promise}; late by {span(-left)}{hours}"
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
    if view.response is None or not _draft(view.response):
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


def _mood(known: Classification) -> str:
    said = known.sentiment.label.capitalize()
    if "sentiment" in known.unsure:
        return f"{said} (unsure)"
    return (
        f"Very {said.lower()}" if known.sentiment.confidence >= 0.9 and said != "Neutral" else said
    )


def _kind(view: TicketView, known: Classification) -> str:
    form = {
        Kind.BOUNCE: "A mail came back",
        Kind.AUTO: "Automatic reply",
        Kind.LIST: "Newsletter or list",
        Kind.CALENDAR: "Calendar invitation",
        Kind.ENCRYPTED: "Encrypted: open it in a mail program",
    }.get(view.email.parsed.kind)
    if form:
        return form
    said = known.category.label.capitalize()
    return f"{said} (unsure)" if "category" in known.unsure else said


def quoted(view: TicketView) -> str:
    parsed = view.email.parsed
    if parsed.quarantine:
        return f"(this mail is quarantined: {parsed.quarantine} Open it in a mail program)"
    text = clean(parsed.reply or parsed.text).strip()
    return clip(text, QUOTE_LIMIT) or "(the mail has no text)"


def clip(text: str, limit: int) -> str:
    """Shorten at a word, saying so.

    >>> clip("short", 10), clip("a longer text", 10)
    ('short', 'a longer…')
    """
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return f"{re.sub(LAST_WORD, '', cut).rstrip()}…"


def _below_quote(view: TicketView) -> str:
    parsed = view.email.parsed
    said = []
    if len(parsed.reply or parsed.text) > QUOTE_LIMIT or parsed.quoted:
        said.append(f"Whole mail: show {view.ticket.id}")
    if parsed.attachments:
        names = ", ".join(clean(a.name) for a in parsed.attachments[:3])
        more = f" and {len(parsed.attachments) - 3} more" if len(parsed.attachments) > 3 else ""
        said.append(f"Attached: {names}{more}")
    return " · ".join(said)


def _draft(response: Response | None) -> str:
    if response is None or response.state is ResponseState.RETIRED:
        return ""
    return clean(response.envelope.text)


def _no_draft(view: TicketView) -> str:
    """Why there is nothing to approve; empty when there is."""
    if _draft(view.response) or _is_done(view):
        return ""
    if view.response is not None and view.response.draft.reason:
        return f"No draft: {view.response.draft.reason}"
    if view.ticket.state in (TicketState.NEW, TicketState.TRIAGED):
        return "No draft yet"
    if view.email.parsed.kind is not Kind.PERSON:
        return "No draft: nobody waits for an answer to this"
    return "No draft"


def _findings(response: Response | None) -> tuple[Finding, ...]:
    """What the checks found; first of all, why the writer wants a person to look."""
    if response is None or not _draft(response):
        return ()
    draft = response.draft
    asks = draft.needs_human and draft.reason and response.edited_by is None
    doubt = (Finding("writer", Severity.WARNING, clean(draft.reason)),) if asks else ()
    return (*doubt, *draft.findings)


def _sources(response: Response | None) -> tuple[tuple[int, str], ...]:
    if not _draft(response) or response is None:
        return ()
    return tuple((c.n, clean(c.passage.title)) for c in response.draft.citations)


def _footer(view: TicketView) -> str:
    said = [f"#{view.ticket.id}"]
    if view.ticket.assignee is None and not _is_done(view):
        said.append("nobody has claimed it")
    response = view.response
    if response is not None and _draft(response):
        said.append(_writer(view, response))
    said.append(f"why this order: why {view.ticket.id}")
    return " · ".join(said)


def _writer(view: TicketView, response: Response) -> str:
    if response.edited_by is not None:
        return f"edited by {view.names.get(response.edited_by, 'somebody')}"
    draft = response.draft
    if draft.writer == "extractive" and not draft.citations:
        return "a holding reply, written without a language model"
    if draft.writer == "extractive":
        return f"quotes your articles, no language model, {draft.score} of 100"
    return f"draft by {draft.model or draft.writer}, {draft.score} of 100"


def _line(view: TicketView, title: str) -> str:
    urgency = view.ticket.urgency.capitalize()
    status = standing(view)
    return f"{urgency}: {title} (#{view.ticket.id}). {status or 'Waits for an answer'}"


def _buttons(view: TicketView) -> tuple[Button, ...]:
    """What may be done now, the safe thing first."""
    alarm = view.alarm
    is_unseen = alarm is not None and alarm.acknowledged_at is None and not _is_done(view)
    seen = (Button(Verb.ACKNOWLEDGE, "Acknowledge"),) if is_unseen else ()
    return (*_of_response(view), *seen)


def _of_response(view: TicketView) -> tuple[Button, ...]:
    response = view.response
    state = response.state if response else None
    claim = _claim(view)
    match state:
        case _ if view.ticket.state is TicketState.CLOSED:
            return ()
        case ResponseState.APPROVED:
            return (Button(Verb.UNDO, "Undo", Look.PRIMARY),)
        case ResponseState.SENT if view.bounce and view.ticket.state is TicketState.OPEN:
            return (claim, *_quiet(view))
        case ResponseState.SENDING | ResponseState.SENT:
            return ()
        case ResponseState.UNKNOWN:
            return _unknown(view)
        case ResponseState.FAILED if response is not None:
            close = Button(Verb.CLOSE, "Close without a reply", is_quiet=True)
            return (_edit(response), Button(Verb.SEND_AGAIN, "Draft again"), claim, close)
        case ResponseState.DRAFT if response is not None:
            return (*_approve(response), _edit(response), claim, *_quiet(view))
        case ResponseState.RETIRED if response and view.ticket.state is TicketState.OPEN:
            return (_edit(response), claim, *_quiet(view))
        case _ if view.ticket.state in (TicketState.OPEN, TicketState.SNOOZED):
            return (claim, *_quiet(view))
    return ()


def _unknown(view: TicketView) -> tuple[Button, ...]:
    """Only a manager knows; who else presses is told so."""
    is_latest = view.response is not None and view.response.email_id == view.email.id
    again = "Not there: draft again" if is_latest else "Not there: throw it away"
    return (
        Button(Verb.MARK_SENT, "Mark as sent", confirm=IT_LEFT),
        Button(Verb.SEND_AGAIN, again, confirm=AGAIN if is_latest else INSTEAD),
    )


def _decisions(view: TicketView) -> tuple[Button, ...]:
    """For a manager, about what was given up."""
    if not view.given_up:
        return ()
    leave = "It is not tried again, and whatever it was for is left to people. Leave it?"
    return (
        Button(Verb.REQUEUE, "Try again", is_quiet=_is_done(view)),
        Button(Verb.DISCARD, "Leave it", Look.DANGER, confirm=leave, is_quiet=True),
    )


def _approve(response: Response) -> tuple[Button, ...]:
    if not response.envelope.text.strip():
        return ()
    blocking = [f.reason for f in response.draft.findings if f.severity is Severity.BLOCKING]
    if not blocking:
        return (Button(Verb.APPROVE, "Approve & send", Look.PRIMARY),)
    question = f"{' '.join(blocking)} Send it nevertheless?"
    return (Button(Verb.APPROVE, "Send nevertheless…", Look.DANGER, confirm=question),)


def _edit(response: Response) -> Button:
    text = clean(response.envelope.text)
    return Button(Verb.EDIT, "Edit" if text else "Write", asks="Your reply", text=text)


def _claim(view: TicketView) -> Button:
    if view.ticket.assignee is None:
        return Button(Verb.CLAIM, "Claim")
    return Button(Verb.RELEASE, "Release")


def _quiet(view: TicketView) -> tuple[Button, ...]:
    is_answerable = view.email.parsed.kind in (Kind.PERSON, Kind.LIST)
    asks = "What should the new draft do differently? (may stay empty)"
    regenerate = Button(Verb.REGENERATE, "Write another draft", asks=asks, is_quiet=True)
    response = view.response
    has_draft = response is not None and response.state is ResponseState.DRAFT and _draft(response)
    bare = Button(Verb.DETACH, "Take the files off", is_quiet=True)
    reject = Button(Verb.REJECT, "Reject draft", Look.DANGER, is_quiet=True)
    close = Button(Verb.CLOSE, "Close without a reply", is_quiet=True)
    later = Button(Verb.SNOOZE, "Snooze for 4 hours", text="4h", is_quiet=True)
    if view.ticket.state is TicketState.SNOOZED:
        later = Button(Verb.WAKE, "Wake", is_quiet=True)
    return (
        *((regenerate,) if is_answerable else ()),
        *((bare,) if has_draft and _enclosed(response) else ()),
        *((reject,) if has_draft else ()),
        later,
        close,
    )
