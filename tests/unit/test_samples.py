"""The sample mailbox and knowledge base are complete, well-formed and invented."""

from __future__ import annotations

import email
import email.policy
import json
import re
from email.message import EmailMessage
from pathlib import Path
from typing import TypedDict

import pytest

from desk.classification import Category, Sentiment, Urgency
from desk.email import Kind

SAMPLES = Path(__file__).parents[2] / "samples"
MAILS = sorted((SAMPLES / "mailbox").glob("*.eml"))
ARTICLES = sorted((SAMPLES / "articles").glob("*.md"))
ANGRIEST = "10-trucks-leave-at-one.eml"

# RFC 2606 and RFC 6761: names that nobody can register
RESERVED = (".example", ".test", ".invalid")
HOST = re.compile(r"(?:@|https?://)([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")


class Row(TypedDict):
    file: str
    sentiment: str
    urgency: str
    category: str
    kind: str
    article: str | None


def read(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def texts(message: EmailMessage) -> list[str]:
    parts = (part for part in message.walk() if part.get_content_maintype() == "text")
    return [str(part.get_content()) for part in parts]


def rows() -> list[Row]:
    lines = (SAMPLES / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def hosts(path: Path) -> set[str]:
    """Every host in the text of a file; of a mail, in all headers and decoded texts."""
    shown = [path.read_text(encoding="utf-8")] if path.suffix == ".md" else []
    if path.suffix == ".eml":
        message = read(path)
        shown += texts(message)
        shown += [str(value) for part in message.walk() for value in part.values()]
    return {host for text in shown for host in HOST.findall(text)}


def test_the_samples_are_many_enough() -> None:
    assert len(MAILS) >= 40
    assert len(ARTICLES) >= 20


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_a_mail_is_well_formed(path: Path) -> None:
    message = read(path)
    defects = [defect for part in message.walk() for defect in part.defects]
    assert defects == []
    assert message["From"].addresses[0].addr_spec
    assert message["Date"].datetime.tzinfo is not None
    assert re.fullmatch(r"<[^<>\s]+@[^<>\s]+>", message["Message-ID"])
    assert message["Received"]
    assert b"\r" not in path.read_bytes()
    assert max(map(len, path.read_bytes().split(b"\n"))) <= 998  # RFC 5322 §2.1.1
    if message.get_content_type() != "multipart/encrypted":
        assert len(" ".join(texts(message)).split()) >= 10


def test_message_ids_are_unique() -> None:
    ids = [read(path)["Message-ID"] for path in MAILS]
    assert len(set(ids)) == len(ids)


def test_mails_are_numbered_in_order_of_time() -> None:
    dates = [read(path)["Date"].datetime for path in MAILS]
    assert dates == sorted(dates)


def test_there_is_one_label_row_for_each_mail() -> None:
    assert [row["file"] for row in rows()] == [path.name for path in MAILS]


def test_labels_are_words_of_the_desk() -> None:
    for row in rows():
        assert row["sentiment"] in set(Sentiment)
        assert row["urgency"] in set(Urgency)
        assert row["category"] in set(Category)
        assert row["kind"] in set(Kind)


def test_every_label_occurs() -> None:
    assert {row["sentiment"] for row in rows()} == set(Sentiment)
    assert {row["urgency"] for row in rows()} == set(Urgency)
    assert {row["category"] for row in rows()} == set(Category)
    assert {row["kind"] for row in rows()} == set(Kind)


def test_the_named_articles_exist_and_answer_at_least_twelve_mails() -> None:
    named = [row["article"] for row in rows() if row["article"]]
    assert set(named) <= {path.name for path in ARTICLES}
    assert len(named) >= 12


def test_no_critical_or_high_mail_is_older_than_the_angriest() -> None:
    pressing = [row for row in rows() if row["urgency"] in {Urgency.HIGH, Urgency.CRITICAL}]
    assert pressing[0]["file"] == ANGRIEST
    assert (pressing[0]["sentiment"], pressing[0]["urgency"]) == ("negative", "critical")


@pytest.mark.parametrize("path", ARTICLES, ids=lambda path: path.stem)
def test_an_article_has_one_title_and_several_sections(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^## ", text, re.MULTILINE)) >= 3
    assert 200 <= len(text.split()) <= 500


@pytest.mark.parametrize("path", [*MAILS, *ARTICLES, SAMPLES / "README.md"], ids=lambda p: p.name)
def test_only_reserved_domains_are_named(path: Path) -> None:
    assert {host for host in hosts(path) if not host.endswith(RESERVED)} == set()


@pytest.mark.parametrize(
    ("words", "mails"),
    [
        ("Freundliche Grüße|Sehr geehrte Damen|freundliche Grüße", 2),
        ("Merci d'avance", 1),
        ("Buenos días", 1),
        ("よろしく", 1),
    ],
)
def test_other_languages_are_there(words: str, mails: int) -> None:
    found = [path for path in MAILS if re.search(words, "\n".join(texts(read(path))))]
    assert len(found) >= mails


@pytest.mark.parametrize(
    "attribution",
    [
        r"^On [A-Z][a-z]{2}, .+\s+wrote:$",  # Gmail
        r"^> On .+ wrote:$",  # Apple
        r"^Am .+ schrieb .+:$",
        r"^Le .+ a\s+écrit :$",
        r"^From: .+\nSent: .+\nTo: ",  # Outlook
    ],
)
def test_quoted_histories_of_several_mail_programs_are_there(attribution: str) -> None:
    shown = [text for path in MAILS for text in texts(read(path))]
    assert any(re.search(attribution, text, re.MULTILINE) for text in shown)


def test_a_second_mail_belongs_to_an_earlier_one() -> None:
    ids = {read(path)["Message-ID"] for path in MAILS}
    followed = {
        reference for path in MAILS for reference in str(read(path).get("References", "")).split()
    }
    assert len(ids & followed) == 1
