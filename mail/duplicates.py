"""Which mails are the same: the same one twice, or the same words sent again. Pure.

A Message-ID alone proves nothing: broken clients reuse it, and whoever forges one could have
another mail dropped. So nothing is ever dropped here; the caller links what is the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import timedelta

from desk.email import ParsedEmail
from mail.threads import ancestors, subject_key

RESEND_WINDOW = timedelta(hours=72)
"""The same words later than this are a new matter: notices repeat themselves every week."""

MIN_WORDS = 5
SAME = 0.5
WORD = re.compile(r"\w+")
MAX_TEXT = 50_000


def content_key(parsed: ParsedEmail) -> str:
    """Equal for mails of the same subject, words and attachments that answer the same mail; "" for
    one with too few words to tell ("Thanks!" is not said twice by mistake)."""
    words = _words(parsed.reply or parsed.text)
    if len(words) < MIN_WORDS:
        return ""
    answered = ancestors(parsed)[:1]
    files = sorted(file.sha256 for file in parsed.attachments)
    parts = (subject_key(parsed.subject), " ".join(words), *answered, *files)
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def is_copy(one: ParsedEmail, other: ParsedEmail) -> bool:
    """Whether two mails of one sender under one Message-ID are the same mail, perhaps with what a
    mailing list added. Half of all their words in common is enough; another text is another mail.
    """
    if subject_key(one.subject) != subject_key(other.subject):
        return False
    first, second = (Counter(_words(mail.text)) for mail in (one, other))
    if not first and not second:
        return [f.sha256 for f in one.attachments] == [f.sha256 for f in other.attachments]
    return (first & second).total() >= SAME * max(first.total(), second.total())


def _words(text: str) -> list[str]:
    return WORD.findall(text[:MAX_TEXT].casefold())
