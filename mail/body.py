"""What is read of a mail and what is only listed: the best of its texts, and its attachments."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from mimetypes import guess_extension

from desk.email import Attachment
from mail import tnef
from mail.charset import clean, declared_in_html, decode
from mail.html import MARKS, REST, html_to_text
from mail.invitation import event_of, method_of
from mail.mime import Limits, Part, read_part
from mail.names import safe_name
from mail.reply import split

MAX_ATTACHMENTS = 200

BODY_TYPES = frozenset({"text/plain", "text/html"})
FALLBACK_TYPES = frozenset(
    {"text/enriched", "text/richtext", "message/delivery-status", "text/calendar"}
)
IGNORED_TYPES = frozenset({"text/x-amp-html", "text/watch-html"})
LOOKS_LIKE_HTML = re.compile(r"\s{0,200}(?:<!doctype html|<html\b)", re.I)
STUB = re.compile(
    r"(?:does not|doesn't|cannot|can't|unable to) (?:support|display|view|read|show) html"
    r"|html (?:e-?mail|version|format)"
    r"|view (?:this|it) (?:e-?mail |message )?in (?:your|a) (?:web )?browser|kein html"
    r"|nicht (?:korrekt )?(?:angezeigt|dargestellt)",
    re.I,
)


@dataclass(slots=True)
class Body:
    """Sorts the parts into what is read and what is attached."""

    limits: Limits
    chunks: list[tuple[str, str]] = field(default_factory=list)  # (plain text, HTML)
    fallbacks: list[Part] = field(default_factory=list)
    forwards: list[Part] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    method: str = ""
    calendar: Part | None = None

    def read(self, root: Part) -> None:
        waiting: list[tuple[Part, bool]] = [(root, False)]
        while waiting:
            part, is_alternative = waiting.pop()
            self.types.append(part.type)
            if part.type.startswith("multipart/") and part.children:
                is_choice = part.type == "multipart/alternative"
                if is_choice:
                    self.chunks.append(("", ""))
                waiting.extend(
                    (child, is_choice or is_alternative) for child in reversed(part.children)
                )
            elif self._is_text(part):
                self._add_text(part, is_alternative)
            elif part.type not in IGNORED_TYPES:
                self._attach(part)

    def _is_text(self, part: Part) -> bool:
        if part.type not in BODY_TYPES and not part.type.startswith("multipart/"):
            return False
        has_text = any(plain or html for plain, html in self.chunks)
        return part.disposition != "attachment" and not (part.filename and has_text)

    def _add_text(self, part: Part, is_alternative: bool) -> None:
        text = self._decoded(part)
        is_html = part.type == "text/html" or bool(LOOKS_LIKE_HTML.match(text))
        if not text.strip():
            return
        chunk = ("", text) if is_html else (_unflowed(part, text), "")
        if is_alternative and self.chunks:
            plain, html = self.chunks[-1]
            if not (html if is_html else plain):
                self.chunks[-1] = (plain or chunk[0], html or chunk[1])
                return
        self.chunks.append(chunk)

    def _decoded(self, part: Part) -> str:
        data = part.content()
        if len(data) > self.limits.body_bytes:
            self.limits.cut("The text is too long and was cut.")
            data = data[: self.limits.body_bytes]
        self.limits.body_bytes -= len(data)
        label = part.parameter("charset")
        if not label and part.type == "text/html":
            label = declared_in_html(data)
        text, defect = decode(data, label)
        self.limits.note(defect)
        return clean(text)

    def _attach(self, part: Part) -> None:
        if part.type in FALLBACK_TYPES:
            self.fallbacks.append(part)
        if part.type == "message/rfc822":
            self.forwards.append(part)
        content = part.content()
        if part.type == "text/calendar" and not self.method:
            self.method = method_of(content, part.parameter("method"))
            self.calendar = part
        if len(self.attachments) >= MAX_ATTACHMENTS:
            self.limits.cut(f"Only the first {MAX_ATTACHMENTS} attachments are listed.")
            return
        digest = hashlib.sha256(content).hexdigest()
        name = _file_name(part, len(self.attachments) + 1)
        self.attachments.append(Attachment(name, part.type, len(content), digest))
        if part.type in tnef.TYPES:
            inner = tnef.attachments_in(content)
            self.attachments += inner[: MAX_ATTACHMENTS - len(self.attachments)]
            self.limits.note("Of Outlook's winmail.dat only the attachments' names were read.")

    def text(self) -> str:
        texts = (self._best(plain, html) for plain, html in self.chunks)
        text = "\n\n".join(one for one in texts if one.strip())
        if text.strip():
            return self._with_event(text)
        if not self.fallbacks:
            return text
        first = self.fallbacks[0]
        source = self._decoded(first)
        return (event_of(source) or source) if first.type == "text/calendar" else source

    def _with_event(self, text: str) -> str:
        """The text of an invitation often does not say when it is."""
        if not self.method or self.calendar is None:
            return text
        event = event_of(self._decoded(self.calendar), is_brief=True)
        return f"{event}\n\n{text}" if event else text

    def _best(self, plain: str, html: str) -> str:
        plain = MARKS.sub("", plain)
        if not html:
            return plain
        from_html, is_cut = html_to_text(html, self.limits.tags)
        self.limits.tags = max(0, self.limits.tags - html.count("<"))
        if plain.strip() and not _is_stub(plain, MARKS.sub("", from_html)):
            return _marked(plain, from_html) if MARKS.search(from_html) else plain
        if is_cut:
            self.limits.cut("The HTML is too large or too deeply nested and was read in part.")
        return from_html


def _marked(plain: str, from_html: str) -> str:
    """``plain`` with a mark where the quote begins, if only the HTML tells."""
    if split(plain).quoted:
        return plain
    quoted = (_folded(line) for line in split(from_html).quoted.split("\n"))
    heading = next((line for line in quoted if len(line) >= 6), "")
    lines = plain.split("\n")
    for at, line in enumerate(lines):
        if at and heading and _folded(line)[:20] == heading[:20]:
            return "\n".join([*lines[:at], f"{REST}{line}", *lines[at + 1 :]])
    return plain


def _folded(line: str) -> str:
    return " ".join(line.replace("*", "").split()).strip(" >_-")


def _is_stub(plain: str, from_html: str) -> bool:
    """Whether the plain text only stands in for the HTML."""
    words, more = len(plain.split()), len(from_html.split())
    return more > words + 5 and words < 40 and (bool(STUB.search(plain)) or more > 3 * words + 20)


def _unflowed(part: Part, text: str) -> str:
    """RFC 3676 §4: lines that end in a blank go on in the next, at the same quote depth."""
    if part.parameter("format").lower() != "flowed":
        return text
    deletes = part.parameter("delsp").lower() == "yes"
    lines: list[list[str]] = []
    flows, depth = False, 0
    for line in text.split("\n"):
        rest = line.lstrip(">")
        signs = len(line) - len(rest)
        rest = rest.removeprefix(" ")
        if flows and signs == depth and rest != "-- ":
            lines[-1].append(rest)
        else:
            lines.append([">" * signs + " " * bool(signs), rest])
        flows, depth = rest.endswith(" ") and rest != "-- ", signs
        if flows and deletes:
            lines[-1][-1] = rest[:-1]
    return "\n".join("".join(parts) for parts in lines)


def _file_name(part: Part, number: int) -> str:
    """Never empty."""
    name = part.filename
    if not name and part.type == "message/rfc822":
        inner = read_part(part.content()[: 64 * 1024], Limits())
        subject = inner.headers.text("subject").replace("/", "_").replace("\\", "_")
        name = f"{subject or 'message'}.eml"
    return safe_name(name) or f"part-{number}{guess_extension(part.type) or '.bin'}"
