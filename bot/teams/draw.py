"""Cards and words as activities and invoke answers of Teams."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.adaptive import LIMIT, draw, size
from bot.adaptive_text import block, lines, spelled, timed
from bot.card import Card
from bot.commands import HELP, help_text
from bot.press import SAVE_AND_SEND, Press, input_id, press_data
from bot.words import clean, clip
from desk.moves import Verb

Json = dict[str, Any]

ADAPTIVE = "application/vnd.microsoft.card.adaptive"
MESSAGE = "application/vnd.microsoft.activity.message"
CUTS = (12_000, 8000, 5000, 2500)
"""Characters of a long text: less and less, until it fits."""
TOO_LONG = "The text is too long to be sent from here anyway: save it in the console."
MOST_LINE = 1000
MOST_SUMMARY = 300
HELP_FACTS = [{"title": usage, "value": meaning} for usage, meaning in HELP]


def draw_card(card: Card, zone: ZoneInfo) -> Json:
    """A message with the card; its summary is what the notification says."""
    return with_card(draw(card, zone), card, zone)


def draw_pointer(card: Card) -> Json:
    """What stays of a card that is shown again below."""
    line = f"#{card.ticket_id} {clip(card.title, 100)}: shown again below"
    return _message(_adaptive([block(line, isSubtle=True, size="Small")], line), line)


def draw_text(text: str, zone: ZoneInfo, now: datetime) -> Json:
    """One line as plain text; more as a card, for clients join the lines of plain text. Nothing in
    either is a mention, a link or Markdown."""
    said = clean(spelled(text, zone, now))
    if "\n" not in said and len(said) <= MOST_LINE:
        return {"type": "message", "textFormat": "plain", "text": said}
    summary = clip(said.partition("\n")[0], MOST_SUMMARY)
    return _message(_written(said, summary), summary)


def _written(text: str, summary: str) -> Json:
    """As much of the text as fits; what is cut is said."""
    told, has_help, _ = text.partition(help_text())
    help = [{"type": "FactSet", "facts": HELP_FACTS}] if has_help else []
    for most in CUTS:
        cut = _beginning(told, most)
        is_whole = cut.strip() == told.strip()
        note = [] if is_whole else [block("✂ The rest is in the console.", size="Small")]
        drawn = _adaptive([*lines(cut), *note, *help], summary)
        if size(drawn) <= LIMIT:
            break
    return drawn


def draw_noted(card: Card, note: str, typed: str, zone: ZoneInfo) -> Json:
    """The card with a note on top. What was typed is still under Edit; where it does not fit, it is
    in the note itself, as much of it as fits."""
    said = [block(note, weight="Bolder")]
    if not typed:
        return _headed(card, zone, said)
    where = block("Your text was not saved: it is under Edit", size="Small")
    drawn = _headed(_with_text(card, typed), zone, [*said, where])
    if json.dumps(typed) in json.dumps(drawn):
        return drawn
    where = block("Your text was not saved: it begins", size="Small")
    for most in CUTS:
        begins = lines(_beginning(clean(typed), most))
        drawn = _headed(card, zone, [*said, where, *begins])
        if size(drawn) <= LIMIT:
            break
    return drawn


def draw_question(card: Card, question: str, press: Press, zone: ZoneInfo) -> Json:
    """The card with a question on top, and a button that does it anyway. A long text is in that
    button alone; one that does not fit there is kept in a note."""
    typed = press.text if press.verb is Verb.EDIT else ""
    said = block(question, weight="Bolder")
    for has_copies in (True, False):
        actions = {"type": "ActionSet", "actions": [_go_on(card, press, has_copies)]}
        kept = _with_text(card, typed) if has_copies else card
        drawn = _headed(kept, zone, [said, actions])
        if size(drawn) <= LIMIT:
            return drawn
    return draw_noted(card, f"{question} {TOO_LONG}", typed, zone)


def _go_on(card: Card, press: Press, has_fallback: bool) -> Json:
    shown = replace(card, seen=press.seen)
    name = SAVE_AND_SEND if press.then_send else str(press.verb)
    data = {**press_data(shown, name, True), "t": press.ticket_id}
    if press.text:
        data[input_id(press.verb, press.seen)] = press.text
    submit = {"type": "Action.Submit", "title": "Do it anyway", "data": data}
    return {
        "type": "Action.Execute",
        "id": "go_on",
        "verb": "act",
        "title": "Do it anyway",
        "style": "destructive",
        "data": data,
        "associatedInputs": "none",
        "fallback": submit if has_fallback else "drop",
    }


def card_answer(adaptive: Json) -> Json:
    """To Action.Execute: the card as its presser sees it from now on."""
    return {"statusCode": 200, "type": ADAPTIVE, "value": adaptive}


def text_answer(text: str, zone: ZoneInfo, now: datetime) -> Json:
    """To Action.Execute: words for its presser alone."""
    return {"statusCode": 200, "type": MESSAGE, "value": clean(spelled(text, zone, now))}


def with_card(adaptive: Json, card: Card, zone: ZoneInfo) -> Json:
    """A message with what was drawn for this card."""
    return _message(adaptive, clip(spelled(card.line, zone, card.drawn_at), MOST_SUMMARY))


def _with_text(card: Card, text: str) -> Card:
    """Edit filled with this text, if there is Edit."""
    if not text:
        return card
    buttons = (replace(b, text=text) if b.verb is Verb.EDIT else b for b in card.buttons)
    return replace(card, buttons=tuple(buttons))


def _beginning(text: str, most: int) -> str:
    """Every line costs a block of its own."""
    return clip("\n".join(text.splitlines()[: most // 40]), most)


def _headed(card: Card, zone: ZoneInfo, items: list[Json]) -> Json:
    box = {"type": "Container", "style": "warning", "items": items}
    head = timed([box], zone, card.drawn_at)
    drawn = draw(card, zone, LIMIT - size({"head": head}))
    return {**drawn, "body": [*head, *drawn["body"]]}


def _adaptive(body: list[Json], fallback: str) -> Json:
    return {"type": "AdaptiveCard", "version": "1.5", "fallbackText": fallback, "body": body}


def _message(adaptive: Json, summary: str) -> Json:
    attachment = {"contentType": ADAPTIVE, "content": adaptive}
    return {"type": "message", "summary": summary, "attachments": [attachment]}
