"""Text in Adaptive Cards: what customers wrote must not become Markdown, a mention or a date there,
and times are written by the reader's client in the reader's zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from desk.standing import MARK, clock_time

Json = dict[str, Any]
UTC_ZONE = ZoneInfo("UTC")


def block(text: str, **looks: object) -> Json:
    """One paragraph."""
    return {"type": "TextBlock", "text": inert(text), "wrap": True, **looks}


def lines(text: str) -> list[Json]:
    """Text of any length exactly as it is: a RichTextBlock knows no Markdown, and one per line
    keeps the lines in every client. Empty lines become a gap."""
    blocks: list[Json] = []
    gap = "Small"
    for line in text.splitlines():
        if line.strip():
            run = {"type": "TextRun", "text": _undated(line)}
            blocks.append({"type": "RichTextBlock", "spacing": gap, "inlines": [run]})
        gap = "None" if line.strip() else "Default"
    return blocks


WRAPPED = 45
NEW_LINE = re.compile(r"\s*(?:[-+*>•|]|\d+[.)]\s|\S+:\s)|$")


def reflowed(text: str) -> str:
    """Without the line ends that a mail program put at about column 72 (RFC 3676 §1): a line goes
    on in the next one when it is long and the next begins nothing of its own.

    >>> reflowed("We are forty people here, and the trucks leave at\\none o'clock.\\n\\n- a\\n- b")
    "We are forty people here, and the trucks leave at one o'clock.\\n\\n- a\\n- b"
    """
    said: list[str] = []
    was_long = False
    for line in text.splitlines():
        if was_long and not NEW_LINE.match(line):
            said[-1] = f"{said[-1].rstrip()} {line.strip()}"
        else:
            said.append(line)
        was_long = len(line) >= WRAPPED
    return "\n".join(said)


JOINER = "\u2060"  # WORD JOINER: invisible, and no part of any syntax
LINK = re.compile(r"\](?=[(\[:])")
LIST = re.compile(r"^(?=\s*(?:[-+]\s|>|#+\s|\d+[.)]\s))", re.MULTILINE)
EMPHASIS = re.compile(r"(?<!\w)_|_(?!\w)|~(?=~)")


def inert(text: str) -> str:
    """Text that looks the same and that no client takes for Markdown, a mention or a date.

    >>> inert("[pay](https://evil.example)").replace(JOINER, "|"), inert("**now**")
    ('[pay]|(https://evil.example)', '∗∗now∗∗')
    """
    text = LINK.sub(f"]{JOINER}", _undated(text))
    text = EMPHASIS.sub(lambda sign: f"{JOINER}{sign[0]}{JOINER}", text)
    # <https://…> and <a@b.example> are links (CommonMark §6.5), <at> begins a mention
    return LIST.sub(JOINER, text.replace("*", "∗").replace("<", f"<{JOINER}"))


def _undated(text: str) -> str:
    """``{{DATE(…)}}`` is a function in Adaptive Cards, in every kind of text."""
    return text.replace("{{", f"{{{JOINER}{{")


def spelled(text: str, zone: ZoneInfo, now: datetime) -> str:
    """For the notification line, where functions are not run."""
    return MARK.sub(lambda mark: _spelled(int(mark[1]), zone, now), text)


def _spelled(seconds: int, zone: ZoneInfo, now: datetime) -> str:
    name = datetime.fromtimestamp(seconds, zone).tzname()
    return f"{clock_time(seconds, zone, now)} {name}"


def timed(part: Any, zone: ZoneInfo, now: datetime) -> Any:
    """What was drawn, its times as functions that the reader's client runs in the reader's zone:
    with their day, unless that is today in ``zone``. What is typed or sent back stays as it is."""
    if isinstance(part, list):
        return [timed(one, zone, now) for one in part]
    if isinstance(part, dict):
        is_typed = str(part.get("type", "")).startswith("Input.")
        kept = part.keys() if is_typed else {"data"}
        return {name: one if name in kept else timed(one, zone, now) for name, one in part.items()}
    if isinstance(part, str):
        return MARK.sub(lambda mark: _function(int(mark[1]), zone, now), part)
    return part


def _function(seconds: int, zone: ZoneInfo, now: datetime) -> str:
    at = datetime.fromtimestamp(seconds, zone)
    moment = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    time = f"{{{{TIME({moment})}}}}"
    is_today = at.date() == now.astimezone(zone).date()
    return time if is_today else f"{{{{DATE({moment}, SHORT)}}}} {time}"
