"""A mailbox that cannot be read or sent from: managers are told once, and once of the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from bot.board import Board, Route
from desk import burial, troubles
from desk.errors import Ambiguous, DeskError, Misconfigured, Permanent, Transient
from desk.letter_office import LetterOffice
from desk.moves import Verb
from desk.people import Role
from desk.places import Network
from desk.response import ResponseState
from desk.steps import Failure, Step
from desk.store import Store
from desk.troubles import Part
from mail.provider import Page
from tests.doubles.desk import FastClock
from tests.doubles.house import House
from tests.doubles.mailbox import ScriptedMailbox, parse_here
from tests.scenario.test_board import Wall, board
from tests.scenario.test_steps import FIRST
from tests.scenario.test_steps import clock as clock
from tests.scenario.test_steps import house as house
from workers.intake import Intake

SIGNED_OUT = Misconfigured("support needs sign-in: python app.py mailbox add gmail")
AWAY = Transient("imap.example does not answer")


@dataclass
class Moody(ScriptedMailbox):
    """Cannot be read while there is a ``trouble``."""

    trouble: DeskError | None = None

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        if self.trouble is not None:
            raise self.trouble
        return await super().fetch(checkpoint, limit)


@dataclass
class Scene:
    """A mailbox, what the managers hear, and the schedule in between."""

    house: House
    box: Moody
    wall: Wall = field(default_factory=Wall)

    @property
    def board(self) -> Board:
        made = board(self.house.store, self.wall, Wall())
        made.managers = [Route(Network.SLACK, "bosses")]
        return made

    async def look(self, trouble: DeskError | None, seconds: float = 20) -> None:
        """The mailbox is read so much later, and the managers told what there is to tell."""
        self.house.clock.forward(seconds=seconds)
        self.box.trouble = trouble
        providers = {self.house.box: self.box}
        await Intake(self.house.store, self.house.queue, providers, parse_here)(self.house.box)
        for id in await self.house.store.troubled():
            await self.board.warn(id)


@pytest.fixture
def scene(house: House) -> Scene:
    return Scene(house, Moody())


async def test_a_sign_in_that_is_needed_is_told_once_and_then_its_end(scene: Scene) -> None:
    for _ in range(5):
        await scene.look(SIGNED_OUT)
    [told] = scene.wall.told
    assert told.startswith("The mailbox support (support@lanewright.example) cannot be read since")
    assert told.endswith("support needs sign-in: python app.py mailbox add gmail")
    await scene.look(None)
    assert len(scene.wall.told) == 1, "one good look is not the end of it"
    await scene.look(None, 61)
    await scene.look(None, 61)
    assert scene.wall.told[1:] == [
        line for line in scene.wall.told if "is read again since" in line
    ]
    assert len(scene.wall.told) == 2
    await scene.look(SIGNED_OUT)
    assert len(scene.wall.told) == 3, "that is another episode"


async def test_a_server_that_is_restarted_is_not_told(scene: Scene) -> None:
    for _ in range(20):
        await scene.look(AWAY, 40)
    await scene.look(None)
    await scene.look(None, 600)
    assert scene.wall.told == []


async def test_a_server_that_stays_away_is_told_after_a_quarter_of_an_hour(scene: Scene) -> None:
    await scene.look(AWAY)
    await scene.look(AWAY, 14 * 60)
    assert scene.wall.told == []
    await scene.look(AWAY, 60)
    await scene.look(AWAY, 3600)
    assert len(scene.wall.told) == 1
    assert scene.wall.told[0].endswith("imap.example does not answer")


async def test_what_comes_and_goes_is_one_episode(scene: Scene) -> None:
    for _ in range(6):
        await scene.look(SIGNED_OUT)
        await scene.look(None)
    assert len(scene.wall.told) == 1


async def test_managers_whom_nobody_reached_are_told_later(scene: Scene) -> None:
    scene.wall.broken = {"bosses": Transient("Slack is away")}
    with pytest.raises(Transient):
        await scene.look(SIGNED_OUT)
    assert scene.wall.told == []
    scene.wall.broken.clear()
    await scene.look(SIGNED_OUT)
    assert len(scene.wall.told) == 1


async def test_without_a_channel_each_manager_is_told(scene: Scene) -> None:
    store = scene.house.store
    async with store.change() as change:
        for name, role in (("omar", Role.MANAGER), ("mia", Role.ADMIN), ("lea", Role.AGENT)):
            user = await change.add_user(f"{name}@lanewright.example", name, role)
            await change.link(user.id, Network.SLACK, f"U{name}")
    await scene.look(AWAY)
    made = board(store, scene.wall, Wall())
    scene.house.clock.forward(minutes=15)
    await made.warn(scene.house.box)
    await made.warn(scene.house.box)
    assert sorted(scene.wall.calls) == ["tell Umia", "tell Uomar"]


async def test_a_mailbox_that_was_removed_is_told_no_more(scene: Scene) -> None:
    await scene.look(SIGNED_OUT)
    async with scene.house.store.change() as change:
        await troubles.forget(change, scene.house.box)
    await scene.look(None, 600)
    assert len(scene.wall.told) == 1


async def test_an_archived_channel_is_for_a_person_to_see(scene: Scene) -> None:
    scene.wall.broken = {"bosses": Permanent("The channel is archived")}
    with pytest.raises(Permanent):
        await scene.look(SIGNED_OUT)


async def test_it_is_the_same_on_both_databases(any_store: Store, clock: FastClock) -> None:
    async with any_store.change() as change:
        box = (await change.add_mailbox("support", "support@x.example", "maildir")).id
        await troubles.note(change, box, AWAY)
    assert await any_store.troubled() == []
    async with any_store.change() as change:
        await troubles.note(change, box, SIGNED_OUT)
        await troubles.note(change, box, AWAY, Part.SENDING)
    assert await any_store.troubled() == [box]
    [reading, sending] = await any_store.troubles(box)
    assert (reading.problem, sending.problem) == (str(SIGNED_OUT), str(AWAY))
    assert not sending.is_to_be_told(clock.now())
    async with any_store.change() as change:
        await troubles.record_told(change, reading, 1)
    assert await any_store.troubled() == []
    async with any_store.change() as change:
        await troubles.end(change, box)
    clock.forward(minutes=1)
    [ended, other] = await any_store.troubles(box)
    assert (await any_store.troubled(), ended.since) == ([box], reading.since)
    assert other == sending
    async with any_store.change() as change:
        await troubles.record_told(change, ended, 1)
    assert await any_store.troubles(box) == [sending]
    async with any_store.change() as change:
        await troubles.forget(change, box)
    assert await any_store.troubles(box) == []


REFUSED = Misconfigured("smtp.example refused the login of support: 535. Correct the password.")


async def replied(house: House, *failures: DeskError) -> None:
    """Somebody approves a reply, and it is handed over, or refused like this."""
    house.mailbox.failures = list(failures)
    if not house.mailbox.arrivals:
        house.mailbox.arrive(FIRST)
        await house.settle()
    if await house.state() is ResponseState.FAILED:
        await house.act(Verb.EDIT, uuid4().hex, text="It is repaired now, please try it again.")
    await house.act(Verb.APPROVE, uuid4().hex)
    await house.leave()


async def test_a_mailbox_that_is_read_and_cannot_send_is_told_once_and_then_its_end(
    scene: Scene,
) -> None:
    for _ in range(2):
        await replied(scene.house, REFUSED)
        assert await scene.house.state() is ResponseState.FAILED
        await scene.look(None)
        await scene.look(None, 600)
    [told] = scene.wall.told
    assert told.startswith("The mailbox support (support@lanewright.example) cannot send since")
    assert told.endswith(str(REFUSED))
    await replied(scene.house)
    assert await scene.house.state() is ResponseState.SENT
    await scene.look(None)
    assert len(scene.wall.told) == 1, "one reply that left is not the end of it"
    await scene.look(None, 61)
    await scene.look(None, 61)
    assert len(scene.wall.told) == 2
    assert "sends again since" in scene.wall.told[1]


@pytest.mark.parametrize(
    "error", [Permanent("550 no such user"), Transient("450 later"), Ambiguous("the line broke")]
)
async def test_a_mail_that_was_refused_for_its_own_reasons_is_no_trouble_of_the_mailbox(
    scene: Scene, error: DeskError
) -> None:
    await replied(scene.house, error)
    assert await scene.house.state() is not ResponseState.SENT
    await scene.look(None)
    await scene.look(None, 3600)
    assert scene.wall.told == []
    assert await scene.house.store.troubles(scene.house.box) == []


async def test_what_cannot_be_sent_or_read_is_told_apart(scene: Scene) -> None:
    await replied(scene.house, REFUSED)
    await scene.look(SIGNED_OUT)
    assert sorted("cannot be read" in line for line in scene.wall.told) == [False, True]
    await scene.look(None)
    await scene.look(None, 61)
    assert len(scene.wall.told) == 3
    assert "is read again" in scene.wall.told[2]
    [left] = await scene.house.store.troubles(scene.house.box)
    assert (left.part, left.ended_at) == (Part.SENDING, None)


async def test_what_a_manager_discards_is_quiet_until_it_begins_anew(scene: Scene) -> None:
    store = scene.house.store
    scene.wall.broken = {"bosses": Permanent("The channel is archived")}
    with pytest.raises(Permanent):
        await scene.look(SIGNED_OUT)
    async with store.change() as change:
        omar = await change.add_user("omar@lanewright.example", "Omar", Role.MANAGER)
        why = Failure("Permanent", "The channel is archived")
        letter = await burial.bury(change, Step.WARN, scene.house.box, why, 1)
    assert await store.troubled() == []
    await LetterOffice(store, scene.house.queue).discard(omar, letter)
    scene.wall.broken.clear()
    for trouble in (SIGNED_OUT, AWAY, SIGNED_OUT):
        await scene.look(trouble, 3600)
    await scene.look(None)
    await scene.look(None, 600)
    assert scene.wall.told == []
    await scene.look(SIGNED_OUT)
    assert len(scene.wall.told) == 1


async def test_the_end_of_a_trouble_that_a_manager_discards_is_not_told(scene: Scene) -> None:
    store = scene.house.store
    await scene.look(SIGNED_OUT)
    await scene.look(None)
    async with store.change() as change:
        await troubles.hush(change, scene.house.box)
    await scene.look(None, 600)
    assert len(scene.wall.told) == 1
    await scene.look(SIGNED_OUT)
    assert len(scene.wall.told) == 2
