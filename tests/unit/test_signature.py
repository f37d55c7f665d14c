"""The signature template: filled for a mailbox, and by whoever approves."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from pydantic import ValidationError

from desk.email import Address, ParsedEmail
from desk.mailbox_settings import MailboxSettings
from desk.response import Envelope
from desk.signature import Signature, faults, signed, taken_back, unsigned
from mail.compose import compose

FULL = Signature("{agent}, {mailbox}\n{address}", "Tea Shop", "help@tea.example", "")
TEXT = f"Hello,\n\nwe are on it.\n\nKind regards\n{signed(FULL.drafted, 'Ann Berg', FULL.drafted)}"


def test_all_but_the_agent_is_filled_when_it_is_drafted() -> None:
    template = "{agent}\n{mailbox} · {team}\n{team}\n\n{address}\n"
    shop = Signature(template, "Tea Shop", "help@tea.example")
    assert shop.drafted == "{agent}\nTea Shop ·\n\nhelp@tea.example"
    team = Signature(template, "Tea Shop", "help@tea.example", "EU")
    assert team.drafted == "{agent}\nTea Shop · EU\nEU\n\nhelp@tea.example"
    assert Signature("", "Tea Shop").drafted == ""
    assert Signature("Ann & {Co}".replace("{Co}", "{ Co }")).drafted == "Ann & { Co }"


def test_the_agents_name_is_filled_by_whoever_approves() -> None:
    drafted = "Hello.\n\nRegards\n{agent}\nTea"
    assert signed(drafted, "Ann {team}", drafted) == "Hello.\n\nRegards\nAnn {team}\nTea"
    assert unsigned(drafted, "", drafted) == "Hello.\n\nRegards\n[your name]\nTea"
    assert unsigned(drafted, "Ann", drafted) == "Hello.\n\nRegards\nAnn\nTea"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Write {agent} there:\n{agent}\nRegards\n{agent}\nTea", None),
        ("Regards\n{agent} \nTea", "Regards\nAnn \nTea"),
        ("Write {agent}\nRegards\nAnn\nTea", "Write {agent}\nRegards\nAnn\nTea"),
        ("Yours, {agent}", "Yours, {agent}"),
        ("Write {agent}.", "Write {agent}."),
    ],
)
def test_what_a_person_wrote_elsewhere_is_not_filled(text: str, left: str | None) -> None:
    last = "Write {agent} there:\n{agent}\nRegards\nAnn\nTea"
    assert signed(text, "Ann", "Hello.\n\nRegards\n{agent}\nTea") == (left or last)
    assert signed(text, "Ann", "Hello.\n\nRegards\nTea") == text


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("Hi.\n\nRegards\nAnn, Tea\nx", "Hi.\n\nRegards\n{agent}, Tea\nx"),
        ("Ann, another beginning\nAnn, Tea\nx", "Ann, another beginning\n{agent}, Tea\nx"),
        ("Hi.\nAnn, Tea\nx\nP.S. Thanks", "Hi.\nAnn, Tea\nx\nP.S. Thanks"),
    ],
)
def test_a_name_is_taken_back_where_the_draft_had_its_place(text: str, back: str) -> None:
    assert taken_back(text, "Ann", "Hi.\n\nRegards\n{agent}, Tea\nx") == back
    assert taken_back(text, "Ann", "Hi.\n\nRegards\nTea") == text


@pytest.mark.parametrize("template", ["{agnet}", "{agent} {Team}", "{}", "{mailbox.name}{x}"])
def test_a_wrong_placeholder_is_one_clear_sentence(template: str) -> None:
    assert faults("{agent} {mailbox} {address} {team} {two words} { }") == ""
    said = faults(template)
    assert said.endswith("stands for nothing: write {agent}, {mailbox}, {address}, {team}")
    with pytest.raises(ValidationError, match="stands for nothing"):
        MailboxSettings(name="a", address="a@b.example", signature=template)


def test_where_it_begins_is_found_whoever_signed() -> None:
    begins = FULL.begins(TEXT)
    assert TEXT[begins:] == "Ann Berg, Tea Shop\nhelp@tea.example"
    assert FULL.begins(f"{TEXT}\n\n") == begins
    changed = f"{TEXT}\nP.S. Thanks"
    assert FULL.begins(changed) == len(changed)
    assert Signature().begins(TEXT) == len(TEXT)
    other = TEXT.replace("Ann Berg, Tea", "Tea")
    assert FULL.begins(other) == len(other)


def test_in_html_it_is_set_apart_with_its_links_and_addresses() -> None:
    ann = Address("Ann", "ann@customer.example")
    envelope = Envelope((ann,), (), "Re: Tea", TEXT)
    asked = ParsedEmail(message_id="<1@customer.example>", sender=ann, text="Where is my tea?")
    now = datetime(2026, 11, 20, tzinfo=UTC)
    shop = Address("Tea Shop", "help@tea.example")
    raw = compose(envelope, asked, shop, "<2@tea.example>", now, signature=FULL)
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n").startswith(f"{TEXT}\n\n")
    said = html.get_content().replace("\r\n", "\n")
    before, _, after = said.partition('<div class="gmail_signature"')
    assert "Kind regards" in before
    assert "Ann Berg" not in before
    link = '<a href="mailto:help@tea.example">help@tea.example</a>'
    assert f"Ann Berg, Tea Shop<br>\n{link}</p></div><div" in after
