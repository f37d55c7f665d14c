"""A desk worked on from Slack, through its doors: signed requests in, calls on a Slack out."""

from __future__ import annotations

import asyncio

import pytest

from desk.errors import Transient
from desk.failpoints import armed
from desk.people import Role
from desk.response import ResponseState
from tests.doubles.desk import mail, received
from tests.doubles.slack_office import Office, was_taken
from tests.doubles.slack_user import find, words
from tests.doubles.waiting import happens

# -- cards


async def test_card_is_posted_once_and_its_whole_mail_is_in_the_thread(office: Office) -> None:
    ts = await office.show()
    await office.show()
    said = await office.reads()
    assert "Nobody in our office can log in" in said
    assert "Hello Priya, we are on it." in said
    await happens(lambda: len(office.door.of("chat.postMessage")) > 1)
    _, thread = office.door.of("chat.postMessage")
    assert thread.args["thread_ts"] == ts
    assert "Since nine o'clock nobody can log in." in words(thread.args["blocks"])
    assert "Priya Nair <priya@lindqvist.example>" in words(thread.args["blocks"])


async def test_next_mail_of_the_customer_joins_the_thread(office: Office) -> None:
    ts = await office.show()
    again = mail(text="Still nothing works!", message_id="<2@lindqvist.example>")
    async with office.store.change() as change:
        ticket = await change.ticket(office.scene.ticket.id)
        await change.receive(ticket, received(again, "2"))
    await office.show()
    await happens(lambda: len(office.door.of("chat.postMessage")) == 3)
    mails = office.door.of("chat.postMessage")[1:]
    assert [m.args["thread_ts"] for m in mails] == [ts, ts]
    assert "Still nothing works!" in words(mails[1].args["blocks"])


async def test_approval_changes_the_card_in_place_and_undo_brings_it_back(office: Office) -> None:
    ts = await office.show()
    assert was_taken(await office.ann.click(office.channel, ts, "Approve & send"))
    said = await office.until("Approved by Ann, leaves <!date^")
    assert "Undo" in said
    assert "Approve & send" not in said
    assert (await office.response()).approved_by == office.scene.ann.id
    assert was_taken(await office.omar.click(office.channel, ts, "Undo"))
    assert "Approve & send" in await office.until("Approve & send")
    assert (await office.response()).state is ResponseState.DRAFT
    assert office.ts == ts


async def test_card_that_was_deleted_is_posted_anew(office: Office) -> None:
    ts = await office.show()
    office.door.stumble("chat.update", "message_not_found")
    await office.ann.click(office.channel, ts, "Claim")
    await happens(lambda: office.ts != ts)
    assert "Claimed by" in await office.reads()


async def test_choices_behind_more_act_too(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Reject draft")
    assert "Approve & send" not in await office.until("Draft rejected by Ann")


# -- two people


async def test_late_click_is_told_who_did_what_and_the_card_is_put_right(office: Office) -> None:
    ts = await office.show()
    office.queue.board = None  # the card stays as it was
    await office.ann.click(office.channel, ts, "Approve & send")
    await office.becomes(ResponseState.APPROVED)
    assert was_taken(await office.omar.click(office.channel, ts, "Approve & send"))
    assert "Approved by Ann" in await office.whispered(office.omar)
    assert "Undo" in await office.until("Undo")
    assert not office.door.whispers(office.ann.id)


async def test_of_two_approvals_at_once_one_wins_and_the_other_is_told(office: Office) -> None:
    ts = await office.show()
    await asyncio.gather(
        office.ann.click(office.channel, ts, "Approve & send"),
        office.omar.click(office.channel, ts, "Approve & send"),
    )
    await office.until("Undo")
    await happens(lambda: office.door.of("chat.postEphemeral"))
    (told,) = office.door.of("chat.postEphemeral")
    winner = (await office.response()).approved_by
    loser = office.omar if winner == office.scene.ann.id else office.ann
    assert told.args["user"] == loser.id
    assert "Approved by" in words(told.args["blocks"])
    verbs = [entry.verb for entry in await office.store.history(office.scene.ticket.id)]
    assert verbs.count("approve") == 1


async def test_ticket_of_a_colleague_asks_before_it_goes_on(office: Office) -> None:
    ts = await office.show()
    await office.omar.click(office.channel, ts, "Claim")
    await office.until("Claimed by")
    await office.ann.click(office.channel, ts, "Approve & send")
    assert "A colleague has claimed this ticket" in await office.whispered(office.ann)
    assert (await office.response()).state is ResponseState.DRAFT
    question = office.door.whispers(office.ann.id)[-1]
    await office.ann.click_whisper(question, "Do it anyway")
    await office.until("Approved by Ann")
    await happens(lambda: office.door.responses)
    assert office.door.responses[-1]["replace_original"] is True


async def test_blocking_finding_is_confirmed_on_the_button_itself(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    await office.ann.submit("Our IBAN is DE00.")
    await office.until("It tells an IBAN.")
    await office.ann.click(office.channel, ts, "Send anyway…", says_yes=True)
    await office.until("Approved by Ann")


async def test_many_late_presses_change_the_card_once(office: Office) -> None:
    ts = await office.show()
    approve = find(await office.ann.card(office.channel, ts), "Approve & send")
    where = {"type": "message", "message_ts": ts, "channel_id": office.channel}
    await office.ann.press(approve, office.channel, where)
    await office.until("Approved by Ann")
    await office.slack.finish()
    before = len(office.door.of("chat.update"))
    office.door.hold("chat.update")
    for _ in range(6):
        await office.omar.press(approve, office.channel, where)
    assert "Approved by Ann" in await office.whispered(office.omar, 6)
    office.door.let_go()
    await office.slack.finish()
    # the first, and one for all who pressed while that was being drawn
    assert len(office.door.of("chat.update")) - before == 2


# -- typing


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("help", "`/desk queue`"),
        ("queue", "#1 · Critical · Nobody in our office can log in"),
        ("nonsense", "I do not know “nonsense”"),
        ("show 99", "There is no ticket #99 in your mailboxes"),
        ("show 1", "Since nine o'clock nobody can log in."),
    ],
)
async def test_typed_commands_are_answered_to_the_person_alone(
    office: Office, line: str, said: str
) -> None:
    answer = await office.ann.slash(line)
    assert was_taken(answer)
    assert answer.body["response_type"] == "ephemeral"
    assert said in words(answer.body["blocks"])


async def test_typed_approval_is_done_once_however_often_it_arrives(office: Office) -> None:
    await office.show()
    trigger = await office.ann.trigger()
    answer = await office.ann.slash("1 approve", trigger_id=trigger)
    assert "Approved by Ann" in words(answer.body["blocks"])
    assert (await office.ann.slash("1 approve", trigger_id=trigger)).text == ""
    await office.until("Approved by Ann")


async def test_mention_is_answered_once_though_slack_delivers_it_again(office: Office) -> None:
    again = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"}
    assert was_taken(await office.ann.mention(office.channel, "queue", "Ev1"))
    assert was_taken(await office.ann.mention(office.channel, "queue", "Ev1", again))
    assert "#1 · Critical" in await office.whispered(office.ann)
    await asyncio.sleep(0.1)
    assert len(office.door.of("chat.postEphemeral")) == 1


# -- who it is


async def test_stranger_is_told_how_to_become_a_user_and_nobody_else_is(office: Office) -> None:
    ts = await office.show()
    await office.zoe.click(office.channel, ts, "Approve & send")
    said = await office.whispered(office.zoe)
    assert "I do not know you yet" in said
    assert "zoe@lanewright.example" in said
    assert (await office.response()).state is ResponseState.DRAFT
    assert "I do not know you yet" in words((await office.zoe.slash("queue")).body["blocks"])
    assert len(office.door.of("users.info")) == 1


async def test_stranger_is_known_as_soon_as_there_is_such_a_user(office: Office) -> None:
    ts = await office.show()
    await office.zoe.click(office.channel, ts, "Edit")
    await office.whispered(office.zoe)
    async with office.store.change() as change:
        await change.add_user("zoe@lanewright.example", "Zoe", Role.AGENT)
    await office.zoe.click(office.channel, ts, "Approve & send")
    await office.until("Approved by Zoe")


async def test_rights_come_from_the_records_and_not_from_the_button(office: Office) -> None:
    ts = await office.show()
    async with office.store.change() as change:
        response = await office.response()
        await change.move_response(response, "approve")  # type: ignore[arg-type]
        for verb in ("send", "lose"):
            response = await change.live_response(office.scene.ticket.id)  # type: ignore[assignment]
            await change.move_response(response, verb)  # type: ignore[arg-type]
    await office.show()
    await office.ann.click(office.channel, ts, "Not there: draft again", says_yes=True)
    assert "Only a manager can do this" in await office.whispered(office.ann)


async def test_a_card_whose_post_was_interrupted_is_found_in_the_channel(office: Office) -> None:
    with armed("board.posted=raise@1"), pytest.raises(Transient):
        await office.show()
    await office.show()
    cards = [c for c in office.door.of("chat.postMessage") if "thread_ts" not in c.args]
    assert len(cards) == 1
    [place] = await office.store.places(office.scene.ticket.id)
    assert place.message == f"{office.channel}|{office.ts}"
    await office.ann.click(office.channel, office.ts, "Claim")
    await office.until("Claimed by")
