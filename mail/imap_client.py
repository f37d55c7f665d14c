"""A small IMAP client (RFC 9051, RFC 3501).

One command runs at a time and its caller reads the socket: a dead server is noticed in the read
itself, a FETCH streams, and a slow reader slows the server down.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count

from desk.errors import DeskError, Misconfigured, Permanent, Transient
from mail.imap_connection import ImapConnection, Tls
from mail.imap_wire import (
    Fetched,
    Listed,
    Reply,
    Value,
    quote,
    read_fetch,
    read_items,
    read_list,
    read_status,
)

# RFC 5530 §3; THROTTLED and OVERQUOTA (bandwidth) are Gmail's.
BUSY = {b"UNAVAILABLE", b"INUSE", b"LIMIT", b"SERVERBUG", b"THROTTLED", b"OVERQUOTA"}


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that travel by their count."""

    content: bytes


class LoginRefused(Misconfigured):
    """Password or token are not right."""


class Expunged(Permanent):
    """Some of the mails that were asked for are gone."""


class Refusal(Exception):
    """The tagged answer NO or BAD: the command ended in order, the connection goes on."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(answer.text)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Selected:
    """What the server says when a folder is opened; 0 = it does not say."""

    uidvalidity: int = 0
    uidnext: int = 0
    exists: int = 0


class ImapClient:
    """Strings among a command's words are quoted, bytes go out as they are.

    Raises Transient (the server is away or busy), Misconfigured (it does not let us in) and
    Permanent (it refuses the command). Whatever breaks a command off closes the connection:
    only a refused command leaves it open.
    """

    def __init__(self, connection: ImapConnection) -> None:
        self.capabilities: frozenset[str] = frozenset()
        self.folder = ""
        self.opened = Selected()  # what the server said of the folder when it was opened
        self.has_news = False  # set by more mail in the open folder, cleared by who acts on it
        self._connection = connection
        self._host = connection.host
        self._exists = 0
        self._tags = count(1)
        self._turn = asyncio.Lock()
        self._leaving = False

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        tls: Tls = "tls",
        *,
        silence: float = 60.0,
        literal_bytes: int = 64 * 1024 * 1024,
        tls_context: ssl.SSLContext | None = None,
    ) -> ImapClient:
        """A greeted connection; see ImapConnection for ``silence`` and ``literal_bytes``."""
        context = None
        if tls != "none":
            context = tls_context or await asyncio.to_thread(ssl.create_default_context)
        connection = await ImapConnection.open(
            host, port, context if tls == "tls" else None, silence, literal_bytes
        )
        client = cls(connection)
        try:
            await client._greet(context if tls == "starttls" else None)
        except BaseException:
            connection.abort()
            raise
        return client

    async def _greet(self, upgrade: ssl.SSLContext | None) -> None:
        greeting = await self._connection.read()
        if greeting.word == b"BYE":
            raise Transient(f"{self._host} takes no connections now: {greeting.text}")
        if greeting.tag != b"*" or greeting.word not in (b"OK", b"PREAUTH"):
            raise Misconfigured(f"{self._host} does not speak IMAP on this port; correct it.")
        await self._ask_capabilities()
        if upgrade:
            # PREAUTH would keep STARTTLS away and all mail in clear (RFC 9051 §11.1).
            if greeting.word == b"PREAUTH" or "STARTTLS" not in self.capabilities:
                raise Misconfigured(f"{self._host} offers no STARTTLS; set tls to tls.")
            await self.command(b"STARTTLS")
            await self._connection.start_tls(upgrade)
            await self._ask_capabilities()

    @property
    def is_open(self) -> bool:
        return self._connection.is_open

    async def logout(self) -> None:
        """Say goodbye when that is possible, and close."""
        self._leaving = True
        if self.is_open and not self._turn.locked():
            with suppress(DeskError, TimeoutError):
                async with asyncio.timeout(2):
                    await self.command(b"LOGOUT")
        self._connection.abort()
        await self._connection.closed()

    # Signing in

    async def login(self, user: str, password: str) -> None:
        """AUTHENTICATE PLAIN where it is offered, else LOGIN."""
        if "AUTH=PLAIN" in self.capabilities:
            await self._authenticate(b"PLAIN", f"\0{user}\0{password}", user)
            return
        if "LOGINDISABLED" in self.capabilities:
            raise Misconfigured(
                f"{self._host} takes no password in clear; set tls to starttls or tls."
            )
        async with self._alone(refused=partial(self._not_let_in, user)):
            await self._run(b"LOGIN", user, password)
        await self._ask_capabilities()

    async def bear(self, user: str, token: str) -> None:
        """Sign in with an OAuth access token, by OAUTHBEARER (RFC 7628) where XOAUTH2 is not
        offered: https://developers.google.com/gmail/imap/xoauth2-protocol."""
        bearer = f"auth=Bearer {token}\1\1"
        if {"AUTH=OAUTHBEARER", "AUTH=XOAUTH2"} & self.capabilities == {"AUTH=OAUTHBEARER"}:
            name = user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4
            await self._authenticate(b"OAUTHBEARER", f"n,a={name},\1{bearer}", user, b"AQ==")
        else:
            await self._authenticate(b"XOAUTH2", f"user={user}\1{bearer}", user)

    async def _authenticate(
        self, mechanism: bytes, secret: str, user: str, regret: bytes = b""
    ) -> None:
        """``regret`` answers a challenge that tells an error, and the refusal follows."""
        if f"AUTH={mechanism.decode()}" not in self.capabilities:
            raise Misconfigured(f"{self._host} does not offer {mechanism.decode()} logins.")
        answers = [base64.b64encode(secret.encode())]
        words = [b"AUTHENTICATE", mechanism]
        if "SASL-IR" in self.capabilities:
            words.append(answers.pop())
        async with self._alone(refused=partial(self._not_let_in, user)):
            tag = await self._send(*words)
            while (reply := await self._next()).tag != tag:
                if reply.tag == b"+":
                    await self._connection.write((answers.pop() if answers else regret) + b"\r\n")
            _accept(reply)
        await self._ask_capabilities()

    def _not_let_in(self, user: str, answer: Reply) -> DeskError:
        if BUSY.intersection(answer.code) or "too many" in answer.text.lower():
            return Transient(f"{self._host} lets nobody in now: {answer.text}")
        return LoginRefused(
            f"{self._host} refused the login of {user}: {answer.text}. Correct user and password."
        )

    async def _ask_capabilities(self) -> None:
        for reply in await self.command(b"CAPABILITY"):
            if reply.word == b"CAPABILITY":
                words = b"".join(reply.parts).decode("ascii", "replace").upper().split()
                self.capabilities = frozenset(words)

    # Commands

    async def select(self, folder: str, *, read_only: bool = True) -> Selected:
        """Open a folder; ``has_news`` then speaks of it."""
        self.folder = ""
        numbers = {b"UIDVALIDITY": 0, b"UIDNEXT": 0}
        self._exists = 0
        for reply in await self.command(b"EXAMINE" if read_only else b"SELECT", folder):
            if len(reply.code) > 1 and reply.code[0] in numbers and reply.code[1].isdigit():
                numbers[reply.code[0]] = int(reply.code[1])
        self.folder = folder
        self.has_news = False
        self.opened = Selected(numbers[b"UIDVALIDITY"], numbers[b"UIDNEXT"], self._exists)
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
                uids.update(int(word) for word in reply.parts[0].split() if word.isdigit())
        return sorted(uids)

    async def uid_fetch(self, uids: bytes, items: bytes) -> AsyncGenerator[Fetched, None]:
        """Mails as they come in; close it (aclosing) when leaving early. Changed flags that a
        server mixes in have no size and body."""
        async with self._alone():
            tag = await self._send(b"UID FETCH", uids, items)
            while (reply := await self._next()).tag != tag:
                if reply.word == b"FETCH" and (fetched := read_fetch(reply)):
                    yield fetched
            _accept(reply)

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
        async with self._alone():
            deadline = asyncio.get_running_loop().time() + seconds
            tag = await self._send(b"IDLE")
            reply = await self._until_go_on(tag)
            with suppress(TimeoutError):
                while reply.tag != tag and not self.has_news:
                    left = deadline - asyncio.get_running_loop().time()
                    reply = self._note(await self._connection.read_within(max(left, 0)))
            if reply.tag != tag:
                reply = await self._done(tag, answer)
            _accept(reply)

    async def _done(self, tag: bytes, seconds: float) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                await self._connection.write(b"DONE\r\n")
                while (reply := await self._next()).tag != tag:
                    pass
                return reply
        except TimeoutError as error:
            raise Transient(f"{self._host} does not answer any more.") from error

    async def command(self, *words: bytes | str | Literal) -> list[Reply]:
        """The untagged replies to a command that the server accepts."""
        async with self._alone():
            return await self._run(*words)

    # The protocol

    @asynccontextmanager
    async def _alone(
        self, refused: Callable[[Reply], DeskError] | None = None
    ) -> AsyncIterator[None]:
        """One command at a time; one that is broken off leaves replies behind: close."""
        async with self._turn:
            try:
                yield
            except Refusal as refusal:
                raise (refused or self._refused)(refusal.answer) from None
            except BaseException:
                self._connection.abort()
                raise

    def _refused(self, answer: Reply) -> DeskError:
        words = f"{self._host} answered: {answer.word.decode('ascii', 'replace')} {answer.text}"
        if b"EXPUNGEISSUED" in answer.code:
            return Expunged(words)
        return Transient(words) if BUSY.intersection(answer.code) else Permanent(words)

    async def _run(self, *words: bytes | str | Literal) -> list[Reply]:
        tag = await self._send(*words)
        replies = []
        while (reply := await self._next()).tag != tag:
            replies.append(reply)
        _accept(reply)
        return replies

    async def _send(self, *words: bytes | str | Literal) -> bytes:
        tag = b"d%d" % next(self._tags)
        line = tag
        for word in words:
            piece = quote(word) if isinstance(word, str) else word
            if piece is None:
                piece = Literal(str(word).encode())
            if isinstance(piece, Literal):
                await self._connection.write(b"%s {%d}\r\n" % (line, len(piece.content)))
                if (reply := await self._until_go_on(tag)).tag == tag:
                    raise Refusal(reply)
                line = piece.content
            else:
                line += b" " + piece
        await self._connection.write(line + b"\r\n")
        return tag

    async def _until_go_on(self, tag: bytes) -> Reply:
        while (reply := await self._next()).tag not in (b"+", tag):
            pass
        return reply

    async def _next(self) -> Reply:
        return self._note(self._connection.ready() or await self._connection.read())

    def _note(self, reply: Reply) -> Reply:
        """Keep what a server may say at any time (RFC 9051 §7)."""
        if reply.tag == b"*":
            if reply.word == b"BYE" and not self._leaving:
                raise Transient(f"{self._host} ended the connection: {reply.text}")
            if reply.word == b"EXISTS" and reply.number is not None:
                self.has_news = self.has_news or reply.number > self._exists
                self._exists = reply.number
            elif reply.word == b"EXPUNGE":
                self._exists -= 1
        return reply


def _accept(answer: Reply) -> None:
    if answer.word != b"OK":
        raise Refusal(answer)
