"""Cards, answers and questions as Block Kit (https://docs.slack.dev/reference/block-kit)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from bot.card import Button, Card, Look, Tone
from bot.commands import HELP, Reply, help_text
from bot.slack import text
from bot.slack.read_action import Carried
from bot.slack.text import mrkdwn, pieces, plain, runs, typed
from desk.moves import Verb
from desk.response import Finding, Severity

Block = dict[str, Any]
Message = dict[str, Any]
"""The arguments ``text`` and ``blocks`` of chat.postMessage."""

# how much of a card each part may take, so that the draft always has room
HEAD, STATUS, FACT, BELOW = 500, 600, 300, 400
FINDINGS, SOURCES, FOOTER, NOTE = 1500, 800, 400, 300
PER_MESSAGE = 3
MESSAGES = 5
"""A response_url is good for five answers
(https://docs.slack.dev/interactivity/handling-user-interaction)."""

TONES = {Tone.ALARM: ":rotating_light: *CRITICAL*", Tone.WARNING: ":small_orange_diamond: *HIGH*"}
SIGNS = {
    Severity.GOOD: ":white_check_mark:",
    Severity.WARNING: ":warning:",
    Severity.BLOCKING: ":no_entry:",
}
STYLES = {Look.PRIMARY: {"style": "primary"}, Look.DANGER: {"style": "danger"}, Look.PLAIN: {}}


def draw(card: Card, zone: ZoneInfo) -> Message:
    """A card as one message. Its notification cannot know the reader's zone: it takes ``zone``."""
    before = [*_head(card), *_why(card, zone), *_quote(card), {"type": "divider"}]
    after = [*_checks(card), *_actions(card), context(typed(card.footer, FOOTER))]
    room = text.MESSAGE - weight(before) - weight(after) - NOTE
    blocks = [*before, *_draft(card, room), *after]
    return {"text": mrkdwn(plain(card.line, NOTE, zone, card.drawn_at)), "blocks": blocks}


def weight(value: object) -> int:
    """The characters of all strings in a block."""
    if isinstance(value, dict):
        return sum(map(weight, value.values()))
    if isinstance(value, list):
        return sum(map(weight, value))
    return len(value) if isinstance(value, str) else 0


def _head(card: Card) -> Iterator[Block]:
    title = plain(" ".join(card.title.split()), text.HEADER) or "(no subject)"
    yield {"type": "header", "text": literal(title)}
    ours = " · ".join(filter(None, (TONES.get(card.tone, ""), mrkdwn(card.due, HEAD // 2))))
    yield beside(ours, plain(card.who, HEAD // 2))
    if card.status:
        # what a mail server said may have lines; bold ends with the first
        status = mrkdwn(" ".join(card.status.split()), STATUS)
        yield section(f"{_sign(card)} *{status}*")


def _sign(card: Card) -> str:
    """For the eye only: the words after it say the same."""
    verbs = {button.verb for button in card.buttons}
    if card.tone is Tone.DONE:
        return ":white_check_mark:"
    if Verb.SEND_AGAIN in verbs:
        return ":warning:"
    return ":outbox_tray:" if Verb.UNDO in verbs else ":speech_balloon:"


def _why(card: Card, zone: ZoneInfo) -> Iterator[Block]:
    # fields stand two in a row: the name, and beside it what a customer may have worded
    for start in range(0, len(card.facts), text.FIELDS // 2):
        facts = card.facts[start : start + text.FIELDS // 2]
        fields = [
            (said_as(f"*{mrkdwn(name, FACT)}*"), literal(_fact(card, said, zone)))
            for name, said in facts
        ]
        yield {"type": "section", "fields": [part for pair in fields for part in pair]}


def _fact(card: Card, said: str, zone: ZoneInfo) -> str:
    return plain(said, FACT, zone, card.drawn_at).strip() or "–"


def _quote(card: Card) -> Iterator[Block]:
    if not card.quote:
        return
    # rich text takes no markup: the customer's words stay what they are
    said = {"type": "rich_text_quote", "elements": [{"type": "text", "text": card.quote}]}
    yield {"type": "rich_text", "elements": [said]}
    if card.below_quote:
        ours, attached, names = card.below_quote.partition("Attached: ")
        yield beside(typed(ours.removesuffix(" · ")), plain(attached + names, BELOW))


def _draft(card: Card, room: int) -> Iterator[Block]:
    """The draft word for word. One that is too long for a card says so."""
    draft = card.draft.strip()
    if not draft:
        if card.no_draft:
            yield context(mrkdwn(card.no_draft, NOTE))
        return
    yield context(f"*{_draft_label(card)}*")
    shown = plain(draft, room)
    for piece, _ in pieces(shown, text.PIECE):
        if piece:
            yield block_of(literal(piece))
    if shown != draft:
        yield context(_cut(card, len(shown), len(draft)))


def _draft_label(card: Card) -> str:
    is_open = any(b.verb in (Verb.APPROVE, Verb.EDIT) for b in card.buttons)
    return "Draft" if is_open else "Reply"


def _cut(card: Card, shown: int, whole: int) -> str:
    said = f":scissors: Only the first {shown:,} of {whole:,} characters fit here."
    if any(button.verb is Verb.EDIT for button in card.buttons):
        return f"{said} Read it whole under *Edit*; approving sends all of it."
    return f"{said} The reply is whole."


def _checks(card: Card) -> Iterator[Block]:
    if card.findings:
        yield context(_joined([_finding(f) for f in card.findings], "\n", FINDINGS))
    if card.sources:
        named = [f"[{n}] {mrkdwn(title, 150)}" for n, title in card.sources]
        yield context(_joined(named, "   ", SOURCES))


def _finding(finding: Finding) -> str:
    return f"{SIGNS[finding.severity]} {mrkdwn(finding.reason, 300)}"


def _joined(parts: Sequence[str], between: str, limit: int) -> str:
    """As many whole parts as fit, and how many did not."""
    kept: list[str] = []
    for part in parts:
        if len(between.join((*kept, part))) > limit - 20:
            return between.join((*kept, f"and {len(parts) - len(kept)} more"))
        kept.append(part)
    return between.join(kept)


def _actions(card: Card) -> Iterator[Block]:
    loud = [button for button in card.buttons if not button.is_quiet]
    quiet = [button for button in card.buttons if button.is_quiet]
    # a menu of one thing is a button
    apart = len(quiet) if len(quiet) == 1 else max(0, len(quiet) - text.OVERFLOW)
    loud, quiet = [*loud, *quiet[:apart]], quiet[apart:]
    elements = [_button(card, button) for button in loud]
    if quiet:
        options = [{"text": label(b.label), "value": _carried(card, b)} for b in quiet]
        elements.append({"type": "overflow", "action_id": "ticket.more", "options": options})
    if elements:
        yield {"type": "actions", "elements": elements}


def _button(card: Card, button: Button) -> Block:
    if button.choices:
        options = [
            {"text": label(words), "value": _carried(card, replace(button, text=value))}
            for value, words in button.choices[: text.OPTIONS]
        ]
        menu = {"type": "static_select", "action_id": f"ticket.{button.verb}"}
        return {**menu, "placeholder": label(button.label), "options": options}
    made = {
        "type": "button",
        "action_id": f"ticket.{button.verb}",
        "text": label(button.label),
        "value": _carried(card, button),
        **STYLES[button.look],
    }
    if button.confirm:
        made["confirm"] = {
            "title": label("Are you sure?"),
            "text": literal(plain(button.confirm, text.CONFIRM)),
            "confirm": label("Yes"),
            "deny": label("No"),
        }
    return made


def _carried(card: Card, button: Button) -> str:
    sent_along = "" if button.asks else button.text
    confirmed = bool(button.confirm)
    return str(Carried(button.verb, card.ticket_id, card.seen, confirmed, sent_along))


# -- answers to one person


def draw_reply(reply: Reply, zone: ZoneInfo) -> list[Message]:
    """The answer to a command: its lines, then its cards."""
    said = reply.text.replace(help_text(), "").strip()
    messages = _grouped(said, _as_written) if said else []
    if help_text() in reply.text:
        messages.append(_help())
    return [*messages[:MESSAGES], *(draw(card, zone) for card in reply.cards)]


def draw_text(words: str) -> list[Message]:
    """Our own sentences."""
    return _grouped(words.strip(), _lines)


def _grouped(words: str, drawn: Callable[[str], Block]) -> list[Message]:
    """Lines of text, over several messages when they are long."""
    sections = [drawn(part) for part, _ in pieces(words, text.PIECE) if part]
    groups = [sections[i : i + PER_MESSAGE] for i in range(0, len(sections), PER_MESSAGE)]
    if len(groups) > MESSAGES:
        del groups[MESSAGES:]
        groups[-1].append(context(f"It goes on: {len(words):,} characters in all"))
    short = mrkdwn(plain(words, NOTE))
    return [{"text": short, "blocks": group} for group in groups]


def _lines(part: str) -> Block:
    said = typed(part, 2 * text.SECTION)
    return section(said) if len(said) <= text.SECTION else block_of(literal(part))


def _as_written(part: str) -> Block:
    """With the customer's words in it."""
    said = runs(part) or runs("…")
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": said}]}


def _help() -> Message:
    lines = [f"`{text.COMMAND} {usage}`  {mrkdwn(meaning)}" for usage, meaning in HELP]
    return {"text": "What you can type", "blocks": [section("\n".join(lines))]}


def draw_question(question: str, carried: Carried) -> Message:
    """A question that a click raised, with the button that says yes."""
    go_on = replace(carried, confirmed=True)
    button = {
        "type": "button",
        "action_id": "ticket.go_on",
        "text": label("Do it anyway"),
        "value": str(go_on),
        "style": "danger",
    }
    said = mrkdwn(question)
    return {"text": said, "blocks": [section(said), {"type": "actions", "elements": [button]}]}


# -- parts of blocks


def said_as(words: str) -> Block:
    """Our own markup around text that went through ``mrkdwn``."""
    return {"type": "mrkdwn", "text": words}


def literal(words: str) -> Block:
    return {"type": "plain_text", "text": words, "emoji": False}


def label(words: str) -> Block:
    return literal(plain(words, text.LABEL))


def block_of(words: Block) -> Block:
    return {"type": "section", "text": words}


def section(words: str) -> Block:
    return block_of(said_as(words))


def context(words: str) -> Block:
    return {"type": "context", "elements": [said_as(words)]}


def beside(ours: str, theirs: str) -> Block:
    """A small line: our markup, then words that are shown as they are. One may be empty."""
    said = [said_as(ours)] if ours else []
    return {"type": "context", "elements": [*said, *([literal(theirs)] if theirs.strip() else [])]}
