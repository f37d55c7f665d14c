"""Tries of what works: each failure says what to do, and what hangs on it is left out."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from desk.errors import Misconfigured, Refused, Transient
from mail.checkup import Finding, Try, encrypted, reaching, tried
from mail.checkup_imap import imap_tries
from mail.imap_account import ImapAccount
from mail.smtp import SmtpSender
from tests.doubles.certificate import make_certificate, trusting
from tests.doubles.dovecot import PASSWORD, dovecot
from tests.doubles.smtpd import smtpd
from tests.services import free_port


async def outcomes(*tries: Try, seconds: float = 5.0) -> dict[str, Finding]:
    return {finding.name: finding async for finding in tried(tries, seconds)}


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK hello\r\n")
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def found() -> str:
    return "found"


async def absent() -> str:
    raise Refused("there is none")


async def broken() -> str:
    raise Transient("It is away: try again")


async def silent() -> str:
    await asyncio.sleep(60)
    return "never"


async def test_what_hangs_on_a_failure_is_not_tried_and_the_rest_is() -> None:
    told = await outcomes(
        Try("a", found),
        Try("b", broken, ("a",)),
        Try("c", found, ("b",)),
        Try("d", found, ("c",)),
        Try("e", absent, ("a",)),
        Try("f", found, ("e",)),
    )
    assert [finding.ok for finding in told.values()] == [True, False, None, None, None, True]
    assert told["d"].detail == "not tried: it needs c"
    assert told["b"].detail == "It is away: try again"


async def test_who_does_not_answer_is_not_waited_for_long() -> None:
    told = await outcomes(Try("a", silent), seconds=0.05)
    assert told["a"].detail.startswith("There was no answer within")


async def test_a_name_that_cannot_be_one_and_a_port_that_is_closed_are_told() -> None:
    told = await outcomes(*reaching("", f"{'x' * 70}.example", 993))
    assert (told["find"].ok, told["connect"].ok) == (False, None)
    assert "correct it" in told["find"].detail
    told = await outcomes(*reaching("smtp ", "127.0.0.1", free_port()))
    assert (told["smtp find"].ok, told["smtp connect"].ok) == (True, False)
    assert "firewall" in told["smtp connect"].detail


async def test_certificates_are_told(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with listening(context) as port:
        said = await encrypted("127.0.0.1", port, trusting(certificate))
        assert said.startswith("TLSv1.")
        assert "valid until" in said
        with pytest.raises(Misconfigured, match="ca_file"):
            await encrypted("127.0.0.1", port, None)
    async with listening() as port:
        with pytest.raises(Misconfigured, match="correct port and tls"):
            await encrypted("127.0.0.1", port, None)


async def test_folders_that_are_not_there_and_senders_that_may_not_are_told() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing:
            outgoing.mail = "550 5.7.1 you may not send as this"
            account = ImapAccount(
                "127.0.0.1",
                server.imap,
                "alice",
                PASSWORD,
                tls="none",
                folders=("INBOX", "Orders"),
                sent_folder="Outgoing",
            )
            sender = SmtpSender("127.0.0.1", outgoing.port, tls="none", timeout=5)
            told = await outcomes(*imap_tries(account, sender, "alice@example.org"))
            assert outgoing.taken == []
    failed = {name: finding.detail for name, finding in told.items() if finding.ok is False}
    assert set(failed) == {"read", "sent folder", "send"}
    assert "Correct read_folders: Orders" in failed["read"]
    assert "Correct sent_folder" in failed["sent folder"]
    assert "you may not send as this" in failed["send"]
