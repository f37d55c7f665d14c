"""What a calendar part is about, for people (RFC 5545, RFC 5546)."""

from __future__ import annotations

import re

FOLD = re.compile(r"\n[ \t]")
LINE = re.compile(r"^(SUMMARY|DTSTART|DTEND|LOCATION|DESCRIPTION)([^:\n]{0,200}):(.{1,5000})", re.M)
ESCAPED = re.compile(r"\\(.)")
METHOD = re.compile(rb"^METHOD[^:\r\n]{0,40}:\s?([A-Za-z]{1,20})", re.M | re.I)
MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?\s*$")
ZONE = re.compile(r";TZID=\"?([^;:\"]{1,80})")
MAX_LINES = 12
LOOKED_AT = 20_000


def method_of(content: bytes, parameter: str = "") -> str:
    """RFC 5546: only an invitation, an answer or a cancellation has one."""
    found = METHOD.search(content[:LOOKED_AT])
    return (parameter or (found.group(1).decode("ascii") if found else "")).upper()


def event_of(source: str, is_brief: bool = False) -> str:
    """Its lines that tell people something; ``is_brief`` leaves the description out."""
    _, begins, event = source.partition("BEGIN:VEVENT")  # a time zone has a DTSTART, too
    lines = LINE.findall(FOLD.sub("", event if begins else source))
    said: dict[str, str] = {}
    for name, details, value in lines[:MAX_LINES]:
        if not (is_brief and name == "DESCRIPTION"):
            said.setdefault(name, f"{name}: {_shown(name, details, value)}")
    return "\n".join(said.values())


def _shown(name: str, details: str, value: str) -> str:
    when = MOMENT.match(value) if name.startswith("DT") else None
    if when is None:
        return ESCAPED.sub(_unescaped, value)
    year, month, day, hour, minute, is_utc = when.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    zone = ZONE.search(details)
    named = "UTC" if is_utc else zone.group(1) if zone else ""
    return f"{year}-{month}-{day} {hour}:{minute} {named}".rstrip()


def _unescaped(found: re.Match[str]) -> str:
    """RFC 5545 §3.3.11."""
    return "\n" if found.group(1) in "nN" else found.group(1)
