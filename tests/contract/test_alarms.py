"""What people do about a breach: who has seen it, for how long it is quiet. On both databases."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from desk.alarms import read_span
from desk.classification import Urgency
from desk.errors import Refused
from desk.moves import Verb
from desk.people import Role
from desk.sla.promises import USUAL, Policies, Policy
from desk.sla.rungs import SlaClock
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.desk import FastClock, Scene, overdue, scene
from workers.watch import Watch

MINUTE = timedelta(minutes=1)


async def late(store: Store) -> Scene:
    at = await scene(store)
    await overdue(at)
    return at


async def the_clock(at: Scene) -> SlaClock:
    [clock] = await at.store.clocks(at.ticket.id)
    return clock


async def seen_by(at: Scene) -> list[int | None]:
    return [one.acknowledged_by for one in await at.store.told(at.ticket.id)]


async def do(at: Scene, verb: Verb, **more: object) -> str:
    outcome = await at.actions.act(await at.request(verb, **more))  # type: ignore[arg-type]
    return outcome.note or outcome.result


async def test_who_gives_a_late_ticket_back_has_not_seen_its_alert(any_store: Store) -> None:
    at = await scene(any_store)
    await do(at, Verb.CLAIM)
    await overdue(at)
    assert await do(at, Verb.RELEASE) == "done"
    assert await seen_by(at) == [None]


async def test_the_first_who_saw_an_alert_is_the_one_who_is_named(any_store: Store) -> None:
    at = await late(any_store)
    assert await do(at, Verb.ACKNOWLEDGE) == "done"
    assert await do(at, Verb.ACKNOWLEDGE, user=at.omar) == "Ann has acknowledged this already"
    assert await do(at, Verb.TAKE, user=at.omar) == "done"
    assert await seen_by(at) == [at.ann.id]


async def test_a_reply_that_failed_is_not_kept_quiet_by_the_claim(
    any_store: Store, clock: FastClock
) -> None:
    at = await late(any_store)
    await do(at, Verb.APPROVE)  # and claims it
    assert (await the_clock(at)).next_at == clock.now() + 120 * MINUTE
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        await change.move_response(response, Verb.FAIL, {"failure": "The server refused it."})
    assert (await the_clock(at)).next_at == clock.now() + 15 * MINUTE


async def test_only_loud_rungs_are_acknowledged(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    for minutes in (31, 18, 12):
        clock.forward(minutes=minutes)
        for id in await any_store.due_clocks():
            async with any_store.change() as change:
                await change.fire(id)
        for told in await any_store.untold():
            async with any_store.change() as change:
                await change.record_fired(await any_store.escalation(told), 1)
    assert await do(at, Verb.ACKNOWLEDGE) == "done"
    assert await seen_by(at) == [at.ann.id, at.ann.id]
    assert (await any_store.escalation(1)).acknowledged_by is None


async def test_a_breach_is_heard_again_when_its_ticket_is_woken_early(
    any_store: Store, clock: FastClock
) -> None:
    at = await late(any_store)
    await do(at, Verb.SNOOZE)
    assert (await the_clock(at)).next_at == clock.now() + timedelta(hours=4)
    await do(at, Verb.SNOOZE, text="2 days")
    assert (await the_clock(at)).next_at == clock.now() + timedelta(days=2)
    await do(at, Verb.WAKE)
    assert (await the_clock(at)).next_at == clock.now() + 15 * MINUTE


async def test_a_claim_holds_when_its_ticket_wakes_at_its_time(
    any_store: Store, clock: FastClock
) -> None:
    at = await late(any_store)
    await do(at, Verb.SNOOZE, text="1h")
    await do(at, Verb.CLAIM)
    claimed = clock.now()
    assert (await the_clock(at)).next_at == claimed + 120 * MINUTE
    clock.forward(minutes=60)
    await Watch(any_store, at.queue)()
    assert (await any_store.ticket(at.ticket.id)).state is TicketState.OPEN
    assert (await the_clock(at)).next_at == claimed + 120 * MINUTE


@pytest.mark.parametrize(
    ("text", "minutes"), [("90 min", 90), ("5m", 5), ("3 hrs", 180), ("1 Hour", 60), ("30d", 43200)]
)
def test_how_long_is_read(text: str, minutes: int) -> None:
    assert read_span(text) == minutes * MINUTE


@pytest.mark.parametrize("text", ["2 months", "3 mondays", "1.5h", "2h 30m", "soon", "0m", "31d"])
def test_what_is_no_length_of_time_is_not_guessed(text: str) -> None:
    with pytest.raises(Refused, match="For how long"):
        read_span(text)


async def test_who_waits_for_the_customer_has_no_alert_to_acknowledge(
    store: Store, clock: FastClock
) -> None:
    """Also when the time for a solution was over before that, and its clock only pauses."""
    store.promises = Policies(Policy(USUAL, USUAL, {Urgency.CRITICAL: 60 * MINUTE}))
    at = await scene(store)
    clock.forward(minutes=61)
    async with store.change() as change:
        for id in await store.due_clocks():
            await change.fire(id)
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.ANSWER)
    assert (await store.view(at.ticket.id)).alarm is not None
    assert await do(at, Verb.ACKNOWLEDGE) == "There is no alert to acknowledge"


async def test_a_ticket_is_assigned_to_one_person_who_sees_it(store: Store) -> None:
    at = await late(store)
    async with store.change() as change:
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "support")
        for name in ("Kim Berg", "Kim Aas"):
            address = f"{name[4:].lower()}@lanewright.example"
            await change.add_user(address, name, Role.AGENT, "sales")
    for text, told in {
        "Kim": "Several here are called Kim: write the address",
        "berg@lanewright.example": "Kim Berg does not see this mailbox",
        "Nora": "Nobody here is called Nora: write a name or an address",
        "omar": "done",
    }.items():
        assert await do(at, Verb.ASSIGN, user=at.omar, text=text) == told
    [entry] = [one for one in await store.history(at.ticket.id) if one.verb == Verb.ASSIGN]
    assert orjson.loads(entry.detail) == {"to": at.omar.id}
