"""Replies with files through Outlook: whatever their size, they leave as they were approved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from desk.email import Address, ParsedEmail
from desk.errors import Misconfigured, Permanent, Transient
from desk.files import NewFile
from desk.response import Envelope
from mail.compose import compose
from mail.outlook import OutlookProvider
from mail.outlook_files import LARGEST, PART, WHOLE, parted
from mail.provider import Origin
from tests.doubles.graph import Fault, Graph
from tests.doubles.graph_files import MEGABYTE

CUSTOMER = "customer@example.org"
ID = "<reply-1@contoso.example>"
QUESTION = b"Message-ID: <1@example.org>\r\nFrom: customer@example.org\r\n\r\nHi\r\n"


def file(name: str, size: int, type: str = "application/pdf") -> NewFile:
    pattern = bytes(range(256)) * 64 + name.encode()
    return NewFile(name, type, (pattern * (size // len(pattern) + 1))[:size])


PLANS = file("Pläne für Ünal.pdf", 5 * MEGABYTE)
TERMS = file("terms.txt", 40_000, "text/plain")
BOTH = (PLANS, TERMS)


def reply(*files: NewFile) -> bytes:
    given = tuple(one.attachment for one in files)
    envelope = Envelope((Address("Çelik", CUSTOMER),), (), "Re: Pläne", "Here they are.", given)
    references = tuple(f"<{'x' * 80}{n}@example.org>" for n in range(12))
    asked = ParsedEmail(message_id="<1@example.org>", subject="Pläne", references=references)
    data = {one.attachment.sha256: one.data for one in files}
    now = datetime(2026, 11, 20, tzinfo=UTC)
    return compose(envelope, asked, Address("Desk", "desk@contoso.example"), ID, now, data)


def files_of(raw: bytes) -> list[tuple[str | None, object]]:
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    parts = mail.iter_attachments()
    return [(part.get_filename(), part.get_payload(decode=True)) for part in parts]


def drafts(service: Graph) -> int:
    return sum(message.is_draft for message in service.box.messages)


async def send(provider: OutlookProvider, *files: NewFile, origin: str = "") -> None:
    await provider.send(reply(*files), "desk@contoso.example", [CUSTOMER], Origin(origin))


def names(files: Sequence[NewFile]) -> list[tuple[str | None, object]]:
    return [(one.name, one.data) for one in files]


async def test_a_large_reply_leaves_with_its_files_in_its_conversation(
    service: Graph, provider: OutlookProvider
) -> None:
    question = service.box.deliver(QUESTION)
    await send(provider, PLANS, TERMS, origin=question.id)
    [left] = service.box.left
    assert files_of(left) == names(BOTH)
    text = message_from_bytes(left, policy=policy.default)
    assert isinstance(text, EmailMessage)
    body = text.get_body(("plain",))
    assert body is not None
    assert body.get_content().startswith("Here they are.")
    [sent] = service.box.having(ID)
    assert (sent.folder, sent.conversation) == ("sentitems", question.conversation)
    assert service.uploads.begun == 1  # the small file went in one request
    ends = [int(span.partition("-")[2].partition("/")[0]) + 1 for span in service.uploads.spans]
    assert [end % (320 * 1024) for end in ends[:-1]] == [0]
    assert await provider.find_sent(ID)


async def test_a_reply_that_fits_into_one_request_goes_in_one(
    service: Graph, provider: OutlookProvider
) -> None:
    small = file("small.pdf", 2_000_000)
    whole = reply(small)
    await provider.send(whole, "desk@contoso.example", [CUSTOMER])
    assert service.box.left == [whole]
    assert (service.uploads.begun, service.uploads.spans) == (0, [])


TROUBLE = {
    "a part's answer is lost": [Fault("PUT /sessions", reset=True, done=True)],
    "a part is lost": [Fault("PUT /sessions", reset=True)],
    "the server is away for a moment": [Fault("PUT /sessions", 503), Fault("GET /sessions", 504)],
    "a small file's answer is lost": [Fault("/attachments", 504, done=True)],
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_an_upload_that_breaks_goes_on_where_it_was(
    service: Graph, provider: OutlookProvider, trouble: str
) -> None:
    service.faults.extend(TROUBLE[trouble])
    try:
        await send(provider, PLANS, TERMS)
    except Transient:  # the small file may be there or not: the whole draft is made anew
        assert (trouble, drafts(service)) == ("a small file's answer is lost", 0)
        await send(provider, PLANS, TERMS)
    [left] = service.box.left
    assert files_of(left) == names(BOTH)
    assert len(service.uploads.spans) <= 2 * service.uploads.begun  # no part came twice


@pytest.mark.parametrize(("ends_after", "loses_end", "sessions"), [(0, True, 1), (1, False, 2)])
async def test_an_upload_session_that_is_gone_doubles_and_loses_no_file(
    service: Graph,
    provider: OutlookProvider,
    ends_after: int,
    loses_end: bool,
    sessions: int,
) -> None:
    service.uploads.ends_after, service.uploads.loses_end = ends_after, loses_end
    await send(provider, PLANS)
    [left] = service.box.left
    assert files_of(left) == names([PLANS])
    assert service.uploads.begun == sessions


async def test_uploads_that_end_again_and_again_are_tried_later_and_nothing_is_left(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.extend([Fault("PUT /sessions", 404)] * 4)
    with pytest.raises(Transient, match="again and again"):
        await send(provider, PLANS)
    assert (service.box.left, drafts(service)) == ([], 0)


async def test_an_upload_that_gets_nowhere_is_given_up(
    service: Graph, provider: OutlookProvider
) -> None:
    service.uploads.forgets = True
    with pytest.raises(Transient, match="again and again"):
        await asyncio.wait_for(send(provider, PLANS), 20)
    assert (service.box.left, drafts(service)) == ([], 0)
    assert len(service.uploads.spans) < 10


async def test_files_that_are_listed_on_several_pages_are_all_seen(
    service: Graph, provider: OutlookProvider
) -> None:
    service.uploads.list_size = 1
    await send(provider, PLANS, TERMS)
    [left] = service.box.left
    assert files_of(left) == names(BOTH)


async def test_a_draft_that_keeps_other_files_than_were_approved_is_not_sent(
    service: Graph, provider: OutlookProvider
) -> None:
    service.uploads.renames = True
    with pytest.raises(Transient, match="did not keep the files"):
        await send(provider, PLANS, TERMS)
    assert (service.box.left, drafts(service)) == ([], 0)


@pytest.mark.parametrize("is_noticed", ["when it is sent", "while it is uploaded"])
async def test_a_mail_above_the_mailbox_own_limit_says_which_that_is(
    service: Graph, provider: OutlookProvider, is_noticed: str
) -> None:
    if is_noticed == "when it is sent":
        service.uploads.largest = 6 * MEGABYTE
    else:
        service.faults.append(Fault("PUT /sessions", 413))
    with pytest.raises(Permanent, match="35 MB unless the administrator"):
        await send(provider, PLANS)
    assert (service.box.left, drafts(service)) == ([], 0)


async def test_a_shared_mailbox_that_refuses_large_files_says_what_to_do(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.append(Fault("createUploadSession", 403, "ErrorAccessDenied"))
    with pytest.raises(Misconfigured, match="send a link to the file"):
        await send(provider, PLANS)
    assert drafts(service) == 0


def test_a_mail_is_parted_at_its_files_and_its_head_stays() -> None:
    whole = reply(PLANS, TERMS)
    assert len(whole) > WHOLE
    text, files = parted(whole)
    assert [(one.name, one.data) for one in files] == names(BOTH)
    assert [one.type for one in files] == ["application/pdf", "text/plain"]
    head = whole.partition(b"\r\n\r\n")[0]
    assert text.startswith(head)
    read = message_from_bytes(text, policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert read.defects == []
    assert list(read.iter_attachments()) == []
    assert parted(text) == (text, ())
    assert PART % (320 * 1024) == 0
    assert PART < 4 * MEGABYTE < LARGEST
