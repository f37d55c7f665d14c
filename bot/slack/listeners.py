"""What happens when somebody clicks, types or submits in Slack: acknowledged first, then done, then
the card drawn anew. Slack waits three seconds and delivers again what it thinks was lost
(https://docs.slack.dev/apis/events-api#retries)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog

from bot.commands import Commands
from bot.messages import NOT_REACHED, card_at
from bot.once import AT_ONCE, Once
from bot.payload import Payload, text_at
from bot.slack.attach import Attaching, read_shared
from bot.slack.draw import Message, draw, draw_question, draw_reply, draw_text
from bot.slack.follow import Follow
from bot.slack.forms import Forms
from bot.slack.modal import REPLY, first_field, notice_view, read_form, typed_text
from bot.slack.people import People
from bot.slack.post import SlackChat
from bot.slack.read_action import (
    TICKED,
    Asker,
    Carried,
    Click,
    Line,
    read_click,
    read_line,
    read_mention,
    read_submission,
)
from bot.ticket_card import ticket_card
from desk import access
from desk.action import ActionRequest, Outcome, Result
from desk.actions import Actions
from desk.errors import DeskError, Permanent, Refused, Transient
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import User
from desk.places import Network
from desk.store import Store
from desk.ticket_view import TicketView

log = structlog.get_logger()

Ack = Callable[..., Awaitable[object]]

EMPTY = "The reply is empty: to send nothing, close this and reject the draft"
FORMS = frozenset({Verb.EDIT, Verb.REGENERATE})
OLD_FORM = "I do not understand this form any more. Copy your text, and open the form anew."
OLD_BUTTON = "I do not understand this button. Type  /desk queue  to see what waits."


@dataclass(slots=True)
class Recent:
    """The keys of what was done lately, for Slack delivers twice. Actions that change something
    are also kept apart by the records, across processes and restarts."""

    size: int = 10_000
    _keys: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def is_new(self, key: str) -> bool:
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self.size:
            self._keys.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True)
class Listeners:
    chat: SlackChat
    people: People
    store: Store
    actions: Actions
    commands: Commands
    forms: Forms
    follow: Follow
    attaching: Attaching
    recent: Recent = field(default_factory=Recent)
    once: Once = field(default_factory=Once)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def click(self, ack: Ack, body: Payload) -> None:
        """A button on a card, or a choice behind More."""
        await ack()
        click = read_click(body)
        if not self.recent.is_new(click.key):
            return
        async with self._told(click.asker):
            carried = understood(click)
            if carried.verb in FORMS:
                await self.forms.open(click)
            else:
                await self._act(click, carried)

    async def take_over(self, ack: Ack, body: Payload) -> None:
        """The button in an edit form that somebody else has open, too."""
        await ack()
        click = read_click(body)
        async with self._told(click.asker):
            await self.forms.take_over(click)

    async def submit(self, ack: Ack, body: Payload) -> None:
        """A form: only what can be seen without the records is checked before its answer."""
        sent = read_submission(body)
        form = read_form(sent.metadata)
        if form is None:
            typed = "\n\n".join(text for text in sent.values.values() if text != TICKED)
            await ack(response_action="update", view=notice_view(OLD_FORM, typed))
            return
        async with self._told(sent.asker):
            if text_at(body, "view", "callback_id") != REPLY:
                await self.forms.instruct(sent, form, ack)
            elif not typed_text(form, sent.values):
                await ack(response_action="errors", errors={first_field(form): EMPTY})
            else:
                await self.forms.save(sent, form, ack)

    async def command(self, ack: Ack, body: Payload) -> None:
        """A line typed after /desk."""
        line = read_line(body)
        if not self.recent.is_new(line.key):
            await ack()
            return
        answering = asyncio.ensure_future(self._answer(line))
        await asyncio.wait({answering}, timeout=self.forms.patience)
        if not answering.done():
            await ack()
            await self._whisper(line.asker, await answering)
            return
        first, *more = answering.result() or [{}]
        await ack(response_type="ephemeral", **first)
        await self._whisper(line.asker, more)

    async def mention(self, ack: Ack, body: Payload) -> None:
        """A line that mentions the app in a channel, or files beside it; only the writer sees the
        answer."""
        await ack()
        line, shared = read_mention(body), read_shared(body)
        if not self.recent.is_new(line.key):
            return
        if shared is None:
            await self._whisper(line.asker, await self._answer(line))
            return
        async with self._told(line.asker):
            user = await self.people.user(line.asker.user)
            id, said = await self.attaching.attach(user, shared)
            self.follow.soon(id)
            await self._whisper(line.asker, draw_text(said))

    # -- what they have in common

    async def _act(self, click: Click, carried: Carried) -> None:
        user = await self.people.user(click.asker.user)
        async with self.turns:
            outcome = await self.actions.act(
                ActionRequest(
                    key=click.key,
                    user=user,
                    verb=carried.verb,
                    ticket_id=carried.ticket_id,
                    seen=carried.seen,
                    text=carried.text,
                    confirmed=carried.confirmed,
                )
            )
        await self._redraw(click, carried, user, outcome)

    async def _redraw(self, click: Click, carried: Carried, user: User, outcome: Outcome) -> None:
        """Cards in channels follow by themselves when something was done; a card that only its
        reader sees, and one that is out of date, are drawn here."""
        if outcome.result is Result.CONFIRM:
            await self.chat.whisper(click.asker, draw_question(outcome.note, carried))
        elif outcome.result is Result.REFUSED:
            await self._whisper(click.asker, draw_text(outcome.note))
        elif outcome.result is Result.DONE:
            self.follow.soon(carried.ticket_id)
        if outcome.result in (Result.CONFIRM, Result.DUPLICATE):
            return
        if click.is_ephemeral:
            view = await self._view(user, carried)
            card = ticket_card(view, self.store.clock.now(), user.name)
            drawn = draw(card, self.chat.zone)
            await self.chat.respond(click.asker, {"replace_original": True, **drawn})
        elif outcome.result is Result.REFUSED and click.message:
            await self._update(click, carried.ticket_id)

    async def _update(self, click: Click, id: TicketId) -> None:
        """Once for all who press at once: Slack counts how often a message is changed."""
        message = f"{click.asker.channel}|{click.message}"
        await self.once.do(message, partial(self._draw, click.asker.channel, message, id))

    async def _draw(self, channel: str, message: str, id: TicketId) -> None:
        """Again while somebody acts meanwhile: an older card must not stay on top."""
        shown = 0
        while (view := await self.store.view(id)).ticket.version != shown:
            shown = view.ticket.version
            card = await card_at(self.store, Network.SLACK, message, view)
            await self.chat.update(channel, message, card)

    async def _view(self, user: User, carried: Carried) -> TicketView:
        return await access.ticket(self.store, user, carried.ticket_id)

    async def _answer(self, line: Line) -> list[Message]:
        try:
            user = await self.people.user(line.asker.user)
            return draw_reply(await self.commands.run(user, line.text, line.key), self.chat.zone)
        except DeskError as error:
            return draw_text(sentence(error))

    async def _whisper(self, asker: Asker, messages: list[Message]) -> None:
        for message in messages:
            await self.chat.whisper(asker, message)

    @asynccontextmanager
    async def _told(self, asker: Asker) -> AsyncIterator[None]:
        """What goes wrong is said to the person who asked, and to nobody else."""
        try:
            yield
        except DeskError as error:
            await self._whisper(asker, draw_text(sentence(error)))


def understood(click: Click) -> Carried:
    if click.carried is None:
        raise Refused(OLD_BUTTON)
    return click.carried


def sentence(error: DeskError) -> str:
    """What a person is told of an error."""
    if isinstance(error, Refused):
        return str(error)
    log.warning("not done for a person in Slack", error=str(error))
    if isinstance(error, Transient):
        return NOT_REACHED
    return str(error) if isinstance(error, Permanent) else "It is not known whether it was done."
