"""Telling people that a ticket is late, each of them once, and keeping what was said up to date.

Who is told climbs: the card's thread, assignee and managers, then one more of those on call with
every time that a breach is said again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from bot.alert_card import alert_card, nudge, state_of
from bot.card import Card, mark
from bot.chat import Chat, Gone, looked_for
from desk import access
from desk.errors import DeskError, Permanent, Throttled, Transient
from desk.failpoints import failpoint
from desk.ids import TicketId
from desk.people import Role, User
from desk.places import Network
from desk.sla.records import Alert
from desk.sla.rungs import AGAIN, BREACH, WARNING, Escalation, SlaClock, place_of
from desk.store import Store
from desk.ticket import TicketState
from desk.ticket_view import TicketView

log = structlog.get_logger()

THREAD = "thread "
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A channel or a person; with ``thread``, below that message."""

    network: Network
    channel: str
    thread: str = ""

    @property
    def name(self) -> str:
        """In the records."""
        return f"{THREAD}{self.channel}" if self.thread else self.channel


@dataclass(frozen=True, slots=True)
class Alerts:
    """``managers`` are channels, ``on_call`` addresses of users; ``turn`` waits until a channel may
    be posted to."""

    store: Store
    chats: Mapping[Network, Chat]
    managers: Sequence[tuple[Network, str]]
    on_call: Sequence[str]
    turn: Callable[[Network, str], Awaitable[None]]

    async def tell(self, id: int) -> None:
        """Everybody whom an escalation concerns. Where it cannot be said is logged; a network that
        is away is tried again, without telling the others twice."""
        noted = await self.store.escalation(id)
        clock = await self._clock(noted)
        if noted.moot is not None or clock is None or clock.ended_at is not None:
            return
        is_quiet = place_of(noted.rung) < WARNING  # a line in the card's thread
        view = None if is_quiet else await self.store.view(TicketId(noted.ticket_id))
        begun = {
            (alert.network, alert.channel): alert
            for alert in await self.store.alerts(TicketId(noted.ticket_id))
            if alert.escalation_id == id
        }
        targets = await self._targets(noted, view)
        errors: list[DeskError] = []
        for target in targets:
            known = begun.get((target.network, target.name))
            if is_open(known, noted):
                errors += await self._try(target, view, noted, clock, known)
        await self._settle(noted, len(targets), errors)

    async def _settle(self, noted: Escalation, targets: int, errors: Sequence[DeskError]) -> None:
        """Told somewhere is told; nowhere is tried again, or is for a person to see."""
        told = targets - len(errors)
        await failpoint("board.told")
        if noted.fired_at is None and (told or not targets):
            async with self.store.change() as change:
                await change.record_fired(noted, told)
        away = [error for error in errors if isinstance(error, Transient)]
        if away:
            raise max(away, key=lambda e: e.seconds if isinstance(e, Throttled) else 0.0)
        if errors and not told:
            raise errors[0]

    async def redraw(self, view: TicketView) -> None:
        """The alerts of a ticket say who has seen them, and lose their buttons when it is over."""
        alerts = [one for one in await self.store.alerts(view.ticket.id) if self._is_card(one)]
        if not alerts:
            return
        clocks = {clock.number: clock for clock in await self.store.clocks(view.ticket.id)}
        told = {one.id: one for one in await self.store.told(view.ticket.id)}
        for alert in alerts:
            noted = told.get(alert.escalation_id)
            if noted is not None:
                await self._redraw(alert, view, noted, clocks[noted.clock])

    def _is_card(self, alert: Alert) -> bool:
        is_thread = alert.channel.startswith(THREAD)
        return bool(alert.message) and not is_thread and alert.network in self.chats

    async def _redraw(
        self, alert: Alert, view: TicketView, noted: Escalation, clock: SlaClock
    ) -> None:
        state = state_of(view, noted, clock)
        if alert.shown == state:
            return
        card = alert_card(view, noted, clock, await self._people(view), self.store.clock.now())
        try:
            await self.chats[alert.network].update(alert.channel, alert.message, card)
        except (Gone, Permanent) as error:
            log.warning("alert not updated", ticket=view.ticket.id, error=str(error))
        await self._record(noted.id, Target(alert.network, alert.channel), alert.message, state)

    async def _try(
        self,
        target: Target,
        view: TicketView | None,
        noted: Escalation,
        clock: SlaClock,
        known: Alert | None,
    ) -> list[DeskError]:
        try:
            if known is None:
                async with self.store.change() as change:
                    await change.begin_alert(noted.id, target.network, target.name)
            await self._say(target, view, noted, clock, was_begun=known is not None)
        except (Transient, Permanent) as error:
            log.warning("not told", network=target.network, error=type(error).__name__)
            if isinstance(error, Permanent):
                await self._record(noted.id, target, "", REFUSED)
            return [error]
        return []

    async def _say(
        self,
        target: Target,
        view: TicketView | None,
        noted: Escalation,
        clock: SlaClock,
        *,
        was_begun: bool,
    ) -> None:
        chat = self.chats[target.network]
        message = ""
        if target.thread or view is None:
            text = nudge(view, noted, clock)
            is_loud = place_of(noted.rung) >= BREACH
            if not (was_begun and await self._found(target, noted)):
                sign = mark("alert", noted.id)
                await chat.tell(
                    target.channel, text, target.thread, is_broadcast=is_loud, mark=sign
                )
                await failpoint("alerts.nudged")
            await self._record(noted.id, target, message, "")
            return
        if was_begun:
            message = await self._found(target, noted)
        if not message:
            people = await self._people(view)
            card = alert_card(view, noted, clock, people, self.store.clock.now())
            await self.turn(target.network, target.channel)
            message = await chat.post(target.channel, card)
            await failpoint("alerts.posted")
        await self._record(noted.id, target, message, state_of(view, noted, clock))

    async def _found(self, target: Target, noted: Escalation) -> str:
        """By somebody who died between posting and noting it."""
        chat, sign = self.chats[target.network], mark("alert", noted.id)
        return await looked_for(
            chat, target.network, target.channel, sign, noted.due_at, target.thread
        )

    async def _record(self, id: int, target: Target, message: str, state: str) -> None:
        async with self.store.change() as change:
            await change.record_alert(id, target.network, target.name, message, state)

    async def _clock(self, noted: Escalation) -> SlaClock | None:
        clocks = await self.store.clocks(TicketId(noted.ticket_id))
        return next((clock for clock in clocks if clock.number == noted.clock), None)

    # -- who

    async def _targets(self, noted: Escalation, view: TicketView | None) -> list[Target]:
        """Each once, and only on networks that are there. Without ``view``, the threads alone."""
        place = place_of(noted.rung)
        places = await self.store.places(TicketId(noted.ticket_id))
        threads = [Target(p.network, p.channel, p.message) for p in places if p.message]
        if view is None:
            return self._reachable(threads)
        channels = [Target(network, channel) for network, channel in self.managers]
        people = await self._climbed(view, place)
        accounts = await self.store.accounts([user.id for user in people])
        loud = [*channels, *(Target(network, account) for network, account in accounts)]
        return self._reachable(loud + threads if place == BREACH or not loud else loud)

    def _reachable(self, targets: Sequence[Target]) -> list[Target]:
        return [one for one in dict.fromkeys(targets) if one.network in self.chats]

    async def _climbed(self, view: TicketView, place: int) -> list[User]:
        """The assignee; from the breach on the managers; and those on call, one more each time."""
        users = await self.store.users()
        chain = [user for user in users if user.id == view.ticket.assignee]
        if place >= BREACH:
            ours = [user for user in users if _is_ours(user, view)]
            chain += [u for u in ours if u.role is Role.MANAGER] or [
                u for u in ours if u.role is Role.ADMIN
            ]
        if place >= AGAIN:
            called = self.on_call[: place - BREACH]
            by_address = {user.email.casefold(): user for user in users}
            chain += [by_address[a.casefold()] for a in called if a.casefold() in by_address]
        return chain

    async def _people(self, view: TicketView) -> list[User]:
        """Who can be given the ticket."""
        if view.ticket.state is TicketState.CLOSED:
            return []
        return [u for u in await self.store.users() if access.sees(u, view.mailbox)]


async def alert_at(store: Store, network: Network, message: str, view: TicketView) -> Card | None:
    """The alert that this message shows, as it is now; None when it shows none."""
    ticket = view.ticket.id
    alerts = await store.alerts(ticket) if message else []
    found = [one for one in alerts if (one.network, one.message) == (network, message)]
    told = {one.id: one for one in await store.told(ticket)} if found else {}
    if not found or found[0].escalation_id not in told:
        return None
    noted = told[found[0].escalation_id]
    clocks = {clock.number: clock for clock in await store.clocks(ticket)}
    people = [user for user in await store.users() if access.sees(user, view.mailbox)]
    return alert_card(view, noted, clocks[noted.clock], people, store.clock.now())


def is_open(known: Alert | None, noted: Escalation) -> bool:
    """Whether somebody is still to be told there. Where it cannot be said is tried again only while
    nobody has been told at all."""
    if known is None or known.posted_at is None:
        return True
    return known.shown == REFUSED and noted.fired_at is None


def _is_ours(user: User, view: TicketView) -> bool:
    """Managers see every mailbox; they are woken for those of their team."""
    return "" in (user.team, view.mailbox.team) or user.team == view.mailbox.team
