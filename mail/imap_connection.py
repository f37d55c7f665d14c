"""The socket of an IMAP client: whole replies in, bytes out, and every failure translated."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Literal

from desk.errors import Misconfigured, Permanent, Transient
from mail.imap_incoming import CHUNK_BYTES, LINE_BYTES, Incoming, LongLine
from mail.imap_wire import Reply, literal_size, read_reply

Tls = Literal["none", "starttls", "tls"]


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
        self._incoming = Incoming(reader)
        self._writer = writer
        self._literal_bytes = literal_bytes

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        patience: float,
        silence: float,
        literal_bytes: int,
    ) -> ImapConnection:
        """``patience`` is how long it may take."""
        try:
            async with asyncio.timeout(patience):
                streams = await asyncio.open_connection(host, port, ssl=context, limit=CHUNK_BYTES)
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
        return not self._writer.is_closing() and not self._incoming.is_ended

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

    def ready(self) -> Reply | None:
        """The next reply, if it is here already."""
        parts = self._incoming.whole(self._literal_bytes)
        return read_reply(parts) if parts else None

    async def read(self) -> Reply:
        """The next reply; Transient when the server is silent or gone."""
        try:
            return await self.read_within(self.silence)
        except TimeoutError as error:
            raise self._silent() from error

    async def read_within(self, seconds: float) -> Reply:
        """The next reply; TimeoutError, with nothing lost, when none begins in time."""
        try:
            parts = [await self._incoming.line(seconds)]
            while (size := literal_size(parts[-1])) is not None:
                parts += await self._string(size)
        except LongLine as error:
            raise Permanent(f"{self.host} sent a line of more than {LINE_BYTES} bytes.") from error
        except TimeoutError:  # is an OSError
            raise
        except (OSError, EOFError) as error:
            raise self._gone(error) from error
        return read_reply(parts)

    async def _string(self, size: int) -> tuple[bytes, bytes]:
        """A literal, and the rest of its line."""
        if size > self._literal_bytes:
            raise Permanent(f"{self.host} sent a string of {size:,} bytes, more than was asked.")
        try:
            literal = await self._incoming.string(size, self.silence)
            return literal, await self._incoming.line(self.silence)
        except TimeoutError as error:
            raise self._silent() from error

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The rest is encrypted. Bytes that came before are an attack (RFC 9051 §11.1)."""
        try:
            if not self._incoming.is_empty or await self._incoming.comes(0.01):
                raise Misconfigured(
                    f"{self.host} spoke before encryption began: somebody interferes."
                )
            await self._writer.start_tls(
                context, server_hostname=self.host, ssl_handshake_timeout=self.silence
            )
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(self.host, error) from error
        except (OSError, EOFError) as error:
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
