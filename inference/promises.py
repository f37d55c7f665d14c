"""Sentences that bind us: a refund, a guarantee, a deadline, "I will". Pure.

Recall before precision: a promise that was missed costs money, a wrong warning costs a glance.
"""

from __future__ import annotations

import re

_DAYS = r"today|tonight|tomorrow|noon|midnight|mon|tues|wednes|thurs|fri|satur|sun|next|the|end|\d"
_TAGE = r"heute|morgen|mittag|ende|nächste|montag|dienstag|mittwoch|donnerstag|freitag|samstag|\d"
_JOURS = r"aujourd|demain|ce soir|midi|la fin|lundi|mardi|mercredi|jeudi|vendredi|samedi|le \d|\d"
_DIAS = r"hoy|mañana|mediodía|final|lunes|martes|miércoles|jueves|viernes|sábado|el \d|las? \d|\d"

_OURS = (
    # en
    r"\b(?:we|i)(?:['’]ll|\s(?:will|shall)|(?:\sam|['’]m|\sare|['’]re)\sgoing\sto)\b"
    r"(?!\s(?:gladly\s|always\s)?be\s(?:happy|glad|pleased))",
    r"\b(?:guarantee[sd]?|(?:we|i)\s(?:can\s)?(?:promise|assure|commit)|you\shave\s(?:my|our)\sword)\b",
    r"\b(?:refund|reimburse|compensat)\w*",
    r"\bmoney\sback\b|\bgoodwill\b|\bvouchers?\b|\bfree\sof\scharge\b|\bwaive[sd]?\b"
    r"|\bcredit\s(?:you|your|note)\b|\b(?:a|your|\d+\s?%)\sdiscount\b",
    # de
    r"\b(?:wir|ich)\s(?:werden?|sorgen?|melden?|kümmern?|erstatten?|überweisen?|schicken?)\b"
    r"|\b(?:werden?|melden?|kümmern?|erstatten?|überweisen?|schicken?)\s(?:wir|ich)\b",
    r"\b(?:garantier|garantiert|versprech|versprich|zusicher|zugesichert|zusage)\w*",
    r"\b(?:rück|zurück)?erstatt\w*|\berstatt\w*|\bgutschrift\w*|\bgutschein\w*|\bentschädig\w*"
    r"|\bschadenersatz\b|\bkulanz\w*|\brabatt\w*|\bpreisnachlass\w*|\bgeld\szurück\b",
    # fr
    r"\b(?:nous|je)\s(?:(?:vous|le|la|les|y)\s)*\w+(?:rons|rai)\b|\b(?:je\svais|nous\sallons)\b",
    r"\b(?:garantiss\w*|garanti[ert]?e?s?|promett\w*|promis|engageons|m'engage)\b",
    r"\brembours\w*|\bindemnis\w*|\bdédommag\w*|\bcompensation\w*|\bgeste\scommercial\b"
    r"|\bbon\sd['’]achat\b|\bune\sremise\b|\bun\savoir\b",
    # es
    r"\b\w{2,}(?:aremos|eremos|iremos)\b|\b(?:le|les|lo|la|te|nos)\s\w+(?:aré|eré|iré)\b"
    r"|\b(?:vamos|voy)\sa\s\w+r(?:le|les|lo|la|te)?\b",
    r"\b(?:garantiz\w*|promet\w*|aseguramos|comprometemos)\b",
    r"\breembols\w*|\bindemniz\w*|\bcompensa(?:r|ción|remos|mos)\w*|\bdevolver\w*\b.{0,20}\bdinero\b"
    r"|\bdescuento\w*|\bcupón\b|\bvale\sde\b",
)
_DEADLINES = (
    rf"\b(?:by|no\slater\sthan|before|within)\s(?:{_DAYS})",
    rf"\b(?:bis|spätestens|innerhalb\svon|binnen)\s(?:(?:spätestens|zum|am|um)\s)?(?:{_TAGE})",
    rf"\b(?:d['’]ici|avant|au\splus\stard|sous|dans\sles)\s(?:{_JOURS})",
    rf"\b(?:antes\sde(?:l)?|a\smás\stardar|dentro\sde|en\sun\splazo\sde)\s(?:{_DIAS})",
)
_OURS_PATTERN = re.compile("|".join(_OURS), re.IGNORECASE)
_DEADLINE_PATTERN = re.compile("|".join(_DEADLINES), re.IGNORECASE)


def is_promise(sentence: str, cited: bool = False) -> bool:
    """Whether the sentence binds us. A deadline that a source is cited for is the source's."""
    if _OURS_PATTERN.search(sentence):
        return True
    return not cited and bool(_DEADLINE_PATTERN.search(sentence))
