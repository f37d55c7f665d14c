"""A scripted IMAP server on loopback, for what a real one does only on its bad days."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

HANG_UP = b""
CAPABILITIES = b"IMAP4rev1 SASL-IR AUTH=PLAIN IDLE"


@dataclass
class Imapd:
    """``answers`` replace what a command (by its beginning) gets; TAG stands for its tag."""

    port: int = 0
    greeting: bytes = b"* OK ready\r\n"
    capabilities: bytes = CAPABILITIES
    uidvalidity: int = 1
    mails: dict[int, bytes] = field(default_factory=dict)
    answers: dict[str, bytes | Callable[[str], bytes | None]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    sessions: int = 0
    endless: str = ""  # a pattern of commands that get no answer, though the server speaks

    def answer(self, command: str) -> bytes:
        for beginning, answer in self.answers.items():
            if command.startswith(beginning):
                scripted = answer(command) if callable(answer) else answer
                if scripted is not None:
                    return scripted
        match command.split():
            case ["CAPABILITY"]:
                return b"* CAPABILITY " + self.capabilities + b"\r\nTAG OK\r\n"
            case ["EXAMINE", *_]:
                uidnext = max(self.mails, default=0) + 1
                return (
                    b"* %d EXISTS\r\n* OK [UIDVALIDITY %d]\r\n* OK [UIDNEXT %d]\r\nTAG OK done\r\n"
                    % (len(self.mails), self.uidvalidity, uidnext)
                )
            case ["STATUS", folder, *_]:
                uidnext = max(self.mails, default=0) + 1
                return b"* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)\r\nTAG OK\r\n" % (
                    folder.encode(),
                    len(self.mails),
                    uidnext,
                    self.uidvalidity,
                )
            case ["UID", "SEARCH", "UID", span, "LARGER", size]:
                larger = [u for u in uids_of(span) if len(self.mails.get(u, b"")) > int(size)]
                return b"* SEARCH %s\r\nTAG OK\r\n" % b" ".join(b"%d" % uid for uid in larger)
            case ["UID", "SEARCH", "UID", span, *_]:
                first = int(span.split(":")[0])
                found = [uid for uid in self.mails if uid >= first] or [*self.mails][-1:]
                return b"* SEARCH %s\r\nTAG OK\r\n" % b" ".join(b"%d" % uid for uid in found)
            case ["UID", "FETCH", span, *items]:
                return self._fetch(span, " ".join(items))
            case _:
                return b"TAG OK\r\n"

    def _fetch(self, span: str, items: str) -> bytes:
        wanted = uids_of(span)
        lines = []
        for uid, raw in self.mails.items():
            if uid in wanted:
                if "SIZE" in items:
                    lines.append(b"* 1 FETCH (UID %d RFC822.SIZE %d)" % (uid, len(raw)))
                else:
                    date = f'INTERNALDATE "{datetime.now(UTC):%d-%b-%Y %H:%M:%S} +0000"'.encode()
                    body = b"BODY[] {%d}\r\n%s" % (len(raw), raw)
                    lines.append(b"* 1 FETCH (UID %d %s %s)" % (uid, date, body))
        return b"".join(line + b"\r\n" for line in lines) + b"TAG OK\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        writer.write(self.greeting)
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            if not command:  # the answer to a challenge
                self.commands.append(tag)
                continue
            self.commands.append(command)
            while self.endless and re.match(self.endless, command):
                writer.write(b"* OK Waiting for authentication process to respond..\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
            reply = self.answer(command)
            if not reply or reply.endswith(b"HANGUP"):
                writer.write(reply.removesuffix(b"HANGUP"))
                break
            writer.write(re.sub(rb"\bTAG\b", tag.encode(), reply))
        writer.close()


def uids_of(sequence: str) -> set[int]:
    """``1:3,7`` as numbers."""
    ends = [run.split(":") for run in sequence.split(",")]
    return {uid for run in ends for uid in range(int(run[0]), int(run[-1]) + 1)}


@asynccontextmanager
async def imapd() -> AsyncIterator[Imapd]:
    server = Imapd()
    open_sessions: set[asyncio.Task[None]] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_sessions.add(task)
        try:
            await server.serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            open_sessions.discard(task)
            writer.transport.abort()

    listener = await asyncio.start_server(session, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in open_sessions:
            task.cancel()
        await asyncio.sleep(0.01)
