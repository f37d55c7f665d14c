"""Phone and card numbers among the many other numbers of a mail; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inference.patterns import Found

REGIONS = (
    "US", "GB", "DE", "FR", "IT", "ES", "NL", "BE", "CH", "AT", "PL", "PT", "SE", "DK", "IE", "AU",
    "NZ", "IN", "BR", "IL", "ZA", "SG", "MX", "JP",
)  # fmt: skip
"""Countries whose way of writing a phone number without ``+`` is known here."""

_CANDIDATE = re.compile(
    r"(?<![\w@#/.,:€$£¥+-])(?:\+|00)?[ ]?\(?\d(?:[ \t\u00a0./()–-]{0,3}\d){5,18}"
    r"(?:[ \t]*(?:ext|x|extension|durchwahl|poste)\.?[ \t]*\d{1,5})?(?![\w]|[.,:/-]\d|[ ]?[€$£¥%])",
    re.IGNORECASE,
)
_PHONE_LABEL = re.compile(
    r"(?:\b(?:phone|tele(?:phone|fon)?|tel|mobile?|mobil|handy|cell(?:phone)?|call(?: me| us)?|"
    r"ring|fax|whats?app|sms|text|reach|number|rufnummer|móvil|portable|cellulare|telefono|teléfono|"
    r"téléphone|gsm)\b)[^\n\d]{0,25}$",
    re.IGNORECASE,
)
_OTHER_LABEL = re.compile(
    r"(?:\b(?:order|invoice|ticket|case|ref(?:erence)?|tracking|parcel|shipment|account|acct|"
    r"customer|client|contract|policy|article|item|part|serial|sku|model|product|version|release|"
    r"error|code|transaction|payment|receipt|booking|confirmation|licen[cs]e|id|po|rma|imei|isbn|"
    r"bestell\w*|auftrags\w*|rechnungs?\w*|kunden\w*|vorgangs\w*|sendungs\w*|artikel\w*|"
    r"commande|facture|pedido|factura|ordine|fattura)\b|#|\bnr?o?\.)[^\n\d]{0,20}$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:19|20)\d\d[./ -]\d{1,2}[./ -]\d{1,2}\b|\d{1,2}[./ -]\d{1,2}[./ -](?:19|20)\d\d\b"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d\d(?!\d)"
)
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{1,3})+")  # an IP address, a version or 1.234.567
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
_AMOUNT = re.compile(r"\d{1,3}(?:[ \u00a0]\d{3})+(?:\.\d\d)?")
_NINE_DIGITS = re.compile(r"[5-9]\d\d[ ]\d{3}[ ]\d{3}")  # as Spain and Poland write a phone


def find_phones(text: str) -> Iterator[Found]:
    """Phone numbers: international ones, national ones in their country's form, and any number
    that a word like "phone" introduces."""
    for match in _CANDIDATE.finditer(text):
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        start += match[0].lstrip().startswith("(") and ")" not in match[0]
        score = _phone_score(text[start : match.end()], text[max(0, start - 45) : start])
        if score:
            yield Found("PHONE_NUMBER", start, match.end(), score)


def _phone_score(number: str, before: str) -> float:
    is_named = bool(_PHONE_LABEL.search(before))
    if _OTHER_LABEL.search(before) and not number.startswith("+") and not _names_a_phone(before):
        return 0.0
    if _DATE.match(number) or _DOTTED.fullmatch(number):
        return 0.0
    digits = sum(sign.isdigit() for sign in number)
    if number.startswith(("+", "00")):
        return 0.9 if _is_valid(number, None) else 0.6 * (number[0] == "+" and 8 <= digits <= 15)
    if is_named and 7 <= digits <= 15:
        return 0.8
    if _has_national_form(number) and any(_is_valid(number, region) for region in REGIONS):
        return 0.7
    return 0.0


def _names_a_phone(before: str) -> bool:
    """Does the nearest label speak of a phone?"""
    phone, other = _PHONE_LABEL.search(before), _OTHER_LABEL.search(before)
    return bool(phone and other and phone.start() > other.start())


def _has_national_form(number: str) -> bool:
    """Is it grouped as countries group a phone number? Versions and lists have lone digits."""
    groups = re.findall(r"\d+", number)
    if _ADDRESS.match(number) or any(len(group) == 1 for group in groups[1:]):
        return False
    if len(groups[0]) == 1 and not re.match(r"1[ .-]|0\)", number):
        return False
    digits = len("".join(groups))
    if number.startswith("(") or (number.startswith("0") and len(groups) > 1):
        return digits >= 8
    if _AMOUNT.fullmatch(number):
        return bool(_NINE_DIGITS.fullmatch(number))
    return len(groups) >= 3 and digits >= 9


def _is_valid(number: str, region: str | None) -> bool:
    import phonenumbers

    written = "+" + number[2:] if region is None and number.startswith("00") else number
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(written, region)))
    except phonenumbers.NumberParseException:
        return False


_CARD = re.compile(r"(?<![\w.,-])\d(?:[ \u00a0-]?\d){11,18}(?![\w]|[.,-]\d)")
_CARD_LABEL = re.compile(
    r"\b(?:card|visa|master ?card|maestro|amex|american express|discover|diners|jcb|unionpay|karte|"
    r"kreditkarte\w*|carte|tarjeta|carta)\b",
    re.IGNORECASE,
)
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}(?:\d\d){0,2}"  # Diners
    r"|35(?:2[89]|[3-8]\d)\d{12,15}|(?:2131|1800)\d{11}"  # JCB
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d)\d{12,15}"  # Discover, UnionPay
    r"|(?:5018|5020|5038|5[678]\d\d|6[0-9]\d\d)\d{8,15}"  # Maestro
)


def find_cards(text: str) -> Iterator[Found]:
    """Payment cards: 12 to 19 digits with an issuer's beginning and a right check digit (Luhn)."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        before = text[max(0, match.start() - 45) : match.start()]
        is_ours = len(digits) == len(match[0]) and _OTHER_LABEL.search(before)
        if is_ours and not _CARD_LABEL.search(before):
            continue
        if _ISSUERS.fullmatch(digits) and is_luhn(digits):
            yield Found("CREDIT_CARD", match.start(), match.end(), 0.95)
        elif _CARD_LABEL.search(before) and is_luhn(digits):
            yield Found("CREDIT_CARD", match.start(), match.end(), 0.8)


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)
    return total % 10 == 0
