"""Which card a message shows: an alert, a report, or the ticket's own."""

from __future__ import annotations

from bot.alerts import alert_at
from bot.card import Card
from bot.reports import report_at
from bot.ticket_card import ticket_card
from desk.places import Network
from desk.store import Store
from desk.ticket_view import TicketView

NOT_REACHED = "The desk cannot reach its records. Look at the card before you try it again."
"""Whether something was done nobody knows then."""


async def card_at(store: Store, network: Network, message: str, view: TicketView) -> Card:
    """As it is now."""
    alert = await alert_at(store, network, message, view)
    report = None if alert else await report_at(store, network, message, view)
    return alert or report or ticket_card(view, store.clock.now())
