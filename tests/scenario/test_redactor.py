"""The redactor at work: a mail goes in, its process finds what is personal, a draft comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from desk.child import ROOT
from desk.errors import Misconfigured, Transient
from inference.redact import Redactor, restore

MAIL = """Hi Support,

my name is Ann Lee. Please change the card 4111 1111 1111 1111 for order 4158726345
(invoice INV-2024-00123 of 2024-05-12, 1.234,56 EUR, error E-1234, version 10.2.3.4).
Call +44 20 7946 0958 or write to ann.lee@intranet.local; IBAN DE89 3704 0044 0532 0130 00.
I live at 12 Oak Street, Springfield, and log in from 81.2.69.160 through 192.168.1.1.
My national insurance number is AB123456C, my SSN 219-09-9999.

Kind regards,
Ann
"""

PERSONAL = {
    "4111 1111 1111 1111": "CREDIT_CARD",
    "+44 20 7946 0958": "PHONE_NUMBER",
    "ann.lee@intranet.local": "EMAIL_ADDRESS",
    "DE89 3704 0044 0532 0130 00": "IBAN_CODE",
    "12 Oak Street, Springfield": "STREET_ADDRESS",
    "81.2.69.160": "IP_ADDRESS",
    "AB123456C": "ID_NUMBER",
    "219-09-9999": "ID_NUMBER",
    "Ann Lee": "PERSON",
    "Ann": "PERSON",
}
NEEDED = ["Support", "4158726345", "INV-2024-00123", "2024-05-12", "1.234,56 EUR", "E-1234"]
NEEDED += ["10.2.3.4", "192.168.1.1"]

shared = pytest.mark.asyncio(loop_scope="module")  # one process for all that only ask


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redactor() -> AsyncIterator[Redactor]:
    async with Redactor({"customer number": r"\bKD-\d{6}\b"}) as opened:
        yield opened


@shared
async def test_what_is_personal_is_found_and_typed(redactor: Redactor) -> None:
    found = await redactor.find(MAIL)
    assert {MAIL[one.start : one.end]: one.type for one in found} == PERSONAL


@shared
async def test_a_redacted_mail_keeps_what_the_answer_needs(redactor: Redactor) -> None:
    redacted = await redactor.redact(MAIL)
    assert [value for value in PERSONAL if value in redacted.text] == []
    assert [value for value in NEEDED if value not in redacted.text] == []
    assert restore(redacted.text, redacted.names) == (MAIL, ())


@shared
async def test_names_of_the_headers_are_found_in_running_text(redactor: Redactor) -> None:
    text = "Tell Gonzalez that MARIA GONZALEZ wrote. Maria will rob nobody."
    without = await redactor.redact(text)
    assert without.text == text
    redacted = await redactor.redact(text, known=["Maria Gonzalez"])
    assert redacted.text == "Tell <PERSON_1> that <PERSON_2> wrote. <PERSON_3> will rob nobody."


@shared
async def test_a_name_found_once_is_hidden_everywhere(redactor: Redactor) -> None:
    text = "Send it to Jane Miller, please. Jane waits.\n\nBest,\nJane Miller"
    redacted = await redactor.redact(text)
    assert "Jane" not in redacted.text
    assert "Miller" not in redacted.text
    assert restore(redacted.text, redacted.names) == (text, ())


@shared
async def test_later_mails_of_a_ticket_go_on_with_the_same_placeholders(redactor: Redactor) -> None:
    subject = await redactor.redact("Order of Ann Lee", known=["Ann Lee"])
    mail = await redactor.redact("I am Ann Lee, call 020 7946 0958", ["Ann Lee"], subject.names)
    later = await redactor.redact("ann lee? 020 7946 0958! Ann Lee", (), mail.names)
    assert subject.text == "Order of <PERSON_1>"
    assert mail.text == "I am <PERSON_1>, call <PHONE_NUMBER_1>"
    assert later.text == "<PERSON_2>? <PHONE_NUMBER_1>! <PERSON_1>"


@shared
async def test_the_customers_own_patterns_are_found(redactor: Redactor) -> None:
    redacted = await redactor.redact("Customer KD-123456 and KD-12")
    assert redacted.text == "Customer <CUSTOMER_NUMBER_1> and KD-12"


@shared
async def test_odd_texts_come_back_as_they_were(redactor: Redactor) -> None:
    odd = ["", " \n", "\ud800 lone surrogate ann@x.org", "\0\x01", "é" * 70_000, "<PERSON_1>", "🙂"]
    for text in odd:
        redacted = await redactor.redact(text, known=["", "\ud800", "x" * 10_000])
        assert restore(redacted.text, redacted.names) == (text, ())


@shared
async def test_many_callers_share_one_process(redactor: Redactor) -> None:
    texts = [f"mail {n} of a{n}@example.org" for n in range(20)]
    redacted = await asyncio.gather(*(redactor.redact(text) for text in texts))
    assert [one.text for one in redacted] == [f"mail {n} of <EMAIL_ADDRESS_1>" for n in range(20)]
    assert [one.names["<EMAIL_ADDRESS_1>"] for one in redacted][7] == "a7@example.org"


async def test_opening_does_not_wait_for_presidio() -> None:
    start = time.monotonic()
    async with Redactor() as redactor:
        assert time.monotonic() - start < 0.5
        assert not redactor.has_names


@shared
async def test_a_process_that_dies_is_replaced(redactor: Redactor) -> None:
    await redactor.find("ann@example.org")
    [child] = children()
    os.kill(child, signal.SIGKILL)
    with suppress(Transient):  # unless its end was seen before the call
        await redactor.find("ann@example.org")
    assert len(await redactor.find("ann@example.org")) == 1
    assert children() != [child]


async def test_a_call_that_takes_too_long_is_given_up_and_the_next_one_works() -> None:
    async with Redactor({"slow": r"(?:(?:a|aa)+x?)+b"}, timeout=2) as redactor:
        with pytest.raises(Transient, match="took longer than 2 s"):
            await redactor.find("a" * 60 + "!")
        assert len(await redactor.find("ann@example.org")) == 1


async def test_no_process_is_left_behind() -> None:
    before = children()
    async with Redactor(workers=2) as redactor:
        await redactor.find("ann@example.org")
        assert len(children()) >= len(before) + 1
    assert children() == before


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        ({"bad": "("}, '"bad" is wrong'),
        ({"12": "x"}, '"12" needs letters'),
        ({"empty": "x*"}, '"empty" matches an empty text'),
        ({"literal": "x"}, '"literal" needs'),
    ],
)
def test_a_wrong_pattern_is_named(patterns: dict[str, str], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        Redactor(patterns)


async def test_a_missing_pipeline_is_named() -> None:
    async with Redactor(ner="no_such_pipeline") as redactor:
        with pytest.raises(Misconfigured, match="no_such_pipeline is neither installed"):
            await redactor.find("text")


@pytest.mark.slow
async def test_a_spacy_pipeline_finds_names_in_running_text(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    make = (
        "import spacy, sys; nlp = spacy.blank('en'); ruler = nlp.add_pipe('entity_ruler');"
        "ruler.add_patterns([{'label': 'PERSON', 'pattern': 'Zaphod'},"
        "{'label': 'GPE', 'pattern': 'Paris'}]); nlp.to_disk(sys.argv[1])"
    )
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "ignore", "-c", make, str(folder)], check=True
    )
    async with Redactor(ner=str(folder)) as redactor:
        assert redactor.has_names
        redacted = await redactor.redact("Yesterday Zaphod left for Paris with order 123.")
    assert redacted.text == "Yesterday <PERSON_1> left for Paris with order 123."


def test_finding_opens_no_connection_and_imports_no_torch() -> None:
    probe = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("it dialled out")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from inference.finder import open_finder
find = open_finder({})
found = find("ann@example.co.uk, https://example.org, bob@sub.example.com 81.2.69.160", [], [])
import tldextract
assert tldextract.extract("ann@example.co.uk").fqdn == "example.co.uk"
assert sys.modules["torch"] is None and sys.modules["transformers"] is None
print(len(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr


def test_importing_the_redactor_is_cheap() -> None:
    probe = (
        "import sys, inference.redact;"
        "print([m for m in ('presidio_analyzer', 'spacy', 'phonenumbers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def children() -> list[int]:
    """Processes of ours that find personal data."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in map(int, listed) if b"inference.finder" in command(pid)]


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
