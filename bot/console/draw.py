"""What the console page is told, as JSON. Times inside of texts and cards stay marks: the page
writes them in the zone of its browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from bot import adaptive
from bot.answers import whole_mail
from bot.card import Card
from bot.ticket_card import ticket_card
from bot.words import clean
from desk.ids import UserId
from desk.people import User
from desk.response import ResponseState
from desk.standing import standing
from desk.ticket_view import TicketView

Json = dict[str, object]

QUEUE_LENGTH = 100
LIMIT = 1_000_000
"""Bytes of a card: here a long draft is shown whole."""


def queue(views: Sequence[TicketView], counts: Mapping[str, int], user: UserId) -> Json:
    return {
        "type": "queue",
        "rows": [row(view, user) for view in views[:QUEUE_LENGTH]],
        "counts": {
            "waiting": len(views[:QUEUE_LENGTH]),
            "is_more": len(views) > QUEUE_LENGTH,
            "reading": counts.get("new", 0) + counts.get("triaged", 0),
            "sent": counts.get("sent", 0),
        },
    }


def row(view: TicketView, user: UserId) -> Json:
    """One line of the queue."""
    ticket, sender = view.ticket, view.email.parsed.sender
    return {
        "id": ticket.id,
        "subject": clean(ticket.subject) or "(no subject)",
        "who": clean(sender.name or sender.address),
        "urgency": ticket.urgency,
        "due_at": _time(ticket.due_at),
        "status": standing(view),
        "assignee": view.names.get(ticket.assignee, "somebody") if ticket.assignee else "",
        "is_mine": ticket.assignee == user,
        "tone": _tone(view),
    }


def _tone(view: TicketView) -> str:
    """How loud the status is."""
    state = view.response.state if view.response else None
    return "alarm" if state in (ResponseState.FAILED, ResponseState.UNKNOWN) else "calm"


def card(view: TicketView, user: User, now: datetime) -> Json:
    """``seen`` changes with the draft, ``version`` with everything."""
    drawn: Card = ticket_card(view, now, user.name)
    response = view.response
    is_leaving = response is not None and response.state is ResponseState.APPROVED
    return {
        "type": "card",
        "id": view.ticket.id,
        "version": view.ticket.version,
        "seen": asdict(drawn.seen) if drawn.seen else None,
        "status": drawn.status,
        "due_at": _time(view.ticket.due_at) if drawn.due else None,
        "leaves_at": _time(response.send_after) if response and is_leaving else None,
        "takes_files": response is not None and response.state is ResponseState.DRAFT,
        "is_editing": view.ticket.editing == user.id,
        "card": adaptive.draw(drawn, None, LIMIT),
    }


def mail(view: TicketView, *, is_open: bool = False) -> Json:
    return {"type": "mail", "id": view.ticket.id, "text": whole_mail(view), "is_open": is_open}


def reply(text: str) -> Json:
    """The answer to a command."""
    return {"type": "reply", "text": text}


def note(text: str, key: str = "", *, confirm: bool = False) -> Json:
    """For the person alone. ``confirm``: the click ``key`` may be repeated with a yes."""
    return {"type": "note", "text": text, "key": key, "confirm": confirm}


def taken(key: str) -> Json:
    """The click ``key`` has arrived and is being worked on."""
    return {"type": "taken", "key": key}


def done(key: str) -> Json:
    """The click ``key`` was carried out (now or before)."""
    return {"type": "done", "key": key}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
