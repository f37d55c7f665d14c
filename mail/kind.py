"""What sort of mail it is, by its form alone: headers and the types of its parts."""

from __future__ import annotations

import re
from collections.abc import Collection

from desk.email import Kind
from mail.headers import Headers
from mail.phrases import AUTO_SUBJECT, MAILER, UNDELIVERED

AUTO_HEADERS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-autoreply-from",
    "x-auto-reply",
    "x-mail-autoreply",
    "feedback-type",
    "x-facebook-notify",
)
LIST_HEADERS = (
    "list-id",
    "list-post",
    "list-unsubscribe",
    "list-help",
    "mailing-list",
    "x-mailing-list",
)
# RFC 8551 §3.2, RFC 3156 §4
SEALED_TYPES = frozenset(
    {
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
        "application/pgp-encrypted",
        "application/pgp",
    }
)


def kind_of(headers: Headers, types: Collection[str], text: str = "", method: str = "") -> Kind:
    """``types`` are the MIME types of all parts, the root first; ``method`` is a calendar's."""
    root = next(iter(types), "")
    if _is_bounce(headers, types):
        return Kind.BOUNCE
    if method:
        return Kind.CALENDAR
    if root == "multipart/encrypted" or SEALED_TYPES & set(types) or _is_armoured(text):
        return Kind.ENCRYPTED
    if _is_auto(headers, root):
        return Kind.AUTO
    precedence = headers.text("precedence").lower()
    if precedence in ("list", "bulk", "junk") or any(name in headers for name in LIST_HEADERS):
        return Kind.LIST
    return Kind.PERSON


def _is_bounce(headers: Headers, types: Collection[str]) -> bool:
    """RFC 3464, and the many who do not know it."""
    if _report_type(headers) == "delivery-status" or "message/delivery-status" in types:
        return True
    if "x-failed-recipients" in headers:
        return True
    subject = headers.text("subject")
    if not UNDELIVERED.search(subject[:300]) or AUTO_SUBJECT.match(subject):
        return False
    sender = f"{headers.text('from')} {headers.text('sender')}"
    return bool(MAILER.search(sender)) or _has_null_sender(headers) or "from" not in headers


def _report_type(headers: Headers) -> str:
    value = headers.source("content-type")[:2_000].lower()
    if not value.startswith("multipart/report"):
        return ""
    found = re.search(r"report-type\s{0,5}=\s{0,5}\"?([a-z-]{1,40})", value)
    return found.group(1) if found else ""


def _has_null_sender(headers: Headers) -> bool:
    """RFC 5321 §4.5.5: nobody may answer a mail with an empty reverse-path."""
    return headers.source("return-path").replace(" ", "") == "<>"


def _is_auto(headers: Headers, root: str) -> bool:
    """RFC 3834 §5. X-Auto-Response-Suppress is no sign: people's clients set it too."""
    submitted = headers.text("auto-submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return True
    if root == "multipart/report" or _has_null_sender(headers):
        return True
    if any(name in headers for name in AUTO_HEADERS):
        return True
    if headers.text("precedence").lower() in ("auto_reply", "auto-reply"):
        return True
    return bool(AUTO_SUBJECT.match(headers.text("subject")) or MAILER.search(headers.text("from")))


def _is_armoured(text: str) -> bool:
    return text.lstrip()[:200].startswith("-----BEGIN PGP MESSAGE-----")
