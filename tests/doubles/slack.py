"""A Slack on loopback: npm ``emulate`` keeps workspace, messages and views; a door in front of it
refuses what Slack's documentation says it refuses, answers as it is told to, and opens sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import aiohttp
import yaml
from aiohttp import web

from tests.doubles.blocks import Json, problems, view_problems
from tests.doubles.emulate import emulator
from tests.services import free_port

ROOT = Path(__file__).parent.parent.parent
SECRET = "testing-signing-secret"
BOT = "xoxb-test-1"
READER = "xoxp-reader"
CHANNEL = "support-urgent"


def seed() -> Json:
    """A workspace where the app has exactly the scopes of its manifest."""
    manifest = yaml.safe_load((ROOT / "deploy/slack/manifest.yaml").read_text())
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    app = {"client_id": "1.2", "app_id": "A0MAILDESK", "bot_id": "B0MAILDESK"}
    names = ("ann", "omar", "zoe")
    return {
        "slack": {
            "team": {"name": "Lanewright", "domain": "lanewright"},
            "users": [
                {"name": n, "real_name": n.title(), "email": f"{n}@lanewright.example"}
                for n in names
            ],
            "channels": [{"name": CHANNEL}, {"name": "general"}],
            "oauth_apps": [
                {
                    **app,
                    "client_secret": "s3cr3t",
                    "name": "Maildesk",
                    "redirect_uris": ["http://127.0.0.1/"],
                    "scopes": scopes,
                    "bot_user_id": "U0MAILDESK",
                    "bot_name": "maildesk",
                }
            ],
            "tokens": [
                {**app, "token": BOT, "type": "bot", "user_id": "U0MAILDESK", "scopes": scopes},
                {
                    "token": READER,
                    "type": "user",
                    "user": "ann",
                    "scopes": [
                        *("channels:history", "channels:read", "users:read"),
                        *("files:write", "chat:write"),
                    ],
                },
            ],
            "signing_secret": SECRET,
            "strict_scopes": True,
        }
    }


def emulated(folder: Path) -> AbstractContextManager[str]:
    """The emulator's address while it runs."""
    return emulator(folder, "slack", seed())


@dataclass(frozen=True)
class Call:
    """What the app asked of Slack, and the answer."""

    method: str
    args: Json
    answer: Json


@dataclass
class SlackDoor:
    """In front of the emulator. ``stumbles`` are answers to give next, by method: (status, body,
    headers); the answers of the methods that are ``held`` are kept back until ``let_go()``."""

    emulator: str
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    responses: list[Json] = field(default_factory=list)
    stumbles: dict[str, list[tuple[int, Json, dict[str, str]]]] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    metadata: dict[str, Json | None] = field(default_factory=dict)
    """Of messages, by their timestamp."""
    sockets: asyncio.Queue[web.WebSocketResponse] = field(default_factory=asyncio.Queue)
    heard: asyncio.Queue[Json] = field(default_factory=asyncio.Queue)

    @property
    def api(self) -> str:
        return f"{self.url}/api/"

    def stumble(self, method: str, error: str, status: int = 200, **headers: str) -> None:
        """Answer the next call of a method with this error."""
        body = {"ok": False, "error": error}
        answer = (status, body, {k.replace("_", "-"): v for k, v in headers.items()})
        self.stumbles.setdefault(method, []).append(answer)

    def hold(self, *methods: str) -> None:
        self.held, self.gate = frozenset(methods), asyncio.Event()

    def let_go(self) -> None:
        self.held = frozenset()
        self.gate.set()

    def of(self, method: str) -> list[Call]:
        """The calls of a method that succeeded."""
        return [call for call in self.calls if call.method == method and call.answer.get("ok")]

    def whispers(self, user: str) -> list[Json]:
        return [c.args for c in self.of("chat.postEphemeral") if c.args["user"] == user]

    async def ask(self, method: str, token: str = READER, **args: object) -> Json:
        """As somebody else than the app."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.emulator}/api/{method}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=args, headers=headers) as answer,
        ):
            found: Json = await answer.json()
        assert found["ok"], (method, found)
        return found

    # -- what the app reaches

    async def _serve(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        args = await _args(request)
        if method in self.held:
            await self.gate.wait()
        if self.stumbles.get(method):
            status, body, headers = self.stumbles[method].pop(0)
            self.calls.append(Call(method, args, body))
            return web.json_response(body, status=status, headers=headers)
        answer = self._refusal(args) or await self._forward(method, args, request)
        self.calls.append(Call(method, args, answer))
        return web.json_response(answer)

    def _refusal(self, args: Json) -> Json | None:
        found = problems(args["blocks"]) if args.get("blocks") else []
        found += view_problems(args["view"]) if args.get("view") else []
        if not found:
            return None
        return {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": found}}

    async def _forward(self, method: str, args: Json, request: web.Request) -> Json:
        headers = {"Authorization": request.headers.get("Authorization", "")}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.emulator}/api/{method}", json=args, headers=headers) as answer,
        ):
            if answer.status != 200:
                return {"ok": False, "error": "unknown_method"}
            found: Json = await answer.json()
        return self._with_metadata(method, args, found)

    def _with_metadata(self, method: str, args: Json, found: Json) -> Json:
        """The emulator drops it (https://docs.slack.dev/messaging/message-metadata). Its files lie
        on this machine by another name."""
        for name in ("url_private", "url_private_download"):
            if method == "files.info" and found.get("ok"):
                found["file"][name] = found["file"][name].replace("localhost", "127.0.0.1")
        if method == "chat.postMessage" and found.get("ok"):
            self.metadata[found["ts"]] = args.get("metadata")
        reads = ("conversations.history", "conversations.replies")
        if method in reads and args.get("include_all_metadata"):
            for message in found.get("messages", []):
                if kept := self.metadata.get(message["ts"]):
                    message["metadata"] = kept
        return found

    async def _respond(self, request: web.Request) -> web.Response:
        self.responses.append(await request.json())
        return web.Response(text="ok")

    async def _connections_open(self, request: web.Request) -> web.Response:
        url = self.url.replace("http", "ws", 1) + "/socket"
        return web.json_response({"ok": True, "url": url})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        line = web.WebSocketResponse()
        await line.prepare(request)
        await line.send_json({"type": "hello", "num_connections": 1})
        await self.sockets.put(line)
        async for message in line:
            if message.type is aiohttp.WSMsgType.TEXT and message.data.startswith("{"):
                await self.heard.put(json.loads(message.data))
        return line


async def _args(request: web.Request) -> Json:
    if request.content_type == "application/json":
        found: Json = await request.json()
        return found
    args: Json = dict(request.query) | dict(parse_qsl(await request.text()))
    for name in ("blocks", "view"):
        if name in args:
            args[name] = json.loads(args[name])
    return args


@contextlib.asynccontextmanager
async def slack_door(emulator: str) -> AsyncIterator[SlackDoor]:
    door = SlackDoor(emulator)
    app = web.Application()
    app.router.add_post("/api/apps.connections.open", door._connections_open)
    app.router.add_route("*", "/api/{method}", door._serve)
    app.router.add_post("/response/{id}", door._respond)
    app.router.add_get("/socket", door._socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    door.url = f"http://127.0.0.1:{port}"
    try:
        yield door
    finally:
        await runner.cleanup()
