"""The socket of an IMAP client: whole replies in, bytes out, and every failure translated."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from io import BytesIO
from typing import Literal

from desk.errors import Misconfigured, Permanent, Transient
from mail.imap_wire import Reply, literal_size, read_reply

Tls = Literal["none", "starttls", "tls"]
LINE_BYTES = 4 * 1024 * 1024  # a SEARCH answer of some 400,000 mails is one line
CHUNK_BYTES = 64 * 1024


class ImapConnection:
    """``silence`` is how long the server may say nothing, ``literal_bytes`` a string's limit."""

    def __init__(
        self,
        host: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        silence: float,
        literal_bytes: int,
    ) -> None:
        self.host = host
        self.silence = silence
        self._reader = reader
        self._writer = writer
        self._literal_bytes = literal_bytes

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        silence: float,
        literal_bytes: int,
    ) -> ImapConnection:
        try:
            async with asyncio.timeout(silence):
                streams = await asyncio.open_connection(host, port, ssl=context, limit=LINE_BYTES)
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(host, error) from error
        except TimeoutError as error:
            raise Transient(f"{host}:{port} does not answer.") from error
        except OSError as error:
            raise Transient(f"{host}:{port} cannot be reached: {error}") from error
        _keep_alive(streams[1])
        return cls(host, *streams, silence, literal_bytes)

    @property
    def is_open(self) -> bool:
        return not self._writer.is_closing() and not self._reader.at_eof()

    def abort(self) -> None:
        """Close at once, without a word."""
        self._writer.transport.abort()

    async def closed(self) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def write(self, content: bytes) -> None:
        try:
            self._writer.write(content)
            async with asyncio.timeout(self.silence):
                await self._writer.drain()
        except TimeoutError as error:
            raise self._silent() from error
        except OSError as error:
            raise self._gone(error) from error

    async def read(self) -> Reply:
        """The next reply; Transient when the server is silent or gone."""
        try:
            return await self.read_within(self.silence)
        except TimeoutError as error:
            raise self._silent() from error

    async def read_within(self, seconds: float) -> Reply:
        """The next reply; TimeoutError, with nothing lost, when none begins in time."""
        try:
            async with asyncio.timeout(seconds):
                parts = [await self._reader.readuntil(b"\r\n")]
            while (size := literal_size(parts[-1])) is not None:
                parts += [await self._literal(size), await self._rest()]
        except asyncio.LimitOverrunError as error:
            raise Permanent(f"{self.host} sent a line of more than {LINE_BYTES} bytes.") from error
        except TimeoutError:  # is an OSError
            raise
        except (OSError, EOFError) as error:
            raise self._gone(error) from error
        return read_reply(parts)

    async def _literal(self, size: int) -> bytes:
        if size > self._literal_bytes:
            raise Permanent(f"{self.host} sent a string of {size:,} bytes, more than was asked.")
        literal = BytesIO()  # gives its content away without a copy
        while (left := size - literal.tell()) > 0:
            try:
                async with asyncio.timeout(self.silence):
                    chunk = await self._reader.read(min(CHUNK_BYTES, left))
            except TimeoutError as error:
                raise self._silent() from error
            if not chunk:
                raise EOFError("in the middle of a string")
            literal.write(chunk)
        return literal.getvalue()

    async def _rest(self) -> bytes:
        try:
            async with asyncio.timeout(self.silence):
                return await self._reader.readuntil(b"\r\n")
        except TimeoutError as error:
            raise self._silent() from error

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The rest is encrypted. Bytes that came before are an attack (RFC 9051 §11.1)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await self._reader.read(1)
            raise Misconfigured(f"{self.host} spoke before encryption began: somebody interferes.")
        try:
            await self._writer.start_tls(
                context, server_hostname=self.host, ssl_handshake_timeout=self.silence
            )
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(self.host, error) from error
        except OSError as error:
            raise self._gone(error) from error

    def _silent(self) -> Transient:
        return Transient(f"{self.host} has not answered for {self.silence:g} seconds.")

    def _gone(self, error: Exception) -> Transient:
        why = "" if isinstance(error, EOFError) else f": {error}"
        return Transient(f"{self.host} closed the connection{why}.")


def _untrusted(host: str, error: ssl.SSLCertVerificationError) -> Misconfigured:
    return Misconfigured(
        f"The certificate of {host} is not valid: {error.verify_message}. "
        "Correct the host name or the machine's certificates."
    )


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Notice within a minute a server that vanished without a word while we only listen."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
