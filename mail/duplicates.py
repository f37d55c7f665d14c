"""Which mails are the same: the same one twice, or the same words sent again. Pure.

A Message-ID alone proves nothing: broken clients reuse it, and whoever forges one could have
another mail dropped. So nothing is ever dropped here; the caller links what is the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from desk.email import ParsedEmail
from mail.threads import TAG, ancestors, subject_key

RESEND_WINDOW = timedelta(hours=72)
"""The same words later than this are a new matter: notices repeat themselves every week."""

MIN_WORDS = 5
MUNGED = 0.05
"""The share of words that may differ: lists change a charset, break a line, mask an address."""

MAX_FOOTERS, MAX_FOOTER = 3, 1_000
SEPARATOR = re.compile(r"^[ \t]{0,3}(?:-- ?|[-_=*~#]{5,}[^\n]{0,60})$", re.M)
PLACE = re.compile(r"@|://")
FOOTER = re.compile(
    r"\bunsubscri|\bsubscri|mailing[ -]?list|listinfo|\blist\b|\babmeld|\babbestell"
    r"|désabonn|désinscri|cancelar la suscripci|liste de diffusion|mailingliste|verteiler",
    re.I,
)
WORD = re.compile(r"\w+")
MAX_TEXT = 50_000


def content_key(parsed: ParsedEmail) -> str:
    """Equal for mails of the same subject, words and attachments that answer the same mail; "" for
    one with too few words to tell ("Thanks!" is not said twice by mistake), or not read whole."""
    words = _words(parsed.reply or parsed.text)
    if len(words) < MIN_WORDS or parsed.truncated:
        return ""
    answered = ancestors(parsed)[:1]
    files = sorted(file.sha256 for file in parsed.attachments)
    parts = (subject_key(parsed.subject), " ".join(words), *answered, *files)
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def is_copy(first: ParsedEmail, mail: ParsedEmail) -> bool:
    """Whether ``mail``, by the same sender under the same Message-ID, says nothing that ``first``
    does not: the same words and files, up to what mailing lists put below them. Another figure is
    another mail; so is a new word or two in a short one.
    """
    if mail.quarantine or _subject(first) != _subject(mail):
        return False  # nobody knows what a quarantined mail says
    if not {file.sha256 for file in mail.attachments} <= {f.sha256 for f in first.attachments}:
        return False
    known = list(_bodies(first.text))
    return any(_is_alike(words, one) for words in _bodies(mail.text) for one in known)


def _subject(mail: ParsedEmail) -> str:
    """A list puts its tag also before nothing."""
    key = subject_key(mail.subject)
    return "" if TAG.fullmatch(key) else key


def _bodies(text: str) -> Iterator[Counter[str]]:
    """The words of a text, with and without the footers that lists put below it."""
    text = text[:MAX_TEXT].rstrip()
    yield Counter(_words(text))
    for line in islice(reversed(list(SEPARATOR.finditer(text))), MAX_FOOTERS):
        footer, text = text[line.start() :], text[: line.start()]
        if len(footer) > MAX_FOOTER or not (FOOTER.search(footer) and PLACE.search(footer)):
            return
        yield Counter(_words(text))


def _is_alike(one: Counter[str], other: Counter[str]) -> bool:
    differs = (one - other) + (other - one)
    if differs.total() > MUNGED * max(one.total(), other.total()):
        return False
    return not any(character.isdigit() for word in differs for character in word)


def _words(text: str) -> list[str]:
    return WORD.findall(text[:MAX_TEXT].casefold())
