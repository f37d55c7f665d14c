"""Which mails under one Message-ID are the same mail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from desk.email import QUARANTINED, Attachment, ParsedEmail
from mail.duplicates import content_key, is_copy

TEXT = "My scanner has not worked since Monday.\nOrder 4711, and nobody answers the phone."
MAIL = ParsedEmail(subject="Scanner", text=TEXT)
MAILMAN = "\n_______________________________________________\nHelp mailing list\nHelp@lists.example"
EZMLM = "\n-----------------------------------------\nTo unsubscribe, e-mail: x@lists.example"
PHOTO = Attachment("scanner.png", "image/png", 7, "a1")


@pytest.mark.parametrize(
    "mail",
    [
        MAIL,
        ParsedEmail(subject="[help] Scanner", text=TEXT + MAILMAN),
        ParsedEmail(subject="Re: Scanner", text=f"{TEXT}\n{EZMLM}\n{MAILMAN}\n"),
        ParsedEmail(subject="Scanner", text=TEXT.replace("\n", " ").upper()),
    ],
)
def test_a_copy_says_nothing_new(mail: ParsedEmail) -> None:
    listed = replace(MAIL, text=TEXT + EZMLM)  # what came first was over another list
    assert is_copy(MAIL, mail)
    assert is_copy(listed, mail)


@pytest.mark.parametrize(
    "mail",
    [
        ParsedEmail(subject="Scanner", text=TEXT.replace("4711", "4712")),
        ParsedEmail(subject="Scanner", text=f"It still does not work.\n\n> {TEXT}"),
        ParsedEmail(subject="Scanner", text=f"{TEXT}\n-----\nAnd the lamp is broken, too."),
        ParsedEmail(subject="Scanner", text=TEXT + MAILMAN.replace("Help", "x" * 1_000)),
        ParsedEmail(subject="Lamp", text=TEXT),
        ParsedEmail(subject="Scanner"),
        replace(MAIL, attachments=(PHOTO,)),
    ],
)
def test_whatever_is_new_makes_it_another_mail(mail: ParsedEmail) -> None:
    assert not is_copy(MAIL, mail)


def test_what_a_quarantined_mail_says_nobody_knows() -> None:
    unread = ParsedEmail(subject="Scanner", defects=(f"{QUARANTINED}it took too long.",))
    assert not is_copy(unread, unread)


def test_whether_a_mail_was_sent_again_is_not_told_of_one_that_was_read_in_part() -> None:
    assert content_key(MAIL) == content_key(replace(MAIL, message_id="<again@x>")) != ""
    assert content_key(replace(MAIL, truncated=True)) == ""


def test_a_list_may_take_the_files_away() -> None:
    assert is_copy(replace(MAIL, attachments=(PHOTO,)), MAIL)


def test_what_stands_between_two_rules_is_no_footer() -> None:
    def ruled(order: int) -> str:
        return f"Hello,\n-----\nOrder {order} of the group has not come.\n{MAILMAN}"

    first, mail = (ParsedEmail(subject="Order", text=ruled(n)) for n in (1, 2))
    assert not is_copy(first, mail)
