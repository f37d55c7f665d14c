"""The card of a ticket as it stands."""

from __future__ import annotations

from datetime import datetime

from bot.buttons import buttons
from bot.card import Card, Tone
from bot.facts import draft_text, facts, is_done
from bot.words import clean, clip, nth, span
from desk.action import Seen
from desk.classification import Urgency
from desk.email import Kind
from desk.response import Finding, Response, Severity
from desk.standing import standing, when
from desk.ticket import TicketState
from desk.ticket_view import TicketView

QUOTE_LIMIT = 600


def ticket_card(view: TicketView, now: datetime, reader: str = "") -> Card:
    """``reader`` is the name of whoever alone sees this card: approving signs with it. On a card
    that many see, the assignee's stands for it."""
    ticket, response = view.ticket, view.response
    title = clean(ticket.subject) or "(no subject)"
    is_over = is_done(view)
    return Card(
        ticket_id=ticket.id,
        version=ticket.version,
        seen=Seen(response.id, response.version, response.hash) if response else None,
        tone=Tone.DONE if is_over else _tone(ticket.urgency),
        title=title,
        who=told_who(view),
        due="" if is_over else told_due(ticket.due_at, now),
        status=standing(view),
        facts=facts(view, now),
        quote=quoted(view),
        below_quote=_below_quote(view),
        draft=draft_text(response, clean(reader or _assignee(view))),
        no_draft=_no_draft(view),
        findings=_findings(response),
        sources=_sources(response),
        buttons=buttons(view),
        footer=_footer(view),
        line=_line(view, title),
        drawn_at=now,
    )


def _assignee(view: TicketView) -> str:
    return view.names.get(view.ticket.assignee, "") if view.ticket.assignee else ""


def _tone(urgency: Urgency) -> Tone:
    return {Urgency.CRITICAL: Tone.ALARM, Urgency.HIGH: Tone.WARNING}.get(urgency, Tone.CALM)


def told_who(view: TicketView) -> str:
    sender = view.email.parsed.sender
    name = clean(sender.name or sender.address)
    address = f" <{clean(sender.address)}>" if sender.name else ""
    count = f"{nth(view.mails)} mail" if view.mails > 1 else ""
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


def told_due(due: datetime | None, now: datetime) -> str:
    """How long, and until or since when."""
    if due is None:
        return ""
    minutes = int((due - now).total_seconds() // 60)
    left = f"Overdue by {span(-minutes)}" if minutes < 0 else f"Due in {span(minutes)}"
    return f"{left} · {when(due)}"


def quoted(view: TicketView) -> str:
    parsed = view.email.parsed
    if parsed.quarantine:
        return f"(this mail is quarantined: {parsed.quarantine} Open it in a mail program)"
    text = clean(parsed.reply or parsed.text).strip()
    return clip(text, QUOTE_LIMIT) or "(the mail has no text)"


def _below_quote(view: TicketView) -> str:
    parsed = view.email.parsed
    said = []
    if len(parsed.reply or parsed.text) > QUOTE_LIMIT or parsed.quoted:
        said.append(f"Whole mail: show {view.ticket.id}")
    if parsed.truncated and not parsed.quarantine:
        said.append("Not all of it could be read: open it in a mail program")
    if parsed.attachments:
        names = ", ".join(clean(a.name) for a in parsed.attachments[:3])
        more = f" and {len(parsed.attachments) - 3} more" if len(parsed.attachments) > 3 else ""
        said.append(f"Attached: {names}{more}")
    return " · ".join(said)


def _no_draft(view: TicketView) -> str:
    """Why there is nothing to approve; empty when there is."""
    if draft_text(view.response) or is_done(view):
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
    if response is None or not draft_text(response):
        return ()
    draft = response.draft
    asks = draft.needs_human and draft.reason and response.edited_by is None
    doubt = (Finding("writer", Severity.WARNING, clean(draft.reason)),) if asks else ()
    return (*doubt, *draft.findings)


def _sources(response: Response | None) -> tuple[tuple[int, str], ...]:
    if not draft_text(response) or response is None:
        return ()
    return tuple((c.n, clean(c.passage.title)) for c in response.draft.citations)


def _footer(view: TicketView) -> str:
    said = [f"#{view.ticket.id}"]
    if view.ticket.assignee is None and not is_done(view):
        said.append("nobody has claimed it")
    response = view.response
    if response is not None and draft_text(response):
        said.append(_writer(view, response))
    if not is_done(view):
        said.append(f"why {view.ticket.id} explains the order")
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
