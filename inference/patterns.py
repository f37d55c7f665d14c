"""What personal data looks like, as expressions of the ``regex`` module for Presidio.

Order and invoice numbers, error codes, amounts and dates stay, because the answer needs them: a
number counts only when its form, or the label before it, says that it belongs to a person.
All are matched without regard to case; ``(?-i:…)`` is where case matters. Every repetition is
bounded or possessive, so that no mail can make them slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data at ``text[start:end]``; ``score`` 0..1 says how sure that is."""

    type: str
    start: int
    end: int
    score: float


Expression = tuple[str, float]
"""A regular expression and the score of what it finds."""

_GAP = r"[ \t]{1,3}"
_MAYBE_GAP = r"[ \t]{0,3}"
_CAPITAL = r"(?-i:\p{Lu})[\p{L}\p{M}'’-]{0,40}+"

# --- e-mail addresses: also of internal hosts, which no list of public suffixes knows ---

_SIGN = r"[\w!#$%&'*+/=?^`{|}~.-]"
_EMAIL_ADDRESS: tuple[Expression, ...] = (
    (rf"(?<!{_SIGN}){_SIGN}++(?<!\.)@[\w-]++(?:\.[\w-]++)*+(?<=\w)", 0.95),
)

# --- persons: where somebody names himself, is addressed, or signs ---

_PARTICLE = rf"(?:(?:van|von|de|der|den|del|di|da|la|le|bin|al|el|ter|dos){_GAP}){{0,3}}"
_INITIAL = rf"(?:(?-i:\p{{Lu}})\.{_GAP})?"
_FULL_NAME = rf"{_CAPITAL}(?:{_GAP}{_INITIAL}{_PARTICLE}{_CAPITAL}){{0,3}}"
_LINE_START = r"(?:^|\n)[> \t]{0,8}"
_LINE_END = rf"(?={_MAYBE_GAP}(?:\r?\n|$))"
_MY_NAME = (
    r"(?:my name is|my name[’']s|ich heiße|mein name ist|je m[’']appelle|me llamo|"
    r"mi nombre es|mi chiamo|mijn naam is)"
)
_TITLE = (
    r"(?-i:Mr|Mrs|Ms|Miss|Mx|Herrn?|Frau|Monsieur|Madame|Mme|Señora?|Sra|Signora?|Meneer|Mevrouw)"
)
_GREETING = (
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|lieber?|bonjour|cher|chère|"
    r"hola|querid[oa]|ciao|car[oa]|beste)"
)
_CLOSING = (
    r"(?:(?:(?:kind|best|warm|many)[ ])?(?:regards|thanks|wishes)|thank you|cheers|best|"
    r"(?:yours )?sincerely(?: yours)?|yours(?: faithfully| truly)?|"
    r"(?:mit )?(?:freundlichen|viele|liebe|beste)n? grüßen?|mfg|vg|lg|danke|"
    r"cordialement|bien à vous|merci|un saludo|saludos|atentamente|gracias|"
    r"cordiali saluti|grazie|(?:met vriendelijke )?groeten?)"
)
_CLOSING_LINES = (
    rf"{_LINE_START}{_CLOSING}{_MAYBE_GAP}[,.!]?{_MAYBE_GAP}\r?\n"
    r"(?:[> \t]{0,8}\r?\n)?[> \t]{0,8}"
)
_PERSON: tuple[Expression, ...] = (
    (rf"(?<=\b{_MY_NAME}{_GAP}){_FULL_NAME}", 0.85),
    (rf"(?<=\b{_TITLE}\b\.?{_GAP})(?:(?:dr|prof)\b\.?{_GAP}){{0,2}}{_FULL_NAME}", 0.8),
    (rf"(?<={_LINE_START}{_GREETING}{_GAP}){_FULL_NAME}(?={_MAYBE_GAP}(?:[,!.:;–]|\r?\n|$))", 0.7),
    (rf"(?<={_CLOSING_LINES}){_FULL_NAME}{_LINE_END}", 0.7),
)

# --- street addresses of the countries that write them alike ---

_ENGLISH_STREET = (
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|square|sq|place|pl|"
    r"terrace|parkway|pkwy|highway|hwy|circle|crescent|close|mews|gardens|grove|way|row|walk|quay)"
)
_GERMAN_STREET = (
    r"(?:[ -]?(?:straße|strasse|str\.|platz|allee|gasse|damm|ufer|weg|ring)"
    r"|straat|laan|plein|gracht|kade|dijk|steenweg)"
)
_FRENCH_STREET = (
    r"(?:rue|avenue|av\.|boulevard|bd|place|chemin|allée|impasse|quai|route|cours)"
    rf"{_GAP}(?:(?:de|du|des|la|le|les){_GAP}|[dl][’']){{0,3}}"
)
_SOUTHERN_STREET = (
    r"(?:calle|c/|avenida|avda\.?|plaza|paseo|carrer|via|viale|piazza|corso|rua|largo)"
    rf"{_GAP}(?:(?:de|del|della|di|da|do|dos|la|las|los|el){_GAP}){{0,3}}"
)
_NO_STREET = (
    r"(?!(?:of|the|a|an|my|this|that|on|in|at|by|to|for|from|and|or|more|days?|hours?|minutes?|"
    r"times?|miles?|km|percent|orders?|items?)\b)"
)
_FLAT = r"(?:,?[ ]{1,3}(?:apt|apartment|suite|unit|flat|floor|#)\.?[ ]?#?[ ]?\w{1,5}\b)?"
_PLACE = r"(?:(?-i:St\.)[ ])?(?-i:\p{Lu})\p{L}{1,24}(?:[ ’'-](?-i:\p{Lu})\p{L}{1,24}){0,2}"
_TOWN = (
    rf"(?:,?\s{{1,3}}{_PLACE},?\s{{1,3}}(?-i:[A-Z]{{2}})\s{{1,2}}\d{{5}}(?:-\d{{4}})?\b"  # US
    rf"|(?:,?\s{{1,3}}{_PLACE})?,?\s{{1,3}}(?-i:[A-Z]{{1,2}}\d[A-Z\d]?\s?\d[A-Z]{{2}})\b"  # UK
    rf"|,?\s{{1,3}}(?:(?-i:[A-Z])-)?\d{{4,5}}(?:\s?(?-i:[A-Z]{{2}}))?\s{{1,2}}{_PLACE}"  # EU
    rf"|,[ ]{_PLACE}(?=[,.;\s]|$))?"
)
_MY_ADDRESS = rf"(?:my|home|postal|delivery|shipping|billing|mailing){_GAP}(?:new )?address(?: is)?"
_STREET_ADDRESS: tuple[Expression, ...] = (
    (  # 221B Baker Street, Flat 2, London NW1 6XE
        rf"\b\d{{1,5}}[a-z]?(?:-\d{{1,5}})?,?{_GAP}"
        rf"(?:{_NO_STREET}(?-i:[\p{{Lu}}\d])[\p{{L}}\d.’'-]{{0,30}}{_GAP}){{1,4}}?"
        rf"{_ENGLISH_STREET}\b\.?(?:[ ](?-i:[NS]?[EW]|[NS])\b)?{_FLAT}{_TOWN}",
        0.75,
    ),
    (  # 12 oak street
        rf"\b\d{{1,5}}[a-z]?{_GAP}(?:{_NO_STREET}\p{{L}}[\p{{L}}’'-]{{0,30}}{_GAP}){{1,2}}?"
        rf"(?:street|avenue|boulevard|road)\b{_FLAT}{_TOWN}",
        0.6,
    ),
    (  # Hauptstraße 5a, 10115 Berlin; Prinsengracht 263, 1016 GV Amsterdam
        r"\b(?-i:\p{Lu})[\p{L}.-]{1,30}?(?:[ -](?-i:\p{Lu})[\p{L}.-]{1,30}?){0,2}"
        rf"{_GERMAN_STREET}{_GAP}\d{{1,4}}(?:[ ]?[a-z]\b)?(?:[-/]\d{{1,4}})?{_TOWN}",
        0.75,
    ),
    (  # 12 bis, rue de la Paix, 75002 Paris
        rf"\b\d{{1,4}}(?:[ ]?(?:bis|ter|quater|[a-d]))?,?{_GAP}{_FRENCH_STREET}"
        rf"{_CAPITAL}(?:{_GAP}{_CAPITAL}){{0,3}}{_TOWN}",
        0.75,
    ),
    (  # Calle de Alcalá 42; Via Roma, 10
        rf"\b{_SOUTHERN_STREET}{_CAPITAL}(?:{_GAP}{_PARTICLE}{_CAPITAL}){{0,3}}(?:,[ ]?|[ ]{{1,3}})"
        rf"(?:n[º°.]?[ ]?)?\d{{1,4}}\b{_TOWN}",
        0.7,
    ),
    (r"\b(?:p\.?[ ]?o\.?[ ]?box|postfach|apartado)[ ]{1,3}\d{1,6}\b", 0.75),
    (  # my address is … up to the end of the line, if there is a number in it
        rf"(?<=\b{_MY_ADDRESS}[ ]?:?{_GAP})(?!is\b)(?=[^\n@]{{0,80}}\d)[\p{{L}}\d][^\n@]{{8,100}}",
        0.6,
    ),
)

# --- numbers that their label calls personal: passport no. X1234567; DOB: 12/03/1981 ---

_ID_LABEL = (
    r"(?:ssn|social security|passport|driver[’']?s?[ -]licen[cs]e|driving licen[cs]e|national id|"
    r"id card|identity card|personalausweis\w{0,9}|reisepass\w{0,9}|führerschein\w{0,9}|"
    r"steuer-?id\w{0,9}|sozialversicherungs\w{0,9}|tax id|nhs|nino|national insurance|aadhaar|"
    r"pesel|bsn|personnummer|curp|cpf|dni|codice fiscale|medicare|tfn)"
)
_NUMBER_WORD = rf"(?:{_GAP}(?:number|no|nr|nummer|card|num|is)\b){{0,3}}"
_ID_NUMBER: tuple[Expression, ...] = (
    (
        rf"(?<=\b{_ID_LABEL}\b{_NUMBER_WORD}[.:#= \t]{{1,4}})(?=[a-z]{{0,6}}[ -]?\d)[a-z\d]"
        r"(?:[./ -]?[a-z\d]{0,9}\d[a-z\d]{0,9}|[./ -]?(?-i:[A-Z])\b){1,9}",
        0.85,
    ),
)
_BORN = (
    r"(?:date of birth|birth ?date|birthday|d\.?o\.?b\.?|born(?: on)?|geburtsdatum|"
    r"geboren(?: am)?|date de naissance|née? le|fecha de nacimiento|data di nascita)"
)
_DATE_OF_BIRTH: tuple[Expression, ...] = (
    (
        rf"(?<=\b{_BORN}{_MAYBE_GAP}(?:is|:|=)?{_MAYBE_GAP})"
        r"(?:\d{1,4}[./ -]{1,2}(?:\d{1,2}|\p{L}{3,9})[./, -]{1,2}\d{2,4}"
        r"|\p{L}{3,9}\.?[ ]\d{1,2}(?:st|nd|rd|th)?,?[ ]\d{4})",
        0.85,
    ),
)

PATTERNS: Mapping[str, tuple[Expression, ...]] = {
    "EMAIL_ADDRESS": _EMAIL_ADDRESS,
    "PERSON": _PERSON,
    "STREET_ADDRESS": _STREET_ADDRESS,
    "ID_NUMBER": _ID_NUMBER,
    "DATE_OF_BIRTH": _DATE_OF_BIRTH,
}
"""Entity type to its expressions. Presidio's own recognisers add IBAN_CODE, IP_ADDRESS, US_SSN,
US_ITIN, UK_NINO, ES_NIF, ES_NIE, IT_FISCAL_CODE and FI_PERSONAL_IDENTITY_CODE."""
