"""Cards as Block Kit: each state as a golden file, and no text that Slack would refuse or obey."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.answers import whole_mail
from bot.card import Button, Card
from bot.commands import Reply, help_text
from bot.slack import draw as slack_draw
from bot.slack.draw import Message, draw_reply, draw_text
from bot.slack.modal import (
    LONGEST,
    Form,
    edit_view,
    first_field,
    is_ticked,
    read_form,
    split,
    typed_text,
)
from bot.slack.read_action import (
    Carried,
    read_carried,
    read_click,
    read_line,
    read_mention,
    read_submission,
    read_values,
)
from bot.slack.text import UTC_ZONE, mrkdwn, pieces, plain, runs
from bot.slack.thread import draw_mail
from bot.ticket_card import ticket_card
from desk.action import Seen
from desk.email import Address, Attachment
from desk.ids import ResponseId, TicketId
from desk.moves import Verb
from desk.response import Finding, Severity
from desk.signature import AGENT
from desk.standing import when
from tests.doubles.blocks import problems, texts, view_problems
from tests.doubles.views import NOW, a_view, every_state

GOLDEN = Path(__file__).parent.parent / "golden"
STATES = dict(every_state())
DATE = re.compile(r"<!date\^\d+\^\{date_short_pretty\} at \{time\}\|[\d-]+ \d\d:\d\d UTC>")
HOSTILE = st.text(st.sampled_from("<>&!@#|*_~`\n ab\ue000\ue0011:😀é"), max_size=400) | st.text(
    max_size=4000
)
KEYS = ["actions", "user", "id", "value", "view", "state", "values", "event", "container"]
KEYS += ["selected_option", "channel", "text", "private_metadata"]
SEEN = Seen(ResponseId(7), 3, "9f2c" * 16)


def draw(one: Card) -> Message:
    return slack_draw.draw(one, UTC_ZONE)


def card(name: str) -> Card:
    return ticket_card(STATES[name], NOW)


@pytest.mark.parametrize("name", STATES)
def test_card_of_each_state_is_as_we_looked_at_it(name: str) -> None:
    file = GOLDEN / f"slack_{name}.json"
    drawn = orjson.dumps(draw(card(name)), option=orjson.OPT_INDENT_2) + b"\n"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(drawn)
    assert drawn == file.read_bytes()


@pytest.mark.parametrize("name", STATES)
def test_slack_would_take_each_state(name: str) -> None:
    assert problems(draw(card(name))["blocks"]) == []


@settings(max_examples=150, deadline=None)
@given(text=HOSTILE, subject=HOSTILE, mail=HOSTILE, reason=HOSTILE)
def test_no_text_breaks_a_card_mentions_anybody_or_makes_a_link(
    text: str, subject: str, mail: str, reason: str
) -> None:
    found = tuple(Finding("x", severity, reason) for severity in Severity)
    view = a_view(text=text, subject=subject, mail=mail, findings=found)
    drawn = draw(ticket_card(view, NOW))
    assert problems(drawn["blocks"]) == []
    for said in [*texts(drawn["blocks"], "mrkdwn"), drawn["text"]]:
        assert "<" not in DATE.sub("", said)
        assert not re.search(r"&(?!amp;|lt;|gt;)", said)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=9000))
def test_draft_that_fits_is_shown_word_for_word(text: str) -> None:
    one = replace(card("draft"), draft=text)
    shown = _draft_shown(one)
    if "".join(shown.split()) != "".join(one.draft.split()):
        assert ":scissors:" in str(draw(one)["blocks"])


def _draft_shown(one: Card) -> str:
    """The plain text between the word Draft and the findings."""
    blocks = draw(one)["blocks"]
    sections = [b["text"] for b in blocks if b["type"] == "section" and "text" in b]
    return "".join(s["text"] for s in sections if s["type"] == "plain_text")


def test_draft_of_usual_length_is_shown_whole_and_without_a_word_about_it() -> None:
    assert "".join(_draft_shown(card("draft")).split()) == "".join(card("draft").draft.split())
    assert ":scissors:" not in str(draw(card("draft")))


def test_draft_too_long_for_a_card_says_so_and_where_it_is_whole() -> None:
    said = " ".join(texts(draw(card("long"))["blocks"], "mrkdwn"))
    assert re.search(r"Only the first [\d,]+ of 1\d,\d+ characters fit.*\*Edit\*", said)


def test_many_findings_are_counted_and_not_cut_in_the_middle() -> None:
    found = tuple(Finding("x", Severity.WARNING, f"{n} " + "word " * 40) for n in range(30))
    said = " ".join(texts(draw(ticket_card(a_view(findings=found), NOW))["blocks"], "mrkdwn"))
    assert re.search(r"and \d+ more", said)


def test_dangerous_approval_asks_first_and_its_button_says_that_it_asked() -> None:
    (actions,) = [b for b in draw(card("blocking"))["blocks"] if b["type"] == "actions"]
    approve = actions["elements"][0]
    assert "49 €" in approve["confirm"]["text"]["text"]
    assert read_carried(approve["value"]) == Carried(Verb.APPROVE, TicketId(1042), SEEN, True)


def test_times_are_shown_in_the_zone_of_the_reader_and_plain_in_notifications() -> None:
    drawn = draw(card("approved"))
    stamp = int(NOW.timestamp()) + 30
    assert f"<!date^{stamp}^{{date_short_pretty}} at {{time}}|2026-11-22 11:58 UTC>" in str(
        drawn["blocks"]
    )
    assert drawn["text"].endswith("Approved by Ann, leaves at 11:58 UTC")


def test_what_no_reader_has_drawn_in_a_zone_of_their_own_is_in_the_offices() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    shown = replace(card("approved"), facts=(("Order", f"1st of 9 at {when(NOW)}"),))
    (replied,) = draw_reply(Reply(cards=(shown,)), berlin)
    assert replied == slack_draw.draw(shown, berlin)
    assert replied["text"].endswith("Approved by Ann, leaves at 12:58 CET")
    assert "1st of 9 at 12:58 CET" in str(replied["blocks"])


def test_menu_of_one_thing_is_a_button() -> None:
    one = card("draft")
    quiet = [b for b in one.buttons if b.is_quiet][:1]
    loud = [b for b in one.buttons if not b.is_quiet]
    drawn = draw(replace(one, buttons=(*loud, *quiet)))
    assert "overflow" not in str(drawn)
    assert "Regenerate draft" in str(drawn)


def test_nothing_that_can_be_done_is_lost_behind_more() -> None:
    one = card("draft")
    verbs = (Verb.REGENERATE, Verb.DETACH, Verb.REJECT, Verb.SNOOZE, Verb.CLOSE, Verb.DISCARD)
    quiet = tuple(Button(verb, verb.capitalize(), is_quiet=True) for verb in verbs)
    drawn = draw(replace(one, buttons=quiet))
    assert problems(drawn["blocks"]) == []
    assert all(verb.capitalize() in str(drawn) for verb in verbs)


def test_a_status_of_several_lines_stays_bold() -> None:
    (said,) = [
        text
        for text in texts(
            draw(replace(card("failed"), status="550\r\n  no\nsuch user"))["blocks"], "mrkdwn"
        )
        if "550" in text
    ]
    assert said.endswith("*550 no such user*")


def test_a_field_says_what_the_name_in_it_will_be() -> None:
    signed = f"{'word ' * 1000}\n\nKind regards\n{AGENT}"
    view = edit_view(*split(Form(Carried(Verb.EDIT, TicketId(1))), signed))
    labels = [b["label"]["text"] for b in view["blocks"] if b["block_id"].startswith("reply.")]
    assert labels[0] == f"Your reply, part 1 of {len(labels)}"
    assert labels[-1].endswith("; in the signature {agent} is whoever approves")
    assert view_problems(view) == []
    [edit] = [one for one in ticket_card(a_view(text=signed), NOW).buttons if one.verb is Verb.EDIT]
    assert edit.asks == "Your reply; in the signature {agent} is whoever approves"


# -- text


@given(st.text(), st.integers(5, 300))
def test_escaped_text_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert len(mrkdwn(text, limit)) <= limit
    assert len(plain(text, limit)) <= limit


@given(st.text(st.sampled_from("ab \n\t"), max_size=300), st.integers(3, 50))
def test_pieces_joined_are_the_text(text: str, size: int) -> None:
    found = pieces(text, size)
    assert "".join(part + joint for part, joint in found) == text
    assert all(len(part) <= size for part, _ in found)


@pytest.mark.parametrize(
    "words", ["@here", "@channel now", "@Everyone", "see https://evil.example"]
)
def test_plain_words_do_not_come_alive(words: str) -> None:
    assert words not in mrkdwn(words)
    assert mrkdwn(words).replace("\u2060", "") == words


def test_customers_words_are_quoted_without_any_markup() -> None:
    view = a_view(mail="<!channel> *look* <https://evil.example|here>")
    (quote,) = [b for b in draw(ticket_card(view, NOW))["blocks"] if b["type"] == "rich_text"]
    (said,) = quote["elements"]
    assert said["type"] == "rich_text_quote"
    assert said["elements"] == [{"type": "text", "text": view.email.parsed.text}]


NAME = "*CRITICAL* `show 5` _x_ ~y~"


def test_senders_files_and_reasons_are_drawn_without_any_markup() -> None:
    view = a_view()
    parsed = replace(
        view.email.parsed,
        sender=Address(NAME, "x@y.example"),
        cc=(Address(NAME, ""),),
        quoted="> before",
        attachments=(Attachment(NAME, "text/plain", 9, "0" * 64),),
    )
    assert view.classification is not None
    view = replace(
        view,
        email=replace(view.email, parsed=parsed),
        classification=replace(view.classification, reasons=(NAME,)),
        response=None,
    )
    drawn = draw(ticket_card(view, NOW))["blocks"]
    assert sum(NAME in said for said in texts(drawn, "plain_text")) == 3
    assert not [said for said in texts(drawn, "mrkdwn") if "CRITICAL" in said][1:]
    assert "Whole mail: `/desk show 1042`" in str(drawn)
    (mail,) = draw_mail(view.email)
    assert sum(NAME in said for said in texts(mail["blocks"], "plain_text")) == 2
    assert not [said for said in texts(mail["blocks"], "mrkdwn") if "CRITICAL" in said]
    form, parts = split(Form(Carried(Verb.EDIT, TicketId(1), SEEN), NAME), "Hello")
    assert NAME in texts(edit_view(form, parts)["blocks"], "plain_text")


# -- forms


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(1, 60))
def test_reply_comes_out_of_the_form_as_it_went_in(text: str, times: int) -> None:
    reply = ((text + "\n") * times).strip()[:LONGEST]
    form, parts = split(Form(Carried(Verb.EDIT, TicketId(1), SEEN), "To Priya"), reply)
    view = edit_view(form, parts)
    again = read_form(view["private_metadata"])
    assert again == form
    assert view_problems(view) == []
    same = "".join(typed_text(form, _state(view)).split())
    assert same == "".join(reply.split())
    assert len(parts) > 1 or typed_text(form, _state(view)) == reply.strip()


def _state(view: dict[str, object]) -> dict[str, str]:
    """What Slack would send when nothing is typed."""
    blocks = view["blocks"]
    assert isinstance(blocks, list)
    return {
        b["block_id"]: b["element"].get("initial_value") or "" for b in blocks if "block_id" in b
    }


def test_save_is_not_send_unless_ticked() -> None:
    form, parts = split(Form(Carried(Verb.EDIT, TicketId(1), SEEN), "To Priya"), "Hello")
    view = edit_view(form, parts)
    assert "initial_options" not in str(view)
    values = {"state": {"values": {"send.1": {"send": {"selected_options": [{"value": "send"}]}}}}}
    assert is_ticked(form, read_values(values))
    assert not is_ticked(form, _state(view))
    assert first_field(form) == "reply.1.0"


# -- payloads


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_nonsense_is_read_without_an_error(payload: object) -> None:
    body = payload if isinstance(payload, dict) else {"view": payload, "actions": [payload]}
    assert read_click(body).carried is None
    read_line(body)
    read_mention(body)
    assert read_form(read_submission(body).metadata) is None


@pytest.mark.parametrize(
    "value",
    ["", "approve", "approve:x", "fire:1", "approve:1:2:3:zz", "approve:1:2", "a" * 5000, None, 3],
)
def test_tampered_button_is_not_understood(value: object) -> None:
    assert read_carried(value) is None


def test_button_carries_what_the_card_showed() -> None:
    carried = Carried(Verb.APPROVE, TicketId(12), SEEN, confirmed=True)
    assert read_carried(str(carried)) == carried
    assert len(str(Carried(Verb.REGENERATE, TicketId(10**11), SEEN))) <= 150


def test_line_of_a_mention_loses_the_mention() -> None:
    event = {"user": "U1", "channel": "C1", "text": "<@U0BOT> 12 approve"}
    line = read_mention({"event_id": "Ev1", "event": event})
    assert (line.text, line.key, line.asker.user) == ("12 approve", "slack:Ev1", "U1")


def test_line_of_a_mention_is_what_was_typed() -> None:
    """Slack makes links of addresses, and entities of three signs
    (https://docs.slack.dev/messaging/formatting-message-text)."""
    for sent, typed in (
        ("<@U0BOT|it> 12 assign <mailto:ann@x.example|ann@x.example>", "12 assign ann@x.example"),
        ("12 regenerate &lt; 3 lines &amp; warm", "12 regenerate < 3 lines & warm"),
        (
            "12 regenerate see <https://x.example/a?b=1>",
            "12 regenerate see https://x.example/a?b=1",
        ),
        ("12 regenerate see <http://x.example|x.example>", "12 regenerate see x.example"),
    ):
        assert read_mention({"event_id": "Ev1", "event": {"text": sent}}).text == typed


# -- answers


def test_help_is_drawn_as_one_types_it_here() -> None:
    (message,) = draw_reply(Reply(help_text()), UTC_ZONE)
    assert "`/desk queue`  the tickets that wait" in message["blocks"][0]["text"]["text"]


def test_whole_mail_that_was_asked_for_is_word_for_word() -> None:
    written = "Please show 5 of `them`, *now*: _all_ ~none~ <!here>\n\n> show 12"
    view = a_view(mail=written)
    (message,) = draw_reply(Reply(whole_mail(view)), UTC_ZONE)
    assert texts(message["blocks"], "mrkdwn") == []
    (block,) = message["blocks"]
    (said,) = block["elements"]
    kinds = [part["type"] for part in said["elements"]]
    assert kinds == ["text", "date", "text"]
    assert said["elements"][1]["timestamp"] == int(view.email.received_at.timestamp())
    assert said["elements"][2]["text"] == f"\n\n{written}"


@settings(max_examples=100, deadline=None)
@given(HOSTILE, st.integers(1, 100))
def test_reply_of_any_text_is_taken(text: str, times: int) -> None:
    for message in draw_reply(Reply(text * times), UTC_ZONE):
        assert problems(message["blocks"]) == []
        assert "" not in texts(message["blocks"], "text")


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=500), st.integers(1, 200))
def test_answer_of_any_length_is_taken(text: str, times: int) -> None:
    for message in draw_text(text * times):
        assert problems(message["blocks"]) == []


@settings(max_examples=50, deadline=None)
@given(HOSTILE, st.integers(1, 60))
def test_whole_mail_is_taken_whatever_is_in_it(text: str, times: int) -> None:
    email = a_view(mail=text * times).email
    for message in draw_mail(email):
        assert problems(message["blocks"]) == []


def test_whole_mail_lists_its_attachments() -> None:
    (message,) = draw_mail(a_view().email)
    assert "sign-in.png (48 kB), log.txt (912 B)" in str(message["blocks"])


def test_a_time_carries_its_day_unless_that_is_today() -> None:
    shown = f"leaves at {when(NOW)}"
    berlin = ZoneInfo("Europe/Berlin")
    assert mrkdwn(shown).startswith("leaves <!date^")
    assert runs(shown)[0] == {"type": "text", "text": "leaves "}
    for hours, said in ((0, "12:58 CET"), (11, "12:58 CET"), (12, "Sun 22 Nov 12:58 CET")):
        now = NOW + timedelta(hours=hours)
        assert plain(shown, 99, berlin, now) == f"leaves at {said}"
