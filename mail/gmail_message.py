"""What an answer of Gmail says of one message."""

from __future__ import annotations

import base64
import binascii

from desk.errors import Transient
from mail.record import Record, any_records_in, any_text_in, record_in, text_in


def headers_of(message: Record) -> list[tuple[str, str]]:
    """Their names in small letters, and their values."""
    if message.get("payload") is None:
        return []
    given = any_records_in(record_in(message, "payload"), "headers")
    return [(text_in(one, "name").lower(), str(one.get("value") or "")) for one in given]


def raw_of(message: Record) -> bytes:
    """URL-safe base64, with or without its padding (RFC 4648 §5). Empty where none was asked."""
    raw = any_text_in(message, "raw")
    try:
        return base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
    except (binascii.Error, ValueError) as error:
        raise Transient("Gmail handed over a mail that cannot be decoded") from error
