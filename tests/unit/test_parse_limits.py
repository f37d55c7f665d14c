"""mail.parse returns for every sequence of bytes, and in time that grows with their number only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail.charset import clean
from mail.html import html_to_text
from mail.parse import as_json, parse
from mail.parse_pool import ParsePool
from mail.reply import split

TOKENS = [
    *(b"From: ", b"To: ", b"Subject: ", b"Date: ", b"Message-ID: ", b"References: ", b"Received: "),
    *(
        b"Content-Type: ",
        b"multipart/mixed; ",
        b"multipart/alternative; ",
        b"boundary=XX",
        b"text/html",
    ),
    *(
        b"message/rfc822",
        b"text/calendar; method=REQUEST",
        b"; charset=",
        b"utf-8",
        b"utf-7",
        b"hz",
    ),
    *(
        b"Content-Disposition: attachment; filename*0*=",
        b"utf-8''%",
        b"; name=",
        b"=?utf-8?B?",
        b"?=",
    ),
    *(
        b"Content-Transfer-Encoding: ",
        b"base64",
        b"quoted-printable",
        b"x-uuencode",
        b"--XX",
        b"--",
    ),
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b" ",
        b"\t",
        b"<",
        b">",
        b'"',
        b"(",
        b")",
        b",",
        b";",
        b":",
        b"@",
    ),
    *(
        b"a@b.example",
        b"<div class=gmail_quote>",
        b"<blockquote type=cite>",
        b"</div>",
        b"<table><td>",
    ),
    *(b"On Mon, 5 Oct 2026 at 10:00, A <a@b> wrote:\n", b"> ", b"-- \n", b"Regards,\n", b"PS: x\n"),
    *(
        b"From: a\nSent: b\nTo: c\n",
        b"Sent from my phone\n",
        b"\x00",
        b"\xff",
        b"\xe2\x80\xae",
        b"\xed\xa0\x80",
    ),
    *(
        b"begin 644 a\n",
        b"format=flowed",
        b"1 Jan 2026 00:00:00",
        b"9" * 30,
        b"\x1b$B",
        b"=",
        b"=3D",
    ),
]


def assert_sound(raw: bytes) -> None:
    found = parse(raw)
    assert not any("could not be read" in defect for defect in found.defects), found.defects
    shown = json.dumps(as_json(found), ensure_ascii=False).encode()  # no lone surrogates
    assert b"\\u0000" not in shown
    assert found.message_id.startswith("<")
    assert found.message_id.endswith(">")
    assert found.date is None or found.date.tzinfo is not None
    names = (found.sender, *found.to, *found.cc, *found.reply_to)
    for text in (
        found.subject,
        *(one.name for one in names),
        *(one.name for one in found.attachments),
    ):
        assert "\n" not in text
        assert "\r" not in text
        assert "\u202e" not in text
    assert all(one.name and "/" not in one.name for one in found.attachments)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=2_000))
def test_parse_never_raises_on_any_bytes(raw: bytes) -> None:
    assert_sound(raw)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)), max_size=60))
def test_parse_never_raises_on_mutated_mails(pieces: list[bytes]) -> None:
    assert_sound(b"".join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([token.decode("latin-1") for token in TOKENS]), max_size=40))
def test_every_line_stays_in_one_part(pieces: list[str]) -> None:
    text = clean("".join(pieces))
    found = split(text)
    kept = f"{found.reply}\n{found.signature}\n{found.quoted}".split("\n")
    words = sorted(line.strip() for line in kept if line.strip(" -_=*\t"))
    assert words == sorted(line.strip() for line in text.split("\n") if line.strip(" -_=*\t"))


Maker = Callable[[int], bytes]


def header(name: str, unit: bytes) -> Maker:
    return lambda size: name.encode() + b": " + unit * (size // len(unit)) + b"\n\nx"


def body(unit: bytes, kind: bytes = b"text/plain") -> Maker:
    return lambda size: b"Content-Type: " + kind + b"\n\n" + unit * (size // len(unit))


def html(unit: bytes, before: bytes = b"") -> Maker:
    return lambda size: b"Content-Type: text/html\n\n" + before + unit * (size // len(unit))


def numbered(before: bytes, unit: bytes, after: bytes = b"\n\nx") -> Maker:
    return lambda size: before + b"".join(unit % n for n in range(size // (len(unit) + 4))) + after


NESTED = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"
HOSTILE: dict[str, Maker] = {
    "semicolons in Content-Type": header("Content-Type", b" ;"),
    "parameters": numbered(b"Content-Type: text/html", b"; a%d=b"),
    "continued parameters": numbered(b"Content-Disposition: attachment", b"; f*%d*=a"),
    "quotes in From": header("From", b'"'),
    "commas in From": header("From", b","),
    "comments in From": header("From", b"("),
    "angles in From": header("From", b"<"),
    "colons in From": header("From", b"a@:"),
    "blanks in From": header("From", b" \t"),
    "encoded words": header("Subject", b"=?utf-8?q?a?= "),
    "broken encoded words": header("Subject", b"=?a?b?"),
    "tags in Subject": header("Subject", b"[a] "),
    "8-bit headers": lambda size: (b"X: " + b"\xe9a" * 99 + b"\n") * (size // 202),
    "references": header("References", b"<a@b> "),
    "dates": header("Date", b"1 "),
    "comments in Date": header("Date", b"("),
    "many headers": lambda size: b"To: a@b\n" * (size // 8) + b"\nx",
    "header lines ended by CR": lambda size: b"a:b\r" * (size // 4),
    "carriage returns": lambda size: b"A: " + b"\r" * size,
    "folded lines": lambda size: b"X: a\n" + b" b\n" * (size // 3),
    "nested multiparts": lambda size: b"".join(NESTED % (n, n) for n in range(size // 55)),
    "nested mails": lambda size: b"Content-Type: message/rfc822\n\n" * (size // 30) + b"x",
    "parts": lambda size: (
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * (size // 8)
    ),
    "short boundary": body(b"---\n", b'multipart/mixed; boundary="-"'),
    "boundary to guess": body(b"--\n", b"multipart/mixed"),
    "base64": lambda size: b"Content-Transfer-Encoding: base64\n\n" + b"A==" * (size // 3),
    "uuencode": lambda size: (
        b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n" + b"M\n" * (size // 2)
    ),
    "punycode": body(b"a-", b"text/plain; charset=punycode"),
    "unknown charset": body(b"\xe9\x80"),
    "flowed text": body(b"a \n", b"text/plain; format=flowed"),
    "quote signs": body(b">"),
    "quoted lines": body(b"> a\n"),
    "long quoted lines": body(b"> " + b"a" * 60 + b"\nb\n"),
    "half attributions": body(b"On Mon 1 Jan 2026 10:00\n"),
    "whole attributions": body(b"On Mon 1 Jan 2026 10:00 x@y:\n"),
    "colons": body(b":\n"),
    "half header blocks": body(b"From: x\nb\nc\nd\n"),
    "separators": body(b"---\n"),
    "signature marks": body(b"--\n"),
    "closings": body(b"Regards,\n"),
    "advertisements": body(b"Sent from my a, b\n"),
    "at signs": body(b"a@"),
    "nested elements": html(b"<div>"),
    "formatting elements": html(b"<p>x", b"".join(b"<font size=%d>" % n for n in range(250))),
    "few formatting elements": html(b"<p>x", b"".join(b"<font size=%d>" % n for n in range(15))),
    "attributes": numbered(b"Content-Type: text/html\n\n<a ", b"x%d=y ", b">"),
    "attributes with angles": numbered(b"Content-Type: text/html\n\n<a ", b'x%d=">" '),
    "attributes without value": numbered(b"Content-Type: text/html\n\n<a ", b"x%d< "),
    "open tags": html(b"<a "),
    "comments": html(b"<!--"),
    "styles": html(b"<style>"),
    "tables": html(b"<table><td>"),
    "cells": html(b"<td>x", b"<table><tr>"),
    "entities": html(b"&amp;"),
    "anchors": html(b"<a <a"),
    "header blocks in HTML": html(b"<p>From: x<p>To: y"),
    "carriage returns in a body": body(b"\r"),
    "zeros": body(b"\0"),
    "Japanese escapes": body(b"\x1b$B", b"text/plain; charset=iso-2022-jp"),
    "shifted text": body(b"+AAA-", b"text/plain; charset=utf-7"),
    "HTML in many parts": lambda size: (
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        + (b"--b\nContent-Type: text/html\n\n" + b"<li>x" * 2_000 + b"\n") * (size // 10_030)
    ),
    "calendar lines": body(b"SUMMARY:\n", b"text/calendar; method=REQUEST"),
    "reports": body(b"Action: failed\n\n", b"message/delivery-status"),
    "winmail.dat": lambda size: (
        b"Content-Type: application/ms-tnef\n\n\x78\x9f\x3e\x22\0\0"
        + b"\2\x02\x90\6\0\0\0\0\0\0\0" * (size // 11)
    ),
    "armour": body(b"-----BEGIN PGP MESSAGE-----\n"),
    "quotes": html(b"<br>", b"<blockquote type=cite>" * 250),
    "links": html(b"<a href=http://x>y</a>"),
    "misnested elements": html(b"<a><div><b></a>"),
    "list items": html(b"<li>x"),
    "preformatted lines": html(b"\n", b"<pre>"),
}


SIZE = 1_000_000 if os.environ.get("MAILDESK_CHAOS") == "full" else 300_000
GROUPS = 4


@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
async def test_a_hostile_mail_takes_a_second_or_is_quarantined(group: int) -> None:
    """Quadratic steps would take minutes. Seconds of the processor, so that other work on the
    machine does not count; quarantine comes after five by the clock."""
    async with ParsePool(workers=1) as pool:
        await pool.parse(b"")
        [before] = pool.processes
        for name in list(HOSTILE)[group::GROUPS]:
            used = seconds_of(pool)
            found = await pool.parse(HOSTILE[name](SIZE))
            if not found.quarantine:
                assert seconds_of(pool) - used <= 1, name
                assert most_memory_of(pool) < 300, name
        assert pool.processes == (before,), "today none of them needs the quarantine"


def seconds_of(pool: ParsePool) -> float:
    """proc(5): utime and stime are the 14th and 15th field of stat, in ticks."""
    fields = Path(f"/proc/{pool.processes[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_memory_of(pool: ParsePool) -> float:
    """In MB."""
    status = Path(f"/proc/{pool.processes[0]}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def test_html_that_would_be_repeated_without_end_is_not_built() -> None:
    formats = "".join(f"<font size={n}>" for n in range(250))
    text, is_cut = html_to_text(formats + "<p>x" * 20_000)
    assert is_cut
    assert text.count("x") == 20_000


def test_html_that_is_too_deep_still_gives_its_text() -> None:
    text, is_cut = html_to_text("<div>" * 2_000 + "hello" + "</div>" * 2_000)
    assert (text, is_cut) == ("hello", True)
