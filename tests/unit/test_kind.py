"""What sort of mail it is, by its form alone."""

from __future__ import annotations

import pytest

from desk.email import Kind
from mail.parse import parse

REPORT = b"Content-Type: multipart/report; report-type=%s; boundary=XX\n\n--XX\n\nSee below.\n"
STATUS = b"--XX\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--XX--\n"
INVITATION = b"Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n"
MIXED = b"Content-Type: multipart/mixed; boundary=XX\n\n--XX\n\nHello\n--XX\n"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"From: a@b.example\nSubject: Broken kettle\n\nx", Kind.PERSON),
        # RFC 3464 and what old servers send
        (REPORT % b"delivery-status" + STATUS, Kind.BOUNCE),
        (REPORT % b'"delivery-status"' + b"--XX--", Kind.BOUNCE),
        (MIXED + STATUS.removeprefix(b"--XX\n"), Kind.BOUNCE),
        (b"X-Failed-Recipients: a@b.example\n\nx", Kind.BOUNCE),
        (b"From: MAILER-DAEMON (Mail System)\nSubject: failure notice\n\nx", Kind.BOUNCE),
        (b"From: Postmaster <p@b.example>\nSubject: Undeliverable: Hi\n\nx", Kind.BOUNCE),
        (b"Return-Path: <>\nFrom: x@y.example\nSubject: Unzustellbar: Hi\n\nx", Kind.BOUNCE),
        (b"From: a@b.example\nSubject: My parcel was not delivered\n\nx", Kind.PERSON),
        (b"From: a@b.example\nSubject: failure notice on my kettle\n\nx", Kind.PERSON),
        # RFC 3834
        (b"Auto-Submitted: auto-replied\n\nx", Kind.AUTO),
        (b"Auto-Submitted: auto-generated; owner-email=a@b\n\nx", Kind.AUTO),
        (b"Auto-Submitted: no\nFrom: a@b.example\n\nx", Kind.PERSON),
        (b"Return-Path: <>\nSubject: Thanks\n\nx", Kind.AUTO),
        (b"Return-Path: <a@b.example>\n\nx", Kind.PERSON),
        (b"X-Autoreply: yes\n\nx", Kind.AUTO),
        (b"Precedence: auto_reply\n\nx", Kind.AUTO),
        (b"Subject: Automatic reply: Broken kettle\n\nx", Kind.AUTO),
        ("Subject: Réponse automatique : Bouilloire\n\nx".encode(), Kind.AUTO),
        (b"Subject: Abwesenheitsnotiz: Kessel\n\nx", Kind.AUTO),
        (b"Subject: Out of office\nPrecedence: bulk\n\nx", Kind.AUTO),
        (REPORT % b"disposition-notification" + b"--XX--", Kind.AUTO),
        (b"Subject: Re: automatic kettle\n\nx", Kind.PERSON),
        # people's clients set this too
        (b"X-Auto-Response-Suppress: All\nFrom: a@b.example\n\nx", Kind.PERSON),
        # RFC 2369, RFC 2919
        (b"List-Id: <tea.lists.example>\n\nx", Kind.LIST),
        (b"List-Unsubscribe: <https://x.example>\n\nx", Kind.LIST),
        (b"Precedence: Bulk\n\nx", Kind.LIST),
        # RFC 6047
        (MIXED + INVITATION + b"--XX--", Kind.CALENDAR),
        (b"Auto-Submitted: auto-generated\n" + INVITATION, Kind.CALENDAR),
        (b"Content-Type: text/calendar; method=REPLY\n\nx", Kind.CALENDAR),
        (MIXED + b"Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n--XX--", Kind.PERSON),
        # RFC 3156, RFC 8551
        (b"Content-Type: multipart/encrypted; boundary=XX\n\n--XX\n\nx\n--XX--", Kind.ENCRYPTED),
        (b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx", Kind.ENCRYPTED),
        (b"From: a@b.example\n\n-----BEGIN PGP MESSAGE-----\n\nhQ", Kind.ENCRYPTED),
        (MIXED + b"Content-Type: application/pgp-signature\n\nx\n--XX--", Kind.PERSON),
    ],
)
def test_kind(raw: bytes, kind: Kind) -> None:
    assert parse(raw).kind is kind
