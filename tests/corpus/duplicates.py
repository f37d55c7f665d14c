"""What is taken for the same mail, measured on ordinary mails and on copies made of them.

``take`` decides as intake does: by Message-ID and sender, then by content within RESEND_WINDOW.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path

from desk.email import ParsedEmail, Relation
from mail.duplicates import MIN_WORDS, RESEND_WINDOW, content_key, is_copy
from mail.parse import parse
from tests.corpus import mails

TRANSPORT = (
    b"Return-Path: <bounce@lists.example>\nDelivered-To: sales@shop.example\n"
    b"Received: from a.example by b.example; Mon, 23 Nov 2026 10:00:00 +0100\nX-Spam-Score: 0.1\n"
)
FOOTERS = (
    "_______________________________________________\nHelp mailing list\nHelp@lists.example\n"
    "http://lists.example/mailman/listinfo/help\n",
    "-- \nYou received this message because you are subscribed to the Google Groups group help.\n"
    "To unsubscribe from this group, send an email to help+unsubscribe@groups.example.\n",
    "---------------------------------------------------------------------\n"
    "To unsubscribe, e-mail: help-unsubscribe@lists.example\n",
    "--\nVerteiler hilfe@listen.example\nAbmelden: https://listen.example/hilfe\n",
)
FIGURE = re.compile(r"\b\d{1,6}\b")
SAMPLE = 120


@dataclass(frozen=True, slots=True)
class Told:
    """How many mails, and which of them were not taken as they should be."""

    asked: int
    wrong: list[str]

    def __str__(self) -> str:
        right = self.asked - len(self.wrong)
        return f"{right} of {self.asked} ({right / max(self.asked, 1):.1%})"


def ordinary(folder: Path) -> list[tuple[Path, bytes, ParsedEmail]]:
    """Mails of people and of lists, each once: what is there byte for byte twice is no question."""
    data = folder / "corpora" / "mail" / "spamassassin-public" / "03-Classification" / "data"
    found: dict[bytes, Path] = {}
    for name in mails.ORDINARY:
        for path in mails.files(data / name):
            found.setdefault(path.read_bytes(), path)
    return [(path, raw, parse(raw)) for raw, path in found.items()]


def take(first: ParsedEmail, mail: ParsedEmail, apart: timedelta) -> Relation:
    """What intake makes of a mail that comes ``apart`` after ``first``."""
    if first.sender.address.lower() != mail.sender.address.lower():
        return Relation.MAIL
    if first.message_id == mail.message_id and is_copy(first, mail):
        return Relation.COPY
    key = content_key(mail)
    is_again = bool(key) and key == content_key(first) and apart <= RESEND_WINDOW
    return Relation.RESEND if is_again else Relation.MAIL


def words_of(mail: ParsedEmail) -> list[str]:
    return re.findall(r"\w+", mail.text.lower())


def linked(known: Sequence[tuple[Path, bytes, ParsedEmail]]) -> Iterator[tuple[Path, Path, float]]:
    """The pairs that are taken for the same, with the share of words that they have in common."""
    keys = {path: content_key(mail) for path, _, mail in known}
    for (one, _, first), (other, _, mail) in combinations(known, 2):
        is_near = first.message_id == mail.message_id or keys[one] == keys[other]
        apart = abs(mail.date - first.date) if mail.date and first.date else timedelta(0)
        if is_near and take(first, mail, apart) is not Relation.MAIL:
            yield one, other, likeness(words_of(first), words_of(mail))


def likeness(one: Sequence[str], other: Sequence[str]) -> float:
    """Without regard to order; 1 for two that are equal."""
    longer = max(len(one), len(other))
    left = list(other)
    common = 0
    for word in one:
        if word in left:
            left.remove(word)
            common += 1
    return common / longer if longer else 1.0


def reused(known: Sequence[tuple[Path, bytes, ParsedEmail]]) -> Told:
    """Different texts that carry one Message-ID, sender and subject: none may hide another."""
    sample = [mail for _, _, mail in known[:: max(len(known) // SAMPLE, 1)]][:SAMPLE]
    wrong, asked = [], 0
    for first, mail in combinations(sample, 2):
        forged = replace(
            mail, message_id=first.message_id, sender=first.sender, subject=first.subject
        )
        asked += 1
        is_one = take(first, forged, timedelta(0)) is not Relation.MAIL
        if is_one and likeness(words_of(first), words_of(mail)) < 0.9:
            wrong.append(f"{first.message_id} and {mail.message_id}")
    return Told(asked, wrong)


def figures(known: Sequence[tuple[Path, bytes, ParsedEmail]]) -> Told:
    """The same mail with another order number is another mail, whatever its Message-ID."""
    wrong, asked = [], 0
    for path, _, mail in known:
        found = FIGURE.search(mail.reply)
        if found is None or mail.text.count(mail.reply) != 1:
            continue
        said = f"{mail.reply[: found.start()]}{int(found[0]) + 1}{mail.reply[found.end() :]}"
        other = replace(mail, reply=said, text=mail.text.replace(mail.reply, said))
        asked += 1
        if take(mail, other, timedelta(0)) is not Relation.MAIL:
            wrong.append(path.name)
    return Told(asked, wrong)


def transported(known: Sequence[tuple[Path, bytes, ParsedEmail]]) -> Told:
    """The same bytes below other transport headers."""
    came = [(path, mail, parse(TRANSPORT + raw)) for path, raw, mail in known if own_id(mail)]
    wrong = [p.name for p, mail, one in came if take(mail, one, timedelta(0)) is not Relation.COPY]
    return Told(len(came), wrong)


def listed(known: Sequence[tuple[Path, bytes, ParsedEmail]]) -> Told:
    """Over a mailing list that adds a footer and a tag in the subject."""
    wrong, asked = [], 0
    for number, (path, _, mail) in enumerate(known):
        footer = FOOTERS[number % len(FOOTERS)]
        came = replace(mail, subject=f"[help] {mail.subject}", text=f"{mail.text}\n\n{footer}")
        asked += own_id(mail)
        if own_id(mail) and take(mail, came, timedelta(0)) is not Relation.COPY:
            wrong.append(path.name)
    return Told(asked, wrong)


def resent(known: Sequence[tuple[Path, bytes, ParsedEmail]]) -> Told:
    """The same words a day later under another Message-ID."""
    wrong, asked = [], 0
    for path, _, mail in known:
        if len(words_of(replace(mail, text=mail.reply or mail.text))) < MIN_WORDS:
            continue
        again = replace(mail, message_id="<again@example.org>")
        asked += 1
        if take(mail, again, timedelta(days=1)) is not Relation.RESEND:
            wrong.append(path.name)
    return Told(asked, wrong)


def own_id(mail: ParsedEmail) -> bool:
    return not mail.message_id.endswith("@maildesk.invalid>")
