"""Cards as Adaptive Cards 1.5 JSON, for Teams and the console.

https://adaptivecards.io/explorer/ describes the elements. Limits are enforced in ``draw`` and
nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from bot.adaptive_text import UTC_ZONE, Json, block, inert, lines, reflowed, spelled, timed
from bot.card import Button, Card, Look, Tone
from bot.press import SAVE_AND_SEND, input_id, press_data
from bot.words import clip
from desk.moves import Verb
from desk.response import Severity

LIMIT = 24_000
"""Bytes of a card in UTF-8. Teams takes about 100 KB of UTF-16 with everything around it, and calls
80 KB safe (https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages);
what goes on through Power Automate may have 28 KB (https://learn.microsoft.com/connectors/teams)."""

STYLES = {
    Tone.ALARM: "attention",
    Tone.WARNING: "warning",
    Tone.CALM: "accent",
    Tone.DONE: "good",
}
LOOKS = {Look.PRIMARY: "positive", Look.DANGER: "destructive"}
FINDINGS = {
    Severity.GOOD: ("✓", "Good"),
    Severity.WARNING: ("⚠", "Warning"),
    Severity.BLOCKING: ("✖", "Attention"),
}
ENOUGH = {"title": 200, "who": 250, "fact": 250, "finding": 250, "source": 120, "line": 300}
MOST_FINDINGS = 8
MOST_SOURCES = 8
ASKED = {Verb.ASSIGN: "To whom?", Verb.SNOOZE: "For how long?"}
QUOTE_LINES = 15
UNBROKEN = "\u00a0"  # NO-BREAK SPACE: names of facts stay on one line
CUTS = ((1 << 30, 1 << 30), (6000, 100), (4000, 60), (2000, 40), (1000, 20), (300, 8))
"""Characters and lines of the draft that are shown: less and less, until the card fits."""


def draw(card: Card, zone: ZoneInfo | None = UTC_ZONE, limit: int = LIMIT) -> Json:
    """The card in at most ``limit`` bytes. A draft that does not fit is shown in part and says so;
    what its buttons approve or edit is always the whole. ``zone`` says which day is today; without
    one, times stay marks that a page writes itself."""
    for has_whole_input in (True, False):
        for shown in CUTS:
            drawn = _draw(card, zone or UTC_ZONE, shown, has_whole_input)
            if zone is not None:
                drawn["body"] = timed(drawn["body"], zone, card.drawn_at)
            if size(drawn) <= limit:
                return drawn
    return drawn


def size(drawn: Json) -> int:
    return len(json.dumps(drawn, ensure_ascii=False, separators=(",", ":")).encode())


def _draw(card: Card, zone: ZoneInfo, shown: tuple[int, int], has_whole_input: bool) -> Json:
    body = [
        _head(card),
        *_status(card),
        *_facts(card),
        *_quote(card),
        *_draft(card, shown, has_whole_input),
        *_findings(card),
        *_sources(card),
        *_actions(card, has_whole_input),
        block(card.footer, size="Small", isSubtle=True, spacing="Medium", separator=True),
    ]
    return {
        "type": "AdaptiveCard",
        "version": "1.5",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "fallbackText": spelled(clip(card.line, ENOUGH["line"]), zone, card.drawn_at),
        "msteams": {"width": "Full"},
        "body": body,
    }


# -- parts


def _head(card: Card) -> Json:
    title = block(
        clip(card.title, ENOUGH["title"]), size="Medium", weight="Bolder", style="heading"
    )
    who = block(clip(card.who, ENOUGH["who"]), size="Small", isSubtle=True, spacing="None")
    columns = [{"type": "Column", "width": "stretch", "items": [title, who]}]
    if card.due:
        columns.append({"type": "Column", "width": "auto", "items": _due(card.due)})
    return {
        "type": "Container",
        "style": STYLES[card.tone],
        "bleed": True,
        "items": [{"type": "ColumnSet", "columns": columns}],
    }


def _due(due: str) -> list[Json]:
    """How long in bold, until when below it."""
    left, _, at = due.partition(" · ")
    blocks = [block(left, id="due", weight="Bolder", horizontalAlignment="Right")]
    if at:
        small = {"size": "Small", "isSubtle": True, "spacing": "None"}
        blocks.append(block(at, horizontalAlignment="Right", **small))
    return blocks


def _status(card: Card) -> list[Json]:
    if not card.status:
        return []
    color = "Good" if card.tone is Tone.DONE else "Accent"
    if _has(card, Verb.SEND_AGAIN):
        color = "Attention"
    text = clip(card.status, ENOUGH["line"])
    return [block(text, id="status", weight="Bolder", color=color, spacing="Medium")]


def _facts(card: Card) -> list[Json]:
    facts = [
        {"title": title.replace(" ", UNBROKEN), "value": inert(clip(value, ENOUGH["fact"]))}
        for title, value in card.facts
    ]
    return [{"type": "FactSet", "facts": facts}] if facts else []


def _quote(card: Card) -> list[Json]:
    items = lines(_cut(reflowed(card.quote), 1 << 30, QUOTE_LINES))
    if card.below_quote:
        below = clip(card.below_quote, ENOUGH["line"])
        items.append(block(below, size="Small", isSubtle=True, spacing="Small"))
    return [{"type": "Container", "style": "emphasis", "items": items}] if items else []


def _draft(card: Card, shown: tuple[int, int], has_whole_input: bool) -> list[Json]:
    if not card.draft:
        said = [card.no_draft] if card.no_draft else []
        return [block(text, isSubtle=True, spacing="Medium") for text in said]
    text = _cut(card.draft, *shown)
    heading = "Draft" if _has(card, Verb.EDIT) else "Reply"
    parts = [block(heading, weight="Bolder", spacing="Medium"), *lines(text)]
    if text != card.draft:
        where = "under Edit" if has_whole_input and _has(card, Verb.EDIT) else "in the console"
        note = f"✂ Only the beginning is shown: the whole draft is {where}, and all of it is sent"
        parts.append(block(note, size="Small", color="Warning", spacing="Small"))
    return parts


def _cut(text: str, characters: int, most_lines: int) -> str:
    said = text.splitlines()
    if len(said) > most_lines:
        text = "\n".join([*said[:most_lines], "…"])
    return clip(text, characters)


def _has(card: Card, verb: Verb) -> bool:
    return any(button.verb is verb for button in card.buttons)


def _findings(card: Card) -> list[Json]:
    order = (Severity.BLOCKING, Severity.WARNING, Severity.GOOD)
    found = sorted(card.findings, key=lambda finding: order.index(finding.severity))
    said = [(*FINDINGS[f.severity], clip(f.reason, ENOUGH["finding"])) for f in found]
    blocks = [
        block(f"{sign} {reason}", size="Small", color=color, spacing="None" if n else "Small")
        for n, (sign, color, reason) in enumerate(said[:MOST_FINDINGS])
    ]
    if len(said) > MOST_FINDINGS:
        text = f"and {len(said) - MOST_FINDINGS} more"
        blocks.append(block(text, size="Small", isSubtle=True, spacing="None"))
    return blocks


def _sources(card: Card) -> list[Json]:
    said = [f"[{n}] {clip(title, ENOUGH['source'])}" for n, title in card.sources[:MOST_SOURCES]]
    text = "   ".join(said)
    return [block(text, size="Small", isSubtle=True, spacing="Small")] if said else []


# -- what can be done


def _actions(card: Card, has_whole_input: bool) -> list[Json]:
    actions = [
        _action(card, button, has_whole_input) for button in card.buttons if not button.is_quiet
    ]
    if quiet := [button for button in card.buttons if button.is_quiet]:
        actions.append(_quiet(card, quiet))
    return [{"type": "ActionSet", "spacing": "Medium", "actions": actions}] if actions else []


def _action(card: Card, button: Button, has_whole_input: bool) -> Json:
    if button.asks:
        return _asking(card, button, has_whole_input)
    if button.choices:
        chosen = _execute(card, button.verb, button.label, Look.PRIMARY)
        return _unfolding(button, [_choice(card, button)], [chosen])
    if button.confirm:
        label = button.label.rstrip("…")
        sure = _execute(card, button.verb, label, button.look, confirmed=True, text=button.text)
        return _unfolding(button, [block(button.confirm)], [sure])
    return _execute(card, button.verb, button.label, button.look, text=button.text)


def _choice(card: Card, button: Button) -> Json:
    return {
        "type": "Input.ChoiceSet",
        "id": input_id(button.verb, card.seen),
        "label": ASKED.get(button.verb, button.label),
        "value": button.choices[0][0],
        "choices": [{"title": words, "value": value} for value, words in button.choices],
    }


def _asking(card: Card, button: Button, has_whole_input: bool) -> Json:
    if not has_whole_input:
        text = "This text is too long for this card: read and edit it in the console, please."
        return _unfolding(button, [block(text)], [])
    field = _input(card, button)
    if button.verb is not Verb.EDIT:
        return _unfolding(button, [field], [_execute(card, button.verb, button.label, button.look)])
    save = _execute(card, Verb.EDIT, "Save draft", Look.PLAIN)
    send = _execute(card, SAVE_AND_SEND, "Save & send", Look.PRIMARY)
    return _unfolding(button, [field], [save, send])


def _input(card: Card, button: Button) -> Json:
    return {
        "type": "Input.Text",
        "id": input_id(button.verb, card.seen),
        "label": button.asks,
        "isMultiline": True,
        "value": button.text,
    }


def _unfolding(button: Button, body: list[Json], actions: list[Json]) -> Json:
    """A button below which something opens."""
    return {
        "type": "Action.ShowCard",
        "id": f"open_{button.verb}",
        "title": button.label,
        **_style(button.look),
        "card": {"type": "AdaptiveCard", "version": "1.5", "body": body, "actions": actions},
    }


def _quiet(card: Card, buttons: Sequence[Button]) -> Json:
    """All in one: what opens may hold no button that opens something (ShowCard in ShowCard is not
    drawn). What takes a text stands below its field, the others above."""
    plain = [
        _execute(card, one.verb, one.label, one.look, has_input=False, text=one.text)
        for one in buttons
        if not one.asks
    ]
    asking = [one for one in buttons if one.asks]
    fields = [_input(card, one) for one in asking]
    body = [*([{"type": "ActionSet", "actions": plain}] if plain else []), *fields]
    actions = [_execute(card, one.verb, one.label, one.look) for one in asking]
    return {
        "type": "Action.ShowCard",
        "id": "open_more",
        "title": "More",
        "card": {"type": "AdaptiveCard", "version": "1.5", "body": body, "actions": actions},
    }


def _execute(
    card: Card,
    verb: str,
    title: str,
    look: Look,
    *,
    confirmed: bool = False,
    has_input: bool = True,
    text: str = "",
) -> Json:
    """Clients older than Action.Execute send the same data by Action.Submit."""
    shared: Json = {"title": title, "data": press_data(card, verb, confirmed, text), **_style(look)}
    if not has_input:
        shared["associatedInputs"] = "none"
    return {
        "type": "Action.Execute",
        "id": str(verb),
        "verb": "act",
        **shared,
        "fallback": {"type": "Action.Submit", **shared},
    }


def _style(look: Look) -> Json:
    return {"style": LOOKS[look]} if look in LOOKS else {}
