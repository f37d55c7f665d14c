"""A loopback Microsoft Graph and its sign-in service, strict where Microsoft's pages are.

Routes, errors and limits after the pages of learn.microsoft.com/graph named here and in
graph_mailbox: "message: delta", "Get MIME content from a message", "Send emails with MIME content"
(ErrorMimeContentInvalidBase64String), "Microsoft Graph throttling guidance" and its "Outlook
service limits" (four requests at a time; the words are those of microsoftgraph issues), and
"OAuth 2.0 authorization code flow" of the identity platform (refresh tokens are replaced).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.doubles.graph_mailbox import Cursor, GraphMailbox, Message, shown
from tests.doubles.teams import served

IMMUTABLE = 'IdType="ImmutableId"'
FILTER = re.compile(r"internetMessageId eq '((?:[^']|'')*)'")
SLOTS = 4
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """One scripted misbehaviour of the next request whose "METHOD path" holds ``where``: an error
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
    running: int = 0
    peak: int = 0
    access: set[str] = field(default_factory=set)
    refresh: str = "refresh-0"
    refreshed: int = 0
    codes: dict[str, str] = field(default_factory=dict)  # code → challenge
    expiry: str = "410"  # or the status that comes with syncStateNotFound

    def expire_tokens(self) -> None:
        self.access.clear()

    async def token(self) -> str:
        """An access token, as a client gets one that asks in time."""
        if not self.access:
            self.access.add(f"access-{secrets.token_hex(4)}")
        return next(iter(self.access))

    def routes(self) -> list[web.RouteDef]:
        me, one = "/v1.0/me", "/v1.0/me/messages/{id}"
        return [
            web.get("/{tenant}/oauth2/v2.0/authorize", self._authorize),
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
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
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.access:
            return error(401, "InvalidAuthenticationToken", "Access token has expired.")
        fault = self._fault(request)
        if fault is None:
            return await handler(request)
        if fault.cut:
            return await _cut_off(request, await handler(request))
        if fault.done:
            await handler(request)
        if fault.reset:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return error(fault.status, fault.code, "", fault.retry_after, fault.location)

    def _fault(self, request: web.Request) -> Fault | None:
        place = f"{request.method} {request.path}"
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
        asked = FILTER.fullmatch(request.query.get("$filter", ""))
        if asked is None:
            return error(400, "ErrorInvalidUrlQueryFilter", "")
        folder = request.match_info.get("folder", "")
        found = self.box.having(asked[1].replace("''", "'"), folder)
        return self._json(request, {"value": [shown(message) for message in found]})

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

    # -- the identity platform

    async def _authorize(self, request: web.Request) -> web.Response:
        """A person who agrees at once."""
        code = secrets.token_urlsafe(12)
        self.codes[code] = request.query["code_challenge"]
        back = f"{request.query['redirect_uri']}?code={code}&state={request.query['state']}"
        raise web.HTTPFound(back)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        kind = form.get("grant_type")
        if kind == "authorization_code":
            proof = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
            challenge = base64.urlsafe_b64encode(proof).decode().rstrip("=")
            is_good = self.codes.pop(str(form.get("code")), "") == challenge
        else:
            is_good = kind == "refresh_token" and form.get("refresh_token") == self.refresh
        if not is_good:
            said = "AADSTS70000: The provided grant is invalid or has expired."
            record = {"error": "invalid_grant", "error_description": said}
            return web.json_response(record, status=400)
        self.refreshed += 1
        self.refresh = f"refresh-{self.refreshed}"
        access = f"access-{secrets.token_hex(8)}"
        self.access.add(access)
        return web.json_response(
            {
                "token_type": "Bearer",
                "scope": "Mail.ReadWrite Mail.Send offline_access",
                "expires_in": 3599,
                "access_token": access,
                "refresh_token": self.refresh,
            }
        )


def identified(value: Any, is_immutable: bool) -> Any:
    """Messages that stand for their ids become ids."""
    if isinstance(value, Message):
        return value.id if is_immutable else value.place
    if isinstance(value, Mapping):
        return {name: identified(one, is_immutable) for name, one in value.items()}
    return [identified(one, is_immutable) for one in value] if isinstance(value, list) else value


async def mime_of(request: web.Request) -> bytes | None:
    """The mail in the body; None when it is not base64 of one."""
    if request.content_type != "text/plain":
        return None
    try:
        raw = base64.b64decode(await request.read(), validate=True)
    except binascii.Error:
        return None
    return raw if b":" in raw else None


def not_found() -> web.Response:
    return error(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def error(
    status: int, code: str, message: str, retry_after: str = "", location: str = ""
) -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    if location:
        headers["Location"] = location
    record = {"error": {"code": code, "message": message, "innerError": {}}}
    return web.json_response(record, status=status, headers=headers)


async def _cut_off(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """Says how much will come, sends half, and hangs up."""
    body = whole.body if isinstance(whole, web.Response) else b""
    content = body if isinstance(body, bytes) else b""
    response = web.StreamResponse(headers={"Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@asynccontextmanager
async def graph() -> AsyncIterator[Graph]:
    """A service of its own; what was done against the documentation fails the test."""
    service = Graph()
    async with served(service.routes()) as url:
        service.url = url
        yield service
    assert service.complaints == []
