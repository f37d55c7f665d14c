"""What was answered in Outlook before the mailbox was connected, and what that costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.doubles.graph import Fault, Graph
from tests.doubles.graph_mailbox import Message
from tests.doubles.graph_reader import Reader, expected, mail

HOUR = timedelta(hours=1)
LISTS = "/mailFolders/inbox/messages"


def past(service: Graph, verbs: list[int]) -> list[Message]:
    """Old mails with which this was done last."""
    found = []
    for number, verb in enumerate(verbs):
        message = service.box.deliver(mail(number), age=HOUR * (len(verbs) - number))
        message.last_verb = verb
        found.append(message)
    return found


def answered(reader: Reader, messages: list[Message]) -> list[bool]:
    return [reader.kept[one.id].is_answered for one in messages]


def lists(service: Graph) -> int:
    return sum(one == f"GET /v1.0/me{LISTS}" for one in service.requests)


@pytest.mark.parametrize("list_size", [0, 2])
async def test_replies_are_answers_and_forwards_are_not(
    service: Graph, reader: Reader, list_size: int
) -> None:
    service.box.quirks.list_size = list_size
    messages = past(service, [0, 102, 104, 103, 1, 102])
    await reader.read()
    assert answered(reader, messages) == [False, True, False, True, False, True]


async def test_a_page_of_old_mails_costs_one_request_more(service: Graph, reader: Reader) -> None:
    past(service, [102, 0, 102, 0, 102, 0, 102])
    await reader.read(5)
    assert lists(service) == 2


async def test_what_is_answered_after_we_came_is_told_by_the_sent_mail_alone(
    service: Graph, reader: Reader
) -> None:
    await reader.read()
    message = service.box.deliver(mail(1))
    service.box.act(message, 102)
    await reader.read()
    assert answered(reader, [message]) == [False]
    assert lists(service) == 0


@pytest.mark.parametrize("status", [400, 500, 504])
async def test_where_outlook_does_not_tell_every_mail_comes_as_work(
    service: Graph, reader: Reader, status: int
) -> None:
    """A ticket too many is better than none."""
    messages = past(service, [102, 0])
    service.faults.extend([Fault(f"{LISTS}?", status, "ErrorInternalServerError")] * 6)
    await reader.read()
    assert reader.received == expected(range(2))
    assert answered(reader, messages) == [False, False]
