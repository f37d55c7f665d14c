"""mail.parse on whole mails: what the desk reads out of well and badly formed ones."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from desk.email import Address, Kind, ParsedEmail
from mail.parse import as_json, parse
from mail.provider import Lack

PLAIN = (
    b"From: Ann Example <ann@example.com>\r\n"
    b"To: Support <support@shop.example>, other@shop.example\r\n"
    b"Subject: Broken kettle\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"In-Reply-To: <0@shop.example>\r\n"
    b"References: <a@shop.example>\r\n <0@shop.example>\r\n"
    b"Date: Mon, 5 Oct 2026 14:03:00 +0200\r\n"
    b"\r\n"
    b"It leaks.\r\n"
)


def mail(body: bytes, content_type: str = "text/plain", **headers: str) -> bytes:
    lines = [f"Content-Type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\n".join(lines).encode() + b"\n\n" + body


def multipart(kind: str, *parts: bytes) -> bytes:
    body = b"".join(b"--XX\n" + part + b"\n" for part in parts)
    return mail(body + b"--XX--\n", f'multipart/{kind}; boundary="XX"')


def test_reads_every_field_of_a_plain_mail() -> None:
    found = parse(PLAIN)
    assert found == ParsedEmail(
        message_id="<1@example.com>",
        in_reply_to="<0@shop.example>",
        references=("<a@shop.example>", "<0@shop.example>"),
        sender=Address("Ann Example", "ann@example.com"),
        to=(Address("Support", "support@shop.example"), Address("", "other@shop.example")),
        subject="Broken kettle",
        date=datetime(2026, 10, 5, 12, 3, tzinfo=UTC),
        text="It leaks.",
        reply="It leaks.",
    )


@pytest.mark.parametrize(
    ("declared", "data", "text"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", "“Grüße” €".encode("cp1252"), "“Grüße” €"),
        ("iso-8859-1", "Grüße".encode(), "Grüße"),
        ("windows-874", "สวัสดี".encode("cp874"), "สวัสดี"),
        ("ks_c_5601-1987", "안녕 똠".encode("cp949"), "안녕 똠"),
        ("gb2312", "朱镕基".encode("gb18030"), "朱镕基"),
        ("X-UNKNOWN", "Grüße".encode("cp1252"), "Grüße"),
        ("", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("unicode-escape", "Grüße \\x41".encode(), "Grüße \\x41"),
        ("punycode", "Grüße".encode(), "Grüße"),
        ("zlib", "Grüße".encode(), "Grüße"),
        ("utf-16", "Grüße".encode("utf-16"), "Grüße"),
        ("utf-8", "Grüße, schöne Größe".encode() + b"\xc3", "Grüße, schöne Größe\ufffd"),
    ],
)
def test_the_text_is_readable_whatever_charset_is_declared(
    declared: str, data: bytes, text: str
) -> None:
    charset = f"text/plain; charset={declared}" if declared else "text/plain"
    assert parse(mail(data, charset)).text == text


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),  # padding lost
        ("=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),  # RFC 2231 §5
        ("=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=", "Grüße"),  # split inside a letter
        ("=?utf-8?Q?a?= =?iso-8859-1?Q?=E4?=", "aä"),
        ("=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        ("Re:=?utf-8?Q?_a_b?=", "Re: a b"),
        ("=?utf-8?Q?a b c?=", "a b c"),  # blanks are not allowed there
        ("=?x-none?Q?Gr=FC=DFe?=", "Grüße"),
        ("=?utf-8?Q?a=00b=0D=0ABcc:_c@d?=", "a b Bcc: c@d"),
        ("a \u202egnp.exe", "a gnp.exe"),
        ("=?broken", "=?broken"),
    ],
)
def test_subjects_are_decoded_into_one_clean_line(raw: str, subject: str) -> None:
    assert parse(f"Subject: {raw}\n\nx".encode()).subject == subject


def test_raw_8_bit_headers_are_guessed() -> None:
    assert parse("Subject: Grüße".encode("cp1252") + b"\n\nx").subject == "Grüße"


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        ("Date: Mon, 5 Oct 2026 14:03:00 +0200", "2026-10-05T14:03:00+02:00"),
        ("Date: 2026-10-05T14:03:00Z", "2026-10-05T14:03:00+00:00"),
        ("Date: Mon, 5 Oct 2026 99:03:00 +0200", None),
        ("Date: soon", None),
        ("Date: soon\nDate: Mon, 5 Oct 2026 14:03:00 +0200", "2026-10-05T14:03:00+02:00"),
        (
            "Received: from a by b; Mon, 5 Oct 2026 15:00:00 +0000\n"
            "Received: from c by a; Mon, 5 Oct 2026 14:00:00 +0000",
            "2026-10-05T15:00:00+00:00",
        ),
        ("Date: Fri, 1 Jan 0026 00:00:00 +0000", "2026-01-01T00:00:00+00:00"),
        ("Date: Fri, 1 Jan 9999 00:00:00 +0000", None),
    ],
)
def test_the_date_is_aware_and_falls_back_to_the_last_received(
    headers: str, date: str | None
) -> None:
    found = parse(f"{headers}\n\nx".encode()).date
    assert (found.isoformat() if found else None) == date


def test_a_missing_message_id_is_made_from_the_content() -> None:
    raw = b"From: a@b.example\n\nx"
    found = parse(raw)
    assert found.message_id == f"<{hashlib.sha256(raw).hexdigest()}@maildesk.invalid>"
    assert any("Message-ID" in defect for defect in found.defects)
    assert parse(raw).message_id == found.message_id


@pytest.mark.parametrize(
    ("header", "message_id"),
    [
        ("Message-ID: <a@b> (comment)", "<a@b>"),
        ("Message-ID: a@b", "<a@b>"),
        ("Message-ID:\n <a@b>", "<a@b>"),
        ("Message-ID: <a\n b@c>", "<ab@c>"),
        ("MESSAGE-ID: <a@b>\nMessage-ID: <c@d>", "<a@b>"),
        ("Message-ID: =?utf-8?q?=3Ca=40b=3E?=", "<a@b>"),
    ],
)
def test_message_ids_are_found(header: str, message_id: str) -> None:
    assert parse(f"{header}\n\nx".encode()).message_id == message_id


def test_plain_text_is_preferred_to_html() -> None:
    raw = multipart(
        "alternative",
        b"\nThe plain one, complete.",
        b"Content-Type: text/html\n\n<p>The <b>HTML</b> one, complete.</p>",
    )
    assert parse(raw).text == "The plain one, complete."


@pytest.mark.parametrize("stub", [b"", b"Your client does not support HTML mail.", b"  \n "])
def test_html_is_read_when_the_plain_text_is_a_stub(stub: bytes) -> None:
    html = b"<p>" + b"the long story " * 10 + b"</p>"
    raw = multipart("alternative", b"\n" + stub, b"Content-Type: text/html\n\n" + html)
    assert parse(raw).text.startswith("the long story the long story")


def test_text_parts_around_an_image_are_all_read() -> None:
    raw = multipart(
        "mixed",
        b"\nabove",
        b'Content-Type: image/png\nContent-Disposition: inline; filename="a.png"\n\nPNG',
        b"\nbelow",
    )
    found = parse(raw)
    assert found.text == "above\n\nbelow"
    assert [one.name for one in found.attachments] == ["a.png"]


def test_html_labelled_as_plain_text_is_read_as_html() -> None:
    assert parse(mail(b"<html><body><p>Hi</p></body></html>")).text == "Hi"


def test_flowed_text_is_joined() -> None:
    body = b"one \ntwo\n> quoted \n> on\n-- \nAnn \n"
    found = parse(mail(body, "text/plain; format=flowed"))
    assert found.text == "one two\n> quoted on\n-- \nAnn"
    assert found.signature == "-- \nAnn"


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ('Content-Disposition: attachment; filename="../../etc/passwd"', "passwd"),
        ('Content-Disposition: attachment; filename="C:\\\\temp\\\\a.txt"', "a.txt"),
        ("Content-Disposition: attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.txt", "Grüße.txt"),
        (
            "Content-Disposition: attachment; f*0*=x; filename*0*=utf-8''Gr%C3; "
            "filename*1*=%BC; filename*2=n.txt",
            "Grün.txt",
        ),
        ('Content-Disposition: attachment; filename="=?utf-8?Q?Gr=C3=BCn.txt?="', "Grün.txt"),
        ('Content-Disposition: attachment; filename="a\u202egpj.exe"', "a gpj.exe"),
        ('Content-Type: application/pdf; name="bill.pdf"', "bill.pdf"),
        ("Content-Type: application/pdf", "part-1.pdf"),
        ('Content-Disposition: attachment; filename=".."', "part-1.bin"),
    ],
)
def test_attachment_names_are_readable_and_harmless(headers: str, name: str) -> None:
    if "Content-Type" not in headers:
        headers += "\nContent-Type: application/octet-stream"
    raw = multipart("mixed", b"\nsee below", headers.encode() + b"\n\ndata")
    (found,) = parse(raw).attachments
    assert found.name == name


def test_attachments_are_measured_decoded() -> None:
    raw = multipart(
        "mixed",
        b"\nx",
        b"Content-Type: application/x-a\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=\n",
    )
    (found,) = parse(raw).attachments
    assert (found.type, found.size) == ("application/x-a", 5)
    assert found.sha256 == hashlib.sha256(b"hello").hexdigest()


def test_a_forwarded_mail_is_an_attachment_and_its_text_is_not_mixed_in() -> None:
    inner = b"Subject: The old matter: 1/2\nFrom: x@y.example\n\nold text"
    raw = multipart("mixed", b"\nPlease see.", b"Content-Type: message/rfc822\n\n" + inner)
    found = parse(raw)
    assert found.text == "Please see."
    assert [(one.name, one.type) for one in found.attachments] == [
        ("The old matter_ 1_2.eml", "message/rfc822")
    ]


def test_a_mail_that_only_forwards_shows_the_forwarded_text_and_whose_it_is() -> None:
    inner = b"Subject: Old\nFrom: Xi <x@y.example>\nDate: 5 Oct 2026 14:03 +0200\n\nold text"
    raw = multipart("mixed", b"\n\n", b"Content-Type: message/rfc822\n\n" + inner)
    found = parse(raw)
    assert found.text == (
        "From: Xi <x@y.example>\nDate: 2026-10-05 14:03 UTC+02:00\nSubject: Old\n\nold text"
    )
    assert (found.reply, found.quoted) == ("", found.text)


def test_the_html_tells_where_the_quote_begins_in_the_plain_text() -> None:
    raw = multipart(
        "alternative",
        b"\nIt leaks.\n\nApo: Ann\nHtem: Kettle\n\nOld\n",
        b"Content-Type: text/html\n\n<p>It leaks.</p><div id=divRplyFwdMsg>Apo: Ann<br>Htem: Kettle"
        b"</div><p>Old</p>",
    )
    found = parse(raw)
    assert found.reply == "It leaks."
    assert found.quoted == "Apo: Ann\nHtem: Kettle\n\nOld"
    assert found.text == "It leaks.\n\nApo: Ann\nHtem: Kettle\n\nOld"


def test_an_invitation_without_text_says_what_it_is_about() -> None:
    event = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Tea\\, at\r\n  five\r\nLOCATION:Here\r\n"
    assert parse(mail(event, "text/calendar")).text == "SUMMARY: Tea, at five\nLOCATION: Here"


def test_digests_hold_mails() -> None:
    raw = multipart("digest", b"\nSubject: one\n\nfirst", b"\nSubject: two\n\nsecond")
    assert [one.name for one in parse(raw).attachments] == ["one.eml", "two.eml"]


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: multipart/mixed; boundary=XX\n\n--XX\n\ntext",  # never closed
        b"Content-Type: multipart/mixed\n\n--YY\nContent-Type: text/plain\n\ntext\n--YY--",
        b"Content-Type: multipart/mixed; boundary=X\n\n--Z\nContent-Type: text/html\n\ntext\n--Z--",
        b"Content-Type: multipart/mixed; boundary=XX\n \n--XX\n\ntext\n--XX--",
        b"Content-Type: multipart/*; boundary=XX\r\n\r\n--XX\r\n\r\ntext\r\n--XX--\r\n",
        b"Content-Type: multipart/mixed; boundary=XX\r\r--XX\r\rtext\r--XX--\r",
        b"Content-Type: multipart/mixed; boundary=X\n\n--XY\n\nno\n--X\n\ntext\n--X--\nno",
        b"From someone Mon Oct  5\nSubject: mbox\n\ntext",
        b"\n\nSubject: late\n\ntext",
        b"Subject: no blank line\ntext",
        b"Content-Type: text\n\ntext",
        b"Content-Type: ;;;=\n\ntext",
        b"Content-Transfer-Encoding: BASE64\n\ndGV4d",
        b"Content-Transfer-Encoding: base64\n\n!dG V4\ndA==",
        b"text",
    ],
)
def test_badly_formed_mails_keep_their_text(raw: bytes) -> None:
    assert parse(raw).text in ("text", "tex")


def test_an_own_line_in_the_headers_does_not_end_them() -> None:
    raw = b"Subject: a\nbroken fold\nFrom: a@b.example\n\nx"
    assert parse(raw).sender.address == "a@b.example"


def test_limits_cut_and_say_so() -> None:
    many = b"".join(b"--XX\n\npart\n" for _ in range(1_200))
    for raw in (
        mail(b"word " * 100_000),
        mail(many, "multipart/mixed; boundary=XX"),
        b"X: 1\n" * 2_000 + b"\nx",
        mail(b"<div>" * 5_000 + b"text", "text/html"),
    ):
        found = parse(raw)
        assert found.truncated
        assert found.defects
    assert not parse(PLAIN).truncated


@pytest.mark.parametrize("lack", Lack)
def test_a_mail_that_its_provider_does_not_hand_over_whole_says_so(lack: Lack) -> None:
    found = parse(lack.header + PLAIN)
    assert (found.truncated, found.text) == (True, parse(PLAIN).text)
    assert "mailbox itself" in found.defects[0]
    assert not parse(b"Received: by mx\n" + lack.header + PLAIN).truncated  # by somebody else


def test_the_limit_of_parts_holds_for_the_whole_mail() -> None:
    inner = b'Content-Type: multipart/mixed; boundary="%d"\n\n' + b"--%d\n\nx\n" * 700
    raw = multipart("mixed", inner % ((1,) * 701), inner % ((2,) * 701))
    found = parse(raw)
    assert found.truncated
    assert found.text.count("x") < 1_000


def test_parts_nested_too_deeply_are_not_read() -> None:
    level = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"
    raw = b"".join(level % (n, n) for n in range(60)) + b"\ndeep"
    assert any("deeper" in defect for defect in parse(raw).defects)
    assert parse(b"".join(level % (n, n) for n in range(40)) + b"\ndeep").text == "deep"


def test_controls_do_not_survive() -> None:
    found = parse(b'Subject: a\0b\x07\nFrom: "A\0\x1b" <a@b.example>\n\nx\0y\x07\r\nz\x0c')
    everything = f"{found.subject}{found.sender.name}{found.text}".replace("\n", "")
    assert everything.isprintable()


def test_json_has_exactly_the_published_fields() -> None:
    shown = as_json(parse(PLAIN))
    assert list(shown) == [
        *(
            "message_id",
            "from",
            "to",
            "cc",
            "reply_to",
            "subject",
            "date",
            "text",
            "reply",
            "quoted",
        ),
        *("signature", "attachments", "kind", "defects", "truncated"),
    ]
    assert shown["from"] == {"name": "Ann Example", "address": "ann@example.com"}
    assert shown["date"] == "2026-10-05T14:03:00+02:00"
    assert shown["kind"] == Kind.PERSON.value == "person"
