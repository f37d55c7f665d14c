"""Opening the doors for people: the console always, Slack and Teams when they are configured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from aiohttp import web

from bot.board import Board, Route
from bot.chat import Chat
from bot.commands import Commands
from bot.console.connect import Console
from bot.console.hub import RedisHub
from bot.identity import Identity
from bot.web import listen, web_app
from cli import parts
from desk.actions import Actions
from desk.classification import Urgency
from desk.metrics import Metrics
from desk.places import Network
from desk.settings import Settings
from desk.store import Store
from desk.ticket import TicketState
from workers.queue import RedisQueue

SCRIPTS = Path(__file__).parent.parent / "node_modules" / "adaptivecards" / "dist"

Background = Callable[[], Coroutine[Any, Any, None]]


class Holder(Protocol):
    """What of a process the doors need."""

    @property
    def settings(self) -> Settings: ...
    @property
    def store(self) -> Store: ...
    @property
    def redis(self) -> str: ...
    @property
    def queue(self) -> RedisQueue: ...
    @property
    def metrics(self) -> Metrics: ...


class Door(Protocol):
    """A chat network as connected."""

    @property
    def chat(self) -> Chat: ...
    def routes(self) -> list[web.RouteDef]: ...
    async def run(self) -> None: ...


class ChatSettings(Protocol):
    """What the settings of every network say."""

    @property
    def channel(self) -> str: ...
    @property
    def managers_channel(self) -> str: ...
    @property
    def post_from(self) -> Urgency: ...


@dataclass(slots=True)
class Doors:
    """``background`` runs beside the web server."""

    board: Board
    console: Console
    address: str
    background: list[Background] = field(default_factory=list)


@dataclass(slots=True)
class Networks:
    """What the configured networks bring along."""

    chats: dict[Network, Chat] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    managers: list[Route] = field(default_factory=list)
    web: list[web.RouteDef] = field(default_factory=list)
    background: list[Background] = field(default_factory=list)


@asynccontextmanager
async def opened_doors(desk: Holder) -> AsyncIterator[Doors]:
    settings = desk.settings
    hub = RedisHub(desk.redis)
    actions = Actions(
        desk.store,
        desk.queue,
        parts.review_with(parts.own_words(settings)),
        timedelta(seconds=settings.undo_seconds),
        settings.priority.weights,
    )
    commands = Commands(desk.store, actions)
    console = Console(desk.store, actions, commands, hub, SCRIPTS, hosts(settings))
    networks = Networks()
    board = Board(
        desk.store,
        networks.chats,
        networks.routes,
        networks.managers,
        hub.publish,
        settings.escalation.on_call,
    )
    held = Joined(desk.store, actions, commands, board, Identity(desk.store), settings.zone)
    for network, door, given in configured(settings, held):
        join(networks, network, door, given)
    app = web_app(
        [*console.routes(), *networks.web],
        desk.metrics,
        {"database": desk.store.counts, "redis": desk.queue.ping},
        lambda: refresh(desk),
    )
    runner = await listen(app, settings.host, settings.port)
    try:
        background = [console.run, *networks.background]
        yield Doors(board, console, address(settings, runner), background)
    finally:
        await runner.cleanup()
        await hub.close()


def address(settings: Settings, runner: web.AppRunner) -> str:
    """Where the console is: the settings may leave the port to the system."""
    return f"http://{_named(settings.host)}:{runner.addresses[0][1]}"


def hosts(settings: Settings) -> Sequence[str]:
    """The names under which a browser may ask for the console."""
    return ("127.0.0.1", "localhost", "[::1]", _named(settings.host))


def _named(host: str) -> str:
    """As it stands in an address (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Joined:
    """What every network is built from."""

    store: Store
    actions: Actions
    commands: Commands
    board: Board
    identity: Identity
    zone: ZoneInfo


def configured(settings: Settings, desk: Joined) -> Iterator[tuple[Network, Door, ChatSettings]]:
    """The networks that the settings turn on; their libraries are imported only then."""
    held = (desk.store, desk.actions, desk.commands, desk.board, desk.identity, desk.zone)
    if settings.slack.bot_token.get_secret_value():
        from bot.slack.connect import Slack

        yield Network.SLACK, Slack(settings.slack, *held), settings.slack
    if settings.teams.app_id or settings.teams.is_local_test:
        from bot.teams.connect import Teams

        yield Network.TEAMS, Teams(settings.teams, *held), settings.teams


def join(networks: Networks, network: Network, door: Door, given: ChatSettings) -> None:
    """A network's chat, its web routes, its background work, and where it is told what."""
    networks.chats[network] = door.chat
    networks.web += door.routes()
    networks.background.append(door.run)
    if given.channel:
        networks.routes.append(Route(network, given.channel, given.post_from))
    if given.managers_channel:
        networks.managers.append(Route(network, given.managers_channel))


async def refresh(desk: Holder) -> None:
    """Bring the gauges up to date, also those that fell to zero."""
    counts = await desk.store.counts()
    for state in (*TicketState, "sent"):
        desk.metrics.tickets.labels(state).set(counts.get(state, 0))
    for step, depth in (await desk.queue.depth()).items():
        desk.metrics.queued.labels(step, "ready").set(depth.ready)
        desk.metrics.queued.labels(step, "delayed").set(depth.delayed)
        desk.metrics.queued.labels(step, "leased").set(depth.leased)
