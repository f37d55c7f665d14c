"""What came of a press, and how its presser sees it."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bot.adaptive import draw
from bot.card import Card
from bot.press import Press
from bot.teams.draw import Json, draw_noted, draw_question
from desk.moves import Verb


@dataclass(frozen=True, slots=True)
class Pressed:
    """What came of a press: how the card is now, words for the presser, and whether these ask.
    ``in_public`` is said instead of words that are for nobody else."""

    press: Press | None = None
    card: Card | None = None
    note: str = ""
    is_question: bool = False
    in_public: str = ""


def typed(pressed: Pressed) -> str:
    """The reply that was written and not saved."""
    press = pressed.press
    return press.text if press and pressed.note and press.verb is Verb.EDIT else ""


def drawn(pressed: Pressed, card: Card, zone: ZoneInfo) -> Json:
    """The card as its presser is shown it."""
    if pressed.press is None or not pressed.note:
        return draw(card, zone)
    if pressed.is_question:
        return draw_question(card, pressed.note, pressed.press, zone)
    return draw_noted(card, pressed.note, typed(pressed), zone)
