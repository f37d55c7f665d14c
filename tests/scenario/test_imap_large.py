"""Mails of many megabytes: texts come, attachments are named, memory stays small."""

from __future__ import annotations

import tracemalloc
from email.message import EmailMessage

import pytest

from mail.imap_large import Node, read_structure
from mail.imap_wire import Value
from mail.parse import parse
from mail.provider import Page
from tests.doubles.dovecot import dovecot
from tests.doubles.imap_box import mail, numbers, provider, read_all

MB = 1024 * 1024


def heavy(size: int) -> bytes:
    """A text in two forms, a picture in it, a forwarded mail, and an attachment of ``size``."""
    message = EmailMessage()
    message["Message-ID"] = "<heavy@example.org>"
    message["From"], message["To"] = "c@example.org", "alice@example.org"
    message["Subject"] = "mail 7"
    message.set_content("The drawings äöü are attached.\n")
    message.add_alternative("<p>The drawings <b>äöü</b> are attached.</p>", subtype="html")
    message.add_attachment(b"\x89PNG" * 100, "image", "png", filename="logo.png")
    inner = EmailMessage()
    inner["Subject"] = "the order"
    inner.set_content("Please send 30 scanners.\n")
    message.add_attachment(inner)
    message.add_attachment(bytes(size), "application", "pdf", filename="plän.pdf")
    return message.as_bytes().replace(b"\n", b"\r\n")


async def read_first(size: int, raw: bytes) -> tuple[Page, int]:
    """The page with this mail, and the most memory that reading it took."""
    with dovecot() as server:
        server.fill([raw, mail(8)])
        async with provider(server, silence=20.0) as box:
            tracemalloc.start()
            page = await box.fetch("")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            rest, _ = await read_all(box, page.checkpoint)
            assert len(rest) + len(page.arrivals) == 2
            assert page.more or not rest
            return page, peak


async def test_of_a_large_mail_the_texts_come_and_the_attachments_are_named() -> None:
    page, peak = await read_first(22 * MB, heavy(22 * MB))
    assert numbers(page) == [7]
    assert peak < 4 * MB
    found, whole = parse(page.arrivals[0].raw), parse(heavy(10))
    assert (found.message_id, found.text, found.sender) == (
        whole.message_id,
        whole.text,
        whole.sender,
    )
    assert [(one.name, one.type) for one in found.attachments] == [
        (one.name, one.type) for one in whole.attachments
    ]
    assert [one.size for one in found.attachments][:-1] == [one.size for one in whole.attachments][
        :-1
    ]
    assert found.attachments[-1].size == 0
    assert (found.truncated, whole.truncated) == (True, False)
    assert "the rest is in the mailbox itself" in " ".join(found.defects)


async def test_a_large_mail_of_nothing_but_text_is_cut() -> None:
    head = b"Message-ID: <1@x>\r\nSubject: mail 1\r\n\r\n"
    page, peak = await read_first(26 * MB, head + b"All work and no play.\r\n" * (26 * MB // 23))
    raw = page.arrivals[0].raw
    assert (numbers(page), len(raw) < 2 * MB, peak < 6 * MB) == ([1], True, True)
    assert parse(raw).text.startswith("All work and no play.\nAll work")
    assert parse(raw).truncated


async def test_a_mail_that_is_not_that_large_comes_unchanged_and_is_held_once() -> None:
    raw = heavy(14 * MB)
    page, peak = await read_first(14 * MB, raw)
    assert page.arrivals[0].raw == raw
    assert peak < 1.3 * len(raw)


@pytest.mark.parametrize(
    ("value", "sections"),
    [
        (None, [b""]),
        ([], [b""]),
        ([b"text", b"plain", None, None, None, b"7bit", b"5", b"1"], [b""]),
        ([[b"text", b"plain", None, None, None, b"7bit", b"x"], b"mixed"], [b"", b"1"]),
        ([[[[]], b"related"], [b"a"], b"mixed", [b"b"]], [b"", b"1", b"1.1", b"1.1.1", b"2"]),
    ],
)
def test_whatever_a_server_says_of_the_structure_is_read(
    value: Value, sections: list[bytes]
) -> None:
    assert [node.section for node in read_structure(value).walk()] == sections


def test_a_structure_nested_too_deep_ends() -> None:
    value: list[Value] = [b"text", b"plain"]
    for _ in range(500):
        value = [value, b"mixed"]
    assert isinstance(read_structure(value), Node)
    assert len(list(read_structure(value).walk())) < 50
