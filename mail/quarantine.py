"""What is shown of a mail that stopped its parser: the few headers that need no parser."""

from __future__ import annotations

import re

from desk.email import QUARANTINED, Address, ParsedEmail
from mail.addresses import addresses
from mail.headers import decoded, made_up_id, message_ids, visible

HEAD, MAX_VALUE = 64 * 1024, 1_000
FIELD = re.compile(rb"^(from|to|subject|message-id|in-reply-to):([^\r\n]{0,1000})", re.M | re.I)


def quarantined(raw: bytes, why: str) -> ParsedEmail:
    """``why`` is a sentence. Looks at short lines near the top only, so that it cannot be caught
    by what caught the parser."""
    found = {
        name.decode().lower(): value.decode("utf-8", "replace")
        for name, value in reversed(FIELD.findall(raw[:HEAD]))
    }
    return ParsedEmail(
        message_id=next(iter(message_ids(found.get("message-id", ""))), "") or made_up_id(raw),
        in_reply_to=next(iter(message_ids(found.get("in-reply-to", ""))), ""),
        sender=next(iter(addresses(found.get("from", ""))), Address("", "")),
        to=addresses(found.get("to", "")),
        subject=visible(decoded(found.get("subject", ""))),
        defects=(f"{QUARANTINED}{why}",),
        truncated=True,
    )
