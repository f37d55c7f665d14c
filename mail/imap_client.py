"""A small IMAP client (RFC 9051, RFC 3501): the commands that a mailbox needs, by name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from desk.errors import Transient
from mail.imap_connection import ImapConnection, Tls
from mail.imap_login import greet
from mail.imap_session import ImapSession, Literal, accept
from mail.imap_wire import (
    Fetched,
    Listed,
    Reply,
    Value,
    read_fetch,
    read_items,
    read_list,
    read_number,
    read_status,
)


@dataclass(frozen=True, slots=True)
class Selected:
    """What the server says when a folder is opened; 0 = it does not say."""

    uidvalidity: int = 0
    uidnext: int = 0
    exists: int = 0


class ImapClient(ImapSession):
    """Raises Misconfigured, beside what the session raises, when the server does not let us in."""

    def __init__(self, connection: ImapConnection) -> None:
        super().__init__(connection)
        self.folder = ""
        self.opened = Selected()  # what the server said of the folder when it was opened

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        tls: Tls = "tls",
        *,
        silence: float = 60.0,
        patience: float = 60.0,
        literal_bytes: int = 64 * 1024 * 1024,
        tls_context: ssl.SSLContext | None = None,
    ) -> ImapClient:
        """A greeted connection, begun within ``patience`` seconds; see ImapConnection for
        ``silence`` and ``literal_bytes``."""
        context = None
        if tls != "none":
            context = tls_context or await asyncio.to_thread(ssl.create_default_context)
        connection = await ImapConnection.open(
            host, port, context if tls == "tls" else None, patience, silence, literal_bytes
        )
        client = cls(connection)
        try:
            await greet(client, context if tls == "starttls" else None)
        except BaseException:
            connection.abort()
            raise
        return client

    async def select(self, folder: str, *, read_only: bool = True) -> Selected:
        """Open a folder; ``has_news`` then speaks of it."""
        self.folder = ""
        numbers = {b"UIDVALIDITY": 0, b"UIDNEXT": 0}
        self.exists = 0
        for reply in await self.command(b"EXAMINE" if read_only else b"SELECT", folder):
            if len(reply.code) > 1 and reply.code[0] in numbers:
                numbers[reply.code[0]] = read_number(reply.code[1]) or 0
        self.folder = folder
        self.has_news = False
        self.opened = Selected(numbers[b"UIDVALIDITY"], numbers[b"UIDNEXT"], self.exists)
        return self.opened

    async def status(self, folder: str) -> Selected:
        """The same of a folder that is not open, cheaply (RFC 9051 §6.3.11)."""
        numbers: dict[bytes, int] = {}
        for reply in await self.command(b"STATUS", folder, b"(MESSAGES UIDNEXT UIDVALIDITY)"):
            numbers |= read_status(reply)
        return Selected(*(numbers.get(n, 0) for n in (b"UIDVALIDITY", b"UIDNEXT", b"MESSAGES")))

    async def uid_search(self, *criteria: bytes | str) -> list[int]:
        """UIDs in ascending order."""
        uids: set[int] = set()
        for reply in await self.command(b"UID SEARCH", *criteria):
            if reply.word == b"SEARCH":
                uids.update(read_number(word) or 0 for word in reply.parts[0].split())
        return sorted(uids - {0})

    async def uid_fetch(self, uids: bytes, items: bytes) -> AsyncGenerator[Fetched, None]:
        """Mails as they come in; close it (aclosing) when leaving early. Changed flags that a
        server mixes in have no size and body."""
        async with self.alone():
            tag = await self.begin(b"UID FETCH", uids, items)
            while (reply := await self.next_reply()).tag != tag:
                if reply.word == b"FETCH" and (fetched := read_fetch(reply)):
                    yield fetched
            accept(reply)

    async def uid_items(self, uid: int, items: bytes) -> dict[bytes, Value]:
        """All that one mail says to these items, by name; nothing when it is gone."""
        found: dict[bytes, Value] = {}
        for reply in await self.command(b"UID FETCH", b"%d" % uid, items):
            said = read_items(reply) if reply.word == b"FETCH" else {}
            if said.get(b"UID") == b"%d" % uid:
                found |= said
        return found

    async def list_folders(self) -> list[Listed]:
        """All folders, with their special uses (RFC 6154) where the server knows them."""
        words: list[bytes | str] = [b"LIST", "", "*"]
        if {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities:
            words.append(b"RETURN (SPECIAL-USE)")
        replies = await self.command(*words)
        return [found for reply in replies if (found := read_list(reply))]

    async def create(self, folder: str) -> None:
        await self.command(b"CREATE", folder)

    async def append(self, folder: str, raw: bytes, flags: bytes = b"(\\Seen)") -> None:
        await self.command(b"APPEND", folder, flags, Literal(raw))

    async def noop(self) -> None:
        """Lets the server tell its news."""
        await self.command(b"NOOP")

    async def idle(self, seconds: float, answer: float) -> None:
        """Returns as soon as ``has_news``, or after ``seconds`` (RFC 2177: below 29 minutes).

        Then the server has ``answer`` seconds to say that it is still there.
        """
        async with self.alone():
            deadline = asyncio.get_running_loop().time() + seconds
            tag = await self.begin(b"IDLE")
            reply = await self.until_go_on(tag)
            with suppress(TimeoutError):
                while reply.tag != tag and not self.has_news:
                    left = deadline - asyncio.get_running_loop().time()
                    reply = self.note(await self.connection.read_within(max(left, 0)))
            if reply.tag != tag:
                reply = await self._done(tag, answer)
            accept(reply)

    async def _done(self, tag: bytes, seconds: float) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                await self.connection.write(b"DONE\r\n")
                while (reply := await self.next_reply()).tag != tag:
                    pass
                return reply
        except TimeoutError as error:
            raise Transient(f"{self.host} does not answer any more.") from error
