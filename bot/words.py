"""How texts, counts and lengths of time are written."""

from __future__ import annotations

import re

LAST_WORD = re.compile(r"(?<=\S)\s+\S*$")

PRIVATE_USE = re.compile("[\ue000\ue001]")


def clean(text: str) -> str:
    """Without the characters that mark times."""
    return PRIVATE_USE.sub("", text)


def clip(text: str, limit: int) -> str:
    """Shorten at a word, saying so.

    >>> clip("short", 10), clip("a longer text", 10)
    ('short', 'a longer…')
    """
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return f"{re.sub(LAST_WORD, '', cut).rstrip()}…"


def span(minutes: int) -> str:
    """A length of time in words.

    >>> span(42), span(90), span(60 * 30)
    ('42 min', '1 h 30 min', '1 d 6 h')
    """
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def ordinal(number: int) -> str:
    """
    >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '102nd', '112th']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number // 10 % 10 == 1 else ending}"


def nth(number: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")


def amount(count: int) -> str:
    """
    >>> amount(900), amount(2048), amount(3_500_000)
    ('900 B', '2 kB', '3.5 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
