"""What a server sends, taken out by lines and by counts; large strings are never held twice."""

from __future__ import annotations

import asyncio
from io import BytesIO

from mail.imap_wire import literal_size

LINE_BYTES = 4 * 1024 * 1024  # a SEARCH answer of some 400,000 mails is one line
CHUNK_BYTES = 256 * 1024
END = b"\r\n"


class LongLine(Exception):
    """A line does not end within LINE_BYTES."""


class Incoming:
    """Timers and the event loop cost more than a short reply: they are used once a chunk.

    Raises TimeoutError, with nothing lost, when nothing comes for ``seconds``; EOFError; OSError.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._waiting = bytearray()

    @property
    def is_ended(self) -> bool:
        return self._reader.at_eof()

    def whole(self, longest: int) -> list[bytes] | None:
        """A reply, if all of it is here: its line and, while that announces one, a string (of
        ``longest`` bytes at most) and what follows it."""
        parts: list[bytes] = []
        start = 0
        with memoryview(self._waiting) as view:
            while (end := self._waiting.find(END, start) + len(END)) >= len(END):
                parts.append(bytes(view[start:end]))
                size = literal_size(parts[-1])
                if size is None:
                    break
                start = end + size
                if start > len(view) or size > longest:
                    return None
                parts.append(bytes(view[end:start]))
            else:
                return None
        del self._waiting[:end]
        return parts

    async def line(self, seconds: float) -> bytes:
        end = self._waiting.find(END)
        if end < 0:
            async with asyncio.timeout(seconds):
                while end < 0:
                    looked = max(len(self._waiting) - 1, 0)
                    await self._more()
                    end = self._waiting.find(END, looked)
                    if end < 0 and len(self._waiting) > LINE_BYTES:
                        raise LongLine
        return self._taken(end + len(END))

    async def string(self, size: int, seconds: float) -> bytes:
        if size > CHUNK_BYTES:
            return await self._long(size, seconds)
        while len(self._waiting) < size:
            async with asyncio.timeout(seconds):
                await self._more()
        return self._taken(size)

    async def comes(self, seconds: float) -> bool:
        """Whether more comes in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._more()
        except TimeoutError:
            return False
        return True

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    async def _long(self, size: int, seconds: float) -> bytes:
        content = BytesIO(self._taken(min(size, len(self._waiting))))
        content.seek(0, 2)
        while (left := size - content.tell()) > 0:
            async with asyncio.timeout(seconds):
                chunk = await self._reader.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise EOFError
            content.write(chunk)
        return content.getvalue()  # gives its content away without a copy

    async def _more(self) -> None:
        chunk = await self._reader.read(CHUNK_BYTES)
        if not chunk:
            raise EOFError
        self._waiting += chunk

    def _taken(self, size: int) -> bytes:
        with memoryview(self._waiting) as view:
            piece = bytes(view[:size])
        del self._waiting[:size]
        return piece
