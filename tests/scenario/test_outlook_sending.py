"""Sending through Outlook: what leaves is what was approved, once, and the answer is definite
wherever Graph lets us know."""

from __future__ import annotations

import pytest

from desk.errors import Ambiguous, Misconfigured, Permanent, Throttled, Transient
from mail.outlook import OutlookProvider
from mail.provider import Origin
from tests.doubles.graph import Fault, Graph

CUSTOMER, COLLEAGUE = "customer@example.org", "colleague@example.org"
BOTH = [CUSTOMER, COLLEAGUE]
ID = "<reply-1@contoso.example>"
REPLY = (
    f"Message-ID: {ID}\r\nFrom: Desk <desk@contoso.example>\r\n"
    f"To: Customer <{CUSTOMER}>\r\nCc: {COLLEAGUE}\r\n"
    "In-Reply-To: <1@example.org>\r\nReferences: <0@example.org> <1@example.org>\r\n"
    "Subject: Re: mail 1\r\n\r\nHello\r\n"
).encode()
QUESTION = (
    b"Message-ID: <1@example.org>\r\nFrom: customer@example.org\r\nSubject: mail 1\r\n\r\nHi\r\n"
)


def drafts(service: Graph) -> int:
    return sum(message.is_draft for message in service.box.messages)


async def test_a_reply_leaves_as_it_was_approved_in_its_conversation(
    service: Graph, provider: OutlookProvider
) -> None:
    question = service.box.deliver(QUESTION)
    origin = Origin(question.id, question.conversation)
    await provider.send(REPLY, "desk@contoso.example", BOTH, origin)
    assert service.box.left == [REPLY]
    [sent] = service.box.having(ID)
    assert (sent.folder, sent.conversation) == ("sentitems", question.conversation)
    assert any("createReply" in request for request in service.requests)
    assert drafts(service) == 0


async def test_a_reply_to_a_mail_that_is_gone_leaves_all_the_same(
    service: Graph, provider: OutlookProvider
) -> None:
    await provider.send(REPLY, "desk@contoso.example", BOTH, Origin("AAkALgGone="))
    assert service.box.left == [REPLY]


async def test_our_message_id_is_put_back_where_outlook_gave_another(
    service: Graph, provider: OutlookProvider
) -> None:
    service.box.quirks.own_message_ids = True
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert await provider.find_sent(ID)


async def test_a_message_id_that_cannot_be_kept_stops_no_reply(
    service: Graph, provider: OutlookProvider
) -> None:
    service.box.quirks.own_message_ids = service.box.quirks.fixed_message_ids = True
    service.faults.append(Fault("/send", 504, done=True))
    service.box.quirks.new_id_when_sent = False
    await provider.send(REPLY, "desk@contoso.example", BOTH)  # its draft tells that it left
    assert service.box.left == [REPLY]


async def test_a_draft_that_would_go_elsewhere_is_not_sent(
    service: Graph, provider: OutlookProvider
) -> None:
    service.box.quirks.changed_recipients = True
    with pytest.raises(Permanent, match=r"somebody\.else@example\.org"):
        await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == []
    assert drafts(service) == 0


LOST_ANSWERS = {
    "504": Fault("/send", 504, done=True),
    "503": Fault("/send", 503, done=True),
    "a reset": Fault("/send", reset=True, done=True),
}


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("name", LOST_ANSWERS)
async def test_a_lost_answer_is_found_out_when_it_left(
    service: Graph, provider: OutlookProvider, name: str, new_id: bool
) -> None:
    service.box.quirks.new_id_when_sent = new_id
    service.box.quirks.sending = 0.05
    service.faults.append(LOST_ANSWERS[name])
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == [REPLY]


@pytest.mark.parametrize(
    "fault", [Fault("/send", 504), Fault("/send", 503), Fault("/send", reset=True)]
)
async def test_a_lost_answer_is_found_out_when_it_did_not_leave(
    service: Graph, provider: OutlookProvider, fault: Fault
) -> None:
    service.faults.append(fault)
    with pytest.raises(Transient, match="was not sent"):
        await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == []
    assert drafts(service) == 0  # nobody can send it later
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == [REPLY]


async def test_what_nobody_can_tell_is_unknown_and_found_later(
    service: Graph, provider: OutlookProvider
) -> None:
    service.box.quirks.sending = 1.0  # it is under way for longer than we look
    service.faults.append(Fault("/send", 504, done=True))
    with pytest.raises(Ambiguous):
        await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert not await provider.find_sent(ID)
    [sent] = [message for message in service.box.messages if message.folder == "sentitems"]
    sent.sent_at = 0.0
    assert await provider.find_sent(ID)
    assert service.box.left == [REPLY]


async def test_an_outlook_that_is_gone_after_the_hand_over_makes_it_unknown(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.append(Fault("/send", 504, done=True))
    service.faults.extend([Fault("GET /v1.0/me/messages/", 503)] * 40)
    with pytest.raises(Ambiguous):
        await provider.send(REPLY, "desk@contoso.example", BOTH)


async def test_a_second_try_of_what_has_left_changes_nothing(
    service: Graph, provider: OutlookProvider
) -> None:
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == [REPLY]


async def test_a_draft_left_behind_is_removed_and_not_sent(
    service: Graph, provider: OutlookProvider
) -> None:
    stale = REPLY.replace(b"Hello", b"An earlier text")
    service.box.draft(stale)
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == [REPLY]
    assert drafts(service) == 0


async def test_a_draft_whose_making_was_not_answered_is_not_made_twice(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.append(Fault("POST /v1.0/me/messages", 504, done=True))
    with pytest.raises(Transient):
        await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert (service.box.left, drafts(service)) == ([], 1)
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert (service.box.left, drafts(service)) == ([REPLY], 0)


REFUSALS = [
    (Fault("/send", 403, "ErrorSendAsDenied"), Misconfigured),
    (Fault("/send", 400, "ErrorInvalidRecipients"), Permanent),
]


@pytest.mark.parametrize(("fault", "kind"), REFUSALS)
async def test_a_refusal_is_definite_and_leaves_no_draft(
    service: Graph, provider: OutlookProvider, fault: Fault, kind: type[Exception]
) -> None:
    service.faults.append(fault)
    with pytest.raises(kind):
        await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert (service.box.left, drafts(service)) == ([], 0)


async def test_a_long_pause_is_left_to_whoever_sends_and_the_draft_to_the_next_try(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.append(Fault("/send", 429, "ApplicationThrottled", retry_after="900"))
    with pytest.raises(Throttled) as caught:
        await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert caught.value.seconds == 900
    assert (service.box.left, drafts(service)) == ([], 1)
    async with service.opened() as later:
        await later.send(REPLY, "desk@contoso.example", BOTH)
    assert (service.box.left, drafts(service)) == ([REPLY], 0)


async def test_a_short_pause_before_sending_is_waited_for(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.append(Fault("/send", 429, "ApplicationThrottled", retry_after="0"))
    await provider.send(REPLY, "desk@contoso.example", BOTH)
    assert service.box.left == [REPLY]


async def test_a_mail_that_is_too_large_is_refused(
    service: Graph, provider: OutlookProvider
) -> None:
    service.faults.append(Fault("POST /v1.0/me/messages", 413, "RequestEntityTooLarge"))
    with pytest.raises(Permanent, match="larger than this mailbox may send"):
        await provider.send(REPLY, "desk@contoso.example", BOTH)


async def test_a_draft_in_the_mailbox_is_no_sent_mail(
    service: Graph, provider: OutlookProvider
) -> None:
    service.box.draft(REPLY)
    assert not await provider.find_sent(ID)


async def test_a_message_id_with_signs_of_the_query_is_found(
    service: Graph, provider: OutlookProvider
) -> None:
    strange = "<o'neil+50%&x=#1@example.org>"
    await provider.send(REPLY.replace(ID.encode(), strange.encode()), "", BOTH)
    assert await provider.find_sent(strange)
    assert not await provider.find_sent(ID)
