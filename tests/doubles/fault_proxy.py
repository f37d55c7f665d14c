"""A reverse proxy that misbehaves as it is told to: in front of an emulator, it is what the
internet and a busy provider are to us."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "date"}


@dataclass(frozen=True)
class Reply:
    """What the other side answered, or what is answered in its place."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, value: object, **headers: str) -> Reply:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        kind = {"Content-Type": "application/json"}
        return cls(status, json.dumps(value).encode(), {**kind, **given})


@dataclass
class Fault:
    """One kind of trouble, for requests whose "METHOD path?query" has ``path`` in it: every
    ``every``-th of them, ``times`` times in all.

    ``reply`` is answered in place of the other side. ``deed`` is done with its answer: "reset"
    (drop the connection before asking it), "lose" (ask it and drop the connection), "truncate"
    (half the body, then hang up), "garble" (half the body, as if it were all), "double" (every
    list holds everything twice, and what the answer before had), "drip" (``seconds`` a byte),
    "stall" (``seconds`` of nothing first).
    """

    path: str
    reply: Reply | None = None
    deed: str = ""
    times: int = 1_000_000
    every: int = 1
    seconds: float = 0.05

    def __post_init__(self) -> None:
        self._calls = count(1)

    def strikes(self, line: str) -> bool:
        if not re.search(self.path, line) or self.times <= 0:
            return False
        if next(self._calls) % self.every:
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Seen:
    """A request that came in, and the status it was answered with; 0 for none."""

    at: float
    line: str
    status: int


Layer = Callable[[web.Request], Awaitable[Reply | None]]


@dataclass
class FaultProxy:
    """``layer`` may answer in place of ``upstream``: what an emulator does not know. ``signs``
    are headers that every request is forwarded with."""

    upstream: str
    url: str = ""
    layer: Layer | None = None
    signs: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    _earlier: dict[str, Reply] = field(default_factory=dict)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def lines(self, path: str) -> list[str]:
        return [one.line for one in self.seen if re.search(path, one.line)]

    async def until(self, path: str) -> None:
        """A request with this in it was answered."""
        async with self._news:
            await self._news.wait_for(lambda: self.lines(path))

    async def _note(self, line: str, status: int) -> None:
        async with self._news:
            self.seen.append(Seen(time.monotonic(), line, status))
            self._news.notify_all()

    async def forward(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        passed = {n.lower(): v for n, v in headers.items() if n.lower() not in HOP} | self.signs
        url = URL(f"{self.upstream}{path}", encoded=True)
        asking = self._session.request(
            method, url, headers=passed, data=BytesIO(body), allow_redirects=False
        )
        async with asking as answer:
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in HOP}
            return Reply(answer.status, await answer.read(), kept)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        line = f"{request.method} {request.path_qs}"
        fault = next((one for one in self.faults if one.strikes(line)), Fault(""))
        if fault.deed == "reset":
            return await self._hang_up(request, line)
        if fault.deed == "stall":
            await asyncio.sleep(fault.seconds)
        reply = fault.reply or await self._asked(request)
        if fault.deed == "lose":
            return await self._hang_up(request, line)
        await self._note(line, reply.status)
        if fault.deed in ("truncate", "drip"):
            return await _sent_badly(request, reply, fault)
        if fault.deed == "garble":
            reply = Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers)
        if fault.deed == "double":
            reply = self._doubled(request.path, reply)
        self._earlier[request.path] = reply
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def _asked(self, request: web.Request) -> Reply:
        own = await self.layer(request) if self.layer else None
        if own is not None:
            return own
        body = await request.read()
        return await self.forward(request.method, request.path_qs, request.headers, body)

    async def _hang_up(self, request: web.Request, line: str) -> web.Response:
        await self._note(line, 0)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _doubled(self, path: str, reply: Reply) -> Reply:
        found: dict[str, Any] = json.loads(reply.body)
        before = self._earlier.get(path)
        earlier: dict[str, Any] = json.loads(before.body) if before else {}
        for name, value in found.items():
            if isinstance(value, list):
                found[name] = [*earlier.get(name, []), *value, *value]
        return Reply(reply.status, json.dumps(found).encode(), reply.headers)


async def _sent_badly(request: web.Request, reply: Reply, fault: Fault) -> web.StreamResponse:
    """The headers promise the whole body."""
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    response.content_length = len(reply.body)
    await response.prepare(request)
    if fault.deed == "drip":
        for byte in reply.body:
            await response.write(bytes([byte]))
            await asyncio.sleep(fault.seconds)
    else:
        await response.write(reply.body[: len(reply.body) // 2])
        if request.transport is not None:
            request.transport.close()
    return response
