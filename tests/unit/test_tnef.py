"""Outlook's winmail.dat: the names of what it holds."""

from __future__ import annotations

import base64
import hashlib
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from desk.email import Attachment
from mail.parse import parse
from mail.tnef import SIGNATURE, attachments_in


def attribute(id: int, value: bytes) -> bytes:
    return (
        struct.pack("<BHHI", 2, id, 6, len(value)) + value + struct.pack("<H", sum(value) % 65536)
    )


def long_name(name: str) -> bytes:
    """One property of the kind that attachments carry their names in, after one of another kind."""
    value = f"{name}\0".encode("utf-16-le")
    padded = value + b"\0" * (-len(value) % 4)
    size = struct.pack("<IHHI", 2, 0x0003, 0x3705, 1)
    return size + struct.pack("<HHII", 0x001F, 0x3707, 1, len(value)) + padded


CONTAINER = (
    SIGNATURE
    + b"\1\0"
    + struct.pack("<BHHI", 1, 0x8004, 1, 4)
    + b"Hi\0\0\0\0"
    + attribute(0x9002, b"\0" * 14)
    + attribute(0x8010, b"REPORT~1.PDF\0")
    + attribute(0x800F, b"%PDF-1.7")
    + attribute(0x9005, long_name("Jahresbericht für/Ann.pdf"))
    + attribute(0x9002, b"\0" * 14)
    + attribute(0x8010, b"notes.txt\0")
    + attribute(0x800F, b"Hello")
)


def test_its_attachments_are_listed_behind_it() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=XX\n\n--XX\n\nPlease see.\n"
        b"--XX\nContent-Type: application/ms-tnef; name=winmail.dat\n"
        b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(CONTAINER) + b"--XX--\n"
    )
    found = parse(raw)
    assert found.text == "Please see."
    assert [one.name for one in found.attachments] == ["winmail.dat", "Ann.pdf", "notes.txt"]
    assert found.attachments[2] == Attachment(
        "notes.txt", "text/plain", 5, hashlib.sha256(b"Hello").hexdigest()
    )
    assert "Of Outlook's winmail.dat only the attachments' names were read." in found.defects


def test_the_short_name_counts_where_there_is_no_long_one() -> None:
    first, second = attachments_in(CONTAINER)
    assert (first.type, first.size) == ("application/pdf", 8)
    assert second.name == "notes.txt"


def test_what_is_cut_off_is_listed_as_far_as_it_goes() -> None:
    assert [one.name for one in attachments_in(CONTAINER[:-60])] == ["Ann.pdf"]
    assert attachments_in(b"no container") == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, len(CONTAINER)))
def test_any_bytes_are_survived(noise: bytes, at: int) -> None:
    attachments_in(CONTAINER[:at] + noise + CONTAINER[at:])
    attachments_in(SIGNATURE + b"\0\0" + noise)
    attachments_in(SIGNATURE + b"\0\0" + attribute(0x9002, b"") + attribute(0x9005, noise))
