"""Alerts: who is told when, once each, with buttons that act and cards that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from bot.board import Board, Route
from bot.card import Button, Card
from bot.commands import Commands
from desk.action import ActionRequest, Result
from desk.errors import Transient
from desk.failpoints import armed
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.places import Network
from desk.standing import unmarked
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.databases import counted
from tests.doubles.desk import FastClock, Scene, scene
from workers.watch import Watch


@dataclass
class Room:
    """A network that remembers what was said where; ``away`` channels do not answer."""

    said: list[tuple[str, str]] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    nudges: list[tuple[str, str]] = field(default_factory=list)

    async def post(self, channel: str, card: Card) -> str:
        self._reach(channel)
        self.said.append((channel, card.line))
        message = f"{channel}/{len(self.said)}"
        self.cards[message] = card
        return message

    async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
        if thread:
            return next(
                (text for where, text in self.nudges if (where, text) == (thread, mark)), ""
            )
        found = [m for m, card in self.cards.items() if card.mark == mark and channel in m]
        return found[-1] if found else ""

    async def update(self, channel: str, message: str, card: Card) -> None:
        self._reach(channel)
        self.cards[message] = card

    async def tell(
        self,
        channel: str,
        text: str,
        thread: str = "",
        *,
        is_broadcast: bool = False,
        mark: str = "",
    ) -> None:
        self._reach(channel)
        self.said.append((f"thread of {channel}{' to all' if is_broadcast else ''}", text))
        self.nudges.append((thread, mark))

    def _reach(self, channel: str) -> None:
        if channel in self.away:
            raise Transient("It is away")

    def channels(self) -> list[str]:
        """Where something was said since the last time."""
        said, self.said = [channel for channel, _ in self.said], []
        return said

    def alerts(self) -> list[Card]:
        return [card for card in self.cards.values() if card.alert]


@dataclass
class Office:
    at: Scene
    clock: FastClock
    slack: Room
    board: Board

    async def after(self, minutes: float) -> list[str]:
        """Time passes and the watch looks; where something was said."""
        self.clock.forward(minutes=minutes)
        await Watch(self.at.store, self.at.queue)()
        for id in await self.at.store.untold():
            await self.board.alert(id)
        await self.board.show(self.at.ticket.id)
        return self.slack.channels()

    async def act(self, verb: Verb, user: User, text: str = "") -> str:
        request = ActionRequest(uuid4().hex, user, verb, self.at.ticket.id, text=text)
        outcome = await self.at.actions.act(request)
        await self.board.show(self.at.ticket.id)
        return outcome.note if outcome.result is not Result.DONE else "done"


@pytest.fixture
async def office(store: Store, clock: FastClock) -> Office:
    """Ann, and her manager Omar; Kim is on call. A ticket is due in an hour."""
    at, slack = await scene(store), Room()
    async with store.change() as change:
        kim = await change.add_user("kim@lanewright.example", "Kim", Role.AGENT)
        for user, account in ((at.ann, "U1"), (at.omar, "U2"), (kim, "U3")):
            await change.link(user.id, Network.SLACK, account)
    board = Board(
        store,
        {Network.SLACK: slack},
        [Route(Network.SLACK, "desk")],
        [Route(Network.SLACK, "managers")],
        nobody,
        ["KIM@lanewright.example", "unknown@lanewright.example"],
    )
    made = Office(at, clock, slack, board)
    await board.show(at.ticket.id)
    slack.said.clear()
    return made


async def nobody(_: TicketId) -> None:
    pass


def labels(card: Card) -> list[str]:
    return [button.label for button in card.buttons]


async def test_the_ladder_climbs(office: Office) -> None:
    await office.act(Verb.CLAIM, office.at.ann)
    assert await office.after(29) == []
    assert await office.after(1) == ["thread of desk"]
    assert await office.after(18) == ["managers", "U1"]
    assert await office.after(12) == ["managers", "U1", "U2", "thread of desk to all"]
    assert await office.after(14) == []
    assert await office.after(1) == ["managers", "U1", "U2", "U3"]
    assert await office.after(15) == ["managers", "U1", "U2", "U3"]
    assert await office.after(0) == []


async def test_the_first_line_is_said_without_reading_the_ticket(office: Office) -> None:
    office.clock.forward(minutes=31)
    await Watch(office.at.store, office.at.queue)()
    [id] = await office.at.store.untold()
    with counted(office.at.store) as said:
        await office.board.alert(id)
    assert office.slack.channels() == ["thread of desk"]
    assert len(said) <= 19, "\n".join(said)
    assert not [one for one in said if "FROM emails" in one]


async def test_an_alert_says_what_a_tired_manager_needs(office: Office) -> None:
    await office.after(61)
    [card] = [card for m, card in office.slack.cards.items() if m.startswith("managers")]
    assert card.title == "Overdue: Nobody in our office can log in"
    assert card.status == "Nobody has acknowledged this yet"
    assert ("Clock", "first reply within 1 h; overdue by 1 min") in card.facts
    assert ("Claimed by", "nobody") in card.facts
    assert labels(card) == ["Acknowledge", "Take over", "Assign", "Snooze"]
    assign = next(button for button in card.buttons if button.verb is Verb.ASSIGN)
    assert [words for _, words in assign.choices] == ["Ann", "Omar", "Kim"]


async def test_an_acknowledgement_is_seen_everywhere_and_quiets_for_a_while(
    office: Office,
) -> None:
    await office.after(61)
    assert await office.act(Verb.ACKNOWLEDGE, office.at.omar) == "done"
    assert len(office.slack.alerts()) == 2
    for card in office.slack.alerts():
        assert card.status.startswith("Omar acknowledged at ")
        assert labels(card) == ["Take over", "Assign", "Snooze"]
    note = await office.act(Verb.ACKNOWLEDGE, office.at.ann)
    assert note == "Omar has acknowledged this already"
    assert await office.after(29) == []
    # nothing came of it
    assert "managers" in await office.after(1)
    assert await office.act(Verb.ACKNOWLEDGE, office.at.ann) == "done"


async def test_a_thread_that_was_told_and_not_noted_is_not_told_again(office: Office) -> None:
    office.clock.forward(minutes=31)
    await Watch(office.at.store, office.at.queue)()
    [id] = await office.at.store.untold()
    with armed("alerts.nudged=raise@1"), pytest.raises(Transient):
        await office.board.alert(id)
    await office.board.alert(id)
    await office.board.alert(id)
    assert office.slack.channels() == ["thread of desk"]


async def test_an_alert_follows_when_its_ticket_is_snoozed_again(office: Office) -> None:
    await office.after(61)
    for hours, until in (("4h", "14:01"), ("2h", "12:01")):
        await office.act(Verb.SNOOZE, office.at.omar, hours)
        for card in office.slack.alerts():
            assert unmarked(dict(card.facts)["Snoozed until"], ZoneInfo("UTC")) == until


async def test_who_takes_over_has_two_hours(office: Office) -> None:
    await office.after(61)
    assert await office.act(Verb.TAKE, office.at.ann) == "done"
    ticket = await office.at.store.ticket(office.at.ticket.id)
    assert ticket.assignee == office.at.ann.id
    assert await office.after(119) == []
    assert "U1" in await office.after(1)


async def test_when_it_is_answered_the_alerts_are_over(office: Office) -> None:
    await office.after(61)
    assert await office.act(Verb.CLOSE, office.at.ann) == "done"
    for card in office.slack.alerts():
        assert (labels(card), card.title) == ([], "Nobody in our office can log in")
        assert card.status.startswith("Closed by Ann")
    assert await office.after(600) == []
    assert await office.act(Verb.ACKNOWLEDGE, office.at.omar) == "There is no alert to acknowledge"


async def test_what_is_answered_before_it_could_be_told_is_not_told(office: Office) -> None:
    office.clock.forward(minutes=61)
    await Watch(office.at.store, office.at.queue)()
    [id] = await office.at.store.untold()
    await office.act(Verb.CLOSE, office.at.ann)
    await office.board.alert(id)
    assert office.slack.channels() == []
    assert await office.at.store.untold() == []


async def test_a_channel_that_is_away_is_told_later_and_the_others_once(office: Office) -> None:
    office.slack.away = {"managers"}
    with pytest.raises(Transient):
        await office.after(61)
    assert office.slack.channels() == ["U2", "thread of desk to all"]
    office.slack.away = set()
    told = [one.id for one in await office.at.store.told(office.at.ticket.id)]
    for _ in range(2):
        await office.board.alert(told[-1])
    assert office.slack.channels() == ["managers"]


async def test_an_alert_that_was_interrupted_is_looked_for(office: Office) -> None:
    """Killed after the post and before its note: where a network lets us look, it is found."""
    office.clock.forward(minutes=61)
    await Watch(office.at.store, office.at.queue)()
    [id] = await office.at.store.untold()
    async with office.at.store.change() as change:
        for channel in ("managers", "U2"):
            await change.begin_alert(id, Network.SLACK, channel)
    view = await office.at.store.view(office.at.ticket.id)
    [noted] = await office.at.store.told(view.ticket.id)
    clocks = await office.at.store.clocks(view.ticket.id)
    from bot.alert_card import alert_card

    lost = alert_card(view, noted, clocks[0], [], office.clock.now())
    office.slack.cards["managers/lost"] = lost
    with armed("board.told=raise@1"), pytest.raises(Transient):
        await office.board.alert(id)
    await office.board.alert(id)
    assert office.slack.channels() == ["U2", "thread of desk to all"]


async def test_who_dies_after_a_post_does_not_repeat_it_where_it_can_be_looked_for(
    office: Office,
) -> None:
    office.clock.forward(minutes=61)
    await Watch(office.at.store, office.at.queue)()
    [id] = await office.at.store.untold()
    with armed("alerts.posted=raise@1"), pytest.raises(Transient):
        await office.board.alert(id)
    await office.board.alert(id)
    assert sorted(office.slack.channels()) == ["U2", "managers", "thread of desk to all"]
    assert await office.at.store.untold() == []


async def test_a_snoozed_ticket_leaves_the_queue_and_comes_back(office: Office) -> None:
    at = office.at
    commands = Commands(at.store, at.actions)
    assert "30m, 2h or 1d" in (await commands.run(at.ann, "1 snooze soon")).text
    [card] = (await commands.run(at.ann, "1 snooze 90 min")).cards
    assert card.status.startswith("Snoozed until ")
    assert "Nobody waits" in (await commands.run(at.ann, "queue")).text
    # the clock runs on
    assert "managers" in await office.after(61)
    assert await office.act(Verb.ACKNOWLEDGE, at.ann) == "done"
    assert await office.after(28) == []
    assert (await at.store.ticket(at.ticket.id)).state is TicketState.SNOOZED
    assert await office.after(1) == []
    assert (await at.store.ticket(at.ticket.id)).state is TicketState.OPEN
    assert (await at.store.ticket(at.ticket.id)).snoozed_until is None


async def test_snoozing_an_alert_quiets_it_until_then(office: Office) -> None:
    await office.after(61)
    assert await office.act(Verb.SNOOZE, office.at.omar, "4h") == "done"
    assert await office.after(239) == []
    assert "managers" in await office.after(1)


async def test_a_ticket_is_given_to_somebody(office: Office) -> None:
    at = office.at
    assert "Only a manager" in await office.act(Verb.ASSIGN, at.ann, "kim")
    assert "Nobody here is called zoe" in await office.act(Verb.ASSIGN, at.omar, "zoe")
    commands = Commands(at.store, at.actions)
    [card] = (await commands.run(at.omar, "assign 1 Kim")).cards
    assert ("Claimed by", "Kim") in card.facts
    assert await office.act(Verb.ASSIGN, at.omar, f"u{at.ann.id}") == "done"
    assert (await at.store.ticket(at.ticket.id)).assignee == at.ann.id


async def test_the_ticket_card_tells_of_its_clock_and_can_acknowledge(office: Office) -> None:
    at = office.at
    commands = Commands(at.store, at.actions)
    [card] = (await commands.run(at.ann, "show 1")).cards
    clock = dict(card.facts)["Clock"]
    assert clock.startswith("first reply within 1 h; 1 h left, due ")
    await office.after(61)
    [card] = (await commands.run(at.ann, "show 1")).cards
    assert "Acknowledge" in labels(card)
    [card] = (await commands.run(at.ann, "1 acknowledge")).cards
    assert dict(card.facts)["Alert"].startswith("Ann acknowledged at ")
    assert "Acknowledge" not in labels(card)
    assert Button(Verb.SNOOZE, "Snooze for 4 hours", text="4h", is_quiet=True) in card.buttons


async def test_without_any_network_an_alert_is_on_the_card_alone(office: Office) -> None:
    office.board.chats = {}
    office.clock.forward(minutes=61)
    assert await Watch(office.at.store, office.at.queue)() == 1
    [id] = await office.at.store.untold()
    await office.board.alert(id)
    assert await office.at.store.untold() == []
    view = await office.at.store.view(office.at.ticket.id)
    assert view.alarm is not None
    assert view.alarm.fired_at == office.clock.now()
    assert view.clock is not None
    assert view.clock.left(office.clock.now()) == -timedelta(minutes=1)
