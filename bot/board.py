"""Where tickets are shown: serves the steps ``show`` and ``alert``.

A ticket may be shown in several places; each is updated in place and nothing is posted twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from bot.alerts import Alerts
from bot.card import Card
from bot.chat import Chat, Gone, looked_for
from bot.reports import Reports
from bot.ticket_card import ticket_card
from bot.troubles import Warnings
from desk.classification import Urgency
from desk.errors import Permanent, Throttled, Transient
from desk.failpoints import failpoint
from desk.ids import TicketId
from desk.places import Network, Place
from desk.store import Store
from desk.ticket import TicketState
from desk.ticket_view import TicketView

log = structlog.get_logger()

POST_INTERVAL = 1.0
"""Seconds between posts in one channel. Slack allows about one a second and hides more without an
error (https://docs.slack.dev/apis/web-api/rate-limits)."""


@dataclass(frozen=True, slots=True)
class Route:
    """Tickets at least this urgent are posted to this channel at once."""

    network: Network
    channel: str
    urgency: Urgency = Urgency.LOW


@dataclass(slots=True)
class Board:
    """``changed`` tells the console pages of all bot processes that a ticket changed."""

    store: Store
    chats: Mapping[Network, Chat]
    routes: Sequence[Route]
    managers: Sequence[Route]
    changed: Callable[[TicketId], Awaitable[None]]
    on_call: Sequence[str] = ()
    _last_post: dict[tuple[Network, str], float] = field(default_factory=dict)

    async def show(self, ticket: int) -> None:
        """Post or update the ticket's cards everywhere; the step ``show``. Again while somebody
        acts meanwhile: whoever draws last must not leave an older card on top."""
        shown = 0
        while (view := await self.store.view(TicketId(ticket))).ticket.version != shown:
            shown = view.ticket.version
            await self._show(view)

    async def _show(self, view: TicketView) -> None:
        id = view.ticket.id
        card = ticket_card(view, self.store.clock.now())
        await self.changed(id)
        places = [place for place in await self.store.places(id) if place.network in self.chats]
        noted = {(place.network, place.channel) for place in places}
        routes = self._routes(view)
        wanted = {(route.network, route.channel) for route in routes}
        drawings = [
            partial(self._update, id, place, card)
            for place in places
            if place.message and place.version < view.ticket.version
        ]
        drawings += [
            partial(self._resume, view, place, card, (place.network, place.channel) in wanted)
            for place in places
            if not place.message
        ]
        drawings += [
            partial(self._post_if_possible, id, route.network, route.channel, card)
            for route in routes
            if (route.network, route.channel) not in noted
        ]
        told = (partial(self._alerts().redraw, view), partial(self._reports().redraw, view))
        await self._each([*drawings, *told])
        if view.ticket.shown_version != view.ticket.version:
            async with self.store.change() as change:
                await change.record_shown(id, view.ticket.version)

    async def post(self, id: TicketId, network: Network, channel: str, card: Card) -> None:
        """Post a card in a channel and remember where. That it will be is noted before: who dies
        in between leaves a place without a message, and it is looked for."""
        await self._wait_for_turn(network, channel)
        async with self.store.change() as change:
            await change.intend_place(id, network, channel)
        await failpoint("board.intended")
        message = await self.chats[network].post(channel, card)
        await failpoint("board.posted")
        await self.record(id, Place(network, channel, message, card.version))
        await failpoint("board.recorded")

    async def _each(self, drawings: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """One network that is away must not stop the others; then Transient with the longest
        pause, so that the whole is tried again. Places that were drawn are left alone then."""
        errors: list[Transient] = []
        for drawing in drawings:
            try:
                await drawing()
            except Transient as error:
                errors.append(error)
        if errors:
            raise max(errors, key=lambda e: e.seconds if isinstance(e, Throttled) else 0.0)

    async def _post_if_possible(
        self, id: TicketId, network: Network, channel: str, card: Card
    ) -> None:
        """A route that cannot work is tried again when the ticket changes the next time."""
        try:
            await self.post(id, network, channel, card)
        except Permanent as error:
            log.warning("card not posted", ticket=id, network=network, error=str(error))

    async def _resume(self, view: TicketView, place: Place, card: Card, is_wanted: bool) -> None:
        """A post was begun and never noted: where it is, it is taken up, else it is posted."""
        id, chat = view.ticket.id, self.chats[place.network]
        since = view.ticket.created_at
        message = await looked_for(chat, place.network, place.channel, card.mark, since)
        if message:
            place = replace(place, message=message)
            await self.record(id, place)
            await self._update(id, place, card)
        elif is_wanted:
            await self._post_if_possible(id, place.network, place.channel, card)

    async def record(self, id: TicketId, place: Place) -> None:
        async with self.store.change() as change:
            await change.record_place(id, place)

    async def _update(self, id: TicketId, place: Place, card: Card) -> None:
        try:
            await self.chats[place.network].update(place.channel, place.message, card)
            await failpoint("board.updated")
        except Gone:
            await self.record(id, replace(place, message="", version=0))
            await self._post_if_possible(id, place.network, place.channel, card)
            return
        except Permanent as error:
            # one channel that we were removed from must not stop the others
            log.warning("card not updated", ticket=id, network=place.network, error=str(error))
        await self.record(id, Place(place.network, place.channel, place.message, card.version))

    def _routes(self, view: TicketView) -> list[Route]:
        """Only what waits for somebody is posted by itself."""
        if view.ticket.state is not TicketState.OPEN:
            return []
        rank = view.ticket.urgency.rank
        return [r for r in self.routes if r.urgency.rank <= rank and r.network in self.chats]

    async def _wait_for_turn(self, network: Network, channel: str) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        turn = max(now, self._last_post.get((network, channel), 0.0) + POST_INTERVAL)
        self._last_post[network, channel] = turn
        await asyncio.sleep(turn - now)

    async def report(self, id: int) -> None:
        """Tell the managers of urgent work that was given up; the step ``report``."""
        await self._reports()(id)

    async def warn(self, mailbox: int) -> None:
        """Tell the managers that a mailbox cannot be read, or is again; the step ``warn``."""
        await Warnings(self.store, self.chats, self.managers)(mailbox)

    async def alert(self, id: int) -> None:
        """Tell people of an escalation; the step ``alert``."""
        await self._alerts().tell(id)

    def _reports(self) -> Reports:
        return Reports(self.store, self.chats, self.managers, self._wait_for_turn)

    def _alerts(self) -> Alerts:
        places = [(route.network, route.channel) for route in self.managers]
        return Alerts(self.store, self.chats, places, self.on_call, self._wait_for_turn)
