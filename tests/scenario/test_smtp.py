"""Sending: after each way in which a server can fail, we know what we know and no more."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.errors import Ambiguous, Away, Misconfigured, Permanent, Transient
from mail.smtp import SmtpSender, Tls, stuffed, with_line_ends
from tests.doubles.certificate import make_certificate, trusting
from tests.doubles.smtpd import Smtpd, smtpd
from tests.services import free_port

MIME = b"Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\n.dot\r\n..two\r\nend\r\n"
ANN, BOB = "ann@example.org", "bob@example.org"


def sender(server: Smtpd, tls: Tls = "none", **settings: object) -> SmtpSender:
    return SmtpSender(
        "127.0.0.1",
        server.port,
        tls=tls,
        timeout=10,
        **settings,  # type: ignore[arg-type]
    )


async def test_an_accepted_mail_arrives_byte_for_byte_for_everybody() -> None:
    async with smtpd() as server:
        await sender(server).send(MIME, "us@example.org", [ANN, BOB])
    [taken] = server.taken
    assert taken.original_content == MIME
    assert (taken.mail_from, taken.rcpt_tos) == ("us@example.org", [ANN, BOB])


@pytest.mark.parametrize("line_end", [b"\n", b"\r"])
async def test_bare_line_ends_leave_as_crlf(line_end: bytes) -> None:
    # A server that takes a bare LF for a line end would read "\n.\n" as the end of the mail and
    # the rest as commands (SMTP smuggling, RFC 5321 §2.3.8).
    mime = line_end.join([b"Subject: hi", b"", b"one", b".", b"MAIL FROM:<evil@example.org>", b""])
    async with smtpd() as server:
        await sender(server).send(mime, "us@example.org", [ANN])
    assert [taken.original_content for taken in server.taken] == [mime.replace(line_end, b"\r\n")]


async def test_a_bounce_address_may_be_empty() -> None:
    async with smtpd() as server:
        await sender(server).send(MIME, "", [ANN])
    assert server.taken[0].mail_from == "<>"


async def test_a_refused_recipient_is_permanent_in_the_servers_words_and_nobody_gets_it() -> None:
    async with smtpd() as server:
        server.rcpt[BOB] = "550 5.1.1 No such user here"
        with pytest.raises(Permanent, match=r"bob@example\.org: 550 5\.1\.1 No such user here"):
            await sender(server).send(MIME, "us@example.org", [ANN, BOB])
    assert server.taken == []


async def test_a_greylisted_recipient_is_transient_and_nobody_gets_it() -> None:
    async with smtpd() as server:
        server.rcpt[BOB] = "451 4.7.1 Greylisted, come back"
        with pytest.raises(Transient, match=r"451 4\.7\.1 Greylisted") as caught:
            await sender(server).send(MIME, "us@example.org", [BOB, ANN])
    assert server.taken == []
    assert not isinstance(caught.value, Away), "that says nothing of the server"


@pytest.mark.parametrize("order", [[ANN, BOB], [BOB, ANN]])
async def test_a_refusal_for_good_outweighs_a_refusal_for_now(order: list[str]) -> None:
    async with smtpd() as server:
        server.rcpt.update({ANN: "451 later", BOB: "550 never"})
        with pytest.raises(Permanent, match="550 never"):
            await sender(server).send(MIME, "us@example.org", order)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("550 sender unknown", Permanent),
        ("452 disk full", Transient),
        ("421 shutting down", Away),
        ("530 log in", Misconfigured),
    ],
)
async def test_the_answer_to_the_sender_decides(answer: str, error: type[Exception]) -> None:
    async with smtpd() as server:
        server.mail = answer
        with pytest.raises(error, match=answer):
            await sender(server).send(MIME, "us@example.org", [ANN])
    assert server.taken == []


@pytest.mark.parametrize(
    ("answer", "error"), [("554 no", Permanent), ("421 shutting down", Transient)]
)
@pytest.mark.parametrize("place", ["data", "dot"])
async def test_a_refusal_in_words_is_definite_before_and_after_the_body(
    place: str, answer: str, error: type[Exception]
) -> None:
    async with smtpd() as server:
        setattr(server, place, answer)
        with pytest.raises(error, match=answer):
            await sender(server).send(MIME, "us@example.org", [ANN])
    assert server.taken == []


async def test_a_connection_lost_before_the_body_is_transient() -> None:
    async with smtpd() as server:
        server.data = "drop"
        with pytest.raises(Transient):
            await sender(server).send(MIME, "us@example.org", [ANN])
    assert server.taken == []


@pytest.mark.parametrize("end", ["drop", "stall"])
async def test_silence_after_the_body_is_ambiguous_because_the_mail_may_have_left(end: str) -> None:
    async with smtpd() as server:
        server.dot = end
        with pytest.raises(Ambiguous, match="before sending again"):
            await sender(server, body_timeout=0.5 if end == "stall" else 10).send(
                MIME, "us@example.org", [ANN]
            )
        assert len(server.taken) == 1


async def test_an_answer_that_is_no_smtp_after_the_body_is_ambiguous() -> None:
    async with smtpd() as server:
        server.dot = "hello there"
        with pytest.raises(Ambiguous):
            await sender(server).send(MIME, "us@example.org", [ANN])


async def test_a_connection_lost_in_the_middle_of_the_body_is_ambiguous() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go"):
            writer.write(answer + b"\r\n")
            await reader.readline()
        writer.transport.abort()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Ambiguous):
            await SmtpSender("127.0.0.1", port, tls="none", timeout=3).send(
                MIME + b"x" * 10_000_000, "us@example.org", [ANN]
            )


async def test_an_absent_server_is_transient() -> None:
    absent = SmtpSender("127.0.0.1", free_port(), tls="none", timeout=1)
    with pytest.raises(Away, match="cannot be reached"):
        await absent.send(MIME, "us@example.org", [ANN])


async def test_a_server_that_never_greets_is_transient() -> None:
    ended = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Away):
            await SmtpSender("127.0.0.1", port, tls="none", timeout=0.2).send(
                MIME, "us@example.org", [ANN]
            )
        await ended.wait()


async def test_a_mail_above_the_servers_limit_is_refused_before_it_is_handed_over() -> None:
    async with smtpd(data_size_limit=1000) as server:
        with pytest.raises(Permanent, match="takes at most 1,000"):
            await sender(server).send(MIME + b"x" * 1000, "us@example.org", [ANN])


@pytest.mark.parametrize(
    "recipient", ["a@b>\r\nRCPT TO:<x@y", "two words@example.org", "Ann <a@b>", "a@b, c@d", ""]
)
async def test_an_address_cannot_smuggle_commands(recipient: str) -> None:
    async with smtpd() as server:
        with pytest.raises(Permanent):
            await sender(server).send(MIME, "us@example.org", [ANN, recipient])
    assert server.taken == []


async def test_addresses_in_other_scripts_need_a_server_that_takes_them() -> None:
    async with smtpd(enable_SMTPUTF8=True) as server:
        await sender(server).send(MIME, "us@example.org", ["jörg@example.org"])
        assert server.taken[0].rcpt_tos == ["jörg@example.org"]
    async with smtpd(enable_SMTPUTF8=False) as server:
        with pytest.raises(Permanent, match="ASCII"):
            await sender(server).send(MIME, "us@example.org", ["jörg@example.org"])


async def test_a_mail_without_recipients_is_refused() -> None:
    with pytest.raises(Permanent, match="no recipient"):
        await SmtpSender("127.0.0.1", 9).send(MIME, "us@example.org", [])


async def test_a_wrong_password_is_a_matter_of_settings() -> None:
    async with smtpd() as server:
        await sender(server, user="us", password="secret").send(MIME, "us@example.org", [ANN])
        assert server.logins
        with pytest.raises(Misconfigured, match="login of us"):
            await sender(server, user="us", password="wrong").send(MIME, "us@example.org", [ANN])
    assert len(server.taken) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    make_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return tmp_path / "certificate.pem"


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


async def test_starttls_encrypts_and_trusts_only_known_certificates(certificate: Path) -> None:
    async with smtpd(serving(certificate), require_starttls=True) as server:
        trusted = sender(server, "starttls", tls_context=trusting(certificate))
        await trusted.send(MIME, "us@example.org", [ANN])
        assert len(server.taken) == 1
        with pytest.raises(Misconfigured, match=r"certificate of 127\.0\.0\.1"):
            await sender(server, "starttls").send(MIME, "us@example.org", [ANN])
    assert len(server.taken) == 1


async def test_starttls_that_is_not_offered_is_not_skipped() -> None:
    async with smtpd() as server:
        with pytest.raises(Misconfigured, match="STARTTLS"):
            await sender(server, "starttls").send(MIME, "us@example.org", [ANN])
    assert server.taken == []


async def test_a_password_is_not_shown_in_a_trace() -> None:
    assert "hush" not in repr(SmtpSender("h", 1, "us", "hush"))


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x"])).map(b"".join))
def test_whatever_the_lines_are_like_a_server_reads_them_back(mime: bytes) -> None:
    body = with_line_ends(mime)
    assert body == re.sub(rb"\r\n|\r|\n", b"\r\n", mime)
    sent = stuffed(body)
    assert sent.endswith(b"\r\n.\r\n")
    lines = sent.removesuffix(b".\r\n").split(b"\r\n")[:-1]
    assert b"." not in lines  # nothing ends the mail before its end
    read = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)
    assert read == (body if body.endswith(b"\r\n") else body + b"\r\n")
