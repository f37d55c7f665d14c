"""Files on a reply: what is approved leaves, byte for byte, and nothing else."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from desk import files
from desk.action import Outcome, Result
from desk.email import Address, ParsedEmail
from desk.errors import Permanent
from desk.files import MAX_BYTES, MAX_FILES, NewFile
from desk.moves import Verb
from desk.response import Envelope
from desk.store import Store
from desk.tables.responses import files as tables
from mail.compose import compose
from mail.parse import parse
from tests.doubles.desk import scene

PRICES = NewFile("Preise für Ünal.pdf", "application/pdf", b"%PDF-1.7 \x00\xff prices")
DONE = Outcome(Result.DONE)


async def test_a_file_is_kept_sealed_and_changes_what_is_approved(any_store: Store) -> None:
    at = await scene(any_store)
    before = await at.request(Verb.APPROVE)
    assert await at.actions.act(await at.request(Verb.ATTACH, file=PRICES)) == DONE
    response = await at.response()
    assert response is not None
    assert response.envelope.attachments == (PRICES.attachment,)
    assert await files.read(any_store, response) == {PRICES.attachment.sha256: PRICES.data}
    # the card of before did not show the file
    assert (await at.actions.act(before)).result is Result.REFUSED
    async with any_store.read() as connection:
        stored = (await connection.execute(tables.select())).one()
    assert PRICES.data not in stored.sealed
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE


async def test_files_are_taken_off_one_by_one_or_all(any_store: Store) -> None:
    at = await scene(any_store)
    other = NewFile("terms.txt", "text/plain", b"Terms")
    for file in (PRICES, other):
        assert await at.actions.act(await at.request(Verb.ATTACH, file=file)) == DONE
    assert await at.actions.act(await at.request(Verb.DETACH, text=PRICES.name)) == DONE
    response = await at.response()
    assert response is not None
    assert [one.name for one in response.envelope.attachments] == ["terms.txt"]
    assert await files.read(any_store, response) == {other.attachment.sha256: other.data}
    assert await at.actions.act(await at.request(Verb.DETACH)) == DONE
    again = await at.actions.act(await at.request(Verb.DETACH))
    assert again == Outcome(Result.REFUSED, "No file is attached")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (NewFile("a.bin", "", b""), "a.bin is empty"),
        (NewFile("a.bin", "", b"x" * (MAX_BYTES + 1)), "send a link instead"),
        (None, "No file came with it"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    store: Store, file: NewFile | None, sentence: str
) -> None:
    at = await scene(store)
    outcome = await at.actions.act(await at.request(Verb.ATTACH, file=file))
    assert outcome.result is Result.REFUSED
    assert sentence in outcome.note


async def test_a_reply_takes_so_many_files_and_so_much_of_them(store: Store) -> None:
    at = await scene(store)
    half = NewFile("half.bin", "", b"x" * (MAX_BYTES // 2 + 1))
    assert await at.actions.act(await at.request(Verb.ATTACH, file=half)) == DONE
    again = await at.actions.act(await at.request(Verb.ATTACH, file=half))
    assert again.note == "half.bin is attached already"
    other = replace(half, data=b"y" * len(half.data))
    too_much = await at.actions.act(await at.request(Verb.ATTACH, file=other))
    assert "send a link instead" in too_much.note
    for number in range(MAX_FILES - 1):
        small = NewFile(f"{number}.txt", "", b"%d" % number)
        assert await at.actions.act(await at.request(Verb.ATTACH, file=small)) == DONE
    one_more = await at.actions.act(await at.request(Verb.ATTACH, file=PRICES))
    assert "send a link instead" in one_more.note
    missing = await at.actions.act(await at.request(Verb.DETACH, text="terms.txt"))
    assert missing.note == "terms.txt is not attached to this reply"


async def test_an_approved_reply_takes_no_more_files(store: Store) -> None:
    at = await scene(store)
    assert await at.actions.act(await at.request(Verb.APPROVE)) == DONE
    late = await at.actions.act(await at.request(Verb.ATTACH, file=PRICES))
    assert late.result is Result.REFUSED


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("in\r\nvoice.pdf", "in__voice.pdf"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        (" . ", "file"),
        ("x" * 200 + ".pdf", "x" * 116 + ".pdf"),
    ],
)
def test_a_name_is_only_a_name(name: str, kept: str) -> None:
    assert NewFile(name, "not a type", b"x").attachment.name == kept
    assert NewFile(name, "not a type", b"x").attachment.type == "application/octet-stream"


FORWARDED = NewFile("forwarded.eml", "message/rfc822", b"Subject: inner\n\nHello")


def composed(*given: NewFile) -> bytes:
    envelope = Envelope(
        (Address("Eve", "eve@x.example"),),
        (),
        "Re: Offer",
        "Here.",
        tuple(file.attachment for file in given),
    )
    data = {file.attachment.sha256: file.data for file in given[:2]}
    asked = ParsedEmail(message_id="<1@x.example>", text="Prices?", subject="Offer")
    now = datetime(2026, 11, 20, tzinfo=UTC)
    return compose(envelope, asked, Address("", "us@our.example"), "<r@our.example>", now, data)


def test_the_bytes_arrive_as_they_were() -> None:
    raw = composed(PRICES, FORWARDED)
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert read.get_content_type() == "multipart/mixed"
    found = {part.get_filename(): part.get_content() for part in read.iter_attachments()}
    assert found == {PRICES.name: PRICES.data, FORWARDED.name: FORWARDED.data}
    parsed = parse(raw)
    assert parsed.reply.strip() == "Here."
    assert [a.name for a in parsed.attachments] == [PRICES.name, FORWARDED.name]
    assert [a.sha256 for a in parsed.attachments] == [
        PRICES.attachment.sha256,
        FORWARDED.attachment.sha256,
    ]
    assert all(len(line) <= 998 and line.isascii() for line in raw.split(b"\r\n"))


def test_a_file_that_is_gone_stops_the_reply() -> None:
    with pytest.raises(Permanent, match=r"terms.txt is missing"):
        composed(PRICES, FORWARDED, replace(PRICES, name="terms.txt", data=b"other"))
