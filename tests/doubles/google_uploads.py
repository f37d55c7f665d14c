"""Resumable uploads as Gmail takes them, in front of an emulator that does not know them.

https://developers.google.com/gmail/api/guides/uploads#resumable: parts in order and multiples of
256 KiB, "308 Resume Incomplete" with the Range that arrived, a question with ``bytes */length``,
and 404 for a session that is no more.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.doubles.fault_proxy import FaultProxy, Reply

SPAN = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
SEND = "/gmail/v1/users/me/messages/send"


@dataclass
class Session:
    about: dict[str, Any]
    length: int
    data: bytearray = field(default_factory=bytearray)
    reply: Reply | None = None  # once it was sent


@dataclass
class Uploads:
    """``ends_after`` so many parts the session is no more; ``keeps`` is the most that is taken of
    a part."""

    proxy: FaultProxy
    sessions: dict[str, Session] = field(default_factory=dict)
    begun: int = 0
    spans: list[str] = field(default_factory=list)
    signed: list[bool] = field(default_factory=list)
    ends_after: int = 0
    keeps: int = 1 << 40

    async def begin(self, request: web.Request) -> Reply:
        length = int(request.headers["X-Upload-Content-Length"])
        if request.headers["X-Upload-Content-Type"] != "message/rfc822":
            return Reply.of(400, {"error": {"code": 400, "message": "Invalid media type."}})
        id = secrets.token_hex(8)
        self.sessions[id] = Session(json.loads(await request.read()), length)
        self.begun += 1
        address = f"{self.proxy.url}/upload{SEND}?uploadType=resumable&upload_id={id}"
        return Reply.of(200, {}, Location=address)

    async def take(self, request: web.Request) -> Reply:
        id = request.query["upload_id"]
        session = self.sessions.get(id)
        span = SPAN.fullmatch(request.headers["Content-Range"])
        assert span is not None
        self.spans.append(span[0])
        self.signed.append("Authorization" in request.headers)
        part = await request.read()
        if session is None:
            return Reply.of(404, {"error": {"code": 404, "message": "Not Found"}})
        if session.reply is None and part:
            self._add(session, span, part)
            if len(session.data) == session.length:
                session.reply = await self._sent(session)
            if len([one for one in self.spans if "*" not in one]) == self.ends_after:
                del self.sessions[id]
        return session.reply or _incomplete(session)

    def _add(self, session: Session, span: re.Match[str], part: bytes) -> None:
        start, end, total = (int(number) for number in span.groups())
        assert (end - start + 1, total) == (len(part), session.length)
        assert start == len(session.data)
        assert len(part) % (256 * 1024) == 0 or end + 1 == total
        session.data += part[: self.keeps]

    async def _sent(self, session: Session) -> Reply:
        raw = base64.urlsafe_b64encode(bytes(session.data)).decode()
        body = json.dumps({**session.about, "raw": raw}).encode()
        return await self.proxy.forward("POST", SEND, {"Content-Type": "application/json"}, body)


def _incomplete(session: Session) -> Reply:
    arrived = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
    return Reply(308, b"", arrived)
