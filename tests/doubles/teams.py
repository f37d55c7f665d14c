"""Teams on loopback: the connector that bots post to, and people whose client sends activities."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web

from bot.board import Board, Route
from bot.commands import Commands
from bot.identity import Identity
from bot.teams.connect import PATH, Teams
from bot.ticket_card import ticket_card
from desk.places import Network
from desk.response import Response
from desk.settings import TeamsSettings
from desk.store import Store
from tests.doubles.desk import Scene, scene
from tests.doubles.slack_office import BoardQueue, nobody_looks
from tests.doubles.waiting import WAITS, happens
from tests.services import free_port

Json = dict[str, Any]

TENANT = "10000000-0000-0000-0000-000000000001"
GROUP = "19:desk@thread.tacv2"
EMAILS = {
    "ann": "ann@lanewright.example",
    "omar": "omar@lanewright.example",
    "zoe": "zoe@x.example",
}


@dataclass
class Connector:
    """Keeps every message as it is now. ``refuse`` is the status of the next answers."""

    url: str = ""
    messages: dict[str, Json] = field(default_factory=dict)
    """By id."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    refuse: tuple[int, dict[str, str]] | None = None
    refused: str = ""
    """Only paths that end with this are refused; empty means all."""
    seconds: float = 0.0
    ids: Any = field(default_factory=count)

    def routes(self) -> list[web.RouteDef]:
        base = "/v3/conversations"
        return [
            web.post(base, self._open),
            web.post(f"{base}/{{id}}/activities", self._post),
            web.post(f"{base}/{{id}}/activities/{{message}}", self._post),
            web.put(f"{base}/{{id}}/activities/{{message}}", self._put),
            web.get(f"{base}/{{id}}/members/{{account}}", self._member),
        ]

    async def _open(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return await self._answer(request, {"id": f"a:{asked['members'][0]['id']}"})

    async def _post(self, request: web.Request) -> web.Response:
        id = f"m{next(self.ids)}"
        answer = await self._answer(request, {"id": id})
        if answer.status < 300:
            body = await request.json()
            self.messages[id] = {**body, "where": request.match_info["id"]}
        return answer

    async def _put(self, request: web.Request) -> web.Response:
        id = request.match_info["message"]
        if id not in self.messages:
            return web.json_response({"error": {"code": "NotFound"}}, status=404)
        answer = await self._answer(request, {"id": id})
        if answer.status < 300:
            body = await request.json()
            self.messages[id] = {**body, "where": request.match_info["id"]}
        return answer

    async def _member(self, request: web.Request) -> web.Response:
        account = request.match_info["account"]
        tenant = "somebody-elses" if account == "guest" else TENANT
        email = EMAILS.get(account, "ann@lanewright.example")
        return await self._answer(request, {"id": account, "email": email, "tenantId": tenant})

    async def _answer(self, request: web.Request, body: Json) -> web.Response:
        self.calls.append((request.method, request.path))
        await asyncio.sleep(self.seconds)
        if self.refuse is None or not request.path.endswith(self.refused):
            return web.json_response(body)
        status, headers = self.refuse
        return web.json_response({"error": {"code": "No"}}, status=status, headers=headers)


@dataclass
class TeamsUser:
    """Somebody's Teams client, in one conversation."""

    name: str
    bot: str
    connector: Connector
    channel: str = GROUP
    ids: Any = field(default_factory=count)
    kind: str | None = None
    """The type of the conversation, when its name does not tell."""

    def activity(self, type: str, **more: object) -> Json:
        kind = "personal" if self.channel.startswith("a:") else "channel"
        kind = kind if self.kind is None else self.kind
        return {
            "type": type,
            "id": f"{self.name}-{next(self.ids)}",
            "channelId": "msteams",
            "serviceUrl": self.connector.url,
            "from": {"id": self.name, "name": self.name, "aadObjectId": f"aad-{self.name}"},
            "recipient": {"id": "28:bot", "name": "Maildesk"},
            "conversation": {
                "id": self.channel,
                "conversationType": kind,
                "tenantId": TENANT,
                "isGroup": kind != "personal",
            },
            "channelData": {"tenant": {"id": TENANT}},
            **more,
        }

    async def send(self, activity: object, **headers: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.bot, json=activity, headers=headers) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()

    async def say(self, text: str) -> None:
        mention = {"type": "mention", "text": "<at>Maildesk</at>", "mentioned": {"id": "28:bot"}}
        line = self.activity("message", text=f"<at>Maildesk</at> {text}\n", entities=[mention])
        assert (await self.send(line))[0] == 200

    async def press(self, action: Mapping[str, Any], message: str, **typed: str) -> Json:
        """Action.Execute; what Teams is answered."""
        data = {**action["data"], **typed}
        status, body = await self.send(self.execute(data, message))
        assert status == 200, body
        assert isinstance(body, dict)
        return body

    def execute(self, data: object, message: str) -> Json:
        action = {"type": "Action.Execute", "verb": "act", "id": "x", "data": data}
        value = {"action": action, "trigger": "manual"}
        return self.activity("invoke", name="adaptiveCard/action", value=value, replyToId=message)

    async def submit(self, action: Mapping[str, Any], message: str, **typed: str) -> None:
        """As clients do that do not know Action.Execute."""
        data = {**action["fallback"]["data"], **typed}
        sent = self.activity("message", value=data, replyToId=message)
        assert (await self.send(sent))[0] == 200


def card_of(message: Json) -> Json:
    content = message["attachments"][0]["content"]
    assert isinstance(content, dict)
    return content


def actions(card: object) -> list[Json]:
    """All that execute, at any depth."""
    if isinstance(card, list):
        return [found for part in card for found in actions(part)]
    if not isinstance(card, dict):
        return []
    inner = [found for name, part in card.items() if name != "fallback" for found in actions(part)]
    return [card, *inner] if card.get("type") == "Action.Execute" else inner


def action(card: object, title: str) -> Json:
    found = {a["title"]: a for a in actions(card)}
    assert title in found, sorted(found)
    return found[title]


def words(part: object) -> str:
    """All that is to be read on a card."""
    if isinstance(part, list):
        return "\n".join(filter(None, map(words, part)))
    if not isinstance(part, dict):
        return ""
    own = [part.get(name) for name in ("text", "value", "title")]
    said = [text.replace("\xa0", " ") for text in own if isinstance(text, str)]
    return "\n".join([*said, *filter(None, (words(p) for k, p in part.items() if k != "data"))])


@dataclass
class TeamsOffice:
    """Real records and actions, the board and Teams joined as the bot process joins them."""

    store: Store
    scene: Scene
    connector: Connector
    queue: BoardQueue
    board: Board
    teams: Teams
    bot: str

    def user(self, name: str, channel: str = GROUP) -> TeamsUser:
        return TeamsUser(name, self.bot, self.connector, channel)

    async def shown(self, user: TeamsUser) -> tuple[str, Json]:
        """A card in this user's conversation: the message's id and the card. A private chat gets it
        by ``show``, a channel as its route posts it."""
        before = set(self.connector.messages)
        if user.channel.startswith("a:"):
            await user.say(f"show {self.scene.ticket.id}")
        else:
            await self._routed(user)
        await happens(lambda: self._new_card(before))
        id = self._new_card(before)
        await self._recorded(id)
        return id, card_of(self.connector.messages[id])

    async def _routed(self, user: TeamsUser) -> None:
        assert (await user.send(user.activity("conversationUpdate")))[0] == 200
        while not await self.store.conversation_reference(Network.TEAMS, user.channel):  # noqa: ASYNC110 - records do not call back
            await asyncio.sleep(0.02)
        view = await self.store.view(self.scene.ticket.id)
        card = ticket_card(view, self.store.clock.now())
        await self.board.post(view.ticket.id, Network.TEAMS, user.channel, card)

    async def _recorded(self, message: str) -> None:
        deadline = time.monotonic() + WAITS
        id = self.scene.ticket.id
        while message not in {place.message for place in await self.store.places(id)}:
            assert time.monotonic() < deadline, "the place is not recorded"
            await asyncio.sleep(0.02)

    def _new_card(self, before: set[str]) -> str:
        found = [id for id, message in self.connector.messages.items() if actions(message)]
        return next((id for id in found if id not in before), "")

    def card(self, id: str) -> Json:
        return card_of(self.connector.messages[id])

    def texts(self, where: str = "") -> list[str]:
        messages = [m for m in self.connector.messages.values() if not where or m["where"] == where]
        return [str(m.get("text") or words(card_of(m))) for m in messages]

    async def says(self, text: str, where: str = "") -> None:
        await happens(lambda: any(text in said for said in self.texts(where)))

    async def reads(self, id: str, text: str) -> None:
        await happens(lambda: text in words(self.card(id)))

    async def response(self) -> Response:
        found = await self.scene.response()
        assert found is not None
        return found


@asynccontextmanager
async def teams_office(
    store: Store,
    settings: Mapping[str, object] | None = None,
    *,
    port: int | None = None,
    openid_url: str = "",
    routes: tuple[str, ...] = (),
    text: str = "Hello Priya, we are on it.",
    patience: float = WAITS,
) -> AsyncIterator[TeamsOffice]:
    made = await scene(store, text)
    queue = BoardQueue()
    acts = replace(made.actions, queue=queue)
    given = TeamsSettings.model_validate(settings or {"is_local_test": True})
    connector = Connector()
    board = Board(store, {}, [Route(Network.TEAMS, name) for name in routes], [], nobody_looks)
    teams = Teams(
        given,
        store,
        acts,
        Commands(store, acts),
        board,
        Identity(store),
        ZoneInfo("UTC"),
        openid_url,
        patience,
    )
    board.chats = {Network.TEAMS: teams.chat}
    queue.board = board
    port = port or free_port()
    async with served(connector.routes()) as url, served(teams.routes(), port) as bot:
        connector.url = url
        running = asyncio.create_task(teams.run())
        yield TeamsOffice(store, made, connector, queue, board, teams, f"{bot}{PATH}")
        await queue.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def served(
    routes: list[web.RouteDef], port: int | None = None, most: int = 1024**2
) -> AsyncIterator[str]:
    """``most`` is the longest body that a request may have."""
    app = web.Application(client_max_size=most)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = port or free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()
