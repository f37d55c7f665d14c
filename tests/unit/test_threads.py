"""Which conversation a mail belongs to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from desk.email import ParsedEmail
from mail.threads import ancestors, belongs, is_reply, subject_key

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "subject",
    [
        "Broken kettle",
        "Re: Broken kettle",
        "RE: RE: re: Broken kettle",
        "Re[2]: Broken kettle",
        "Re^3: Broken kettle",
        "Re (2): Broken kettle",
        "AW: WG: Broken kettle",
        "Antwort: Broken kettle",
        "RE : Broken kettle",
        "TR: Broken kettle",
        "RV: Broken kettle",
        "R: I: Broken kettle",
        "SV: VS: Broken kettle",
        "Odp: PD: Broken kettle",
        "Ynt: İlt: Broken kettle",
        "Отв: Broken kettle",
        "回复：Broken kettle",
        "[Ticket #12] Broken kettle",
        "Re: [Ticket #12] Broken kettle",
        "[EXTERNAL] Re: [ABC-12] Broken kettle",
        "Broken kettle [#12345]",
        "Broken kettle (fwd)",
        "  broken   KETTLE ",
    ],
)
def test_one_thread_has_one_key(subject: str) -> None:
    assert subject_key(subject) == "broken kettle"


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("Report: broken kettle", "report: broken kettle"),
        ("Order 12345", "order 12345"),
        ("Order (12345)", "order (12345)"),
        ("[Ticket #12]", ""),
        ("Re:", ""),
        ("", ""),
        ("Re: " * 5_000 + "x", ""),
    ],
)
def test_keys_keep_what_tells_matters_apart(subject: str, key: str) -> None:
    assert subject_key(subject) == key


@pytest.mark.parametrize(
    ("subject", "answers"),
    [
        ("Re: a", True),
        ("[EXTERNAL] AW: a", True),
        ("Fwd: a", False),
        ("Report: a", False),
        ("a re: b", False),
    ],
)
def test_is_reply(subject: str, answers: bool) -> None:
    assert is_reply(subject) is answers


def test_the_nearest_ancestor_comes_first() -> None:
    mail = ParsedEmail(
        message_id="<4@x>", in_reply_to="<2@x>", references=("<1@x>", "<2@x>", "<3@x>", "<4@x>")
    )
    assert ancestors(mail) == ("<2@x>", "<3@x>", "<1@x>")
    assert ancestors(ParsedEmail()) == ()


def test_ancestors_are_capped() -> None:
    many = tuple(f"<{n}@x>" for n in range(500))
    found = ancestors(ParsedEmail(references=many))
    assert found[0] == "<499@x>"
    assert len(found) == 50


@pytest.mark.parametrize(
    ("subject", "key", "same_sender", "age", "joins"),
    [
        ("Re: Broken kettle lid", "broken kettle lid", True, DAY, True),
        ("Broken kettle lid", "broken kettle lid", True, DAY, True),
        ("Re: Broken kettle lid", "broken kettle lid", True, 14 * DAY, True),
        ("Re: Broken kettle lid", "broken kettle lid", True, 15 * DAY, False),
        ("Re: Broken kettle lid", "broken kettle lid", False, DAY, False),
        ("Re: Broken kettle lid", "another matter here", True, DAY, False),
        ("Re: Invoice", "invoice", True, DAY, False),
        ("My order", "my order", True, DAY, False),
        ("Re: Kettle", "kettle", True, DAY, False),
        ("Kettlefailure", "kettlefailure", True, DAY, False),
        ("Re: Kettlefailure", "kettlefailure", True, DAY, True),
        ("Re:", "", True, DAY, False),
    ],
)
def test_the_subject_alone_joins_only_what_surely_fits(
    subject: str, key: str, same_sender: bool, age: timedelta, joins: bool
) -> None:
    assert belongs(ParsedEmail(subject=subject), key, same_sender, age) is joins
