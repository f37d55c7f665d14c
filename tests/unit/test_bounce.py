"""What mail.parse reads out of reports about undelivered mail."""

from __future__ import annotations

import pytest

from desk.email import Bounce, Kind
from mail.parse import parse

HEAD = b"From: MAILER-DAEMON@mx.example.net\nTo: support@shop.example\nReturn-Path: <>\n"
REPORT = (
    HEAD + b"Subject: Undelivered Mail Returned to Sender\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=XX\n\n"
    b"--XX\n\nI am sorry to have to tell you.\n"
    b"--XX\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n%s\n"
    b"--XX\nContent-Type: %s\n\nMessage-ID: <reply-1@shop.example>\nSubject: Re: Kettle\n\n--XX--\n"
)
LATE = b"Final-Recipient: rfc822; slow@example.net\nAction: delayed\nStatus: 4.4.1\n"
FAILED = (
    b"Original-Recipient: rfc822;ann@example.com\nFinal-Recipient: rfc822; ann@internal.example\n"
    b"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <ann@example.com>:\n"
    b"    no such user\n"
)
ARRIVED = b"Final-Recipient: rfc822; ann@example.com\nAction: delivered\nStatus: 2.0.0\n"
QMAIL = (
    HEAD + b"Subject: failure notice\n\nHi. This is the qmail-send program at mx.example.net.\n"
    b"I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
    b"<ann@example.com>:\n192.0.2.1 does not like recipient.\n"
    b"Remote host said: 550 5.7.1 <ann@example.com>... refused\n\n"
    b"--- Below this line is a copy of the message.\n\n"
    b"Return-Path: <support@shop.example>\nMessage-ID: <reply-1@shop.example>\n\nDear Ann\n"
)


@pytest.mark.parametrize("original", [b"message/rfc822", b"text/rfc822-headers"])
def test_a_standard_report_names_mail_recipient_status_and_reason(original: bytes) -> None:
    found = parse(REPORT % (LATE + b"\n" + FAILED, original))
    assert found.kind is Kind.BOUNCE
    assert found.bounce == Bounce(
        message_id="<reply-1@shop.example>",
        recipient="ann@example.com",
        status="5.1.1",
        diagnostic="550 5.1.1 <ann@example.com>: no such user",
    )


def test_a_delayed_mail_is_not_given_up() -> None:
    found = parse(REPORT % (LATE, b"message/rfc822"))
    assert found.bounce == Bounce(
        "<reply-1@shop.example>", "slow@example.net", "4.4.1", "", is_final=False
    )


def test_a_report_of_success_is_no_bounce() -> None:
    found = parse(REPORT % (ARRIVED, b"message/rfc822"))
    assert (found.kind, found.bounce) == (Kind.AUTO, None)


def test_prose_is_read_as_far_as_it_goes() -> None:
    found = parse(QMAIL)
    assert found.kind is Kind.BOUNCE
    assert found.bounce == Bounce(
        message_id="<reply-1@shop.example>",
        recipient="ann@example.com",
        status="5.7.1",
        diagnostic="550 5.7.1 <ann@example.com>... refused",
    )


def test_a_report_that_lost_its_structure_is_read_from_its_text() -> None:
    torn = REPORT.replace(b"multipart/report; report-type=delivery-status; boundary=XX", b"x")
    found = parse(torn % (FAILED, b"message/rfc822"))
    assert found.bounce is not None
    assert (found.bounce.recipient, found.bounce.is_final) == ("ann@example.com", True)
    assert found.bounce.message_id == "<reply-1@shop.example>"


@pytest.mark.parametrize(
    ("subject", "text", "is_final"),
    [
        ("Warning: could not send message for past 4 hours", "Deferred.", False),
        ("Delivery Status Notification (Delay)", "It will be retried.", False),
        ("Returned mail: Cannot send message for 5 days", "550 5.4.7 expired <a@b.example>", True),
    ],
)
def test_prose_tells_late_from_lost(subject: str, text: str, is_final: bool) -> None:
    found = parse(HEAD + f"Subject: {subject}\n\n{text}\n".encode())
    assert found.bounce is not None
    assert found.bounce.is_final is is_final


def test_who_answers_a_mail_by_its_headers_alone_is_matched_by_them() -> None:
    found = parse(
        HEAD + b"Subject: Undeliverable: Re: Kettle\nIn-Reply-To: <reply-1@shop.example>\n\n"
        b"ann@example.com could not be reached.\n"
    )
    assert found.bounce is not None
    assert found.bounce.message_id == "<reply-1@shop.example>"
    assert found.bounce.recipient == "ann@example.com"


def test_only_a_bounce_has_one() -> None:
    assert parse(b"From: ann@example.com\n\nIt leaks.").bounce is None
