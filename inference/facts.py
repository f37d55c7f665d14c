"""Figures in a text: numbers, dates, times, prices, percentages, links, addresses. Pure.

A fact in a reply asks for keys, one of which a source must vouch for. Keys are equal when two ways
of writing mean the same: "1,000" and "1.000", "3 May" and "3. Mai", "14 days" and "zwei Wochen".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from inference import readings
from inference.readings import Key, Reading
from inference.words import (
    CURRENCIES,
    MONTHS,
    NUMBERS,
    SHORT_WEEKDAYS,
    UNITS,
    WEEKDAYS,
    alternatives,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """``kind`` is one of email, link, iban, card, phone, date, time, percentage, price, duration,
    weekday, code, number; ``start`` its place in the text."""

    kind: str
    text: str
    start: int
    asks: frozenset[Key]
    vouches: frozenset[Key]


# All patterns but two read lower-case text: matching "any case" is several times slower. They are
# bounded or atomic, so that a mail made for the purpose cannot stall them.
_NUMBER = (
    r"(?<!\d)(?>\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?!\d)(?:[.,]\d{1,2}(?!\d))?|\d+(?:[.,]\d+)?)"
)
_COUNT = rf"(?:{_NUMBER}|{alternatives(NUMBERS)}\b)"
_MONTH = alternatives(MONTHS)
_DAY = alternatives(WEEKDAYS)
_SHORT_DAY = alternatives(SHORT_WEEKDAYS)
_MONEY = alternatives(CURRENCIES)
_TO = r"\s?(?:[-–—]|\b(?:to|or|and|bis|oder|und|à|ou|et|a|o|y)\b)\s?"
_FULL = r"(?:(?:business|working|full|calendar|whole|volle[nr]?|ganze[nr]?)\s)?"
_Y = r"(?P<y>\d{4})"
_YY = r"(?P<y>\d{4}|\d{2})"
_ORDINAL = r"(?:st|nd|rd|th|er|º)?"
_ADDRESS_END = r"[^\s<>\"'()\[\]{}«»“”]"

_Read = Callable[[re.Match[str]], Reading | None]
_KINDS: tuple[tuple[str, _Read, tuple[str, ...]], ...] = (
    # local parts are up to 64 octets (RFC 5321 §4.5.3.1.1)
    ("email", readings.email, (r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+",)),
    (
        "link",
        readings.link,
        (
            rf"(?:https?://|www\.){_ADDRESS_END}+",
            r"(?<![\w.-])(?:[a-z0-9-]{1,63}\.){1,4}"
            r"(?:com|org|net|io|de|fr|es|eu|uk|ch|at|info|app|dev|example)\b"
            rf"(?:/{_ADDRESS_END}*)?",
        ),
    ),
    ("iban", readings.iban, (r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b",)),
    (
        "date",
        readings.date,
        (
            rf"\b{_Y}-(?P<m>\d\d?)-(?P<d>\d\d?)\b",
            rf"\b(?P<d>\d\d?)/(?P<m>\d\d?)/{_YY}\b",
            rf"\b(?P<d>\d\d?)\.\s?(?P<m>\d\d?)\.\s?{_YY}\b",
            r"\b(?:am|vom|zum|bis|ab|den|dem|seit)\s(?P<d>\d\d?)\.\s?(?P<m>\d\d?)\.(?!\d)",
            rf"\b(?P<d>\d\d?){_ORDINAL}\.?\s(?:of\s|de\s)?(?P<name>{_MONTH})\b\.?"
            rf"(?:,?\s(?:del?\s)?{_Y}\b)?",
            rf"\b(?P<name>{_MONTH})\.?\s(?P<d>\d\d?){_ORDINAL}\b(?!\s?:)(?:,?\s{_Y}\b)?",
        ),
    ),
    (
        "date",
        readings.month,
        (
            rf"\b(?P<name>{_MONTH})\.?\s(?:del?\s)?{_Y}\b",
            r"\b(?:in|im|en|of|by|since|until|before|after|next|last|bis|seit|ab|ende|anfang|fin"
            rf"|début|depuis|desde|hasta)\s(?P<name>{_MONTH})\b(?P<y>)",
        ),
    ),
    ("card", readings.card, (r"\b\d(?:[ -]?\d){12,18}\b",)),
    (
        "phone",
        readings.phone,
        (
            r"(?<![\w.,])(?:\+\d|00\d|\(0|0)(?:[\d ()/-]|\.(?=\d)){6,18}\d(?![\w%€])",
            r"\b\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}\b",
        ),
    ),
    (
        "time",
        readings.time,
        (
            r"\b(?P<h>\d\d?)[:.](?P<min>\d\d)(?:\s?(?P<half>[ap]\.?\s?m)\b\.?|\s?(?:uhr|h)\b)",
            r"\b(?P<h>\d\d?):(?P<min>\d\d)\b",
            r"\b(?P<h>\d\d?)\s?h\s?(?P<min>\d\d)\b",
            r"\b(?P<h>\d\d?)(?P<min>)\s?(?:(?P<half>[ap]\.?m)\b\.?|uhr\b|o'clock\b)",
        ),
    ),
    ("time", readings.time_or_span, (r"\b(?P<h>\d\d?)\s?h\b",)),
    (
        "percentage",
        readings.percentage,
        (rf"(?P<n>{_NUMBER})\s?(?:%|per\s?cent\b|prozent\b|pour\s?cent\b|por\s?ciento\b)",),
    ),
    (
        "price",
        readings.price,
        (
            rf"(?<!\w)(?P<c>{_MONEY})\s?(?P<n>{_NUMBER})",
            rf"(?P<n>{_NUMBER})(?:,-)?\s?(?P<c>{_MONEY})(?!\w)",
        ),
    ),
    (
        "duration",
        readings.span,
        (
            rf"(?<![\w.,])(?P<n>{_COUNT})(?:{_TO}(?P<high>{_COUNT}))?[\s-]?{_FULL}"
            rf"(?P<unit>{alternatives(UNITS)})\b",
        ),
    ),
    (
        "weekday",
        readings.weekday,
        (
            rf"\b(?P<day>{_DAY})s?\b"
            rf"(?:\s?(?:-|–|to|through|bis|à|au|a|al)\s?(?P<last>{_DAY})\b)?",
        ),
    ),
    (
        "short weekdays",
        readings.weekday,
        (rf"\b(?P<day>{_SHORT_DAY})\.?\s?[-–]\s?(?P<last>{_SHORT_DAY})\b",),
    ),
    (
        "code",
        readings.code,
        (
            r"\b(?!\d+(?:st|nd|rd|th|er|ème|e|º)\b)(?=[\w./-]{0,60}\d)(?=[\w./-]{0,60}[a-z])"
            r"[a-z0-9]+(?:[-_./][a-z0-9]+)*",
            r"\b\d+(?:[-_]\d+)+\b",
            r"\b\d+(?:\.\d+){2,}\b",
        ),
    ),
    ("number", readings.number, (rf"(?<!\w)(?P<n>{_NUMBER})",)),
)
_AS_WRITTEN = ("iban", "short weekdays")
_PATTERNS = tuple(
    (kind, re.compile(pattern), read) for kind, read, patterns in _KINDS for pattern in patterns
)
_SKIPPED = re.compile(  # placeholders, citation marks, step numbers; "may" that is no month
    rf"<[A-Z][A-Z_]*_\d+>|\[\d{{1,3}}\]|\bmay\b"
    rf"|^[ \t]*\d{{1,2}}[.)](?=[ \t])(?!\s+(?i:{_MONTH})\b)",
    re.MULTILINE,
)


def facts(text: str) -> Iterator[Fact]:
    """The figures of a text, by kind."""
    written = _SKIPPED.sub(_blank, text)
    folded = _lower(written)
    for kind, pattern, read in _PATTERNS:
        taken = []
        for found in pattern.finditer(written if kind in _AS_WRITTEN else folded):
            if (reading := read(found)) is not None:
                asks, vouches = map(frozenset, reading)
                start, end = found.span()
                taken.append((start, end))
                yield Fact(kind, text[start:end].strip(), start, asks, vouches)
        written, folded = _without(written, taken), _without(folded, taken)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _lower(text: str) -> str:
    """Lower case of the same length: İ becomes two letters elsewhere."""
    low = text.lower()
    return low if len(low) == len(text) else _lower(text.replace("İ", "I"))


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with spans blanked out, so that no later pattern reads them again."""
    kept, last = [], 0
    for start, end in spans:
        kept += [text[last:start], " " * (end - start)]
        last = end
    return "".join([*kept, text[last:]]) if spans else text


def known(text: str) -> set[Key]:
    """Every key that a source vouches for. Here numbers count that are spelled out, too."""
    words = NUMBERS.keys() & re.findall(r"[^\W\d_]+", text.lower())
    spelled: set[Key] = {("number", readings.read_number(word)) for word in words}
    return spelled.union(*(fact.vouches for fact in facts(text)))
