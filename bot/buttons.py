"""What may be done on a ticket's card now, the safe thing first."""

from __future__ import annotations

from bot.card import Button, Look
from bot.facts import draft_text, enclosed, is_done
from bot.words import clean
from desk.email import Kind
from desk.moves import Verb
from desk.replies import AGAIN, INSTEAD, IT_LEFT
from desk.response import Response, ResponseState, Severity
from desk.signature import AGENT
from desk.ticket import TicketState
from desk.ticket_view import TicketView


def buttons(view: TicketView) -> tuple[Button, ...]:
    alarm = view.alarm
    is_unseen = alarm is not None and alarm.acknowledged_at is None and not is_done(view)
    seen = (Button(Verb.ACKNOWLEDGE, "Acknowledge"),) if is_unseen else ()
    return (*_of_response(view), *seen, *_decisions(view))


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
    return (
        Button(Verb.REQUEUE, "Requeue job", is_quiet=is_done(view)),
        Button(Verb.DISCARD, "Discard job", Look.DANGER, is_quiet=True),
    )


def _approve(response: Response) -> tuple[Button, ...]:
    if not response.envelope.text.strip():
        return ()
    blocking = [f.reason for f in response.draft.findings if f.severity is Severity.BLOCKING]
    if not blocking:
        return (Button(Verb.APPROVE, "Approve & send", Look.PRIMARY),)
    question = f"{' '.join(blocking)} Send it anyway?"
    return (Button(Verb.APPROVE, "Send anyway…", Look.DANGER, confirm=question),)


def _edit(response: Response) -> Button:
    text = clean(response.envelope.text)
    return Button(Verb.EDIT, "Edit" if text else "Write", asks=reply_label(text), text=text)


def reply_label(text: str, part: str = "Your reply") -> str:
    """Of the field in which it is edited."""
    return f"{part}; in the signature {AGENT} is whoever approves" if AGENT in text else part


def _claim(view: TicketView) -> Button:
    if view.ticket.assignee is None:
        return Button(Verb.CLAIM, "Claim")
    return Button(Verb.RELEASE, "Release")


def _quiet(view: TicketView) -> tuple[Button, ...]:
    is_answerable = view.email.parsed.kind in (Kind.PERSON, Kind.LIST)
    asks = "What should the new draft do differently? (may stay empty)"
    regenerate = Button(Verb.REGENERATE, "Regenerate draft", asks=asks, is_quiet=True)
    response = view.response
    has_draft = (
        response is not None and response.state is ResponseState.DRAFT and draft_text(response)
    )
    bare = Button(Verb.DETACH, "Detach files", is_quiet=True)
    reject = Button(Verb.REJECT, "Reject draft", Look.DANGER, is_quiet=True)
    close = Button(Verb.CLOSE, "Close without a reply", is_quiet=True)
    later = Button(Verb.SNOOZE, "Snooze for 4 hours", text="4h", is_quiet=True)
    if view.ticket.state is TicketState.SNOOZED:
        later = Button(Verb.WAKE, "Wake", is_quiet=True)
    return (
        *((regenerate,) if is_answerable else ()),
        *((bare,) if has_draft and enclosed(response) else ()),
        *((reject,) if has_draft else ()),
        later,
        close,
    )
