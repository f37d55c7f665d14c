"""An approved reply as the bytes that leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk.email import Address, Attachment, Kind, ParsedEmail
from desk.errors import Permanent
from desk.response import Envelope
from mail.compose import (
    compose,
    may_reply,
    receiving_address,
    reply_recipients,
    reply_subject,
)
from mail.parse import parse

NOW = datetime(2026, 10, 5, 12, 30, tzinfo=UTC)
US = Address("Tea Shop", "support@shop.example")
ANN = Address("Ann Example", "ann@example.com")
OUTLOOK_ID = f"<{'A1B2C3D4' * 14}@AM0PR01MB1234.eurprd01.prod.exchangelabs.com>"
QUESTION = ParsedEmail(
    message_id=OUTLOOK_ID,
    references=("<first@example.com>", "<second@shop.example>"),
    sender=ANN,
    to=(US,),
    subject="Broken kettle",
    date=NOW - timedelta(hours=1),
    text="It leaks.\n\n> Does it leak?\nAnn",
)
ENVELOPE = Envelope(
    to=(ANN,), cc=(), subject="Re: Broken kettle", text="Dear Ann,\n\nwe are sorry."
)
ID = "<maildesk.1.2.abc@shop.example>"


def lines_of(raw: bytes, name: str) -> list[bytes]:
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b"\0")
    return [
        line
        for line in head.split(b"\r\n")
        if line.lower().startswith(name.lower().encode() + b":")
    ]


def send(envelope: Envelope = ENVELOPE, answered: ParsedEmail = QUESTION) -> bytes:
    return compose(envelope, answered, US, ID, NOW)


def test_what_is_composed_is_read_back() -> None:
    found = parse(send())
    assert found.sender == US
    assert found.to == (ANN,)
    assert found.subject == "Re: Broken kettle"
    assert found.message_id == ID
    assert found.in_reply_to == OUTLOOK_ID
    assert found.references == ("<first@example.com>", "<second@shop.example>", OUTLOOK_ID)
    assert found.date == NOW
    assert found.reply == "Dear Ann,\n\nwe are sorry."
    assert "> It leaks." in found.quoted
    assert found.kind is Kind.PERSON
    assert found.defects == ()


def test_long_ids_are_never_folded_into_encoded_words() -> None:
    raw = send()
    assert b"=?" not in raw
    assert OUTLOOK_ID.encode() in raw


def test_references_keep_the_first_and_the_last_twenty() -> None:
    many = tuple(f"<{n}.{'x' * 80}@example.com>" for n in range(100))
    raw = send(answered=ParsedEmail(message_id="<q@example.com>", references=many, sender=ANN))
    found = parse(raw).references
    assert found == (many[0], *many[-19:], "<q@example.com>")
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_in_reply_to_stands_in_for_missing_references() -> None:
    answered = ParsedEmail(message_id="<b@x.example>", in_reply_to="<a@x.example>", sender=ANN)
    assert parse(send(answered=answered)).references == ("<a@x.example>", "<b@x.example>")


def test_an_id_that_we_made_up_is_not_referred_to() -> None:
    raw = send(answered=parse(b"From: ann@example.com\n\nIt leaks."))
    assert lines_of(raw, "In-Reply-To") == []
    assert lines_of(raw, "References") == []


def test_a_reply_that_a_person_approved_is_not_marked_as_automatic() -> None:
    raw = send()
    assert lines_of(raw, "Auto-Submitted") == []
    assert lines_of(raw, "X-Auto-Response-Suppress") == [
        b"X-Auto-Response-Suppress: OOF, AutoReply"
    ]


def test_an_independent_reader_finds_text_and_html() -> None:
    envelope = Envelope(
        (ANN,), (), "Re: Grüße 🎉", f"Grüße <b> & https://shop.example/a?b=1.\n{'x' * 2000}"
    )
    raw = send(envelope, ParsedEmail(sender=ANN, text="It leaks."))
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().startswith("Grüße <b> & https://shop.example/a?b=1.\r\n")
    assert "Grüße &lt;b&gt; &amp; <a href" in html.get_content()
    assert '<blockquote class="gmail_quote" type="cite">' in html.get_content()
    assert message["subject"] == "Re: Grüße 🎉"
    assert max(map(len, raw.split(b"\r\n"))) <= 78


def test_lines_end_in_crlf_and_everything_is_7_bit() -> None:
    raw = send(Envelope((Address("Jürgen", "j@größe.example"),), (), "Re: ä", "ü\r\nö\rä"))
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"j@xn--gre-6ka8i.example" in raw


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope((), (), "Re: a", "x"),
        Envelope((ANN,), (), "Re: a\r\nBcc: x@evil.example", "x"),
        Envelope((Address("A\nBcc: x@evil.example", ANN.address),), (), "Re: a", "x"),
        Envelope((Address("A", "a@b.example\r\nBcc: x@evil.example"),), (), "Re: a", "x"),
        Envelope((Address("A", "a@b.example>, <x@evil.example"),), (), "Re: a", "x"),
        Envelope((Address("A", "a@b.example, x@evil.example"),), (), "Re: a", "x"),
        Envelope((Address("A", "nobody"),), (), "Re: a", "x"),
        Envelope((ANN,), (Address("", ""),), "Re: a", "x"),
        Envelope((Address("A", "jürgen@b.example"),), (), "Re: a", "x"),
        Envelope((Address("A", f"a@{'x' * 70}.example"),), (), "Re: a", "x"),
        Envelope((ANN,), (), "Re: a", "x", (Attachment("a", "text/plain", 1, "0" * 64),)),
    ],
)
def test_what_must_not_leave_is_refused(envelope: Envelope) -> None:
    with pytest.raises(Permanent):
        send(envelope)


@pytest.mark.parametrize("message_id", ["", "x", "<a b@c>", "<a@b>\r\nBcc: x@evil.example"])
def test_bad_message_ids_are_refused(message_id: str) -> None:
    with pytest.raises(Permanent):
        compose(ENVELOPE, QUESTION, US, message_id, NOW)


def test_ids_of_the_answered_mail_cannot_inject_headers() -> None:
    answered = ParsedEmail(message_id="<a@b>\r\nBcc: x@evil.example", references=("<c@d>\n\nbody",))
    raw = send(answered=answered)
    assert lines_of(raw, "Bcc") == []
    assert lines_of(raw, "References") == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.text(max_size=400), st.text(max_size=30))
def test_whatever_is_typed_either_is_refused_or_arrives(subject: str, text: str, name: str) -> None:
    envelope = Envelope((Address(name, "ann@example.com"),), (), f"Re: {subject}", text)
    try:
        raw = send(envelope, ParsedEmail())
    except Permanent:
        return
    message = message_from_bytes(raw, policy=default)
    assert [one.addr_spec for one in message["to"].addresses] == ["ann@example.com"]
    assert set(message.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "X-Auto-Response-Suppress"),
        *("MIME-Version", "Content-Type"),
    }


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("Broken kettle", "Re: Broken kettle"),
        ("Re: Broken kettle", "Re: Broken kettle"),
        ("RE: AW: Re[2]: Broken kettle", "Re: Broken kettle"),
        ("Fwd: Broken kettle", "Re: Fwd: Broken kettle"),
        ("", "Re:"),
        ("Re:", "Re:"),
    ],
)
def test_re_stands_there_once(subject: str, answer: str) -> None:
    assert reply_subject(subject) == answer
    assert reply_subject(answer) == answer


OWN = ("Support@shop.example",)


@pytest.mark.parametrize(
    ("parsed", "to"),
    [
        (ParsedEmail(sender=ANN), (ANN,)),
        (
            ParsedEmail(sender=ANN, reply_to=(Address("", "other@example.com"),)),
            (Address("", "other@example.com"),),
        ),
        (ParsedEmail(sender=ANN, reply_to=(US,)), (ANN,)),
        (ParsedEmail(sender=US, reply_to=(ANN, US, ANN)), (ANN,)),
        (ParsedEmail(sender=US), ()),
        (ParsedEmail(sender=Address("root", "")), ()),
    ],
)
def test_the_reply_goes_to_reply_to_else_to_the_sender(
    parsed: ParsedEmail, to: tuple[Address, ...]
) -> None:
    assert reply_recipients(parsed, OWN) == (to, ())


@pytest.mark.parametrize(
    ("parsed", "may"),
    [
        (ParsedEmail(sender=ANN), True),
        (ParsedEmail(sender=ANN, kind=Kind.ENCRYPTED), True),
        (ParsedEmail(sender=ANN, kind=Kind.BOUNCE), False),
        (ParsedEmail(sender=ANN, kind=Kind.AUTO), False),
        (ParsedEmail(sender=ANN, kind=Kind.LIST), False),
        (ParsedEmail(sender=ANN, kind=Kind.LIST, to=(US,)), True),
        (ParsedEmail(sender=US), False),
        (ParsedEmail(sender=Address("", "")), False),
        (ParsedEmail(sender=Address("", "MAILER-DAEMON@mx.example")), False),
        (ParsedEmail(sender=Address("", "no-reply+12@example.com")), False),
        (ParsedEmail(sender=Address("", "noreply@example.com"), reply_to=(ANN,)), True),
        (ParsedEmail(sender=Address("", "norepliesever@example.com")), True),
    ],
)
def test_nobody_answers_machines_lists_or_ourselves(parsed: ParsedEmail, may: bool) -> None:
    reason = may_reply(parsed, OWN)
    assert (reason == "") is may
    assert not reason or reason.endswith(".")


@pytest.mark.parametrize(
    ("to", "cc", "expected"),
    [
        ("help@our.example", "", "help@our.example"),
        ("HELP@our.example", "", "help@our.example"),
        ("someone@x.example", "sales@our.example", "sales@our.example"),
        ("list@x.example", "", "desk@our.example"),
    ],
)
def test_the_answer_comes_from_the_address_that_was_written_to(
    to: str, cc: str, expected: str
) -> None:
    parsed = ParsedEmail(to=(Address("", to),), cc=(Address("", cc),) if cc else ())
    aliases = ("help@our.example", "sales@our.example")
    assert receiving_address(parsed, "desk@our.example", aliases) == expected
