"""Every state of a card as an Adaptive Card, and what its buttons bring back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.adaptive import LIMIT, draw, size
from bot.adaptive_text import JOINER, timed
from bot.card import Card
from bot.press import SAVE_AND_SEND, read_press
from bot.ticket_card import ticket_card
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Address, Attachment, Email, Kind, Mailbox, ParsedEmail
from desk.errors import Refused
from desk.ids import EmailId, MailboxId, ResponseId, TicketId, UserId
from desk.moves import Verb
from desk.response import (
    Citation,
    Draft,
    Envelope,
    Finding,
    Passage,
    Response,
    ResponseState,
    Severity,
)
from desk.standing import when
from desk.ticket import Ticket, TicketState
from desk.ticket_view import TicketView

GOLDEN = Path(__file__).parent.parent / "golden"
NOW = datetime(2026, 11, 22, 11, 58, tzinfo=UTC)
ANN, OMAR = UserId(1), UserId(2)
PRIYA = Address("Priya Nair", "priya@lindqvist.example")
TEXT = "Hello Priya,\n\nwe are on it [1].\nI will write again at 12:15.\n\nAnn"
MAIL = (
    "No rush, but since nine o'clock nobody in the Malmö office can log\n"
    "in any more. We are forty people.\n\nPriya"
)
PASSAGE = Passage("sso.md", "Signing in without single sign-on", "", "…")
FINDINGS = (
    Finding("facts", Severity.GOOD, "2 sentences verified in their sources"),
    Finding("promise", Severity.WARNING, "A promise: “I will write again at 12:15”"),
)


def response(state: ResponseState = ResponseState.DRAFT, **changes: object) -> Response:
    plain = Response(
        id=ResponseId(7),
        ticket_id=TicketId(1042),
        email_id=EmailId(3),
        state=state,
        version=3,
        hash="9f2c",
        envelope=Envelope((PRIYA,), (), "Re: Nobody in our office can log in", TEXT),
        draft=Draft(TEXT, (Citation(1, PASSAGE),), FINDINGS, 82, "tgi", "Llama 3 8B", reason=""),
        created_at=NOW,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def view(answer: Response | None = None, **changes: object) -> TicketView:
    """``changes`` of the ticket; also ``parsed``, ``last`` and ``mails``."""
    parsed = ParsedEmail(sender=PRIYA, text=MAIL, reply=MAIL, kind=Kind.PERSON)
    ticket = Ticket(
        id=TicketId(1042),
        mailbox_id=MailboxId(1),
        state=TicketState.OPEN,
        version=5,
        shown_version=4,
        subject="Nobody in our office can log in",
        created_at=NOW,
        updated_at=NOW,
        urgency=Urgency.CRITICAL,
        due_at=NOW + timedelta(minutes=42),
    )
    mail = changes.pop("parsed", parsed)
    mails, last = changes.pop("mails", 1), changes.pop("last", None)
    assert isinstance(mail, ParsedEmail)
    return TicketView(
        ticket=replace(ticket, **changes),  # type: ignore[arg-type]
        mailbox=Mailbox(MailboxId(1), "support", "support@lanewright.example", "maildir"),
        email=Email(EmailId(3), MailboxId(1), TicketId(1042), NOW, mail),
        mails=mails,  # type: ignore[arg-type]
        classification=Classification(
            Label(Sentiment.NEGATIVE, 0.93),
            Label(Urgency.CRITICAL, 0.97),
            Label(Category.ACCOUNT, 0.6),
            ("“nobody can log in”", "forty people"),
            ("category",),
        ),
        response=answer,
        names={ANN: "Ann", OMAR: "Omar"},
        last=last,  # type: ignore[arg-type]
    )


BLOCKED = Finding("facts", Severity.BLOCKING, "The figure 4711 is in no source.")
STATES = {
    "draft": view(response()),
    "third_mail": view(
        response(),
        mails=3,
        parsed=ParsedEmail(
            sender=PRIYA,
            text=MAIL,
            reply=MAIL,
            quoted="> before",
            attachments=(Attachment("screenshot.png", "image/png", 1, "0"),),
        ),
    ),
    "blocked": view(response(draft=replace(response().draft, findings=(BLOCKED, *FINDINGS)))),
    "claimed": view(response(), assignee=ANN, urgency=Urgency.HIGH),
    "editing": view(response(), editing=ANN, editing_since=NOW),
    "edited": view(response(edited_by=ANN), urgency=Urgency.NORMAL),
    "overdue": view(response(), due_at=NOW - timedelta(minutes=3)),
    "approved": view(
        response(ResponseState.APPROVED, approved_by=ANN, send_after=NOW + timedelta(seconds=30)),
        assignee=ANN,
    ),
    "waits_for_server": view(
        response(ResponseState.APPROVED, approved_by=ANN, tries=2, send_after=NOW)
    ),
    "sending": view(response(ResponseState.SENDING, approved_by=ANN)),
    "sent": view(
        response(ResponseState.SENT, approved_by=ANN, sent_at=NOW), state=TicketState.WAITING
    ),
    "failed": view(response(ResponseState.FAILED, failure="the address was refused")),
    "unknown": view(response(ResponseState.UNKNOWN, approved_by=ANN)),
    "rejected": view(response(ResponseState.RETIRED), last=(Verb.REJECT, OMAR, NOW)),
    "wrote_again": view(None, state=TicketState.NEW, mails=2),
    "no_draft": view(
        response(
            envelope=Envelope((PRIYA,), (), "Re", ""),
            draft=Draft("", reason="no article answers this", writer="extractive"),
        )
    ),
    "bounce": view(
        None,
        urgency=Urgency.LOW,
        parsed=ParsedEmail(sender=PRIYA, text="550 unknown user", kind=Kind.BOUNCE),
    ),
    "closed": view(None, state=TicketState.CLOSED, last=(Verb.CLOSE, ANN, NOW)),
}


def card(name: str = "draft", **changes: object) -> Card:
    return replace(ticket_card(STATES[name], NOW), **changes)  # type: ignore[arg-type]


def walk(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def actions(drawn: dict[str, Any]) -> dict[str, dict[str, Any]]:
    kinds = ("Action.Execute", "Action.ShowCard")
    return {node["title"]: node for node in walk(drawn) if node.get("type") in kinds}


def texts(drawn: dict[str, Any]) -> list[str]:
    kinds = ("TextBlock", "TextRun")
    return [node["text"] for node in walk(drawn) if node.get("type") in kinds]


def test_an_address_in_angle_brackets_is_no_link() -> None:
    """CommonMark §6.5: <https://…> and <a@b.example> are links."""
    evil = "Priya <priya@lindqvist.example> <https://evil.example> <AT>all</at>"
    said = json.dumps(draw(card(title=evil, who=evil, facts=(("Urgency", evil),), status=evil)))
    drawn = json.loads(said)
    blocks = [n["text"] for n in walk(drawn) if n.get("type") == "TextBlock"]
    blocks += [n["value"] for n in walk(drawn) if "value" in n and "title" in n]
    assert sum(text.count(f"<{JOINER}https://evil.example>") for text in blocks) == 4
    assert not [text for text in blocks if "<" in text.replace(f"<{JOINER}", "")]


def test_a_mail_of_which_only_a_part_could_be_read_says_so() -> None:
    said = "Not all of it could be read"
    cut = ParsedEmail(sender=PRIYA, text=MAIL, reply=MAIL, truncated=True)
    assert said in ticket_card(view(response(), parsed=cut), NOW).below_quote
    assert said not in ticket_card(view(response()), NOW).below_quote


def test_what_an_approval_covers_is_read_though_triage_was_given_up() -> None:
    other = Address("", "boss@lindqvist.example")
    file = Attachment("offer.pdf", "application/pdf", 2048, "0")
    envelope = replace(response().envelope, to=(other,), attachments=(file,))
    unread = replace(view(response(envelope=envelope), assignee=ANN), classification=None)
    assert dict(ticket_card(unread, NOW).facts) == {
        "Reply to": "boss@lindqvist.example",
        "Attached": "offer.pdf (2 kB)",
        "Claimed by": "Ann",
    }


def test_the_writers_doubt_is_read_beside_its_draft() -> None:
    doubt = "Your instruction was not followed: no language model wrote this."
    asks = replace(response().draft, needs_human=True, reason=doubt)
    assert f"⚠ {doubt}" in texts(draw(ticket_card(view(response(draft=asks)), NOW)))
    edited = ticket_card(view(response(draft=asks, edited_by=ANN)), NOW)
    assert doubt not in str(texts(draw(edited)))


def test_where_there_is_no_draft_there_is_none_to_reject() -> None:
    assert "Reject draft" in actions(draw(card()))
    assert "Reject draft" not in actions(draw(card("no_draft")))


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_drawn_as_agreed(name: str) -> None:
    drawn = json.dumps(draw(card(name)), ensure_ascii=False, indent=1) + "\n"
    golden = GOLDEN / f"adaptive_{name}.json"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(drawn, encoding="utf-8")
    assert drawn == golden.read_text(encoding="utf-8")


def test_there_is_a_golden_file_for_each_state_and_no_other() -> None:
    files = {path.stem.removeprefix("adaptive_") for path in GOLDEN.glob("adaptive_*.json")}
    assert files == set(STATES)


@pytest.mark.parametrize("name", STATES)
def test_the_eye_finds_what_is_wrong_first_and_the_footer_last(name: str) -> None:
    drawn = draw(card(name))
    head, *_, footer = drawn["body"]
    assert "Nobody in our office can log in" in texts(head)[0]
    assert texts(footer)[0].startswith("#1042")
    assert drawn["fallbackText"] == draw(card(name))["fallbackText"]
    assert "#1042" in drawn["fallbackText"]
    assert "\ue000" not in json.dumps(drawn, ensure_ascii=False)


@pytest.mark.parametrize("name", STATES)
def test_ids_are_unique_and_no_opening_button_hides_in_what_opens(name: str) -> None:
    drawn = draw(card(name))
    ids = [node["id"] for node in walk(drawn) if "id" in node]
    assert len(ids) == len(set(ids))
    inner = [n["card"] for n in walk(drawn) if n.get("type") == "Action.ShowCard"]
    assert not [n for body in inner for n in walk(body) if n.get("type") == "Action.ShowCard"]


@pytest.mark.parametrize("name", ["sent", "sending", "closed", "wrote_again"])
def test_where_nothing_can_be_done_there_are_no_buttons(name: str) -> None:
    assert not actions(draw(card(name)))


def test_times_are_drawn_in_the_zone_of_the_reader() -> None:
    said = texts(draw(card("approved")))
    assert "Approved by Ann, leaves at {{TIME(2026-11-22T11:58:30Z)}}" in said
    assert "11:58 UTC" in draw(card("approved"))["fallbackText"]


def test_a_press_brings_back_what_the_card_showed() -> None:
    press = read_press(actions(draw(card()))["Approve & send"]["data"])
    seen = card().seen
    assert (press.verb, press.ticket_id, press.seen) == (Verb.APPROVE, 1042, seen)
    assert not press.confirmed
    assert not press.then_send


def test_edit_is_prefilled_and_can_save_or_send() -> None:
    edit = actions(draw(card()))["Edit"]["card"]
    (field,) = edit["body"]
    assert field["value"] == TEXT
    save, send = (action["data"] for action in edit["actions"])
    typed = {field["id"]: "Hello"}
    assert read_press({**save, **typed}).text == "Hello"
    assert not read_press({**save, **typed}).then_send
    assert read_press({**send, **typed}).then_send
    assert send["verb"] == SAVE_AND_SEND


def test_the_instruction_for_another_draft_comes_with_that_button_alone() -> None:
    more = actions(draw(card()))["More"]["card"]
    others, field = more["body"]
    assert [action["title"] for action in more["actions"]] == ["Regenerate draft"]
    by_title = {action["title"]: action for action in (*more["actions"], *others["actions"])}
    typed = {field["id"]: "shorter"}
    assert read_press({**by_title["Regenerate draft"]["data"], **typed}).text == "shorter"
    assert read_press({**by_title["Reject draft"]["data"], **typed}).text == ""
    assert by_title["Reject draft"]["associatedInputs"] == "none"


def test_a_blocking_finding_is_read_before_the_card_sends() -> None:
    found = actions(draw(card("blocked")))
    assert "Approve & send" not in found
    opened = found["Send anyway…"]["card"]
    assert "4711" in texts(opened)[0]
    assert read_press(opened["actions"][0]["data"]).confirmed


def test_older_clients_get_the_same_data() -> None:
    for action in actions(draw(card())).values():
        if action["type"] == "Action.Execute":
            assert action["fallback"]["type"] == "Action.Submit"
            assert action["fallback"]["data"] == action["data"]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"verb": "approve"},
        {"verb": "conquer", "t": 1, "r": None},
        {"verb": "approve", "t": "1; DROP TABLE tickets", "r": None},
        {"verb": "approve", "t": 1.5, "r": None},
        {"verb": "approve", "t": 1, "r": 1, "v": [], "h": ""},
        {"verb": "approve", "t": 1, "r": 1},
        {"verb": "approve", "t": -1},
        {"verb": None, "t": 1},
        {"verb": "approve", "t": 10**30},
    ],
)
def test_a_button_that_was_tampered_with_is_refused_politely(data: dict[str, object]) -> None:
    with pytest.raises(Refused, match="open the ticket anew"):
        read_press(data)


@given(
    st.dictionaries(
        st.sampled_from(["verb", "t", "r", "v", "h", "confirmed", "edit_1_1"]),
        st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.sampled_from([*Verb]),
    )
)
def test_reading_a_press_never_crashes(data: dict[str, object]) -> None:
    try:
        read_press(data)
    except Refused:
        return


def test_text_of_customers_stays_text() -> None:
    evil = "[Reset](https://evil.example) {{DATE(2026-11-22T00:00:00Z)}} <at>all</at> **now**"
    drawn = draw(
        card(title=evil, who=evil, quote=evil, draft=evil, facts=(("Urgency", evil),), line=evil)
    )
    blocks = [n["text"] for n in walk(drawn) if n.get("type") == "TextBlock"]
    blocks += [n["value"] for n in walk(drawn) if "value" in n and "title" in n]
    said = "\n".join(blocks)
    assert "](" not in said
    assert "<at>" not in said
    assert "**" not in said
    assert "{{DATE" not in "\n".join([said, *texts(drawn)])
    assert f"]{JOINER}(https" in said
    # where no Markdown is known, nothing is changed
    runs = [n["text"] for n in walk(drawn) if n.get("type") == "TextRun"]
    assert any("[Reset](https://evil.example)" in run for run in runs)
    assert not [node for node in walk(drawn) if node.get("type") == "Action.OpenUrl"]


@pytest.mark.parametrize("start", ["- item", "1. item", "# head", "> quote", "+ plus"])
def test_a_subject_does_not_become_a_list_or_heading(start: str) -> None:
    assert texts(draw(card(title=start)))[0] == JOINER + start


def test_a_long_draft_says_that_it_is_cut_and_edit_holds_the_whole() -> None:
    long = "\n".join(f"{n}. a line of a long draft" for n in range(300))
    drawn = draw(card(draft=long, buttons=with_text(long)))
    assert size(drawn) <= LIMIT
    assert any("the whole draft is under Edit" in text for text in texts(drawn))
    assert actions(drawn)["Edit"]["card"]["body"][0]["value"] == long


def test_a_draft_too_long_for_the_card_is_edited_in_the_console() -> None:
    huge = "word " * 10_000
    drawn = draw(card(draft=huge, buttons=with_text(huge)))
    assert size(drawn) <= LIMIT
    assert any("the whole draft is in the console" in text for text in texts(drawn))
    assert "too long for this card" in texts(actions(drawn)["Edit"]["card"])[0]
    assert "Approve & send" in actions(drawn)
    whole = draw(card(draft=huge, buttons=with_text(huge)), limit=1_000_000)
    assert actions(whole)["Edit"]["card"]["body"][0]["value"] == huge
    assert not any("Only the beginning" in text for text in texts(whole))


def with_text(text: str) -> tuple[Any, ...]:
    return tuple(
        replace(button, text=text) if button.verb is Verb.EDIT else button
        for button in card().buttons
    )


anything = st.text(max_size=300) | st.sampled_from(["\n" * 600, "a\n" * 300, '"' * 600, "💥" * 600])
drafts = st.builds(lambda text, times: text * times, st.text(max_size=60), st.integers(1, 500))


@settings(max_examples=30, deadline=None)
@given(anything, anything, drafts, st.lists(anything, max_size=12))
def test_a_card_always_fits(title: str, quote: str, draft: str, reasons: list[str]) -> None:
    drawn = draw(
        card(
            title=title,
            who=title,
            status=title,
            quote=quote[:600],
            draft=draft,
            line=title,
            facts=tuple(("Urgency", reason) for reason in reasons[:4]),
            findings=tuple(Finding("x", Severity.WARNING, reason) for reason in reasons),
            sources=tuple(enumerate(reasons)),
            buttons=with_text(draft),
        )
    )
    assert size(drawn) <= LIMIT


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [
        ("UTC", "2026-11-22T00:00:00Z", "2026-11-22T23:59:59Z"),
        ("Asia/Tokyo", "2026-11-21T15:00:00Z", "2026-11-22T14:59:59Z"),
        ("America/New_York", "2026-11-22T05:00:00Z", "2026-11-23T04:59:59Z"),
    ],
)
def test_a_time_carries_its_day_unless_it_is_today_where_the_card_is_drawn(
    zone: str, first: str, last: str
) -> None:
    second = timedelta(seconds=1)
    today = [datetime.fromisoformat(first), datetime.fromisoformat(last), NOW]
    for at in (*today, today[0] - second, today[1] + second):
        moment = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        time = f"{{{{TIME({moment})}}}}"
        shown = time if at in today else f"{{{{DATE({moment}, SHORT)}}}} {time}"
        assert timed({"text": when(at)}, ZoneInfo(zone), NOW) == {"text": shown}
    typed = {"type": "Input.Text", "value": when(NOW), "data": {"text": when(NOW)}}
    kept = [typed, {"data": when(NOW)}]
    assert timed(kept, ZoneInfo(zone), NOW) == kept


def test_without_a_zone_times_stay_marks() -> None:
    said = json.dumps(draw(card("approved"), None), ensure_ascii=False)
    assert "leaves at \ue0001795348710\ue001" in said
    assert "{{" not in said
