"""The writer without a language model: what it quotes, how it reads, when it asks for a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from desk.classification import Category, Sentiment
from desk.email import Address, ParsedEmail
from desk.errors import Misconfigured
from desk.response import Draft, Passage, Severity
from inference.checks import check
from inference.extractive import Extractive
from inference.ladder import Question
from inference.letter import Letters
from inference.sentences import normal, plain

INVOICES = Passage(
    "invoices.md",
    "Invoices",
    "Where to find them",
    "## Where to find them\n\nYou find every invoice under **Billing > Invoices**. It can be "
    "downloaded as a PDF. Invoices are made on the first day of each month.",
    0.74,
)
RESET = Passage(
    "reset.md",
    "Signing in",
    "Resetting your password",
    "Did you forget your password?\n\nTo reset your password:\n\n1. Open the "
    "[sign-in page](https://desk.example/login).\n2. Choose *Forgot password*.\n3. Follow the link "
    "in the e-mail.\n\nThe link is valid for 30 minutes.",
    0.81,
)
LONG = Passage(
    "shipping.md",
    "Shipping",
    "",
    "We ship from our warehouse in Lyon on every working day of the year except on holidays. "
    "Orders that are placed before noon are packed on the same day by our team there. "
    "Express delivery is offered for most of the articles in our shop at a fee. "
    "Parcels to Switzerland need a customs form, which we fill in for you. "
    "It is attached to the outside of the parcel in a plastic envelope. "
    "The customs duty of Switzerland is paid by the receiver of the parcel at the door. "
    "Returns from other countries go to the address that is printed on the delivery note. "
    "Gift wrapping is possible for small articles and can be chosen in the basket.",
    0.7,
)
ASK = Question(
    subject="Invoice",
    text="Hi, where can I download the invoices of this year? Priya",
    language="en",
    category=Category.BILLING,
    customer="Priya",
    signature="Ann Berg\nExample Ltd",
    passages=(INVOICES,),
)


def write(question: Question, letters: Letters | None = None) -> Draft:
    return asyncio.run(Extractive(letters or Letters()).write(question))


def test_a_reply_reads_like_one() -> None:
    assert write(ASK).text == (
        "Hello Priya,\n"
        "\n"
        "Thank you for your question about billing. This is what our help pages say:\n"
        "\n"
        "You find every invoice under Billing > Invoices. It can be downloaded as a PDF. Invoices "
        "are made on the first day of each month [1].\n"
        "\n"
        "If this does not answer your question, simply reply to this e-mail.\n"
        "\n"
        "Kind regards\n"
        "Ann Berg\n"
        "Example Ltd"
    )


def test_steps_stay_together_with_the_line_that_leads_into_them() -> None:
    asked = replace(ASK, text="How do I reset my password?", passages=(RESET,))
    assert (
        "To reset your password:\n"
        "1. Open the sign-in page (https://desk.example/login).\n"
        "2. Choose Forgot password.\n"
        "3. Follow the link in the e-mail.\n"
        "The link is valid for 30 minutes [1].\n"
    ) in write(asked).text


def test_the_question_of_an_article_is_not_asked_back() -> None:
    asked = replace(ASK, text="How do I reset my password?", passages=(RESET,))
    assert "?" not in write(asked).text


def test_of_a_long_passage_only_what_answers_is_quoted() -> None:
    asked = replace(ASK, subject="", text="Who pays customs to Switzerland?", passages=(LONG,))
    text = write(asked).text
    assert "customs duty of Switzerland" in text
    assert "Gift wrapping" not in text
    assert "Lyon" not in text


def test_a_second_article_is_quoted_only_for_what_it_adds() -> None:
    both = replace(ASK, text="How do I reset my password and download invoices?")
    found = write(replace(both, passages=(RESET, INVOICES)))
    assert [citation.passage for citation in found.citations] == [RESET, INVOICES]
    one = replace(ASK, subject="", text="How do I reset my password?")
    only = write(replace(one, passages=(RESET, INVOICES)))
    assert [citation.passage for citation in only.citations] == [RESET]


def test_the_same_article_twice_is_quoted_once() -> None:
    twice = write(replace(ASK, passages=(INVOICES, replace(INVOICES, article="copy.md"))))
    assert len(twice.citations) == 1


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "other"])
@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("sentiment", list(Sentiment))
def test_every_letter_is_whole_and_promises_nothing(
    language: str, category: Category, sentiment: Sentiment
) -> None:
    asked = replace(ASK, language=language, category=category, sentiment=sentiment)
    for question in (asked, replace(asked, passages=())):
        draft = write(question)
        if not draft.text:
            assert draft.needs_human
            continue
        assert draft.text.endswith("\nAnn Berg\nExample Ltd")
        assert "\n\n\n" not in draft.text
        assert not any(line.endswith(" ") for line in draft.text.splitlines())
        found = check(draft.text, draft.citations, ParsedEmail(text=ASK.text), (), (ASK.signature,))
        allowed = {"language"} if language != "en" else set()
        bad = {f.check for f in found.findings if f.severity is not Severity.GOOD}
        assert bad <= allowed


@pytest.mark.parametrize(
    ("language", "sorry"),
    [("en", "I am sorry"), ("de", "tut uns leid"), ("fr", "désolés"), ("es", "Lamentamos")],
)
def test_it_apologises_only_to_the_unhappy(language: str, sorry: str) -> None:
    for passages in ((INVOICES,), ()):
        asked = replace(ASK, language=language, passages=passages)
        assert sorry not in write(asked).text
        assert sorry in write(replace(asked, sentiment=Sentiment.NEGATIVE)).text


def test_every_quoted_sentence_is_word_for_word_in_its_article() -> None:
    for passage in (INVOICES, RESET):
        asked = replace(ASK, text="invoice password reset", passages=(passage,))
        body = write(asked).text.split("\n\n")[2]
        assert normal(body).rstrip(" .") in normal(plain(passage.text))


def test_what_it_writes_passes_its_own_checks_with_full_marks() -> None:
    draft = write(ASK)
    mail = ParsedEmail(sender=Address("Priya", "p@x.example"), text=ASK.text, reply=ASK.text)
    found = check(draft.text, draft.citations, mail, (mail.sender,), (ASK.signature,))
    assert [f.reason for f in found.findings] == ["3 sentences verified in their sources."]
    assert found.score == 100


@pytest.mark.parametrize("score", [0.0, 0.2, 0.39])
def test_weak_passages_are_no_answer(score: float) -> None:
    draft = write(replace(ASK, passages=(replace(INVOICES, score=score),)))
    assert (draft.citations, draft.needs_human) == ((), True)
    assert draft.reason == "No article answers this."
    assert draft.text == (
        "Hello Priya,\n\nThank you for your message. It has reached us, and a colleague is looking "
        "into it.\n\nKind regards\nAnn Berg\nExample Ltd"
    )


@pytest.mark.parametrize(("subject", "cited"), [("Invoice?", 1), ("My dog", 0), ("", 1)])
def test_a_passage_in_between_must_share_a_word_with_the_subject(subject: str, cited: int) -> None:
    near = replace(INVOICES, score=0.45)
    assert len(write(replace(ASK, subject=subject, passages=(near,))).citations) == cited


@pytest.mark.parametrize(("score", "is_loose"), [(0.45, True), (0.54, True), (0.55, False)])
def test_an_article_that_fits_loosely_is_said_to(score: float, is_loose: bool) -> None:
    draft = write(replace(ASK, passages=(replace(INVOICES, score=score),)))
    assert (len(draft.citations), draft.needs_human) == (1, is_loose)
    said = "The article fits loosely: read whether it answers the mail."
    assert draft.reason == (said if is_loose else "")


@pytest.mark.parametrize("category", [Category.FEEDBACK, Category.COMPLAINT])
def test_praise_and_complaints_are_answered_by_close_passages_only(category: Category) -> None:
    asked = replace(ASK, category=category)
    assert not write(replace(asked, passages=(replace(INVOICES, score=0.5),))).citations
    assert write(replace(asked, passages=(replace(INVOICES, score=0.6),))).citations


def test_a_passage_far_behind_the_best_is_left_out() -> None:
    both = replace(ASK, text="How do I reset my password and download invoices?")
    found = write(replace(both, passages=(RESET, replace(INVOICES, score=0.7))))
    assert [citation.passage for citation in found.citations] == [RESET]


def test_a_sentence_that_two_articles_share_is_said_once() -> None:
    more = "It can be downloaded as a PDF. Yearly statements list the invoices of a year."
    other = replace(INVOICES, article="more.md", text=more)
    asked = replace(ASK, text="Where can I download invoices and yearly statements?")
    text = write(replace(asked, passages=(INVOICES, other))).text
    assert "Yearly statements list the invoices of a year [2]." in text
    assert text.count("It can be downloaded") == 1


def test_a_heading_inside_a_passage_begins_a_line_and_counts_as_quoted() -> None:
    text = "Invoices come by mail.\n\nRun a report:\n\nChoose it under Reports and press Show."
    draft = write(replace(ASK, passages=(replace(INVOICES, text=text),)))
    assert "by mail.\nRun a report: Choose it under Reports and press Show [1]." in draft.text
    assert check(draft.text, draft.citations, ParsedEmail(text=ASK.text)).score == 100


def test_steps_right_after_our_own_words_count_as_quoted() -> None:
    steps = replace(INVOICES, text="1. Open Billing and its invoices.\n2. Press Show.")
    draft = write(replace(ASK, passages=(steps,)))
    assert check(draft.text, draft.citations, ParsedEmail(text=ASK.text)).score == 100


def test_what_an_article_says_in_signs_is_not_cut() -> None:
    idea = "Choose ? › Suggest an idea to tell us of better invoices. Every idea is read."
    draft = write(replace(ASK, passages=(replace(INVOICES, text=idea),)))
    assert idea.removesuffix(".") in draft.text


def test_a_mail_of_no_known_kind_without_an_article_gets_no_text() -> None:
    draft = write(replace(ASK, category=Category.OTHER, passages=()))
    assert (draft.text, draft.needs_human) == ("", True)


def test_spam_is_not_answered_even_with_an_article() -> None:
    draft = write(replace(ASK, category=Category.SPAM))
    assert (draft.text, draft.reason) == ("", "This looks like spam, so no reply was drafted.")


def test_an_article_in_another_language_is_said_to_be_and_needs_a_person() -> None:
    draft = write(replace(ASK, language="de"))
    assert "Unser Hilfeartikel dazu liegt auf Englisch vor:" in draft.text
    assert draft.reason == "The article is in another language than the mail."


def test_an_instruction_that_cannot_be_followed_is_admitted() -> None:
    draft = write(replace(ASK, instruction="Make it shorter"))
    assert draft.needs_human
    assert "instruction was not followed" in draft.reason


@pytest.mark.parametrize(
    ("customer", "greeting"),
    [
        ("Priya", "Hello Priya,"),
        ("<PERSON_1>", "Hello <PERSON_1>,"),
        ("", "Hello,"),
        ("no-reply@x.example", "Hello,"),
        ("Click https://evil.example now", "Hello,"),
        ("You owe us 500 €", "Hello,"),
        ("{{ 7 * 7 }}", "Hello,"),
        ("x" * 60, "Hello,"),
    ],
)
def test_the_greeting_uses_a_name_only_if_it_is_one(customer: str, greeting: str) -> None:
    assert write(replace(ASK, customer=customer)).text.splitlines()[0] == greeting


def test_a_signature_with_its_own_closing_gets_no_second_one() -> None:
    text = write(replace(ASK, signature="Best regards\nAnn")).text
    assert text.endswith("\n\nBest regards\nAnn")
    assert "Kind regards" not in text


def test_a_team_may_bring_its_own_template(tmp_path: Path) -> None:
    (tmp_path / "closing.en.j2").write_text("Cheerio!\n{{ signature }}")
    assert write(ASK, Letters(tmp_path)).text.endswith("\n\nCheerio!\nAnn Berg\nExample Ltd")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ name.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{ nobody }}",
        "{% if %}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_is_wrong_or_hostile_is_told_by_name(tmp_path: Path, template: str) -> None:
    (tmp_path / "reply.en.j2").write_text(template)
    with pytest.raises(Misconfigured, match=r"reply\.en\.j2"):
        write(ASK, Letters(tmp_path))


def test_template_code_in_a_mail_or_an_article_stays_text() -> None:
    code = replace(INVOICES, text="Write {{ 7 * 7 }} and {% raw %} for the invoices here.")
    assert "{{ 7 * 7 }} and {% raw %}" in write(replace(ASK, passages=(code,))).text
