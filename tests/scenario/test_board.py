"""Cards in several places: one that cannot be reached does not stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from bot.board import Board, Route
from bot.card import Card
from bot.chat import Gone
from desk.errors import DeskError, Permanent, Throttled, Transient
from desk.failpoints import armed
from desk.ids import TicketId
from desk.moves import Verb
from desk.places import Network
from desk.store import Store
from tests.doubles.desk import Scene, overdue, scene


async def nobody(_: TicketId) -> None:
    pass


async def nothing() -> None:
    pass


@dataclass
class Wall:
    """A network that keeps its cards; a channel may have an error in its way."""

    cards: dict[str, Card] = field(default_factory=dict)
    broken: dict[str, DeskError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] = nothing

    async def post(self, channel: str, card: Card) -> str:
        self._call("post", channel)
        self.cards[channel] = card
        return f"in {channel}"

    async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
        found = self.cards.get(channel)
        return f"in {channel}" if found and found.mark == mark else ""

    async def update(self, channel: str, message: str, card: Card) -> None:
        if channel not in self.cards:
            raise Gone("It was deleted")
        self._call("update", channel)
        meanwhile, self.meanwhile = self.meanwhile, nothing
        await meanwhile()
        self.cards[channel] = card

    async def tell(
        self,
        channel: str,
        text: str,
        thread: str = "",
        *,
        is_broadcast: bool = False,
        mark: str = "",
    ) -> None:
        self._call("tell", channel)
        self.told.append(text)

    def _call(self, what: str, channel: str) -> None:
        self.calls.append(f"{what} {channel}")
        if channel in self.broken:
            raise self.broken[channel]


def board(store: Store, slack: Wall, teams: Wall) -> Board:
    chats = {Network.SLACK: slack, Network.TEAMS: teams}
    routes = [Route(Network.SLACK, "desk"), Route(Network.TEAMS, "room")]
    return Board(store, chats, routes, [], nobody)


async def act(at: Scene, verb: Verb) -> int:
    await at.actions.act(await at.request(verb))
    return (await at.store.ticket(at.ticket.id)).version


async def is_shown(at: Scene) -> bool:
    ticket = await at.store.ticket(at.ticket.id)
    return ticket.shown_version == ticket.version


@pytest.mark.parametrize("error", [Permanent("Archived"), Gone("No such conversation")])
async def test_a_broken_route_does_not_stop_the_others_and_ends(
    store: Store, error: DeskError
) -> None:
    at, slack, teams = await scene(store), Wall(broken={"desk": error}), Wall()
    shown = board(store, slack, teams)
    await shown.show(at.ticket.id)
    assert (slack.calls, teams.calls) == (["post desk"], ["post room"])
    assert await is_shown(at)
    assert await store.unfinished() == []


async def test_a_broken_route_is_tried_again_with_the_next_change(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(broken={"desk": Permanent("Archived")}), Wall()
    shown = board(store, slack, teams)
    await shown.show(at.ticket.id)
    slack.broken.clear()
    version = await act(at, Verb.CLAIM)
    await shown.show(at.ticket.id)
    assert (slack.cards["desk"].version, teams.cards["room"].version) == (version, version)
    assert slack.calls == ["post desk", "post desk"]


async def test_a_deleted_card_whose_channel_is_gone_does_not_stop_the_others(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    shown = board(store, slack, teams)
    await shown.show(at.ticket.id)
    slack.cards.clear()
    slack.broken["desk"] = Permanent("Archived")
    version = await act(at, Verb.CLAIM)
    await shown.show(at.ticket.id)
    assert teams.cards["room"].version == version
    assert await is_shown(at)


async def test_a_network_that_is_away_is_tried_again_and_does_not_stop_the_others(
    store: Store,
) -> None:
    at, slack, teams = await scene(store), Wall(broken={"desk": Transient("Away")}), Wall()
    shown = board(store, slack, teams)
    with pytest.raises(Transient):
        await shown.show(at.ticket.id)
    assert "room" in teams.cards
    assert not await is_shown(at)
    slack.broken.clear()
    await shown.show(at.ticket.id)
    assert teams.calls == ["post room"]
    assert "desk" in slack.cards


async def test_the_longest_pause_that_was_asked_for_is_kept(store: Store) -> None:
    at = await scene(store)
    slack = Wall(broken={"desk": Transient("Away")})
    teams = Wall(broken={"room": Throttled("Slowly", 30.0)})
    with pytest.raises(Throttled):
        await board(store, slack, teams).show(at.ticket.id)


async def test_what_changes_while_a_card_is_drawn_is_drawn_on_top(store: Store) -> None:
    """Another process may have drawn the newer card already: this one drew last."""
    at, slack, teams = await scene(store), Wall(), Wall()
    mine, other = board(store, slack, teams), board(store, slack, teams)
    await mine.show(at.ticket.id)
    await act(at, Verb.CLAIM)

    async def meanwhile() -> None:
        await act(at, Verb.RELEASE)
        await other.show(at.ticket.id)

    slack.meanwhile = meanwhile
    await mine.show(at.ticket.id)
    version = (await store.ticket(at.ticket.id)).version
    assert (slack.cards["desk"].version, teams.cards["room"].version) == (version, version)


async def test_managers_are_told_once_in_every_channel_that_can_be_reached(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(broken={"desk": Permanent("Archived")}), Wall()
    shown = board(store, slack, teams)
    shown.managers = shown.routes
    id = await overdue(at)
    await shown.alert(id)
    await shown.alert(id)
    assert (slack.calls, teams.calls) == (["post desk"], ["post room"])


async def test_managers_whom_nobody_reached_are_told_later(store: Store) -> None:
    at, slack, teams = await scene(store), Wall(broken={"desk": Transient("away")}), Wall()
    teams.broken["room"] = Permanent("Archived")
    shown = board(store, slack, teams)
    shown.managers = shown.routes
    id = await overdue(at)
    with pytest.raises(Transient):
        await shown.alert(id)
    slack.broken.clear()
    await shown.alert(id)
    assert slack.calls == ["post desk", "post desk"]
    assert await store.untold() == []


@pytest.mark.parametrize("point", ["board.intended", "board.posted", "board.recorded"])
async def test_a_post_that_was_interrupted_is_looked_for_and_not_repeated(
    store: Store, point: str
) -> None:
    at, slack, teams = await scene(store), Wall(), Wall()
    with armed(f"{point}=raise@1"), pytest.raises(Transient):
        await board(store, slack, teams).show(at.ticket.id)
    await board(store, slack, teams).show(at.ticket.id)
    assert slack.calls.count("post desk") == 1
    assert teams.calls.count("post room") == 1
    assert await is_shown(at)
    places = {place.channel: place.message for place in await store.places(at.ticket.id)}
    assert places == {"desk": "in desk", "room": "in room"}


async def test_a_post_that_was_interrupted_is_kept_up_to_date_when_it_is_no_longer_wanted(
    store: Store,
) -> None:
    """The ticket was closed meanwhile: the card that nobody noted must not keep its buttons."""
    at, slack, teams = await scene(store), Wall(), Wall()
    with armed("board.posted=raise@1"), pytest.raises(Transient):
        await board(store, slack, teams).show(at.ticket.id)
    teams.cards.clear()
    version = await act(at, Verb.CLOSE)
    await board(store, slack, teams).show(at.ticket.id)
    assert slack.cards["desk"].version == version


async def test_a_network_that_does_not_let_us_look_gets_the_card_again(store: Store) -> None:
    class Closed(Wall):
        async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
            raise Permanent("The app lacks a right")

    at, slack, teams = await scene(store), Closed(), Wall()
    with armed("board.posted=raise@1"), pytest.raises(Transient):
        await board(store, slack, teams).show(at.ticket.id)
    await board(store, slack, teams).show(at.ticket.id)
    assert slack.calls == ["post desk", "post desk"]
