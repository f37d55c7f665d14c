"""A mail server that stays away: managers are told once, and once when it is back, whether or not
anybody sends meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from cli.mailboxes import Opening, servers_of
from desk.errors import Away, DeskError, Misconfigured, Transient
from desk.mailbox_settings import MailboxSettings
from desk.response import ResponseState
from desk.settings import Settings
from desk.troubles import Part
from mail.bucket import LocalLimits
from mail.imap_account import ImapAccount
from mail.provider import Page
from tests.doubles.house import House
from tests.doubles.mailbox import ScriptedMailbox, raw_mail
from tests.doubles.smtpd import Smtpd, smtpd
from tests.scenario.test_steps import clock as clock
from tests.scenario.test_steps import house as house
from tests.scenario.test_troubles import Moody, Scene, replied
from tests.scenario.test_troubles import scene as scene
from workers.lanes import Service
from workers.lookout import Lookout

GONE = Away("smtp.example:587 cannot be reached")


async def look(scene: Scene, found: DeskError | None, seconds: float = 60) -> None:
    """The schedule's next round, which meets this at the mail server."""

    async def reach() -> None:
        if found is not None:
            raise found

    scene.house.clock.forward(seconds=seconds)
    await Lookout(scene.house.store, {scene.house.box: reach})()
    await scene.look(None, 0)


async def parts(scene: Scene) -> list[Part]:
    return [one.part for one in await scene.house.store.troubles() if one.ended_at is None]


async def test_a_mail_server_that_stays_away_is_told_once_and_so_is_its_end(scene: Scene) -> None:
    await replied(scene.house, GONE)
    await look(scene, GONE, 14 * 60)
    assert scene.wall.told == []
    for seconds in (60, 3600):
        await look(scene, GONE, seconds)
    [told] = scene.wall.told
    assert told.startswith("The mailbox support (support@lanewright.example) cannot send since")
    assert told.endswith(str(GONE))
    for _ in range(2):
        await look(scene, None)
    assert len(scene.wall.told) == 2
    assert "reaches its mail server again since" in scene.wall.told[1]
    assert await scene.house.store.troubles() == []


async def test_a_mail_server_that_is_soon_back_is_not_told(scene: Scene) -> None:
    """Though the reply was withdrawn, and nobody sends any more."""
    await replied(scene.house, GONE)
    await look(scene, GONE, 600)
    await look(scene, None)
    await look(scene, None, 3600)
    assert scene.wall.told == []
    assert await scene.house.store.troubles() == []


async def test_a_reply_that_leaves_is_the_end_of_it(scene: Scene) -> None:
    await replied(scene.house, GONE)
    assert await parts(scene) == [Part.SERVER]
    await scene.house.leave()
    assert await scene.house.state() is ResponseState.SENT
    assert await parts(scene) == []


async def test_a_server_that_is_back_and_refuses_us_is_another_trouble(scene: Scene) -> None:
    await replied(scene.house, GONE)
    await look(scene, Transient("login.example renews no sign-ins now"), 900)
    assert await parts(scene) == [Part.SERVER], "of the server that says nothing"
    await look(scene, Misconfigured("smtp.example refused the login. Correct it."))
    assert await parts(scene) == [Part.SENDING]
    assert "refused the login" in scene.wall.told[-1]


async def test_a_server_is_reached_as_a_reply_would_reach_it(scene: Scene) -> None:
    store = scene.house.store
    record = await store.mailbox(scene.house.box)
    opening = Opening(Settings(), store, LocalLimits())
    async with smtpd() as server:
        good, wrong = settings(server, "secret"), settings(server, "mistyped")
        await servers_of(opening, [(record, good)])[record.id]()
        assert (server.taken, len(server.logins)) == ([], 1)
        with pytest.raises(Misconfigured, match="refused the login"):
            await servers_of(opening, [(record, wrong)])[record.id]()
    with pytest.raises(Away):
        await servers_of(opening, [(record, good)])[record.id]()
    folder = good.model_copy(update={"kind": "maildir"})
    assert servers_of(opening, [(record, folder)]) == {}


def settings(server: Smtpd, password: str) -> MailboxSettings:
    smtp = {"host": "127.0.0.1", "port": server.port, "password": password, "tls": "none"}
    who = {"name": "support", "address": "alice@example.org", "user": "alice"}
    return MailboxSettings.model_validate(
        {**who, "kind": "imap", "host": "127.0.0.1", "smtp": smtp}
    )


def test_a_page_that_never_ends_is_told_before_intake_is_cancelled() -> None:
    seconds = ImapAccount("imap.example", 993, "alice").page_seconds
    assert seconds + 60 < (Service(noted).limit or 0)


async def noted(id: int) -> None:
    """A step."""


@dataclass
class Partial(Moody):
    """One of its folders cannot be read while there is a ``trouble``; the other always can."""

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        page = await ScriptedMailbox.fetch(self, checkpoint, limit)
        if self.trouble is not None and not page.arrivals:
            raise self.trouble
        return replace(page, is_partial=self.trouble is not None)


async def test_a_folder_that_cannot_be_read_is_told_however_much_comes_from_others(
    house: House,
) -> None:
    box = Partial()
    scene = Scene(house, box)
    away = Transient("its disk is away")
    for number in range(5):
        await scene.look(away, 300)
        box.arrive(raw_mail(f"Order {number}", f"Where is {number}?", f"<{number}@x.example>"))
        await scene.look(away, 0)
    [told] = scene.wall.told
    assert told.endswith("its disk is away")
    for _ in range(3):
        await scene.look(None, 61)
    assert len(scene.wall.told) == 2
