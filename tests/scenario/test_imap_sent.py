"""The copy of a reply in the IMAP folder of sent mail."""

from __future__ import annotations

import pytest

from desk.errors import Ambiguous, Misconfigured, Permanent
from tests.doubles.dovecot import dovecot
from tests.doubles.imap_box import mail, provider
from tests.doubles.imapd import HANG_UP, imapd
from tests.doubles.smtpd import smtpd

SENT = b"Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nhello\r\n"


async def test_the_copy_goes_to_the_folder_that_the_server_marks_as_sent() -> None:
    with dovecot(special_sent=True) as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            await box.send(SENT, "us@example.org", ["ann@example.org"])
            assert await box.find_sent("<1@example.org>")
        folder = server.maildir() / ".Gesendete Elemente"
        copies = [path.read_bytes() for path in folder.glob("cur/*")]
        assert copies == [SENT.replace(b"\r\n", b"\n")]


async def test_the_configured_sent_folder_is_used_and_must_exist() -> None:
    with dovecot(special_sent=True) as server:
        async with smtpd() as outgoing:
            async with provider(server, outgoing, sent_folder="Gesendete Elemente") as box:
                await box.send(SENT, "us@example.org", ["ann@example.org"])
                assert await box.find_sent("<1@example.org>")
            async with provider(server, outgoing, sent_folder="Envoyés") as box:
                with pytest.raises(Misconfigured, match="cannot be opened"):
                    await box.find_sent("<1@example.org>")


async def test_a_copy_that_is_there_already_is_not_filed_twice() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            for _ in range(2):
                await box.send(SENT, "us@example.org", ["ann@example.org"])
        assert len(list(server.maildir().glob(".Sent/*/*.*"))) == 1


async def test_a_copy_that_cannot_be_filed_does_not_make_a_sent_mail_fail() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            server.kill()
            await box.send(SENT, "us@example.org", ["ann@example.org"])
        assert len(outgoing.taken) == 1


@pytest.mark.parametrize("answer", [b"TAG NO [OVERQUOTA] full\r\n", b"TAG BAD what?\r\n", HANG_UP])
async def test_a_refused_copy_does_not_make_a_sent_mail_fail(answer: bytes) -> None:
    async with imapd() as server, smtpd() as outgoing, provider(server, outgoing) as box:
        server.answers["APPEND"] = answer
        await box.send(SENT, "us@example.org", ["ann@example.org"])
        assert len(outgoing.taken) == 1
        assert any(command.startswith("APPEND") for command in server.commands)
        assert not await box.find_sent("<2@example.org>")


async def test_a_mail_that_did_not_surely_leave_is_not_filed_as_sent() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            outgoing.dot = "drop"
            with pytest.raises(Ambiguous):
                await box.send(SENT, "us@example.org", ["ann@example.org"])
            outgoing.dot = "554 no"
            with pytest.raises(Permanent):
                await box.send(SENT, "us@example.org", ["ann@example.org"])
            assert not await box.find_sent("<1@example.org>")


async def test_a_message_id_cannot_smuggle_commands() -> None:
    with dovecot() as server:
        server.deliver(mail(1))
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            await box.send(SENT, "us@example.org", ["ann@example.org"])
            assert not await box.find_sent('<x>"\r\nd99 LOGOUT\r\n')
            assert await box.find_sent("<1@example.org>")
