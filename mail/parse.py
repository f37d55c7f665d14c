"""The bytes of one mail to a ParsedEmail. Total: whatever the bytes are, it returns and says in
``defects`` what was wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from desk.email import Address, Kind, ParsedEmail
from mail.addresses import read_addresses
from mail.body import Body
from mail.bounce import bounce_of
from mail.charset import clean, decode
from mail.headers import Headers, made_up_id, message_ids, moment, received_at
from mail.html import MARKS, REST
from mail.kind import kind_of
from mail.mime import MAX_BODY_BYTES, Limits, build
from mail.provider import LEFT_OUT, MAIL_BYTES, Lack
from mail.reply import split

MAX_TEXT = 200_000
MAX_FORWARDS = 5
LACKS: Mapping[str, str] = {
    Lack.ATTACHMENTS: "The mail is very large: only its texts were read, up to a length; the rest"
    " is in the mailbox itself.",
    Lack.TEXT: "The mail server handed over only the headers: open it in the mailbox itself.",
    Lack.ALL: "The mail server does not hand it over: open it in the mailbox itself.",
}


def parse(raw: bytes) -> ParsedEmail:
    """Reads one mail as it came over the wire. Never raises, unless memory ends."""
    try:
        return _parse(raw, 0)
    except MemoryError:
        raise
    except Exception as error:  # no mail may be lost; it is shown as the text that it is
        text = clean(decode(raw[:MAX_BODY_BYTES])[0])[:MAX_TEXT]
        return ParsedEmail(
            message_id=made_up_id(raw),
            text=text,
            reply=text,
            defects=(f"The mail could not be read ({type(error).__name__}); this is its source.",),
            truncated=True,
        )


def as_json(parsed: ParsedEmail) -> dict[str, object]:
    """The fields as the command ``parse --json`` prints them."""
    return {
        "message_id": parsed.message_id,
        "from": _address(parsed.sender),
        "to": [_address(one) for one in parsed.to],
        "cc": [_address(one) for one in parsed.cc],
        "reply_to": [_address(one) for one in parsed.reply_to],
        "subject": parsed.subject,
        "date": parsed.date.isoformat() if parsed.date else None,
        "text": parsed.text,
        "reply": parsed.reply,
        "quoted": parsed.quoted,
        "signature": parsed.signature,
        "attachments": [
            {"name": one.name, "type": one.type, "size": one.size, "sha256": one.sha256}
            for one in parsed.attachments
        ],
        "kind": parsed.kind.value,
        "defects": list(parsed.defects),
        "truncated": parsed.truncated,
    }


def _address(one: Address) -> dict[str, str]:
    return {"name": one.name, "address": one.address}


def _parse(raw: bytes, depth: int) -> ParsedEmail:
    limits = Limits()
    if len(raw) >= MAIL_BYTES:
        limits.cut(f"The mail is larger than {MAIL_BYTES // 1024 // 1024} MB and was cut.")
    root = build(raw[:MAIL_BYTES], limits)
    headers = root.headers
    _note_what_lacks(headers, limits)
    body = Body(limits)
    body.read(root)
    text = body.text() or _forwarded(body, depth)
    if len(text) > MAX_TEXT:
        limits.cut("The text is too long and was cut.")
        text = text[:MAX_TEXT]
    seen = split(text)
    plain = MARKS.sub("", text.replace(f"{REST}\n", "")).strip("\n").rstrip()
    kind = kind_of(headers, body.types, plain, body.method)
    bounce = bounce_of(root, plain) if kind is Kind.BOUNCE else None
    if kind is Kind.BOUNCE and bounce is None:
        kind = Kind.AUTO  # a report that the mail has arrived
    return ParsedEmail(
        message_id=_message_id(headers, raw, limits),
        in_reply_to=next(iter(message_ids(headers.source("in-reply-to"))), ""),
        references=message_ids(" ".join(headers.all("references"))),
        sender=_sender(headers, limits),
        to=_every(headers, "to", limits),
        cc=_every(headers, "cc", limits),
        reply_to=_every(headers, "reply-to", limits),
        subject=headers.text("subject"),
        date=_date(headers, limits),
        text=plain,
        reply=seen.reply,
        quoted=seen.quoted,
        signature=seen.signature,
        attachments=tuple(body.attachments),
        kind=kind,
        defects=tuple(limits.defects),
        truncated=limits.is_cut,
        bounce=bounce,
    )


def _note_what_lacks(headers: Headers, limits: Limits) -> None:
    """A provider says so above all that its mail server wrote; lower down it is somebody else's."""
    name, value = next(iter(headers.fields), ("", b""))
    lack = value.decode("ascii", "replace")
    if name == LEFT_OUT.lower() and lack in LACKS:
        limits.cut(LACKS[lack])


def _message_id(headers: Headers, raw: bytes, limits: Limits) -> str:
    found = message_ids(headers.source("message-id"))
    if found:
        return found[0]
    limits.note("The mail has no usable Message-ID; one was made from its content.")
    return made_up_id(raw)


def _sender(headers: Headers, limits: Limits) -> Address:
    for name in ("from", "sender"):
        found = [one for one in _every(headers, name, limits) if one.address]
        if found:
            return found[0]
    limits.note("The mail names no usable sender.")
    return next(iter(_every(headers, "from", limits)), Address("", ""))


def _every(headers: Headers, name: str, limits: Limits) -> tuple[Address, ...]:
    read = [read_addresses(text) for text in headers.all(name)]
    if any(is_cut for _, is_cut in read):
        limits.cut(f"The list of addresses in {name.title()} is too long and was cut.")
    return tuple(dict.fromkeys(one for found, _ in read for one in found))


def _date(headers: Headers, limits: Limits) -> datetime | None:
    found = next(filter(None, map(moment, headers.all("date"))), None)
    if found is None:
        found = received_at(headers)
        limits.note(
            "The mail has no usable date; the server's was taken."
            if found
            else "The mail has no usable date."
        )
    return found


def _forwarded(body: Body, depth: int) -> str:
    """What a mail says that was only forwarded as an attachment, below who wrote it and when."""
    if not body.forwards or depth >= MAX_FORWARDS:
        return ""
    inner = _parse(body.forwards[0].content(), depth + 1)
    body.limits.is_cut |= inner.truncated
    date = inner.date.strftime("%Y-%m-%d %H:%M %Z") if inner.date else ""
    told = {"From": str(inner.sender), "Date": date, "Subject": inner.subject}
    heading = "\n".join(f"{name}: {value}" for name, value in told.items() if value)
    return f"{heading}\n\n{inner.text}" if inner.text and heading else inner.text
