"""How a ticket stands, in one sentence: the status line of a card and the answer to a late click.

Times inside of texts are written by ``when`` as marks that each network draws in the reader's zone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from desk.ids import TicketId, UserId
from desk.moves import Verb
from desk.response import ResponseState
from desk.steps import Step
from desk.ticket import TicketState
from desk.ticket_view import TicketView

MARK = re.compile("\ue000(\\d+)\ue001")
"""A time mark: seconds since 1970 between two private-use characters, which no mail text keeps."""


def when(at: datetime) -> str:
    return f"\ue000{int(at.timestamp())}\ue001"


def unmarked(text: str, zone: ZoneInfo, now: datetime | None = None) -> str:
    """Marks written out in ``zone``, for places that cannot draw them: with the day, unless that is
    the day of ``now`` or nobody says when that is.

    >>> said = "Sent by Ann, \ue0001764333060\ue001"
    >>> unmarked(said, ZoneInfo("UTC"))
    'Sent by Ann, 12:31'
    >>> unmarked(said, ZoneInfo("UTC"), datetime.fromtimestamp(1764400000, ZoneInfo("UTC")))
    'Sent by Ann, Fri 28 Nov 12:31'
    """
    return MARK.sub(lambda mark: clock_time(int(mark[1]), zone, now), text)


def clock_time(seconds: int, zone: ZoneInfo, now: datetime | None = None) -> str:
    at = datetime.fromtimestamp(seconds, zone)
    is_today = now is None or at.date() == now.astimezone(zone).date()
    return f"{at:%H:%M}" if is_today else f"{at:%a} {at.day} {at:%b %H:%M}"


def standing(view: TicketView) -> str:
    """Empty while the ticket simply waits for somebody."""
    if line := _outside(view) or _given_up(view) or _of_response(view):
        return line
    if view.ticket.state is TicketState.CLOSED:
        return f"Closed by {_actor(view)}"
    if view.ticket.state in (TicketState.NEW, TicketState.TRIAGED):
        return "Being read and drafted"
    if view.ticket.state is TicketState.SNOOZED and view.ticket.snoozed_until:
        return f"Snoozed until {when(view.ticket.snoozed_until)}"
    if view.ticket.editing is not None:
        return f"{_name(view, view.ticket.editing)} is editing"
    return ""


def _outside(view: TicketView) -> str:
    """What happened in the mailbox and not here."""
    if view.bounce:
        return f"Your reply came back: {view.bounce}"
    is_answered = view.answered_at is not None and view.ticket.state is TicketState.WAITING
    if is_answered and view.answered_at == view.email.received_at:  # nobody knows when
        return "Answered from a mail program before it came here"
    if view.answered_at is not None and is_answered:
        return f"Answered from a mail program, {when(view.answered_at)}"
    return ""


def _given_up(view: TicketView) -> str:
    """A reply that nobody tries to send any more, whatever its state hopes for."""
    response = view.response
    for letter in view.given_up:
        if response and (letter.step, letter.target) == (Step.SENDING, response.id):
            what = "Not sent" if response.state is ResponseState.APPROVED else "May have left"
            return f"{what}: {letter.failure.reason} A manager requeues or discards it"
    return ""


def _of_response(view: TicketView) -> str:
    response = view.response
    if response is None:
        return ""
    match response.state:
        case ResponseState.APPROVED if response.tries:
            return "Not sent yet: the mail server is not ready. It is tried again by itself"
        case ResponseState.APPROVED:
            leaves = f" at {when(response.send_after)}" if response.send_after else ""
            return f"Approved by {_name(view, response.approved_by)}, leaves{leaves}"
        case ResponseState.SENDING:
            return "Being sent"
        case ResponseState.SENT if view.last and view.last[0] is Verb.MARK_SENT:
            return f"Marked as sent by {_actor(view)}"
        case ResponseState.SENT:
            at = f", {when(response.sent_at)}" if response.sent_at else ""
            return f"Sent by {_name(view, response.approved_by)}{at}"
        case ResponseState.UNKNOWN:
            after = response.send_after
            again = f". Maildesk looks there again at {when(after)}" if after else ""
            return f"Not sure that it left: look into the Sent folder of the mailbox{again}"
        case ResponseState.FAILED:
            return f"Not sent: {response.failure}"
        case ResponseState.RETIRED if view.last and view.last[0] is Verb.REJECT:
            return f"Draft rejected by {_actor(view)}"
    return ""


def _actor(view: TicketView) -> str:
    if view.last is None:
        return "the desk"
    _, user, at = view.last
    return f"{_name(view, user)}, {when(at)}"


def _name(view: TicketView, user: UserId | None) -> str:
    return "the desk" if user is None else view.names.get(user, "somebody")


def not_computed(ids: Sequence[TicketId]) -> str:
    """What managers should know of tickets whose clock could not be computed."""
    some = ", ".join(f"#{id}" for id in ids[:10]) + (" and more" if len(ids) > 10 else "")
    return (
        f"The time promised for {some} could not be computed: it runs by what the settings promise"
        " today, if they do; see audit sla"
    )
