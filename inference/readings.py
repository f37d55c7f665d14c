"""What each kind of figure says: from a match of its pattern to keys that can be compared. Pure.

A reading is a pair: the keys of which a reply asks one, and the keys a source vouches for. Matches
are of lower-case text, but for IBANs and short weekdays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date as calendar_date
from decimal import Decimal

from inference.words import CURRENCIES, MONTHS, NUMBERS, SHORT_WEEKDAYS, UNITS, WEEKDAYS

Key = tuple[object, ...]
Reading = tuple[set[Key], set[Key]]

_COUNTED = re.compile(r"\s?(?!(?:per|pro|par|por|a|and|und|et|y|to|bis|instead|statt)\b)[^\W\d_]")


def read_number(text: str) -> Decimal:
    """Reads "1,000", "1.000", "1 000" and "1000" as a thousand, "1,5" as one and a half."""
    if text in NUMBERS:
        return Decimal(NUMBERS[text])
    bare = re.sub(r"['’\u00a0\u202f ]", "", text)
    signs = re.findall(r"[.,]", bare)
    whole, _, rest = bare.rpartition(signs[-1]) if signs else (bare, "", "")
    grouped = len(rest) == 3 and len(set(signs)) == 1 and not whole.startswith("0")
    if not signs or grouped:
        return Decimal(re.sub(r"[.,]", "", bare))
    return Decimal(f"{re.sub(r'[.,]', '', whole)}.{rest}").normalize()


def number(found: re.Match[str]) -> Reading:
    """A "49" alone, or before "per month", may be a price or an hour; "49 people" may not."""
    value = read_number(found["n"])
    key = ("number", value)
    counted = _COUNTED.match(found.string, found.end())
    return {key}, {key} if counted else {key, ("bare", value)}


def email(found: re.Match[str]) -> Reading:
    key = ("email", found[0])
    return {key}, {key}


def link(found: re.Match[str]) -> Reading:
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", found[0]).rstrip(".,;:!?/")
    host, slash, path = bare.partition("/")
    key = ("link", host + slash + path)
    return {key}, {key}


def iban(found: re.Match[str]) -> Reading:
    key = ("iban", found[0].replace(" ", ""))
    return {key}, {key}


def phone(found: re.Match[str]) -> Reading:
    """Nine digits tell +49 30 1234567 and 030 1234567 to be the same."""
    key = ("phone", re.sub(r"\D", "", found[0])[-9:])
    return {key}, {key}


def card(found: re.Match[str]) -> Reading | None:
    digits = [int(sign) for sign in found[0] if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    if (sum(digits[-1::-2]) + sum(doubled)) % 10:
        return None  # fails the Luhn check (ISO/IEC 7812-1, annex B)
    key = ("card", "".join(map(str, digits)))
    return {key}, {key}


def date(found: re.Match[str]) -> Reading | None:
    parts = {name: text for name, text in found.groupdict().items() if text}
    year = int(parts["y"]) if "y" in parts else None
    if year is not None and year < 100:
        year += 2000
    first = int(parts["d"])
    if "name" not in parts:
        pairs = [(int(parts["m"]), first)]
        if "/" in found[0]:  # 03/05 is the third of May to some and March 5th to others
            pairs.append((first, int(parts["m"])))
    else:
        pairs = [(MONTHS[parts["name"]], first)]
    return _days(year, pairs)


def _days(year: int | None, pairs: Sequence[tuple[int, int]]) -> Reading | None:
    asks: set[Key] = set()
    vouches: set[Key] = set()
    for month, day in pairs:
        try:
            exact = calendar_date(year or 2024, month, day)
        except ValueError:
            continue
        vouches |= {("day", month, day), ("month", month), ("number", Decimal(day))}
        if year is None:
            asks.add(("day", month, day))
            vouches.add(("day of any year", month, day))
            continue
        asks |= {("date", exact), ("day of any year", month, day)}
        vouches |= {("date", exact), ("month of", year, month), ("weekday", exact.weekday())}
        vouches.add(("number", Decimal(year)))
    return (asks, vouches) if asks else None


def month(found: re.Match[str]) -> Reading:
    key = ("month", MONTHS[found["name"]])
    if not found["y"]:
        return {key}, {key}
    exact = ("month of", int(found["y"]), MONTHS[found["name"]])
    return {exact}, {exact, key, ("number", Decimal(found["y"]))}


def time(found: re.Match[str]) -> Reading | None:
    hour, minute = int(found["h"]), int(found["min"] or 0)
    half = (found.groupdict().get("half") or "")[:1]
    spoken = Decimal(hour)
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    if hour > 24 or minute > 59:
        return None
    key = ("time", hour * 60 + minute)
    return {key} if minute else {key, ("bare", spoken)}, {key, ("number", spoken)}


def time_or_span(found: re.Match[str]) -> Reading:
    """ "14h" may be a time of day or fourteen hours."""
    hours = Decimal(found["h"])
    keys: set[Key] = {("time", int(hours) * 60), ("span", hours * 60)}
    return keys, keys | {("number", hours)}


def percentage(found: re.Match[str]) -> Reading:
    value = read_number(found["n"])
    return {("percent", value)}, {("percent", value), ("number", value)}


def price(found: re.Match[str]) -> Reading:
    value = read_number(found["n"])
    key = ("price", value, CURRENCIES[found["c"]])
    return {key, ("bare", value)}, {key, ("number", value)}


def span(found: re.Match[str]) -> Reading:
    value = read_number(found["n"])
    scale, length = UNITS[found["unit"]]
    exact = (scale, value * length)
    vouches: set[Key] = {exact, ("number", value)}
    if not found["high"]:
        return {exact}, vouches
    most = read_number(found["high"])
    key = ("from to", scale, value * length, most * length)
    return {key}, vouches | {key, (scale, most * length), ("number", most)}


def weekday(found: re.Match[str]) -> Reading:
    first = _day_of_week(found["day"])
    if not found["last"]:
        return {("weekday", first)}, {("weekday", first)}
    last = _day_of_week(found["last"])
    between: set[Key] = {("weekday", (first + n) % 7) for n in range((last - first) % 7 + 1)}
    key = ("weekdays", first, last)
    return {key}, between | {key}


def _day_of_week(word: str) -> int:
    return WEEKDAYS[word] if word in WEEKDAYS else SHORT_WEEKDAYS[word]


def code(found: re.Match[str]) -> Reading:
    key = ("code", re.sub(r"\W|_", "", found[0]))
    runs: set[Key] = {("number", read_number(run)) for run in re.findall(r"\d+", found[0])}
    return {key}, runs | {key}
