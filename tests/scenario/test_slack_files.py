"""Files shared below a card in Slack become attachments of the reply."""

from __future__ import annotations

import aiohttp

from desk.files import NewFile
from desk.response import ResponseState
from tests.doubles.slack_office import Office
from tests.doubles.slack_user import words

PRICES = b"%PDF-1.7 \x00\xff prices"


async def shared(office: Office, name: str, data: bytes, thread: str) -> dict[str, object]:
    """Ann uploads a file into the thread; it as it comes with an event."""
    begun = await office.door.ask("files.getUploadURLExternal", filename=name, length=len(data))
    async with (
        aiohttp.ClientSession() as session,
        session.post(begun["upload_url"], data=data) as answer,
    ):
        assert answer.status == 200
    file = {"id": begun["file_id"], "title": name}
    await office.door.ask(
        "files.completeUploadExternal", files=[file], channel_id=office.channel, thread_ts=thread
    )
    return {"id": begun["file_id"], "file_access": "check_file_info"}


async def test_a_file_shared_below_a_card_is_attached_to_its_reply(office: Office) -> None:
    ts = await office.show()
    file = await shared(office, "prices.pdf", PRICES, ts)
    for _ in range(2):  # Slack may deliver it twice
        await office.ann.mention(office.channel, "attach", "Ev1", thread_ts=ts, files=[file])
    assert "Attached to the reply of #1: prices.pdf" in await office.whispered(office.ann)
    await office.until("prices.pdf")
    [kept] = (await office.response()).envelope.attachments
    assert kept == NewFile("prices.pdf", kept.type, PRICES).attachment
    assert (await office.response()).state is ResponseState.DRAFT
    await office.ann.mention(office.channel, "again", "Ev2", thread_ts=ts, files=[file])
    assert "is attached already" in await office.whispered(office.ann, 2)


async def test_a_file_that_belongs_to_no_card_or_is_too_large_is_refused(office: Office) -> None:
    ts = await office.show()
    file = await shared(office, "prices.pdf", PRICES, ts)
    await office.ann.mention(office.channel, "attach", "Ev1", thread_ts="9.9", files=[file])
    assert "below a ticket's card" in await office.whispered(office.ann)
    info = {"ok": True, "file": {"id": "F1", "name": "film.mp4", "size": 16 * 1024**2}}
    office.door.stumbles["files.info"] = [(200, info, {})]
    await office.ann.mention(office.channel, "attach", "Ev2", thread_ts=ts, files=[file])
    assert "film.mp4 is larger than 15 MB" in await office.whispered(office.ann, 2)
    assert (await office.response()).envelope.attachments == ()


async def test_our_token_goes_to_slack_alone(office: Office) -> None:
    ts = await office.show()
    drive = {"id": "F1", "name": "plan", "url_private": "http://drive.example/plan", "size": 9}
    office.door.stumbles["files.info"] = [(200, {"ok": True, "file": drive}, {})]
    files = [{"id": "F1"}]
    await office.ann.mention(office.channel, "attach", "Ev1", thread_ts=ts, files=files)
    assert "does not lie in Slack" in await office.whispered(office.ann)
    hidden = {"id": "F2", "name": "plan.pdf", "url_private": f"{office.ann.bot}/nothing", "size": 9}
    office.door.stumbles["files.info"] = [(200, {"ok": True, "file": hidden}, {})]
    await office.ann.mention(office.channel, "attach", "Ev2", thread_ts=ts, files=files)
    assert "with the scope files:read" in await office.whispered(office.ann, 2)
    assert words(await office.ann.card(office.channel, ts))
