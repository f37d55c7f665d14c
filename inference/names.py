"""Names that the mail itself tells (headers, signature), looked for in its text; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from inference.patterns import Found

_WORDS = """
accounting accounts admin administrator agent alert alerts all amazon amount and
announcement apple april art august automated bank best bill billing black bot bounce brown
bug bugs bush card case chance chase client colleague colleagues commerce company contact
cook corp customer customers daemon daily damen dawn day dean dear del delivery den
department der desk dev digest director drew eve everybody everyone facebook faith finance
first folks frank frau friend friends from gene gent gentlemen gmail gmbh google grace green
group guys hello help helpdesk herr herren home homeowner hope hosting inc info internet
invoice joy june king ladies lane las legal limited list lists llc los ltd madam madame mail
mailer manager mark marketing may member members meneer mesdames messieurs mevrouw microsoft
monsieur mr mrs ms new news newsletter noreply notification notifications office online
operations orders outlook page partner paypal penny person postmaster price privacy regards
reply rice rich robot rose sales security server service services señor señora señores shop
signora signore sincerely sir sirs staff stone store street subscriber subscription
subsystem successful summer sunny support survey system team tech technical test thanks the
there to und undelivered unknown user users valued van von web website weekly west white
whom will wood world young your
"""
COMMON_WORDS = frozenset(_WORDS.split())
"""Words that are names too, or that stand where a name may: alone they are no person."""

MIN_LETTERS = 3
MAX_KNOWN = 200
_LETTER = re.compile(r"[^\W_]")


def is_person(name: str) -> bool:
    """May this be a person's name: not only words like "Support Team"?"""
    words = re.findall(r"[^\W\d_]+", name.lower())
    return any(word not in COMMON_WORDS for word in words)


def find_known(text: str, known: Sequence[str], values: Sequence[str] = ()) -> list[Found]:
    """Where known names and other values stand.

    A whole value is found in any case and spacing; the words of a known name ("Maria" of "Maria
    Gonzalez") only with a capital, so that verbs like "rob" stay.
    """
    names = [name for name in _usable(known) if _type(name) == "PERSON"]
    whole = [value for value in _usable([*known, *values]) if _stands_alone(value)]
    return [
        *(found for value in whole for found in _matches(text, value, _type(value), 1.0)),
        *(found for word in _words(names) for found in _capitals(text, word)),
    ]


def _usable(values: Sequence[str]) -> list[str]:
    spaced = dict.fromkeys(" ".join(value.split()) for value in values)
    return [value for value in spaced if _is_long_enough(value)][:MAX_KNOWN]


def _is_long_enough(value: str) -> bool:
    """Scripts without capitals write a name in two signs."""
    return len(_LETTER.findall(value)) >= (MIN_LETTERS if _has_case(value) else 2)


def _has_case(value: str) -> bool:
    return value.lower() != value.upper()


def _stands_alone(value: str) -> bool:
    """One word with a capital may be another word without it: that is left to _words."""
    return " " in value or _type(value) != "PERSON" or not _has_case(value)


def _type(value: str) -> str:
    if "@" in value:
        return "EMAIL_ADDRESS"
    digits = sum(sign.isdigit() for sign in value)
    return "PHONE_NUMBER" if digits >= 6 and digits * 2 > len(value) else "PERSON"


def _words(names: Sequence[str]) -> list[str]:
    """The words of names that can stand for the person alone."""
    words = {word.strip(".,;:()\"'") for name in names for word in name.split()}
    return sorted(word for word in words if _is_long_enough(word) and is_person(word))


def _matches(text: str, value: str, type: str, score: float) -> Iterator[Found]:
    spaced = r"\s{1,4}".join(re.escape(word) for word in value.split())
    before = r"(?<!\w)" if _has_case(value[0]) or value[0].isdigit() else ""
    after = r"(?!\w)" if _has_case(value[-1]) or value[-1].isdigit() else ""
    for match in re.finditer(before + spaced + after, text, re.IGNORECASE):
        yield Found(type, match.start(), match.end(), score)


def _capitals(text: str, word: str) -> Iterator[Found]:
    for found in _matches(text, word, "PERSON", 0.9):
        if text[found.start] == text[found.start].upper():
            yield found
