"""Telling managers of urgent work that the desk gave up; serves the step ``report``. What they
decide is seen on every report of it, whoever decided it wherever."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import structlog

from bot.card import Button, Card, Look, Tone
from bot.chat import Channel, Chat, looked_for
from bot.dead import line
from bot.ticket_card import ticket_card
from desk import burial
from desk.decisions import DISCARD
from desk.errors import DeskError, Permanent, Transient
from desk.failpoints import failpoint
from desk.moves import Verb
from desk.places import Network
from desk.standing import when
from desk.steps import DeadLetter, Ending
from desk.store import Store
from desk.ticket_view import TicketView

log = structlog.get_logger()

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Copy:
    """A report in a channel, and which decision it shows. Without a message it was only begun."""

    channel: str
    message: str = ""
    shown: str = OPEN


@dataclass(frozen=True, slots=True)
class Reports:
    """``managers`` are told of each letter once; ``turn`` waits until a channel may be posted
    to."""

    store: Store
    chats: Mapping[Network, Chat]
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
        told = [await self._try(route, card, letter) for route in routes]
        errors = [error for error in told if error is not None]
        if routes and len(errors) == len(routes):
            raise next((error for error in errors if isinstance(error, Transient)), errors[0])
        async with self.store.change() as change:
            await burial.record_reported(change, letter.id, len(routes) - len(errors))

    async def _try(self, route: Channel, card: Card, letter: DeadLetter) -> DeskError | None:
        try:
            await self._post(route.network, route.channel, card, letter)
        except DeskError as error:
            log.warning("not reported", network=route.network, error=type(error).__name__)
            return error
        return None

    async def _post(self, network: Network, channel: str, card: Card, letter: DeadLetter) -> None:
        """That it will be posted is noted before: after a death in between it is looked for."""
        known = {copy.channel: copy for copy in await copies(self.store, network, letter.id)}
        begun, chat, message = known.get(channel), self.chats[network], ""
        if begun and begun.message:
            return
        if begun:
            message = await looked_for(chat, network, channel, card.mark, letter.created_at)
        else:
            await self._save(network, letter, Copy(channel))
        if not message:
            await self.turn(network, channel)
            message = await chat.post(channel, card)
            await failpoint("reports.posted")
        await self._save(network, letter, Copy(channel, message))

    async def redraw(self, view: TicketView) -> None:
        """The reports about a ticket say who decided what, and lose their buttons."""
        for letter in await self.store.reported(view.ticket.id):
            for network in self.chats:
                for copy in await copies(self.store, network, letter.id):
                    if copy.message and copy.shown != (letter.ending or OPEN):
                        await self._redraw(network, copy, view, letter)

    async def _redraw(
        self, network: Network, copy: Copy, view: TicketView, letter: DeadLetter
    ) -> None:
        card = await closed_card(self.store, view, letter)
        try:
            await self.chats[network].update(copy.channel, copy.message, card)
        except Permanent as error:
            log.warning("report not updated", ticket=view.ticket.id, error=str(error))
        await self._save(network, letter, replace(copy, shown=letter.ending or OPEN))

    async def _save(self, network: Network, letter: DeadLetter, copy: Copy) -> None:
        known = {old.channel: old for old in await copies(self.store, network, letter.id)}
        known[copy.channel] = copy
        text = json.dumps([asdict(one) for one in known.values()])
        async with self.store.change() as change:
            await change.save_conversation(network, _name(letter.id), text)


async def copies(store: Store, network: Network, letter: int) -> list[Copy]:
    """Where a letter was reported."""
    kept = await store.conversation_reference(network, _name(letter))
    return [Copy(**one) for one in json.loads(kept)] if kept else []


def _name(letter: int) -> str:
    return f"report {letter}"


async def report_at(store: Store, network: Network, message: str, view: TicketView) -> Card | None:
    """The report that this message shows, as it is now; None when it shows none."""
    for letter in await store.reported(view.ticket.id) if message else []:
        if message in {copy.message for copy in await copies(store, network, letter.id)}:
            return await closed_card(store, view, letter)
    return None


async def closed_card(store: Store, view: TicketView, letter: DeadLetter) -> Card:
    """The report as it is now, also when somebody has decided."""
    card = report_card(view, letter, store.clock.now())
    if letter.is_open:
        return card
    known = letter.closed_by
    who = "the desk" if known is None else (await store.user(known)).name
    return replace(
        card,
        tone=Tone.DONE,
        status=_decision(letter, who),
        facts=(*card.facts, ("Was given up", card.status)),
        buttons=(),
        line=f"{_decision(letter, who)}. {card.line}",
    )


def _decision(letter: DeadLetter, who: str) -> str:
    at = f", {when(letter.closed_at)}" if letter.closed_at else ""
    match letter.ending:
        case Ending.REQUEUED:
            return f"Requeued by {who}{at}"
        case Ending.DISCARDED:
            return f"Discarded by {who}{at}"
    return f"No longer wanted: something changed meanwhile{at}"


def report_card(view: TicketView, letter: DeadLetter, now: datetime) -> Card:
    """What was given up and why, and the two decisions about it."""
    card, this = ticket_card(view, now), str(letter.id)
    # the status says it, unless there is more
    facts = [fact for fact in card.facts if fact[0] != "Given up" or len(view.given_up) > 1]
    return replace(
        card,
        facts=tuple(facts),
        title=f"Given up: {card.title}",
        status=f"Dead letter {line(letter)}",
        quote="",
        below_quote="",
        draft="",
        no_draft="",
        findings=(),
        sources=(),
        buttons=(
            Button(Verb.REQUEUE, "Requeue job", Look.PRIMARY, text=this),
            Button(Verb.DISCARD, "Discard job", Look.DANGER, confirm=DISCARD, text=this),
        ),
        line=f"Given up: {card.line}",
        letter=letter.id,
    )
