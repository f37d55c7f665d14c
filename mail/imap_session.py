"""One IMAP connection's turn-taking (RFC 9051 §2.2): tags, commands, answers, and what a server may
say at any time.

One command runs at a time and its caller reads the socket: a dead server is noticed in the read
itself, a FETCH streams, and a slow reader slows the server down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count

from desk.errors import DeskError, Permanent, Transient
from mail.imap_connection import ImapConnection
from mail.imap_wire import Reply, quote

# RFC 5530 §3; THROTTLED and OVERQUOTA (bandwidth) are Gmail's.
BUSY = {b"UNAVAILABLE", b"INUSE", b"LIMIT", b"SERVERBUG", b"THROTTLED", b"OVERQUOTA"}


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that travel by their count."""

    content: bytes


class Expunged(Permanent):
    """Some of the mails that were asked for are gone."""


class Refusal(Exception):
    """The tagged answer NO or BAD: the command ended in order, the connection goes on."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(answer.text)
        self.answer = answer


class ImapSession:
    """Strings among a command's words are quoted, bytes go out as they are.

    Raises Transient (the server is away or busy) and Permanent (it refuses the command). Whatever
    breaks a command off closes the connection: only a refused command leaves it open.
    """

    def __init__(self, connection: ImapConnection) -> None:
        self.capabilities: frozenset[str] = frozenset()
        self.has_news = False  # set by more mail in the open folder, cleared by who acts on it
        self.connection = connection
        self.host = connection.host
        self.exists = 0
        self._tags = count(1)
        self._turn = asyncio.Lock()
        self._leaving = False

    @property
    def is_open(self) -> bool:
        return self.connection.is_open

    async def logout(self) -> None:
        """Say goodbye when that is possible, and close."""
        self._leaving = True
        if self.is_open and not self._turn.locked():
            with suppress(DeskError, TimeoutError):
                async with asyncio.timeout(2):
                    await self.command(b"LOGOUT")
        self.connection.abort()
        await self.connection.closed()

    async def command(self, *words: bytes | str | Literal) -> list[Reply]:
        """The untagged replies to a command that the server accepts."""
        async with self.alone():
            return await self.run(*words)

    async def ask_capabilities(self) -> None:
        for reply in await self.command(b"CAPABILITY"):
            if reply.word == b"CAPABILITY":
                words = b"".join(reply.parts).decode("ascii", "replace").upper().split()
                self.capabilities = frozenset(words)

    # The protocol

    @asynccontextmanager
    async def alone(
        self, refused: Callable[[Reply], DeskError] | None = None
    ) -> AsyncIterator[None]:
        """One command at a time; one that is broken off leaves replies behind: close."""
        async with self._turn:
            try:
                yield
            except Refusal as refusal:
                raise (refused or self._refused)(refusal.answer) from None
            except BaseException:
                self.connection.abort()
                raise

    def _refused(self, answer: Reply) -> DeskError:
        words = f"{self.host} answered: {answer.word.decode('ascii', 'replace')} {answer.text}"
        if b"EXPUNGEISSUED" in answer.code:
            return Expunged(words)
        return Transient(words) if BUSY.intersection(answer.code) else Permanent(words)

    async def run(self, *words: bytes | str | Literal) -> list[Reply]:
        tag = await self.begin(*words)
        replies = []
        while (reply := await self.next_reply()).tag != tag:
            replies.append(reply)
        accept(reply)
        return replies

    async def begin(self, *words: bytes | str | Literal) -> bytes:
        tag = b"d%d" % next(self._tags)
        line = tag
        for word in words:
            piece = quote(word) if isinstance(word, str) else word
            if piece is None:
                piece = Literal(str(word).encode())
            if isinstance(piece, Literal):
                await self.connection.write(b"%s {%d}\r\n" % (line, len(piece.content)))
                if (reply := await self.until_go_on(tag)).tag == tag:
                    raise Refusal(reply)
                line = piece.content
            else:
                line += b" " + piece
        await self.connection.write(line + b"\r\n")
        return tag

    async def until_go_on(self, tag: bytes) -> Reply:
        while (reply := await self.next_reply()).tag not in (b"+", tag):
            pass
        return reply

    async def next_reply(self) -> Reply:
        return self.note(self.connection.ready() or await self.connection.read())

    def note(self, reply: Reply) -> Reply:
        """Keep what a server may say at any time (RFC 9051 §7)."""
        if reply.tag == b"*":
            if reply.word == b"BYE" and not self._leaving:
                raise Transient(f"{self.host} ended the connection: {reply.text}")
            if reply.word == b"EXISTS" and reply.number is not None:
                self.has_news = self.has_news or reply.number > self.exists
                self.exists = reply.number
            elif reply.word == b"EXPUNGE":
                self.exists -= 1
        return reply


def accept(answer: Reply) -> None:
    if answer.word != b"OK":
        raise Refusal(answer)
