"""Files of drafts in the loopback Graph: added in one request, or through upload sessions.

After "Attach large files to Outlook messages or events", "attachment: createUploadSession" and
"message: post attachments" of learn.microsoft.com/graph: which size goes which way, ranges in
order, no Authorization at the session's address, a session that ends, and a limit of the mailbox.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from tests.doubles.graph_answers import error, not_found
from tests.doubles.graph_mailbox import Message

MEGABYTE = 1024 * 1024
REQUEST_BYTES = 4 * MEGABYTE
SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Trouble(Protocol):
    """tests.doubles.graph.Fault."""

    @property
    def status(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def reset(self) -> bool: ...


@dataclass
class Session:
    """A file on its way into a draft."""

    draft: Message
    name: str
    kind: str
    size: int
    data: bytearray = field(default_factory=bytearray)


SessionHandler = Callable[[web.Request, Session], Awaitable[web.Response]]


@dataclass
class Uploads:
    """``largest`` is how large a mail this mailbox may send; ``renames`` makes it keep files under
    other names. The first session ends after its ``ends_after``-th part; ``loses_end`` hangs up in
    place of the answer to the last part."""

    url: str = ""
    largest: int = 35 * MEGABYTE
    renames: bool = False
    ends_after: int = 0
    loses_end: bool = False
    forgets: bool = False  # what arrives at a session
    list_size: int = 0  # lists of files have several pages
    sessions: dict[str, Session] = field(default_factory=dict)
    begun: int = 0
    spans: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _find: Callable[[str], Message | None] = lambda _: None
    _fault: Callable[[web.Request], Trouble | None] = lambda _: None

    def routes(
        self,
        find: Callable[[str], Message | None],
        guarded: Callable[[Handler], Handler],
        fault: Callable[[web.Request], Trouble | None],
    ) -> list[web.RouteDef]:
        self._find, self._fault = find, fault
        files = "/v1.0/me/messages/{id}/attachments"
        return [
            web.get(files, guarded(self._list)),
            web.post(files, guarded(self._add)),
            web.post(f"{files}/createUploadSession", guarded(self._begin)),
            web.get("/sessions/{token}", self._at_session(self._tell)),
            web.put("/sessions/{token}", self._at_session(self._take)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        draft = self._find(request.match_info["id"])
        if draft is None:
            return not_found()
        # the size that is told includes what Exchange adds
        shown = [{"id": n, "name": n, "size": len(data) + 172} for n, _, data in draft.files]
        start = int(request.query.get("$skip", "0"))
        end = start + (self.list_size or len(shown))
        link = {"@odata.nextLink": f"{self.url}{request.path}?$skip={end}"}
        return web.json_response({"value": shown[start:end], **(link if shown[end:] else {})})

    async def _add(self, request: web.Request) -> web.Response:
        draft = self._find(request.match_info["id"])
        if draft is None:
            return not_found()
        if (request.content_length or 0) > REQUEST_BYTES + 1024:
            return error(413, "RequestEntityTooLarge", "Request body too large.")
        given = await request.json()
        data = base64.b64decode(given["contentBytes"], validate=True)
        assert given["@odata.type"] == "#microsoft.graph.fileAttachment"
        self._keep(draft, str(given["name"]), str(given["contentType"]), data)
        return web.json_response({"id": given["name"]}, status=201)

    async def _begin(self, request: web.Request) -> web.Response:
        draft = self._find(request.match_info["id"])
        if draft is None:
            return not_found()
        item = (await request.json())["AttachmentItem"]
        if item["size"] < 3 * MEGABYTE:
            return error(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", "")
        if item["size"] > 150 * MEGABYTE:
            return error(413, "ErrorAttachmentSizeLimitExceeded", "")
        token = secrets.token_urlsafe(16)
        kind = str(item.get("contentType", "application/octet-stream"))
        self.sessions[token] = Session(draft, str(item["name"]), kind, int(item["size"]))
        self.begun += 1
        session = {
            "uploadUrl": f"{self.url}/sessions/{token}?authtoken=x",
            "expirationDateTime": "2026-11-25T01:09:30.7671707Z",
            "nextExpectedRanges": ["0-"],
        }
        return web.json_response(session, status=201)

    # -- at the session's own address

    def _at_session(
        self, handler: Callable[[web.Request, Session], Awaitable[web.Response]]
    ) -> Handler:
        async def answered(request: web.Request) -> web.StreamResponse:
            if "Authorization" in request.headers:
                self.complaints.append("our token went to the address of an upload")
            fault = self._fault(request)
            session = self.sessions.get(request.match_info["token"])
            if session is None:
                return error(404, "ErrorItemNotFound", "The upload session was not found.")
            if fault is None:
                return await handler(request, session)
            if fault.done:
                await handler(request, session)
            if fault.reset and request.transport is not None:
                request.transport.abort()
            return error(fault.status or 500, "serviceNotAvailable", "")

        return answered

    async def _tell(self, request: web.Request, session: Session) -> web.Response:
        return web.json_response({"nextExpectedRanges": [f"{len(session.data)}-"]})

    async def _take(self, request: web.Request, session: Session) -> web.Response:
        span = SPAN.fullmatch(request.headers["Content-Range"])
        part = await request.read()
        assert span is not None
        self.spans.append(span[0])
        start, end, total = (int(number) for number in span.groups())
        if len(part) > REQUEST_BYTES:
            self.complaints.append("a part of more than 4 MB")
        if (end - start + 1, total) != (len(part), session.size):
            return error(400, "ErrorInvalidRequest", "Content-Range does not fit.")
        if start != len(session.data):
            return error(416, "ErrorInvalidRange", "You must upload bytes in a file in order.")
        session.data += b"" if self.forgets else part
        if self.begun == 1 and len(self.spans) == self.ends_after:
            self.sessions.clear()
        if len(session.data) < session.size:
            return web.json_response({"nextExpectedRanges": [str(len(session.data))]})
        self._keep(session.draft, session.name, session.kind, bytes(session.data))
        del self.sessions[request.match_info["token"]]
        if self.loses_end and request.transport is not None:
            request.transport.abort()
        return web.Response(status=201, headers={"Location": f"{self.url}/Attachments('x')"})

    def _keep(self, draft: Message, name: str, kind: str, data: bytes) -> None:
        draft.files.append((f"renamed {name}" if self.renames else name, kind, data))
