"""What Teams is sent: within its limits, in every state, and nothing of it alive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.adaptive import LIMIT, size
from bot.commands import HELP, help_text
from bot.press import Press, input_id, read_press
from bot.teams.draw import draw_card, draw_noted, draw_question, draw_text, text_answer
from bot.ticket_card import ticket_card
from desk.moves import Verb
from desk.standing import when
from desk.ticket_view import TicketView
from tests.doubles.teams import action, actions, card_of, words
from tests.doubles.views import NOW, a_view, every_state

BERLIN = ZoneInfo("Europe/Berlin")
MARGIN = 200
"""Bytes that joining the parts may add."""


def pressed(view: TicketView, verb: Verb, text: str = "", *, then_send: bool = False) -> Press:
    card = ticket_card(view, NOW)
    return Press(verb, card.ticket_id, card.seen, text, then_send=then_send)


@pytest.mark.parametrize(("name", "view"), list(every_state()), ids=lambda value: str(value)[:12])
def test_a_message_has_one_card_and_a_summary_in_every_state(name: str, view: TicketView) -> None:
    message = draw_card(ticket_card(view, NOW), BERLIN)
    assert size(card_of(message)) <= LIMIT, name
    assert "\ue000" not in json.dumps(message, ensure_ascii=False)
    assert view.ticket.subject[:40] in message["summary"]
    # Teams counts UTF-16, with all that is around the card
    assert len(json.dumps(message, ensure_ascii=False).encode("utf-16-le")) < 2 * (LIMIT + 2000)


def test_a_question_goes_on_with_what_was_asked() -> None:
    view = a_view()
    press = pressed(view, Verb.EDIT, "My words", then_send=True)
    drawn = draw_question(ticket_card(view, NOW), "It tells an IBAN.", press, BERLIN)
    assert words(drawn).startswith("It tells an IBAN.")
    again = read_press(action(drawn, "Do it anyway")["data"])
    assert again.confirmed
    assert (again.verb, again.then_send, again.text) == (Verb.EDIT, True, "My words")
    assert again.seen == press.seen


def test_a_question_about_an_old_card_is_about_what_was_seen() -> None:
    old = pressed(a_view(), Verb.APPROVE)
    newer = ticket_card(a_view(response={"version": 9, "hash": "a" * 64}), NOW)
    data = action(draw_question(newer, "Do it anyway?", old, BERLIN), "Do it anyway")["data"]
    assert read_press(data).seen == old.seen


@pytest.mark.parametrize("letter", ["x", "ж", "x\n"])
@pytest.mark.parametrize("length", [10, 5000, 9000, 16_000, 60_000])
def test_a_note_keeps_what_was_typed_within_the_limit(letter: str, length: int) -> None:
    card, typed = ticket_card(a_view(), NOW), letter * length
    noted = draw_noted(card, "The draft was changed.", typed, BERLIN)
    assert size(noted) <= LIMIT + MARGIN
    if "it is under Edit" in words(noted):
        field = {"id": input_id(Verb.EDIT, card.seen), "value": typed}.items()
        assert [part for part in nodes(noted) if field <= part.items()]
    else:
        assert words(noted).count(letter.strip()) >= 60
        assert "Your text was not saved: it begins" in words(noted)


@pytest.mark.parametrize("length", [10, 5000, 9000, 16_000, 60_000])
def test_a_question_about_a_long_text_keeps_the_limit(length: int) -> None:
    press = pressed(a_view(), Verb.EDIT, "x" * length, then_send=True)
    asked = draw_question(ticket_card(a_view(), NOW), "It tells an IBAN.", press, BERLIN)
    assert size(asked) <= LIMIT + MARGIN
    if length < 18_000:
        assert read_press(action(asked, "Do it anyway")["data"]).text == press.text
    else:
        assert "save it in the console" in words(asked)
        assert words(asked).count("x" * 1000)


def nodes(part: object) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from nodes(one)


def test_one_line_is_plain_and_more_lines_stay_lines() -> None:
    at = datetime(2026, 11, 22, 11, 31, tzinfo=UTC)
    line = draw_text(f"Sent by Ann, {when(at)} <at>all</at> [x](https://evil.example)", BERLIN, NOW)
    assert line["textFormat"] == "plain"
    assert line["text"].startswith("Sent by Ann, 12:31 ")
    more = card_of(draw_text("From Priya\n\n**bold** [x](https://evil.example)", BERLIN, NOW))
    assert [part["type"] for part in more["body"]] == ["RichTextBlock"] * 2
    assert not actions(more)


def test_help_is_a_table() -> None:
    told = draw_text(f"I do not know “x”.\n\n{help_text()}", BERLIN, NOW)
    *above, table = card_of(told)["body"]
    assert words(above) == "I do not know “x”."
    assert [(fact["title"], fact["value"]) for fact in table["facts"]] == list(HELP)


@pytest.mark.parametrize("text", ["ä" * 90_000, "line\n" * 20_000, "😀 " * 20_000])
def test_a_long_mail_is_cut_and_says_so(text: str) -> None:
    drawn = card_of(draw_text(text, BERLIN, NOW))
    assert size(drawn) <= LIMIT
    assert "The rest is in the console" in words(drawn)


def test_words_for_the_presser_have_times_in_the_offices_zone() -> None:
    at = datetime(2026, 11, 22, 11, 31, tzinfo=UTC)
    assert text_answer(f"Sent by Ann, {when(at)}", BERLIN, NOW)["value"] == "Sent by Ann, 12:31 CET"
