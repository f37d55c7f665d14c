"""A mailbox whose every answer a test decides: an implementation of mail.provider.Provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from desk.email import Address, ParsedEmail
from desk.errors import DeskError
from mail.parse import parse
from mail.provider import NOWHERE, Arrival, Origin, Page, Ready, at_once, message_id_of
from tests.doubles.desk import START


@dataclass
class ScriptedMailbox:
    """``failures`` are raised by the next sends, one each; ``keeps`` says whether such a mail
    nevertheless left, as it does when the line breaks after the last byte."""

    arrivals: list[Arrival] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    recipients: list[tuple[str, ...]] = field(default_factory=list)
    failures: list[DeskError] = field(default_factory=list)
    keeps: bool = False

    def arrive(self, raw: bytes) -> None:
        self.arrivals.append(Arrival(str(len(self.arrivals)), raw, START))

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        start = int(checkpoint or 0)
        page = tuple(self.arrivals[start : start + limit])
        reached = start + len(page)
        return Page(page, str(reached), reached < len(self.arrivals))

    async def wait(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return False

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        await ready()
        self.origins.append(origin)
        self.recipients.append(tuple(recipients))
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or self.keeps:
            self.sent.append(mime)
        if failure is not None:
            raise failure

    async def find_sent(self, message_id: str) -> bool:
        return any(message_id_of(mime) == message_id for mime in self.sent)

    def sent_mails(self) -> list[ParsedEmail]:
        return [parse(mime) for mime in self.sent]


async def parse_here(raw: bytes) -> ParsedEmail:
    """For Intake, where no child process is wanted."""
    return parse(raw)


CUSTOMER = Address("Priya Nair", "priya@lindqvist.example")


def raw_mail(subject: str, text: str, id: str, answers: str = "") -> bytes:
    """What a customer's mail program sends."""
    thread = f"In-Reply-To: {answers}\nReferences: {answers}\n" if answers else ""
    return (
        f"From: {CUSTOMER}\nTo: support@lanewright.example\nSubject: {subject}\n"
        f"Message-ID: {id}\nDate: Fri, 20 Nov 2026 10:00:00 +0100\n{thread}"
        f"Content-Type: text/plain; charset=utf-8\n\n{text}\n"
    ).encode()
