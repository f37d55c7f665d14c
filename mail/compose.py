"""An approved reply as the bytes that leave, and whether a mail may be answered at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from html import escape
from types import MappingProxyType

import idna

from desk.email import Address, Attachment, Kind, ParsedEmail
from desk.errors import Permanent
from desk.response import Envelope
from desk.signature import Signature
from mail.threads import REPLIES

LAST_REFERENCES = 20
MAX_QUOTED = 20_000
SYNTHESISED = "@maildesk.invalid>"

BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
ATOMS = re.compile(r"[^\s<>()\[\]\",;:@\\]{1,64}@[^\s<>()\[\]\",;:@\\]{1,253}")
REPLY_PREFIXES = re.compile(
    rf"(?:\s*(?:{REPLIES})(?:\s?\[\d{{1,3}}\]|\^\d{{1,3}})?\s?[:：])+\s*", re.I
)
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,990}>")
MACHINES = re.compile(
    r"(?:mailer-?daemon|postmaster|no[-_.]?reply|do[-_.]?not[-_.]?reply|bounces?|nobody)(?:[+=._-].*)?",
    re.I,
)
LINK = re.compile(
    r"https?://[^\s<>\"']{1,2000}|(?<![\w.+@-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
)
APART = "color:#555; border-top:1px solid #ddd; margin-top:1em"
UNSIGNED = Signature()

NARROW = SMTP.clone(cte_type="7bit")


class _Policy(EmailPolicy):
    """Folds ids between ids. The library folds a long one into an encoded word, which no client
    reads as an id (cpython#79986); and a wider limit for all would spoil RFC 2047 §2's 75."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() in ("message-id", "in-reply-to", "references"):
            ids = "\r\n ".join(str(value).split())
            return f"{name}: {ids}\r\n".encode("ascii")
        return NARROW.fold_binary(name, value)


POLICY = _Policy(linesep="\r\n", cte_type="7bit")


def compose(
    envelope: Envelope,
    answered: ParsedEmail,
    sender: Address,
    message_id: str,
    now: datetime,
    files: Mapping[str, bytes] = MappingProxyType({}),
    signature: Signature = UNSIGNED,
) -> bytes:
    """The reply to ``answered`` as plain text and simple HTML, with the original quoted below.
    ``files`` are the attachments' bytes by their SHA-256; a text that ends with ``signature`` has
    it set apart in its HTML.

    A person approved it, so it carries no Auto-Submitted: RFC 3834 §5 keeps that for machines.
    """
    _refuse_what_cannot_leave(envelope, message_id)
    mail = EmailMessage(policy=POLICY)
    mail["From"] = _mailbox(sender)
    mail["To"] = [_mailbox(one) for one in envelope.to]
    if envelope.cc:
        mail["Cc"] = [_mailbox(one) for one in envelope.cc]
    mail["Subject"] = _one_line(reply_subject(envelope.subject), "subject")
    mail["Date"] = now.astimezone(UTC)
    mail["Message-ID"] = message_id
    _thread(mail, answered)
    # MS-OXCMAIL: no out-of-office notes and automatic replies to this
    mail["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    text = envelope.text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    mail["MIME-Version"] = "1.0"
    bodies = (
        _body(_plain(text, answered), "plain"),
        _body(_html(text, answered, signature), "html"),
    )
    mail.make_alternative()
    for body in bodies:
        mail.attach(body)
    for attachment in envelope.attachments:
        _attach(mail, attachment, files)
    return mail.as_bytes()


def _attach(mail: EmailMessage, attachment: Attachment, files: Mapping[str, bytes]) -> None:
    data = files.get(attachment.sha256)
    if data is None or hashlib.sha256(data).hexdigest() != attachment.sha256:
        raise Permanent(f"The attachment {attachment.name} is missing. Attach it again.")
    main, _, sub = attachment.type.partition("/")
    # a mail inside a mail must not be encoded (RFC 2046 §5.2.1)
    main, sub = ("application", "octet-stream") if main in ("message", "multipart") else (main, sub)
    mail.add_attachment(data, maintype=main, subtype=sub, filename=attachment.name)


def spelled(address: str) -> str:
    """As the composed mail spells it: its domain in ASCII."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{_host(domain)}"


def reply_subject(subject: str) -> str:
    """``subject`` with one "Re: " in front, whatever stood there; a fixed point of itself."""
    bare = REPLY_PREFIXES.sub("", subject, count=1) if REPLY_PREFIXES.match(subject) else subject
    return f"Re: {bare.strip()}".strip()


def reply_recipients(
    parsed: ParsedEmail, own: Collection[str]
) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
    """(to, cc): Reply-To if it names anybody but us, else From. Nobody else is copied."""
    ours = {address.casefold() for address in own}

    def others(found: Iterable[Address]) -> tuple[Address, ...]:
        named = {one.address.casefold(): one for one in reversed(tuple(found)) if one.address}
        return tuple(one for address, one in reversed(named.items()) if address not in ours)

    return others(parsed.reply_to) or others((parsed.sender,)), ()


def receiving_address(parsed: ParsedEmail, address: str, aliases: Collection[str]) -> str:
    """The address of ours that the customer wrote to, so that the answer comes from there."""
    known = {one.casefold(): one for one in (address, *aliases)}
    written = (one.address.casefold() for one in (*parsed.to, *parsed.cc))
    return next((known[one] for one in written if one in known), address)


def may_reply(parsed: ParsedEmail, own: Collection[str]) -> str:
    """ "" or a sentence that says why nobody should answer (RFC 3834 §2)."""
    if parsed.kind is Kind.BOUNCE:
        return "This is a report about an undelivered mail; nobody reads an answer to it."
    if parsed.kind is Kind.AUTO:
        return "A machine sent this mail; an answer could start a loop."
    ours = {address.casefold() for address in own}
    named = {one.address.casefold() for one in (*parsed.to, *parsed.cc)}
    if parsed.kind is Kind.LIST and not ours & named:
        return "This came over a mailing list and is not addressed to us."
    to, _ = reply_recipients(parsed, own)
    if not to:
        is_ours = parsed.sender.address.casefold() in ours
        return "We sent this mail ourselves." if is_ours else "The sender's address is not usable."
    if all(MACHINES.fullmatch(one.address.rpartition("@")[0]) for one in to):
        return f"{to[0].address} does not take answers."
    return ""


def _refuse_what_cannot_leave(envelope: Envelope, message_id: str) -> None:
    if not envelope.to:
        raise Permanent("The reply has no recipient. Enter one and approve it again.")
    if not MESSAGE_ID.fullmatch(message_id):
        raise Permanent("The reply's Message-ID is not valid. Edit the reply to get a new one.")


def _one_line(text: str, what: str) -> str:
    if BREAKS.search(text):
        raise Permanent(f"The {what} contains a line break or control character. Edit the reply.")
    return text


def _mailbox(one: Address) -> Mailbox:
    address = _one_line(one.address, "address")
    name = _one_line(one.name, "name")
    if not ATOMS.fullmatch(address):
        raise Permanent(
            f'"{address}" is not a mail address. Correct it and approve the reply again.'
        )
    local, _, domain = address.rpartition("@")
    try:
        return Mailbox(name, local.encode("ascii").decode(), _host(domain))
    except (UnicodeError, ValueError, IndexError) as error:
        raise Permanent(f'Mail cannot be sent to the address "{address}".') from error


def _host(domain: str) -> str:
    """The standard library's codec is IDNA 2003, which takes ß for ss: another domain."""
    host = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    if not all(0 < len(label) < 64 for label in host.split(".")):  # RFC 1035 §2.3.4
        raise ValueError(host)
    return host


def _thread(mail: EmailMessage, answered: ParsedEmail) -> None:
    """RFC 5322 §3.6.4. An id that we made up for a mail without one means nothing elsewhere."""
    is_real = bool(MESSAGE_ID.fullmatch(answered.message_id))
    is_real = is_real and not answered.message_id.endswith(SYNTHESISED)
    older = answered.references or (answered.in_reply_to,)
    chain = [*older, answered.message_id] if is_real else list(older)
    ids = list(dict.fromkeys(one for one in chain if MESSAGE_ID.fullmatch(one)))
    if len(ids) > LAST_REFERENCES + 1:
        ids = [ids[0], *ids[-LAST_REFERENCES:]]
    if is_real:
        mail["In-Reply-To"] = answered.message_id
    if ids:
        mail["References"] = " ".join(ids)


def _body(text: str, subtype: str) -> EmailMessage:
    part = EmailMessage(policy=NARROW)
    part.set_content(text, subtype=subtype, cte="quoted-printable")
    del part["MIME-Version"]  # RFC 2045 §4: of the whole mail only
    return part


def _attribution(answered: ParsedEmail) -> str:
    name = answered.sender.name or answered.sender.address or "the sender"
    if answered.date is None:
        return f"{name} wrote:"
    return f"On {answered.date:%Y-%m-%d} at {answered.date:%H:%M}, {name} wrote:"


def _original(answered: ParsedEmail) -> str:
    text = answered.text
    if len(text) > MAX_QUOTED:
        text = text[:MAX_QUOTED].rpartition("\n")[0] + "\n[…]"
    return text


def _plain(text: str, answered: ParsedEmail) -> str:
    original = _original(answered)
    if not original:
        return f"{text}\n"
    lines = "\n".join(f">{_gap(line)}{line}" for line in original.split("\n"))
    return f"{text}\n\n{_attribution(answered)}\n{lines}\n"


def _gap(line: str) -> str:
    return "" if not line or line.startswith(">") else " "


def _html(text: str, answered: ParsedEmail, signature: Signature) -> str:
    original = _original(answered)
    quote = (
        f'<div class="gmail_quote"><div class="gmail_attr">{escape(_attribution(answered))}</div>'
        f'<blockquote class="gmail_quote" type="cite">{_paragraphs(original)}</blockquote></div>'
    )
    ends = signature.begins(text)
    said = _paragraphs(text[:ends])
    if ends < len(text):
        said += f'<div class="gmail_signature" style="{APART}">{_paragraphs(text[ends:])}</div>'
    return f"<!DOCTYPE html><html><body>{said}{quote if original else ''}</body></html>\n"


def _paragraphs(text: str) -> str:
    paragraphs = (part for part in re.split(r"\n{2,}", text) if part.strip())
    lines = (_linked(part).replace("\n", "<br>\n") for part in paragraphs)
    return "\n".join(f"<p>{line}</p>" for line in lines)


def _linked(text: str) -> str:
    pieces: list[str] = []
    position = 0
    for found in LINK.finditer(text):
        link = found.group(0).rstrip(".,;:!?)]}'")
        pieces.append(escape(text[position : found.start()]))
        scheme = "" if "://" in link else "mailto:"
        pieces.append(f'<a href="{scheme}{escape(link)}">{escape(link)}</a>')
        position = found.start() + len(link)
    return "".join([*pieces, escape(text[position:])])
