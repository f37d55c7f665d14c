"""A real SMTP server (aiosmtpd) on loopback that can be told how to misbehave."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.doubles.smtp_fates import AMBIGUOUS, TAKES, Fate, Fates


@dataclass
class Smtpd:
    """What to answer, and the mails that were taken."""

    port: int = 0
    rcpt: dict[str, str] = field(default_factory=dict)  # answers that differ, by address
    mail: str = "250 OK"
    data: str = "354 go on"  # to DATA; "drop" = hang up
    dot: str = "250 OK"  # to the whole mail; "drop" = take it and hang up; "stall" = be silent
    taken: list[Envelope] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    tokens: Container[str] = field(default_factory=set)  # that are good
    fates: Fates | None = None  # decides instead of the answers above
    begun: int = 0  # times that we said to go on with the body
    ended: int = 0  # connections

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.mail

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.fates is not None:
            return self._receive(server, envelope, address)
        answer = self.rcpt.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    def _receive(self, server: SMTP, envelope: Envelope, address: str) -> str:
        assert self.fates is not None
        assert isinstance(server, ScriptedSMTP)
        server.fate = self.fates.next(address)
        envelope.rcpt_tos.append(address)
        refusals = {Fate.REFUSED: "550 no such user", Fate.LATER: "451 come back later"}
        return refusals.get(server.fate, "250 OK")

    async def _decide(self, server: ScriptedSMTP, fates: Fates, envelope: Envelope) -> str:
        fate = server.fate
        if fate in TAKES:
            fates.take(envelope, fate)
        if fate in (Fate.STALLED, Fate.STALLED_LOST):
            await asyncio.sleep(60)
        if fate in AMBIGUOUS:
            hang_up(server)
        answers = {Fate.BODY_LATER: "452 no room", Fate.BODY_REFUSED: "554 looks like spam"}
        return answers.get(fate, "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.fates is not None:
            assert isinstance(server, ScriptedSMTP)
            return await self._decide(server, self.fates, envelope)
        if self.dot in ("drop", "stall") or self.dot.startswith("2"):
            self.taken.append(envelope)
        if self.dot == "stall":
            await asyncio.sleep(60)
        if self.dot == "drop":
            hang_up(server)
        return self.dot

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == b"secret"
        self.logins.append(mechanism)
        return AuthResult(success=good, handled=False)


class ScriptedSMTP(SMTP):
    """Hangs up or refuses at DATA, where aiosmtpd offers no hook."""

    script: Smtpd
    fate = Fate.TAKEN

    def connection_lost(self, error: Exception | None) -> None:
        self.script.ended += 1
        super().connection_lost(error)

    async def auth_XOAUTH2(self, server: SMTP, words: list[str]) -> AuthResult:
        """https://developers.google.com/gmail/imap/xoauth2-protocol#smtp_protocol_exchange"""
        said = base64.b64decode(words[1]).decode()
        self.script.logins.append(said.partition("Bearer ")[2].rstrip("\1"))
        good = self.script.logins[-1] in self.script.tokens
        if not good:
            await self.challenge_auth('{"status":"400"}')
        return AuthResult(success=good, handled=False)

    async def smtp_DATA(self, arg: str) -> None:
        if self.script.data == "drop" or self.fate is Fate.DATA_DROPPED:
            hang_up(self)
        elif self.script.data.startswith("354"):
            self.script.begun += 1
            await super().smtp_DATA(arg)
        else:
            await self.push(self.script.data)


def hang_up(server: SMTP) -> None:
    transport = server.transport
    assert isinstance(transport, asyncio.Transport)
    transport.abort()


@asynccontextmanager
async def smtpd(context: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Smtpd]:
    """``context`` offers STARTTLS; ``settings`` are aiosmtpd's."""
    script = Smtpd()
    sessions: list[ScriptedSMTP] = []

    def session() -> ScriptedSMTP:
        server = ScriptedSMTP(
            script,
            hostname="localhost",
            tls_context=context,
            authenticator=script.authenticate,
            auth_require_tls=False,
            **settings,
        )
        server.script = script
        sessions.append(server)
        return server

    listener = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    script.port = listener.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        listener.close()
        for server in sessions:
            if server.transport is not None:
                hang_up(server)
        await asyncio.sleep(0)
        await listener.wait_closed()
