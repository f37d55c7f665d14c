"""What an invitation is about, on the card as in the calendar."""

from __future__ import annotations

import pytest

from desk.email import Kind
from mail.invitation import event_of, method_of
from mail.parse import parse

ZONE = "BEGIN:VTIMEZONE\nTZID:Berlin\nBEGIN:STANDARD\nDTSTART:19701025T030000\nEND:STANDARD\n"
EVENT = (
    f"BEGIN:VCALENDAR\nMETHOD:REQUEST\n{ZONE}END:VTIMEZONE\nBEGIN:VEVENT\n"
    "DTSTART;TZID=Europe/Berlin:20261130T100000\nSUMMARY:Tea\\, at t\n en\nLOCATION:Here\n"
    "DESCRIPTION:Bring\\ncake\nEND:VEVENT\nEND:VCALENDAR\n"
)


def test_an_invitation_says_what_when_and_where_above_its_text() -> None:
    raw = (
        b"Content-Type: multipart/alternative; boundary=XX\n\n--XX\n\nYou are invited.\n"
        b"--XX\nContent-Type: text/calendar; method=REQUEST\n\n" + EVENT.encode() + b"--XX--\n"
    )
    found = parse(raw)
    assert found.kind is Kind.CALENDAR
    assert found.text == (
        "DTSTART: 2026-11-30 10:00 Europe/Berlin\nSUMMARY: Tea, at ten\nLOCATION: Here\n\n"
        "You are invited."
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("DTSTART:20261130T100000Z", "2026-11-30 10:00 UTC"),
        ("DTSTART:20261130T100000", "2026-11-30 10:00"),
        ("DTSTART;VALUE=DATE:20261224", "2026-12-24"),
        ("DTSTART:tomorrow", "tomorrow"),
    ],
)
def test_moments_are_shown_as_people_write_them(line: str, shown: str) -> None:
    assert event_of(f"BEGIN:VEVENT\n{line}\n") == f"DTSTART: {shown}"


def test_the_method_is_the_headers_or_the_calendars() -> None:
    assert method_of(b"BEGIN:VCALENDAR\r\nMETHOD:cancel\r\n") == "CANCEL"
    assert method_of(b"METHOD:REQUEST", "reply") == "REPLY"
    assert method_of(b"BEGIN:VCALENDAR") == ""
