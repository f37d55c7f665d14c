"""The door Teams comes through, and what happens when somebody types or presses there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web

from bot.adaptive import draw
from bot.board import Board
from bot.card import Card
from bot.commands import VERBS, Commands, Reply, read_command
from bot.identity import Identity, unlinked
from bot.messages import NOT_REACHED, card_at
from bot.once import AT_ONCE
from bot.press import Press, read_press
from bot.teams.draw import (
    Json,
    card_answer,
    draw_card,
    draw_pointer,
    draw_text,
    text_answer,
    with_card,
)
from bot.teams.post import TeamsChat
from bot.teams.pressed import Pressed, drawn, typed
from bot.teams.read_action import Doing, Turn, read_turn
from bot.teams.wire import TeamsWire
from desk import access
from desk.action import Result
from desk.actions import Actions
from desk.errors import DeskError, Refused, Transient
from desk.people import User
from desk.places import Network, Place
from desk.settings import TeamsSettings
from desk.store import Store

log = structlog.get_logger()

PATH = "/api/messages"
PATIENCE = 0.7
"""Seconds for which the answer to a press is waited for; then the card follows by itself."""

WORKING = "Still at it: the card follows."
WRITTEN = "I have written to you."
UNREACHABLE = "I cannot write to you in private: open a chat with Maildesk first."
HELLO = "Maildesk is here. Type  help  to see what it can do."
HELLO_ALL = (
    "Maildesk is here. Write  @Maildesk help  to see what it can do."
    " To have urgent tickets posted here, set teams.channel to {channel}"
)


class Unlinked(Refused):
    """Nobody of ours; the message names their address and is for them alone."""


class Teams:
    """Teams as configured: serve ``routes()`` and run ``run()`` beside them."""

    def __init__(
        self,
        settings: TeamsSettings,
        store: Store,
        actions: Actions,
        commands: Commands,
        board: Board,
        identity: Identity,
        zone: ZoneInfo,
        openid_url: str = "",
        patience: float = PATIENCE,
    ) -> None:
        self._wire = TeamsWire(
            settings.app_id,
            settings.app_password.get_secret_value(),
            settings.tenant_id,
            is_local_test=settings.is_local_test,
            openid_url=openid_url,
        )
        self._store, self._actions, self._commands = store, actions, commands
        self._board, self._identity, self._zone = board, identity, zone
        self._patience, self._turns = patience, asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.chat = TeamsChat(self._wire, store, zone)

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self._receive)]

    async def run(self) -> None:
        """Until cancelled; then what was begun is given up."""
        try:
            await self._wire.open()
            await asyncio.Event().wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._wire.close()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = await self._wire.receive(
            request.headers, body, self._on_turn, request.remote or ""
        )
        if answer.body is None:
            return web.Response(status=answer.status)
        return web.json_response(answer.body, status=answer.status)

    async def _on_turn(self, activity: Json) -> Json | None:
        """Only a press is answered at once; everything else is answered by a message."""
        turn = read_turn(activity)
        self._begin(self.chat.remember(turn))
        match turn.doing:
            case Doing.PRESSED:
                return await self._answered(turn)
            case Doing.TYPED:
                self._begin(self._typed(turn))
            case Doing.SUBMITTED:
                self._begin(self._submitted(turn))
            case Doing.ADDED:
                self._begin(self._greet(turn))
        return None

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- lines

    async def _typed(self, turn: Turn) -> None:
        try:
            user = await self._user(turn)
            if turn.is_private or read_command(turn.text).word == "help":
                await self._reply(turn, await self._commands.run(user, turn.text, turn.key))
            else:
                await self._say(turn, await self._typed_in_public(turn, user))
        except Unlinked as error:
            await self.chat.whisper(turn, str(error), unlinked(""))
        except DeskError as error:
            await self._say(turn, sentence(error))

    async def _typed_in_public(self, turn: Turn, user: User) -> str:
        """What the others may read. Rights are checked for the one who asks, so the answer goes to
        the chat with them alone; where there is none, nothing is done."""
        try:
            there = await self.chat.private(turn)
        except DeskError as error:
            return unreachable(error)
        await self.chat.remember(there)
        reply = await self._commands.run(user, turn.text, turn.key)
        try:
            await self._reply(there, reply)
        except DeskError as error:
            return unreachable(error)
        return WRITTEN

    async def _reply(self, turn: Turn, reply: Reply) -> None:
        if reply.text:
            await self._say(turn, reply.text)
        is_act = read_command(turn.text).word in VERBS
        for card in reply.cards:
            await self._show(turn, card, is_act)

    async def _show(self, turn: Turn, card: Card, is_act: bool) -> None:
        """One live card for each ticket and conversation. What was done by a command is seen on
        the card that is there; one that was asked for is posted below."""
        known = await self._place(turn, card)
        if known and is_act:
            await self._say(turn, f"#{card.ticket_id}: {card.status or 'done'}")
            return
        message = await self._wire.post(turn.reference, draw_card(card, self._zone))
        place = Place(Network.TEAMS, turn.channel, message, card.version)
        await self._board.record(card.ticket_id, place)
        if known:
            await self._redraw(turn, known.message, draw_pointer(card))

    async def _place(self, turn: Turn, card: Card) -> Place | None:
        places = await self._store.places(card.ticket_id)
        here = (Network.TEAMS, turn.channel)
        return next((p for p in places if (p.network, p.channel) == here and p.message), None)

    async def _say(self, turn: Turn, text: str) -> None:
        await self._wire.post(turn.reference, draw_text(text, self._zone, self._store.clock.now()))

    async def _redraw(self, turn: Turn, message: str, activity: Json) -> None:
        await self._wire.update(turn.reference, message, activity)

    async def _greet(self, turn: Turn) -> None:
        hello = HELLO if turn.is_private else HELLO_ALL.format(channel=turn.channel)
        await self._say(turn, hello)

    # -- buttons

    async def _answered(self, turn: Turn) -> Json:
        """What is still being done after our patience is drawn when it is done."""
        pressing = self._begin(self._press(turn))
        await asyncio.wait({pressing}, timeout=self._patience)
        if not pressing.done():
            self._begin(self._follow(turn, pressing))
            return self._told(WORKING)
        pressed: Pressed = pressing.result() or Pressed(note=NOT_REACHED)
        if pressed.card is None:
            return self._told(pressed.note)
        if not pressed.note and pressed.card.is_own:
            self._begin(self._keep_up(turn, pressed.card))
        return card_answer(drawn(pressed, pressed.card, self._zone))

    def _told(self, text: str) -> Json:
        return text_answer(text, self._zone, self._store.clock.now())

    async def _submitted(self, turn: Turn) -> None:
        await self._follow(turn, self._begin(self._press(turn)))

    async def _follow(self, turn: Turn, pressing: asyncio.Task[Pressed | None]) -> None:
        """The answer to a press by messages. The card is everybody's then: only what would be lost
        otherwise is put on it, other words are for the presser alone."""
        pressed = await pressing or Pressed(note=NOT_REACHED)
        is_on_card = pressed.is_question or bool(typed(pressed))
        if pressed.card and turn.message:
            card, zone = pressed.card, self._zone
            shown = drawn(pressed, card, zone) if is_on_card else draw(card, zone)
            await self._redraw(turn, turn.message, with_card(shown, card, zone))
        if pressed.note and not is_on_card:
            await self.chat.whisper(turn, pressed.note, pressed.in_public or pressed.note)

    async def _press(self, turn: Turn) -> Pressed:
        """Acts; whatever goes wrong is a sentence for the presser."""
        try:
            user, press = await self._user(turn), read_press(turn.data)
            async with self._turns:
                outcome = await self._actions.act(press.request(turn.key, user))
                card = await self._card(turn, user, press)
        except Unlinked as error:
            return Pressed(note=str(error), in_public=unlinked(""))
        except DeskError as error:
            return Pressed(note=sentence(error))
        return Pressed(press, card, outcome.note, outcome.result is Result.CONFIRM)

    async def _card(self, turn: Turn, user: User, press: Press) -> Card | None:
        """The one that was pressed."""
        try:
            view = await access.ticket(self._store, user, press.ticket_id)
        except Refused:
            return None
        return await card_at(self._store, Network.TEAMS, turn.message, view)

    async def _keep_up(self, turn: Turn, card: Card) -> None:
        """The board draws the cards it knows; the one that was pressed may be an older one."""
        places = await self._store.places(card.ticket_id)
        is_known = any(p.message == turn.message and p.channel == turn.channel for p in places)
        if turn.message and not is_known:
            await self._redraw(turn, turn.message, draw_card(card, self._zone))

    # -- people

    async def _user(self, turn: Turn) -> User:
        """Unlinked, with what to do about it, when this is nobody of ours."""
        known = await self._identity.find(Network.TEAMS, turn.person)
        if known is not None:
            return known
        member = await self._wire.member(turn.reference, turn.account)
        # in a shared channel, another organisation says what its people's addresses are
        is_ours = self._wire.tenant in ("", member.tenant)
        email = member.email if is_ours else ""
        user = await self._identity.link(Network.TEAMS, turn.person, email)
        if user is None:
            raise Unlinked(unlinked(email))
        return user


async def _logged(work: Coroutine[Any, Any, Any]) -> Any:
    """Nobody waits for what is begun: what goes wrong there is logged."""
    try:
        return await work
    except DeskError as error:
        log.warning("not done in Teams", error=str(error))
        return None


def unreachable(error: DeskError) -> str:
    log.warning("not answered in private in Teams", error=str(error))
    return UNREACHABLE


def sentence(error: DeskError) -> str:
    """What a person is told of an error."""
    if isinstance(error, Refused):
        return str(error)
    log.warning("not done for a person in Teams", error=str(error))
    return NOT_REACHED if isinstance(error, Transient) else str(error)
