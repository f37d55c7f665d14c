"""Telling managers of urgent work that the desk gave up; serves the step ``report``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog

from bot.buttons import LEAVE
from bot.card import Button, Card, Look
from bot.dead import line
from bot.ticket_card import ticket_card
from bot.words import clean
from desk import burial
from desk.errors import DeskError, Transient
from desk.moves import Verb
from desk.places import Network
from desk.steps import DeadLetter
from desk.store import Store
from desk.ticket_view import TicketView

log = structlog.get_logger()


class Poster(Protocol):
    async def post(self, channel: str, card: Card) -> str: ...


class Channel(Protocol):
    @property
    def network(self) -> Network: ...
    @property
    def channel(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Reports:
    """``managers`` are told of each letter once; ``turn`` waits until a channel may be posted to. A
    process that dies between posting and noting it posts again."""

    store: Store
    chats: Mapping[Network, Poster]
    managers: Sequence[Channel]
    turn: Callable[[Network, str], Awaitable[None]]

    async def __call__(self, id: int) -> None:
        """One channel that cannot be reached is logged; when none can, it is tried again."""
        letter = await self.store.dead_letter(id)
        if letter is None or not letter.is_open or letter.ticket_id is None:
            return
        if id not in await self.store.unreported():
            return
        view = await self.store.view(letter.ticket_id)
        card = report_card(view, letter, self.store.clock.now())
        routes = [route for route in self.managers if route.network in self.chats]
        told = [await self._post(route, card) for route in routes]
        errors = [error for error in told if error is not None]
        if routes and len(errors) == len(routes):
            raise next((error for error in errors if isinstance(error, Transient)), errors[0])
        async with self.store.change() as change:
            await burial.record_reported(change, letter.id, len(routes) - len(errors))

    async def _post(self, route: Channel, card: Card) -> DeskError | None:
        try:
            await self.turn(route.network, route.channel)
            await self.chats[route.network].post(route.channel, card)
        except DeskError as error:
            log.warning("not reported", network=route.network, error=type(error).__name__)
            return error
        return None


def report_card(view: TicketView, letter: DeadLetter, now: datetime) -> Card:
    """What was given up and why, and the two decisions about it."""
    card = ticket_card(view, now)
    return replace(
        card,
        title=f"Given up: {card.title}",
        status=clean(line(letter)),
        quote="",
        below_quote="",
        draft="",
        no_draft="",
        findings=(),
        sources=(),
        buttons=(
            Button(Verb.REQUEUE, "Try again", Look.PRIMARY),
            Button(Verb.DISCARD, "Leave it", Look.DANGER, confirm=LEAVE),
        ),
        line=f"Given up: {card.line}",
    )
