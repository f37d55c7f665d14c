"""Answers of Gmail and Outlook in which any one field is missing, or is something else: that is
told as trouble with the service, and a reply is never taken for sent that did not leave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta

from desk.errors import DeskError
from mail.outlook_files import ONE_REQUEST, File, Files
from mail.provider import Origin, Provider
from tests.doubles.bent import Bend, Tape, TapedHttp
from tests.doubles.desk import FastClock
from tests.doubles.gmail_house import mail
from tests.doubles.google import gmail_provider
from tests.doubles.google_account import gmail_account
from tests.doubles.graph import Graph
from tests.doubles.graph_reader import mail as outlook_mail

CUSTOMER = "customer@example.org"
REPLY = (
    f"Message-ID: <reply@contoso.example>\r\nFrom: desk@contoso.example\r\nTo: {CUSTOMER}\r\n"
    "Subject: Re: mail\r\n\r\nHello\r\n"
).encode()
Opened = Callable[[TapedHttp], AbstractAsyncContextManager[Provider]]


async def walked(provider: Provider, replies: list[bytes]) -> tuple[list[object], int]:
    """What went wrong while the mailbox was read, listened to and sent from; how many left."""
    wrong: list[object] = []
    left = 0
    origin = Origin()
    try:
        page = await provider.fetch("", 2)
        origin = Origin(page.arrivals[0].key, page.arrivals[0].thread)
        await provider.fetch(page.checkpoint)
        await provider.wait(0)
    except (DeskError, IndexError) as error:
        wrong.append(error)
    for reply in replies:
        try:
            await provider.send(reply, "desk@contoso.example", [CUSTOMER], origin)
            left += 1
        except DeskError as error:
            wrong.append(error)
    try:
        await provider.find_sent("<reply@contoso.example>")
    except DeskError as error:
        wrong.append(error)
    return wrong, left


async def bent_walks(
    tape: Tape, opened: Opened, replies: list[bytes], sends: Callable[[str], bool]
) -> list[Bend]:
    """Those bends after which something went wrong."""
    told = []
    for bend in tape.bends():
        line = TapedHttp(tape, bend)
        async with opened(line) as provider:
            wrong, left = await walked(provider, replies)
        assert left <= sum(sends(one) for one in line.asked), bend
        assert all(str(one) for one in wrong), bend
        told += [bend] if wrong else []
    return told


async def test_an_answer_of_outlook_that_is_not_as_documented_is_told_as_its_trouble(
    service: Graph,
) -> None:
    for number in range(3):
        message = service.box.deliver(outlook_mail(number), age=timedelta(hours=1))
    service.box.act(message, 102)
    service.box.draft(REPLY, None)  # an earlier try left it behind
    tape = Tape()
    async with service.opened(http=TapedHttp(tape)) as provider:
        assert await walked(provider, [REPLY]) == ([], 1)
    told = await bent_walks(
        tape, lambda line: service.opened(http=line), [REPLY], lambda one: one.endswith("/send")
    )
    assert {("id",), ("value",), ("value", 0, "id")} <= {bend.place for bend in told}


async def test_so_is_an_answer_about_a_large_file(service: Graph) -> None:
    tape = Tape()
    draft = service.box.draft(REPLY, None)
    plan = File("plan.bin", "application/octet-stream", b"x" * ONE_REQUEST)
    async with service.calls(http=TapedHttp(tape)) as graph:
        await Files(graph).add(draft.id, [plan])
    told = []
    for bend in tape.bends():
        async with service.calls(http=TapedHttp(tape, bend)) as graph:
            with suppress(DeskError):
                await Files(graph).add(draft.id, [plan])
                continue
            told.append(bend.place)
    assert {("uploadUrl",), ("value",), ("value", 0, "name")} <= set(told)


async def test_an_answer_of_gmail_that_is_not_as_documented_is_told_as_its_trouble(
    gmail_emulator: str,
) -> None:
    tape = Tape()
    async with gmail_account(gmail_emulator) as google:
        for number in range(3):
            google.deliver(mail(number))
        google.deliver(mail(9).replace(b"To: support@", b"To: somebody@"), "SENT")
        async with gmail_provider(google, line=TapedHttp(tape)) as provider:
            assert await walked(provider, [REPLY]) == ([], 1)

        def opened(line: TapedHttp) -> AbstractAsyncContextManager[Provider]:
            return gmail_provider(google, line=line, fast=FastClock(datetime.now(UTC)))

        told = await bent_walks(tape, opened, [REPLY], lambda one: one.endswith("messages/send"))
    assert {("historyId",), ("messages",), ("messages", 0, "id")} <= {b.place for b in told}
    wrong = {b.request for b in told if b.place == ("historyId",) and b.value == "x"}
    assert {one.rpartition("/")[2] for one in wrong} == {"profile", "history"}
