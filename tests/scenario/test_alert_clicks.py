"""Alerts in Slack, through its doors: the buttons and menus of their cards act, and they follow."""

from __future__ import annotations

import asyncio
import time

from tests.doubles.desk import overdue
from tests.doubles.slack_office import Office, was_taken
from tests.doubles.slack_user import words
from tests.doubles.waiting import WAITS


async def alerted(office: Office) -> str:
    """The alert's message; the ticket's card is above it."""
    await office.show()
    await office.board.alert(await overdue(office.scene))
    posts = [c for c in office.door.of("chat.postMessage") if "thread_ts" not in c.args]
    return str(posts[-1].answer["ts"])


async def follows(office: Office, ts: str, text: str) -> str:
    """The alert's words, as soon as they say this."""
    deadline = time.monotonic() + WAITS
    while text not in (said := words(await office.ann.card(office.channel, ts))):
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.02)
    return said


async def test_an_alert_is_acknowledged_and_assigned_from_its_card(office: Office) -> None:
    ts = await alerted(office)
    assert "Overdue: Nobody in our office can log in" in await follows(office, ts, "Overdue")
    broadcast = [c for c in office.door.of("chat.postMessage") if c.args.get("reply_broadcast")]
    assert len(broadcast) == 1
    assert was_taken(await office.ann.click(office.channel, ts, "Acknowledge"))
    said = await follows(office, ts, "Ann acknowledged <!date^")
    assert "Acknowledge\n" not in said
    assert was_taken(await office.omar.click(office.channel, ts, "Omar"))
    await follows(office, ts, "*Claimed by*\nOmar")


async def test_a_late_click_on_an_alert_leaves_it_an_alert(office: Office) -> None:
    ts = await alerted(office)
    office.queue.board = None  # the card stays as it was
    assert was_taken(await office.ann.click(office.channel, ts, "Acknowledge"))
    while (await office.store.told(office.scene.ticket.id))[-1].acknowledged_at is None:  # noqa: ASYNC110 - records do not call back
        await asyncio.sleep(0.02)
    assert was_taken(await office.omar.click(office.channel, ts, "Acknowledge"))
    said = await follows(office, ts, "Ann acknowledged <!date^")
    assert "Overdue: " in said
    assert "Ann has acknowledged this already" in await office.whispered(office.omar)


async def test_an_alert_is_snoozed_from_its_menu(office: Office) -> None:
    ts = await alerted(office)
    assert was_taken(await office.ann.click(office.channel, ts, "for 4 hours"))
    await follows(office, ts, "Snoozed until")
