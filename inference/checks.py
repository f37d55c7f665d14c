"""What can be checked in a reply without a model: sources, figures, promises, personal data. Pure.

Runs after drafting and again after each edit, so it takes a few milliseconds at most.

Score = 60, + 40 × evidence, - 12 a warning, - 40 a blocking finding, within 0..100. Evidence is the
share of the cited pieces that stand in their source word for word; a reworded one counts half.
A reply without citations therefore reaches 60 at most.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from desk.email import Address, ParsedEmail
from desk.response import Citation, Finding, Severity
from inference.facts import Fact, facts, known
from inference.language import OTHER, detect
from inference.promises import is_promise
from inference.readings import Key
from inference.sentences import ITEM, MARK, blocks, items, normal, plain, source, stands_in, units

SHORT = 8  # words
LONG = 400
MOST = 5  # findings of one kind on a card
SOURCE_ROOM = 40_000  # characters of a mail that are searched

_PLACEHOLDER = re.compile(
    r"<[A-Z][A-Z0-9_]*_\d+>"
    # without its brackets, as writers tear them
    r"|(?<![\w<])(?:PERSON|EMAIL_ADDRESS|PHONE_NUMBER|STREET_ADDRESS|ID_NUMBER|CREDIT_CARD"
    r"|IBAN_CODE|IP_ADDRESS|DATE_OF_BIRTH|LITERAL)_\d+\b"
)
# and others, as a customer's own patterns are called, unless a source has that word
_TORN = re.compile(r"(?<![\w<])[A-Z]{2,}(?:_[A-Z]+)+_\d{1,2}\b")
_QUOTED = re.compile(r"[“\"„«]\s?([^“”\"„«»\n]{8,300}?)\s?[”\"“»]")
_NAMES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish"}
_PERSONAL = {
    "email": "e-mail address",
    "phone": "phone number",
    "iban": "bank account",
    "card": "card number",
}


@dataclass(frozen=True, slots=True)
class Review:
    """What was found, the worst first, and the score 0..100."""

    findings: tuple[Finding, ...]
    score: int


@dataclass(frozen=True)
class _Reply:
    """The reply beside everything that it may draw on."""

    text: str
    citations: Sequence[Citation]
    mail: ParsedEmail
    recipients: Sequence[Address]
    allowed: Collection[str]

    @cached_property
    def bodies(self) -> dict[int, str]:
        return {c.n: _passage_text(c) for c in self.citations}

    @cached_property
    def people(self) -> frozenset[str]:
        """The addresses that take part in the conversation, or are ours."""
        mail = self.mail
        taking_part = (mail.sender, *mail.to, *mail.cc, *mail.reply_to)
        ours = (value for value in self.allowed if "@" in value)
        return frozenset(
            address.strip().casefold()
            for address in (*(person.address for person in taking_part), *ours)
            if address
        )

    @cached_property
    def mail_text(self) -> str:
        mail = self.mail
        written = mail.text or "\n".join((mail.reply, mail.quoted, mail.signature))
        names = [str(person) for person in (mail.sender, *mail.to, *mail.cc, *mail.reply_to)]
        files = [attachment.name for attachment in mail.attachments]
        day = f"{mail.date:%Y-%m-%d}" if mail.date else ""
        return "\n".join((mail.subject, written[:SOURCE_ROOM], *names, *files, day))

    @cached_property
    def vouched(self) -> set[Key]:
        return known("\n\n".join((self.mail_text, *self.bodies.values(), *self.allowed)))

    @cached_property
    def figures(self) -> list[Fact]:
        return list(facts(self.text))

    @cached_property
    def unvouched(self) -> list[Fact]:
        missing = [fact for fact in self.figures if not fact.asks & self.vouched]
        return list({fact.text.casefold(): fact for fact in missing}.values())

    @cached_property
    def pieces(self) -> list[tuple[str, frozenset[int]]]:
        """Sentences and lists, each with the [n] of the paragraph it stands in."""
        return [
            (piece, frozenset(int(n) for n in MARK.findall(block)))
            for block in blocks(self.text)
            for piece in units(block)
        ]

    @cached_property
    def verbatim(self) -> set[str]:
        """The pieces that stand word for word in a source."""
        sources = [source(citation.passage.text) for citation in self.citations]
        return {
            piece
            for piece, _ in self.pieces
            for said in {normal(piece), normal(items(piece))}
            if any(stands_in(said, each) for each in sources)
        }


def check(
    text: str,
    citations: Sequence[Citation],
    mail: ParsedEmail,
    recipients: Sequence[Address] = (),
    allowed: Collection[str] = (),
) -> Review:
    """Everything worth telling the person who approves ``text``.

    ``allowed`` are values and texts that need no other source: our signature, our addresses, the
    placeholders of this mail.
    """
    if not text.strip():
        empty = Finding("length", Severity.BLOCKING, "There is no text to send.")
        return Review((empty,), 0)
    reply = _Reply(text, citations, mail, recipients, allowed)
    findings = [finding for each in _CHECKS for finding in each(reply)]
    order = [Severity.BLOCKING, Severity.WARNING, Severity.GOOD]
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Review(tuple(findings), _score(reply, findings))


def _score(reply: _Reply, findings: Sequence[Finding]) -> int:
    cited = [piece for piece, marks in reply.pieces if marks]
    verbatim = sum(piece in reply.verbatim for piece in cited)
    evidence = (verbatim + len(cited)) / (2 * len(cited)) if cited else 0.0
    severities = [finding.severity for finding in findings]
    lost = 12 * severities.count(Severity.WARNING) + 40 * severities.count(Severity.BLOCKING)
    return max(0, min(100, round(60 + 40 * evidence - lost)))


def _passage_text(citation: Citation) -> str:
    passage = citation.passage
    return plain("\n".join((passage.title, passage.heading, "", passage.text)))


def _citations(reply: _Reply) -> Iterator[Finding]:
    used = {int(n) for n in MARK.findall(reply.text)}
    given = {citation.n for citation in reply.citations}
    for n in sorted(used - given):
        yield Finding("citations", Severity.BLOCKING, f"[{n}] points to no article.")
    for n in sorted(given - used):
        reason = f"Article [{n}] is listed as a source, but nothing in the text refers to it."
        yield Finding("citations", Severity.WARNING, reason)


def _sources(reply: _Reply) -> Iterator[Finding]:
    if count := len(reply.verbatim):
        what = "1 sentence" if count == 1 else f"{count} sentences"
        where = "its source" if count == 1 else "their sources"
        yield Finding("sources", Severity.GOOD, f"{what} verified in {where}.")
    said = normal("\n".join((reply.mail_text, *reply.bodies.values(), *reply.allowed)))
    for quoted in _QUOTED.findall(reply.text):
        if len(quoted.split()) > 2 and normal(quoted).strip(" .,:!?") not in said:
            reason = f"“{_clipped(quoted)}” is quoted, but stands in no source."
            yield Finding("sources", Severity.WARNING, reason)


def _figures(reply: _Reply) -> Iterator[Finding]:
    """A figure beside a citation claims a source; without one it is only unsupported."""
    missing = [f for f in reply.unvouched if f.kind not in _PERSONAL and f.kind != "link"]
    for fact in missing[:MOST]:
        cited = _is_cited(reply, fact)
        kind = f"The {fact.kind} “{fact.text}”"
        reason = (
            f"{kind} is in no source that the reply cites." if cited else f"{kind} has no source."
        )
        yield Finding("figures", Severity.BLOCKING if cited else Severity.WARNING, reason)
    if len(missing) > MOST:
        reason = f"{len(missing) - MOST} more figures have no source."
        yield Finding("figures", Severity.WARNING, reason)
    if reply.figures and not reply.unvouched:
        count = len(reply.figures)
        what = "The one figure occurs" if count == 1 else f"All {count} figures occur"
        yield Finding("figures", Severity.GOOD, f"{what} in the mail or an article.")


def _is_cited(reply: _Reply, fact: Fact) -> bool:
    """Whether the paragraph around a figure carries a citation."""
    start = reply.text.rfind("\n\n", 0, fact.start) + 1
    end = reply.text.find("\n\n", fact.start)
    return bool(MARK.search(reply.text[start : end if end >= 0 else len(reply.text)]))


def _links(reply: _Reply) -> Iterator[Finding]:
    for fact in reply.unvouched:
        if fact.kind == "link":
            reason = f"The link {_clipped(fact.text)} is in no source."
            yield Finding("links", Severity.BLOCKING, reason)


def _personal(reply: _Reply) -> Iterator[Finding]:
    for fact in reply.unvouched:
        if fact.kind in _PERSONAL:
            what = _PERSONAL[fact.kind]
            reason = f"The {what} {fact.text} is not the customer's and is in no source."
            yield Finding("personal data", Severity.BLOCKING, reason)


def _promises(reply: _Reply) -> Iterator[Finding]:
    """What an article says word for word is its promise, made to everybody."""
    for piece, marks in reply.pieces:
        if piece not in reply.verbatim and is_promise(piece, cited=bool(marks)):
            said = _clipped(MARK.sub("", ITEM.sub("", piece)))
            yield Finding("promises", Severity.WARNING, f"A promise: “{said}”")


def _placeholders(reply: _Reply) -> Iterator[Finding]:
    sources = (reply.mail_text, *reply.bodies.values())
    torn = [one for one in _TORN.findall(reply.text) if not any(one in text for text in sources)]
    found = {*_PLACEHOLDER.findall(reply.text), *torn}
    for placeholder in sorted(found - set(reply.allowed)):
        reason = f"{placeholder} stands for nothing in this mail: replace it before sending."
        yield Finding("placeholders", Severity.BLOCKING, reason)


def _recipients(reply: _Reply) -> Iterator[Finding]:
    for address in sorted({person.address for person in reply.recipients}):
        if address.strip().casefold() not in reply.people:
            reason = f"{address} has not taken part in this conversation."
            yield Finding("recipients", Severity.BLOCKING, reason)


def _language(reply: _Reply) -> Iterator[Finding]:
    theirs, ours = detect(reply.mail.reply or reply.mail.text), detect(reply.text)
    if theirs != ours and OTHER not in (theirs, ours):
        reason = f"The reply is in {_NAMES[ours]}, the mail in {_NAMES[theirs]}."
        yield Finding("language", Severity.WARNING, reason)


def _length(reply: _Reply) -> Iterator[Finding]:
    words = len(reply.text.split())
    if words < SHORT:
        yield Finding("length", Severity.WARNING, f"The reply has only {words} words.")
    elif words > LONG:
        yield Finding("length", Severity.WARNING, f"The reply is long: {words} words.")


def _clipped(text: str, most: int = 120) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"


_CHECKS = (
    _recipients,
    _personal,
    _placeholders,
    _citations,
    _links,
    _sources,
    _figures,
    _promises,
    _language,
    _length,
)
