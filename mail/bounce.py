"""What a report about an undelivered mail says: RFC 3464, and prose where a server knows none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from desk.email import Bounce
from mail.addresses import addresses
from mail.headers import Headers, message_ids, read_headers, visible
from mail.mime import Part
from mail.phrases import MAILER

REPORTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
ORIGINALS = frozenset(
    {
        *("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"),
        "message/rfc822-headers",
    }
)
LOOKED_AT = 64 * 1024
MAX_BLOCKS = 50
MAX_DIAGNOSTIC = 500
SUCCESS = frozenset({"delivered", "relayed", "expanded"})

STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
ANSWER = re.compile(r"(?<![\d.])([45]\d\d)[ -](?:#?[45]\.\d{1,3}\.\d{1,3}[ :]|[^\n]{0,200}[<@])")
ORIGINAL_ID = re.compile(r"^[> \t]{0,8}message-id:[ \t]{0,8}(<[^<>\s]{1,990}>)", re.I | re.M)
ADDRESS = re.compile(r"<?([\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8})>?")
FIELDS = re.compile(r"^(?:original|final)-recipient:", re.I | re.M)
LATE = re.compile(
    r"\bdelay|will (?:be retried|keep trying|continue)|could not be delivered for"
    r"|still (?:being )?try|warning: (?:message|could not)|verzöger|noch nicht zugestellt"
    r"|retardé|retrasad|ritard|vertraag",
    re.I,
)


def bounce_of(root: Part, text: str) -> Bounce | None:
    """None for a report that says that a mail arrived. ``text`` is what the report says."""
    said = text[:LOOKED_AT]
    reported = _report(root, said)
    if reported and reported[0].text("action").lower() in SUCCESS:
        return None
    recipient = reported[0] if reported else Headers()
    status, diagnostic = _status(recipient), recipient.text("diagnostic-code")
    return Bounce(
        message_id=_original_id(root, said),
        recipient=_recipient(root.headers, recipient, said),
        status=status or _status_in(diagnostic or said),
        diagnostic=(_words(diagnostic) or _line_with_answer(said))[:MAX_DIAGNOSTIC],
        is_final=_is_final(recipient, root.headers.text("subject"), said),
    )


def _report(root: Part, text: str) -> list[Headers]:
    """The recipients' groups of fields, whoever failed first (RFC 3464 §2.3). Some servers lose the
    mail's structure on the way: then they stand in its text."""
    part = next((one for one in root.walk() if one.type in REPORTS), None)
    in_text = FIELDS.search(text)
    if part is not None:
        data = part.content()[:LOOKED_AT]
    elif in_text:
        data = text[in_text.start() :].encode()
    else:
        return []
    groups = [group for group in _groups(data) if "action" in group]
    return sorted(groups, key=lambda group: group.text("action").lower() != "failed")


def _groups(data: bytes) -> Iterator[Headers]:
    position = 0
    for _ in range(MAX_BLOCKS):
        if position >= len(data):
            return
        headers, after = read_headers(data, position)
        yield headers
        position = max(after, position + 1)


def _status(recipient: Headers) -> str:
    found = STATUS.search(recipient.text("status"))
    return found.group(1) if found else ""


def _status_in(text: str) -> str:
    found = next((hit for hit in STATUS.finditer(text) if hit.group(1)[0] in "45"), None)
    return found.group(1) if found else ""


def _words(diagnostic: str) -> str:
    """RFC 3464 §2.3.6: ``smtp; 550 unknown user``."""
    kind, _, words = diagnostic.partition(";")
    return words.strip() if words and len(kind) < 20 else diagnostic


def _line_with_answer(text: str) -> str:
    found = ANSWER.search(text)
    if found is None:
        return ""
    end = text.find("\n", found.start())
    return visible(text[found.start() : end if end > 0 else None][:MAX_DIAGNOSTIC])


def _recipient(headers: Headers, recipient: Headers, text: str) -> str:
    for name in ("original-recipient", "final-recipient"):  # what we wrote to comes first
        found = ADDRESS.search(recipient.text(name).rpartition(";")[2])
        if found:
            return found.group(1)
    failed = addresses(headers.source("x-failed-recipients"))
    if failed:
        return failed[0].address
    named = [hit.group(1).strip(".") for hit in islice(ADDRESS.finditer(text), MAX_BLOCKS)]
    own = {
        one.address.lower() for name in ("to", "from") for one in addresses(headers.source(name))
    }
    strangers = (one for one in named if one.lower() not in own and not MAILER.search(one))
    return next(strangers, next(iter(named), ""))


def _original_id(root: Part, text: str) -> str:
    for part in root.walk():
        if part is root:
            continue
        headers = part.headers
        if part.type in ORIGINALS:
            headers, _ = read_headers(part.content()[:LOOKED_AT])
        if found := message_ids(headers.source("message-id")):
            return found[0]
    if quoted := ORIGINAL_ID.search(text):
        return quoted.group(1)
    answered = message_ids(root.headers.source("in-reply-to"))
    return next(iter(answered or message_ids(root.headers.source("references"))[-1:]), "")


def _is_final(recipient: Headers, subject: str, text: str) -> bool:
    action = recipient.text("action").lower()
    if action:
        return action != "delayed"
    return not (LATE.search(subject) or (LATE.search(text[:2_000]) and _status_in(text)[:1] != "5"))
