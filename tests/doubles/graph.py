"""A loopback Microsoft Graph, strict where Microsoft's pages are.

Routes, errors and limits after the pages of learn.microsoft.com/graph named here and in
graph_mailbox: "message: delta", "Get MIME content from a message", "Send emails with MIME content"
(ErrorMimeContentInvalidBase64String), "Microsoft Graph throttling guidance" and its "Outlook
service limits" (four requests at a time; the words are those that people report).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from desk.ports import Clock
from mail.bearer import Token
from mail.bucket import LocalLimits
from mail.graph import Graph as Calls
from mail.graph import GraphAccount
from mail.http import Http
from mail.outlook import OutlookProvider
from mail.quota import GRAPH, Quota
from tests.doubles.desk import FastClock
from tests.doubles.graph_answers import cut_off, error, identified, mime_of, not_found, some_of
from tests.doubles.graph_files import REQUEST_BYTES, Uploads
from tests.doubles.graph_mailbox import Cursor, GraphMailbox, Message, shown
from tests.doubles.microsoft import Identity
from tests.doubles.teams import served

IMMUTABLE = 'IdType="ImmutableId"'
FILTER = re.compile(r"internetMessageId eq '((?:[^']|'')*)'")
SPAN = re.compile(r"receivedDateTime ge (\S+Z) and receivedDateTime lt (\S+Z)")
SLOTS = 4
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """One scripted misbehaviour of the next request whose "METHOD path?" holds ``where``: an error
    in its place, or (``done``) after it was carried out; ``reset`` hangs up, ``cut`` halves the
    answer."""

    where: str
    status: int = 0
    code: str = "serviceNotAvailable"
    retry_after: str = ""
    location: str = ""
    done: bool = False
    reset: bool = False
    cut: bool = False


@dataclass
class Graph:
    """The service with one mailbox. ``complaints`` are what the documentation forbids."""

    url: str = ""
    box: GraphMailbox = field(default_factory=GraphMailbox)
    faults: deque[Fault] = field(default_factory=deque)
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    slow: float = 0.0  # seconds that a raw mail takes
    paused: float = 0.0
    time: FastClock = field(default_factory=FastClock)
    running: int = 0
    peak: int = 0
    identity: Identity = field(default_factory=Identity)
    expiry: str = "410"  # or the status that comes with syncStateNotFound
    uploads: Uploads = field(default_factory=Uploads)

    @asynccontextmanager
    async def opened(
        self,
        token: Token | None = None,
        clock: Clock | None = None,
        poll: float = 0.1,
        looks: Sequence[float] = (0.01, 0.05, 0.1),
        http: Http | None = None,
    ) -> AsyncIterator[OutlookProvider]:
        """A provider on this service; ``paused`` says how long it waited."""
        async with (
            self.calls(token, http) as calls,
            OutlookProvider(calls, clock, poll=poll, looks=looks) as provider,
        ):
            yield provider

    @asynccontextmanager
    async def calls(
        self, token: Token | None = None, http: Http | None = None
    ) -> AsyncIterator[Calls]:
        """For which pauses pass at once."""

        async def sleep(seconds: float) -> None:
            self.paused += seconds
            self.time.forward(seconds=seconds)
            await asyncio.sleep(0)

        account = GraphAccount(token or self.identity, url=f"{self.url}/v1.0")
        async with http or Http(timeout=5) as line:
            quota = Quota("desk", GRAPH, LocalLimits(), self.time, sleep=sleep)
            yield Calls(account, line, quota)

    def routes(self) -> list[web.RouteDef]:
        me, one = "/v1.0/me", "/v1.0/me/messages/{id}"
        return [
            *self.identity.routes(),
            web.get(me, self._guarded(self._me)),
            web.get(f"{me}/mailFolders/{{folder}}", self._guarded(self._folder)),
            web.get(f"{me}/mailFolders/{{folder}}/messages/delta", self._guarded(self._delta)),
            web.get(f"{me}/mailFolders/{{folder}}/messages", self._guarded(self._list)),
            web.get(f"{me}/messages", self._guarded(self._list)),
            web.post(f"{me}/messages", self._guarded(self._create)),
            web.post(f"{me}/sendMail", self._guarded(self._send_at_once)),
            web.get(one, self._guarded(self._get)),
            web.patch(one, self._guarded(self._update)),
            web.delete(one, self._guarded(self._remove)),
            web.get(f"{one}/$value", self._guarded(self._raw)),
            web.post(f"{one}/createReply", self._guarded(self._reply)),
            web.post(f"{one}/send", self._guarded(self._send)),
            *self.uploads.routes(self.box.find, self._guarded, self.fault),
        ]

    # -- what every request goes through

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.requests.append(f"{request.method} {request.path}")
            if IMMUTABLE not in ", ".join(request.headers.getall("Prefer", [])):
                self.complaints.append(f"no immutable ids: {request.method} {request.path}")
            self.running += 1
            self.peak = max(self.peak, self.running)
            try:
                return await self._answered(request, handler)
            finally:
                self.running -= 1

        return guarded

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.running > SLOTS:
            return error(
                429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit."
            )
        if (
            request.headers.get("Authorization", "").removeprefix("Bearer ")
            not in self.identity.access
        ):
            return error(401, "InvalidAuthenticationToken", "Access token has expired.")
        fault = self.fault(request)
        if fault is None:
            return await handler(request)
        if fault.cut:
            return await cut_off(request, await handler(request))
        if fault.done:
            await handler(request)
        if fault.reset:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return error(fault.status, fault.code, "", fault.retry_after, fault.location)

    def fault(self, request: web.Request) -> Fault | None:
        place = f"{request.method} {request.path}?"
        fault = next((one for one in self.faults if one.where in place), None)
        if fault is not None:
            self.faults.remove(fault)
        return fault

    # -- reading

    async def _me(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"userPrincipalName": "desk@contoso.example", "mail": "desk@contoso.example"}
        )

    async def _folder(self, request: web.Request) -> web.Response:
        name = request.match_info["folder"]
        count = sum(m.folder == name for m in self.box.messages)
        return web.json_response({"id": f"folder-{name}", "totalItemCount": count})

    async def _delta(self, request: web.Request) -> web.Response:
        if "$expand" in request.query:  # microsoft-graph-docs#1993
            return error(500, "InternalServerError", "Value cannot be null.")
        cursor = self._cursor(request)
        if cursor is None:
            if self.expiry == "410":  # "a Location header … with an empty $deltatoken"
                place = f"{self.url}{request.path}?$deltatoken="
                return error(410, "SyncStateNotFound", "", location=place)
            return error(int(self.expiry), "syncStateNotFound", "")
        asked = re.search(r"odata\.maxpagesize=(\d+)", ", ".join(request.headers.getall("Prefer")))
        items, token, is_over = self.box.page(cursor, int(asked[1]) if asked else 10)
        link, name = ("deltaLink", "deltatoken") if is_over else ("nextLink", "skiptoken")
        return self._json(
            request,
            {
                "@odata.context": f"{self.url}/v1.0/$metadata#Collection(message)",
                f"@odata.{link}": f"{self.url}{request.path}?${name}={token}",
                "value": items,
            },
        )

    def _cursor(self, request: web.Request) -> Cursor | None:
        token = request.query.get("$deltatoken") or request.query.get("$skiptoken")
        if token is not None and token != "":
            return self.box.resume(token)
        select = [name for name in request.query.get("$select", "").split(",") if name]
        kind = request.query.get("changeType", "")
        return self.box.start(request.match_info["folder"], select, kind)

    async def _list(self, request: web.Request) -> web.Response:
        folder = request.match_info.get("folder", "")
        text = request.query.get("$filter", "")
        if asked := FILTER.fullmatch(text):
            found = self.box.having(asked[1].replace("''", "'"), folder)
            return self._json(request, {"value": [shown(message) for message in found]})
        if asked := SPAN.fullmatch(text):
            found = self.box.between(folder, *map(datetime.fromisoformat, asked.groups()))
            return self._json(request, some_of(found, request, self.url, self.box.quirks.list_size))
        return error(400, "ErrorInvalidUrlQueryFilter", "")

    async def _get(self, request: web.Request) -> web.Response:
        message = self._message(request)
        return self._json(request, shown(message)) if message else not_found()

    async def _raw(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.slow)
        message = self._message(request)
        if message is None:
            return not_found()
        return web.Response(body=message.raw, content_type="text/plain")

    # -- writing

    async def _create(self, request: web.Request) -> web.Response:
        return await self._drafted(request, None)

    async def _reply(self, request: web.Request) -> web.Response:
        origin = self._message(request)
        return await self._drafted(request, origin) if origin else not_found()

    async def _drafted(self, request: web.Request, origin: Message | None) -> web.Response:
        if (request.content_length or 0) > REQUEST_BYTES:
            return error(413, "RequestEntityTooLarge", "The request is larger than 4 MB.")
        raw = await mime_of(request)
        if raw is None:
            code = "ErrorMimeContentInvalidBase64String"
            return error(400, code, "Invalid base64 string for MIME content.")
        return self._json(request, shown(self.box.draft(raw, origin)), status=201)

    async def _update(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message is None:
            return not_found()
        changes = await request.json()
        if not message.is_draft and "internetMessageId" in changes:
            return error(400, "ErrorInvalidPropertySet", "Updatable only if isDraft = true.")
        self.box.update(message, changes)
        return self._json(request, shown(message))

    async def _remove(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message is None:
            return not_found()
        self.box.delete(message)
        return web.Response(status=204)

    async def _send(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message is None or not message.is_draft:
            return not_found()
        if message.size > self.uploads.largest:
            return error(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum size.")
        self.box.send(message)
        return web.Response(status=202)

    async def _send_at_once(self, request: web.Request) -> web.Response:
        self.complaints.append("sendMail tells no id, so nobody knows later what became of it")
        return web.Response(status=202)

    def _message(self, request: web.Request) -> Message | None:
        return self.box.find(request.match_info["id"])

    def _json(
        self, request: web.Request, record: Mapping[str, Any], status: int = 200
    ) -> web.Response:
        """With the kind of ids that this very request asked for."""
        is_immutable = IMMUTABLE in ", ".join(request.headers.getall("Prefer", []))
        return web.json_response(identified(record, is_immutable), status=status)


@asynccontextmanager
async def graph() -> AsyncIterator[Graph]:
    """A service of its own; what was done against the documentation fails the test."""
    service = Graph()
    async with served(service.routes(), most=8 * REQUEST_BYTES) as url:
        service.url = service.uploads.url = url
        yield service
    assert service.complaints + service.uploads.complaints == []
