"""Slack's doors: signatures, what is delivered twice, nonsense, and parts that are slow or away."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import pytest

from bot.slack.forms import PATIENCE as slack_patience
from bot.teams.connect import PATIENCE as teams_patience
from desk.response import ResponseState
from tests.doubles.slack import SlackDoor
from tests.doubles.slack_office import Office, SlowStore, slack_office, was_taken
from tests.doubles.slack_user import words
from tests.doubles.waiting import happens

# -- the wire


async def test_address_is_verified_by_slack(office: Office) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "t"})
    answer = await office.ann.send(body, "application/json")
    assert (answer.status, answer.body) == (200, {"challenge": "abc"})


@pytest.mark.parametrize("wrong", [{"secret": "another"}, {"age": 400.0}])
async def test_what_slack_did_not_sign_just_now_is_refused(
    office: Office, wrong: dict[str, str]
) -> None:
    ts = await office.show()
    body = urlencode({"payload": json.dumps({"type": "block_actions", "ts": ts})})
    answer = await office.ann.send(body, **wrong)  # type: ignore[arg-type]
    assert answer.status == 401
    assert (await office.response()).state is ResponseState.DRAFT


@pytest.mark.parametrize("body", ["payload=%7Bnonsense", "{", "", "payload=[]", "payload=3"])
async def test_signed_nonsense_is_not_a_crash(office: Office, body: str) -> None:
    assert (await office.ann.send(body)).status in (400, 404)


async def test_tampered_button_is_answered_in_words(office: Office) -> None:
    ts = await office.show()
    button = {"type": "button", "action_id": "ticket.approve", "value": "approve:1:7"}
    await office.ann.press(button, office.channel, {"type": "message", "message_ts": ts})
    assert "I do not understand this button" in await office.whispered(office.ann)


async def test_other_content_than_the_card_showed_is_not_approved(office: Office) -> None:
    ts = await office.show()
    value = f"approve:1:{(await office.response()).id}:1:{'0' * 64}"
    button = {"type": "button", "action_id": "ticket.approve", "value": value}
    await office.ann.press(button, office.channel, {"type": "message", "message_ts": ts})
    assert "read it again" in await office.whispered(office.ann)
    assert (await office.response()).state is ResponseState.DRAFT


async def test_click_delivered_twice_is_done_once(office: Office) -> None:
    ts = await office.show()
    card = await office.ann.card(office.channel, ts)
    (actions,) = [b for b in card if b["type"] == "actions"]
    claim = next(e for e in actions["elements"] if e["action_id"] == "ticket.claim")
    same = {"actions": [{**claim, "action_ts": "1795370377.123456"}]}
    where = {"type": "message", "message_ts": ts}
    await office.ann.press(claim, office.channel, where, **same)
    await office.until("Claimed by")
    assert was_taken(await office.ann.press(claim, office.channel, where, **same))
    await asyncio.sleep(0.1)
    assert not office.door.of("chat.postEphemeral")


# -- slow and away


SHORT = 0.1
"""Seconds of patience where an answer is not to wait for what is slow."""


def test_patience_leaves_time_to_answer_within_a_second() -> None:
    assert max(slack_patience, teams_patience) <= 0.7


async def test_everything_is_acknowledged_while_the_database_is_slow(
    slow_store: SlowStore, door: SlackDoor
) -> None:
    async with slack_office(slow_store, door, patience=SHORT) as office:
        await _work_while_it_is_slow(office)


async def _work_while_it_is_slow(office: Office) -> None:
    """What is answered between ``hold`` and ``let_go`` did not wait for the database."""
    ts = await office.show()
    office.store.hold()
    ann, channel = office.ann, office.channel
    clicked = await ann.click(channel, ts, "Claim")
    typed = await ann.slash("help")
    editing = await ann.click(channel, ts, "Edit")
    assert all(map(was_taken, (clicked, typed, editing)))
    await happens(lambda: office.door.of("views.open"))
    assert "One moment…" in words(office.door.of("views.open")[0].answer["view"]["blocks"])
    office.store.let_go()
    await happens(lambda: office.door.of("views.update"))
    ann.opened()
    await office.until("Ann is editing")
    office.store.hold()
    saved = await ann.submit("Typed while it was slow.")
    assert was_taken(saved)
    assert "Typed while it was slow." in words(saved.body["view"]["blocks"])
    office.store.let_go()
    await office.until("Typed while it was slow.")
    await happens(lambda: office.door.responses)
    assert "`/desk queue`" in words(office.door.responses[0]["blocks"])


async def test_typed_text_survives_a_database_that_is_away(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.until("Ann is editing")
    office.ann.opened()
    office.store.is_away = True
    answer = await office.ann.submit("Do not lose me.")
    assert "Your text is kept here" in words(answer.body["view"]["blocks"])
    office.store.is_away = False
    assert (await office.ann.submit()).text == ""
    assert (await office.response()).envelope.text == "Do not lose me."


async def test_click_while_the_database_is_away_is_told_so(office: Office) -> None:
    ts = await office.show()
    office.store.is_away = True
    assert was_taken(await office.ann.click(office.channel, ts, "Claim"))
    assert "Look at the card before you try it again" in await office.whispered(office.ann)


async def test_card_follows_though_redis_is_away(office: Office) -> None:
    ts = await office.show()
    office.queue.is_away = True
    await office.ann.click(office.channel, ts, "Approve & send")
    await office.until("Approved by Ann")


async def test_slow_slack_holds_no_acknowledgement_up(
    slow_store: SlowStore, door: SlackDoor
) -> None:
    async with slack_office(slow_store, door, patience=SHORT) as office:
        ts = await office.show()
        door.hold("chat.postEphemeral", "views.open", "users.info")
        assert was_taken(await office.zoe.click(office.channel, ts, "Claim"))
        assert was_taken(await office.zoe.slash("queue"))
        assert was_taken(await office.ann.click(office.channel, ts, "Edit"))
        door.let_go()


async def test_without_membership_the_person_is_reached_by_the_clicks_own_address(
    office: Office,
) -> None:
    ts = await office.show()
    office.door.stumble("chat.postEphemeral", "not_in_channel")
    await office.zoe.click(office.channel, ts, "Claim")
    await happens(lambda: office.door.responses)
    assert "I do not know you yet" in words(office.door.responses[0]["blocks"])


# -- Socket Mode


async def test_socket_mode_takes_clicks_and_acknowledges_each(
    slow_store: SlowStore, door: SlackDoor
) -> None:
    async with slack_office(slow_store, door, app_token="xapp-1") as office:
        ts = await office.show()
        line = await asyncio.wait_for(door.sockets.get(), 5)
        payload = {
            "command": "/desk",
            "text": "queue",
            "user_id": office.ann.id,
            "channel_id": office.channel,
            "trigger_id": "t1",
        }
        envelope = {"type": "slash_commands", "envelope_id": "e1", "payload": payload}
        await line.send_json({**envelope, "accepts_response_payload": True})
        heard = await asyncio.wait_for(door.heard.get(), 5)
        assert heard["envelope_id"] == "e1"
        assert "#1 · Critical" in words(heard["payload"]["blocks"])
        assert ts
