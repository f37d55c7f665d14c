"""What works in a mailbox and what does not: small tries, one after another; none sends a mail."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from desk.errors import DeskError, Misconfigured, Refused, Transient

SECONDS = 30.0
"""For one try."""


@dataclass(frozen=True, slots=True)
class Try:
    """``run`` returns what it found, raises DeskError with what to do, and Refused when there is
    nothing to try. It is left out when one of ``needs`` did not work."""

    name: str
    run: Callable[[], Awaitable[str]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """``ok`` is None where nothing was tried."""

    name: str
    ok: bool | None
    detail: str


async def tried(tries: Sequence[Try], seconds: float = SECONDS) -> AsyncIterator[Finding]:
    failed: list[str] = []
    for one in tries:
        if missing := [name for name in one.needs if name in failed]:
            failed.append(one.name)
            yield Finding(one.name, None, f"not tried: it needs {missing[0]}")
            continue
        finding = await _outcome(one, seconds)
        if finding.ok is False:
            failed.append(one.name)
        yield finding


async def _outcome(one: Try, seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds):
            return Finding(one.name, True, await one.run())
    except Refused as nothing:
        return Finding(one.name, None, str(nothing))
    except DeskError as error:
        return Finding(one.name, False, str(error))
    except TimeoutError:
        return Finding(one.name, False, f"There was no answer within {seconds:.0f} seconds")


# -- servers


def reaching(what: str, host: str, port: int) -> list[Try]:
    """Its name is known, and it answers on its port. ``what`` begins the names of the tries."""
    found, connected = f"{what}find", f"{what}connect"
    return [
        Try(found, lambda: _resolved(host, port)),
        Try(connected, lambda: _connected(host, port), (found,)),
    ]


async def _resolved(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise Misconfigured(f"{host} cannot be the name of a server: correct it") from error
    except OSError as error:
        raise Misconfigured(
            f"{host} is not known ({error.strerror or error}): correct the host name"
        ) from error
    return f"{host} is {', '.join(sorted({str(one[4][0]) for one in found}))}"


async def _connected(host: str, port: int) -> str:
    started = asyncio.get_running_loop().time()
    await _closed(*await _opened(host, port, None))
    took = asyncio.get_running_loop().time() - started
    return f"{host}:{port} answers in {took * 1000:.0f} ms"


async def encrypted(host: str, port: int, context: ssl.SSLContext | None) -> str:
    """TLS from the first byte, with the certificate's end."""
    made = context or await asyncio.to_thread(ssl.create_default_context)
    reader, writer = await _opened(host, port, made)
    tls = writer.get_extra_info("ssl_object")
    until = (tls.getpeercert() or {}).get("notAfter", "")
    said = f"{tls.version()}, the certificate is valid until {until}"
    await _closed(reader, writer)
    return said


async def _opened(
    host: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            f"The certificate of {host} is not valid: {error.verify_message}. Correct the host"
            " name, or name who signed it in ca_file"
        ) from error
    except ssl.SSLError as error:
        raise Misconfigured(
            f"{host}:{port} does not speak TLS from the start ({error.reason}): correct port and"
            " tls"
        ) from error
    except OSError as error:
        raise Transient(
            f"{host}:{port} cannot be reached ({error.strerror or error}): correct the port, or"
            " have the firewall opened"
        ) from error


async def _closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.sleep(0)


# -- a Maildir


def maildir_tries(folder: Path) -> list[Try]:
    return [
        Try("find", lambda: asyncio.to_thread(_is_there, folder)),
        Try("read", lambda: asyncio.to_thread(_counted, folder), ("find",)),
        Try("sent mail", lambda: asyncio.to_thread(_writable, folder), ("find",)),
        Try("quota", lambda: asyncio.to_thread(_free, folder), ("find",)),
    ]


def _is_there(folder: Path) -> str:
    missing = [name for name in ("tmp", "new", "cur") if not (folder / name).is_dir()]
    if missing:
        raise Misconfigured(
            f"{folder} is no Maildir: {', '.join(missing)} is missing. Correct the folder, or"
            " start Maildesk once, which makes it"
        )
    return str(folder)


def _counted(folder: Path) -> str:
    try:
        count = sum(1 for name in ("new", "cur") for _ in os.scandir(folder / name))
    except OSError as error:
        raise Misconfigured(f"{error.filename} cannot be read: {error.strerror}") from error
    return f"{count} mails"


def _writable(folder: Path) -> str:
    sent = folder / ".Sent"
    place = sent / "tmp" if sent.exists() else folder
    if not os.access(place, os.W_OK | os.X_OK):
        raise Misconfigured(f"{place} cannot be written: replies could not be kept there")
    return f"{sent} keeps the replies; nothing leaves this machine"


def _free(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    if free < 100 * 1024 * 1024:
        raise Misconfigured(f"Only {free / 1024**2:.0f} MB are free on the disk of {folder}")
    return f"{free / 1024**3:.1f} GB are free"
