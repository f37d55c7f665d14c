"""The card of an alert as Teams, the console and Slack draw it, and what its menus send back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot import adaptive
from bot.adaptive_text import UTC_ZONE
from bot.alert_card import alert_card, nudge, state_of
from bot.card import Card, Tone
from bot.press import read_press
from bot.slack import draw as slack
from bot.slack.read_action import read_carried
from desk.ids import UserId
from desk.moves import Verb
from desk.people import Role, User
from desk.sla import rungs
from desk.sla.rungs import Escalation, Goal, SlaClock, Terms
from desk.ticket_view import TicketView
from tests.doubles.blocks import problems
from tests.unit.test_adaptive import NOW, response, view

ANN = User(UserId(5), "ann@lanewright.example", "Ann", Role.AGENT)
CLOCK = rungs.started(1042, 1, Goal.FIRST, Terms(timedelta(hours=1)), NOW - timedelta(minutes=65))


def told(rung: str = "breach", **more: Any) -> Escalation:
    return replace(Escalation(9, 1042, rung, 1, NOW - timedelta(minutes=5)), **more)


def card(escalation: Escalation, clock: SlaClock = CLOCK, **ticket: Any) -> Card:
    return alert_card(a_view(**ticket), escalation, clock, [ANN], NOW)


def a_view(**ticket: Any) -> TicketView:
    found = view(response(), **ticket)
    return replace(found, names={**found.names, ANN.id: "Ann"})


def parts(drawn: object) -> Iterator[dict[str, Any]]:
    if isinstance(drawn, dict):
        yield drawn
        for value in drawn.values():
            yield from parts(value)
    elif isinstance(drawn, list):
        for value in drawn:
            yield from parts(value)


def test_its_headline_says_how_late_it_is() -> None:
    heads = [card(told(rung)).title.split(":")[0] for rung in ("soon", "breach", "again 2")]
    assert heads == ["Overdue", "Overdue", "Still overdue"]
    begun = NOW - timedelta(minutes=50)
    soon = card(told("soon"), rungs.started(1042, 1, Goal.FIRST, Terms(timedelta(hours=1)), begun))
    assert soon.title.startswith("Due soon: ")
    assert (soon.tone, card(told("soon")).tone) == (Tone.WARNING, Tone.ALARM)


def test_menus_of_adaptive_cards_send_what_was_chosen() -> None:
    drawn = adaptive.draw(card(told()))
    found = {part["id"]: part for part in parts(drawn) if part.get("type") == "Input.ChoiceSet"}
    assert found["assign"]["choices"] == [{"title": "Ann", "value": "u5"}]
    executes = [part for part in parts(drawn) if part.get("type") == "Action.Execute"]
    [assign] = [part for part in executes if part["id"] == "assign"]
    press = read_press({**assign["data"], "assign": "u5"})
    assert (press.verb, press.ticket_id, press.text) == (Verb.ASSIGN, 1042, "u5")


def test_a_menu_of_very_many_people_fits_and_says_how_the_others_are_called() -> None:
    crowd = [replace(ANN, id=UserId(n), name=f"Person {n} " + "x" * 100) for n in range(1, 500)]
    made = alert_card(a_view(), told(), CLOCK, crowd, NOW)
    assert adaptive.size(adaptive.draw(made)) <= adaptive.LIMIT
    assert problems(slack.draw(made, UTC_ZONE)["blocks"]) == []
    assert made.footer.endswith("others than the first 100: 1042 assign NAME")


def test_menus_of_slack_send_what_was_chosen() -> None:
    drawn = slack.draw(card(told()), UTC_ZONE)
    menus = [part for part in parts(drawn["blocks"]) if part.get("type") == "static_select"]
    assert [menu["action_id"] for menu in menus] == ["ticket.assign", "ticket.snooze"]
    carried = read_carried(menus[1]["options"][1]["value"])
    assert carried is not None
    assert (carried.verb, carried.ticket_id, carried.text) == (Verb.SNOOZE, 1042, "4h")


def test_nothing_of_the_draft_is_on_it() -> None:
    assert card(told()).draft == ""
    text = json.dumps([slack.draw(card(told()), UTC_ZONE), adaptive.draw(card(told()))])
    reply = response().envelope.text.splitlines()[2]
    assert reply not in text


def test_it_changes_when_somebody_sees_it_takes_it_or_it_is_over() -> None:
    seen = told(acknowledged_by=ANN.id, acknowledged_at=NOW)
    ended = rungs.stopped(CLOCK, NOW)
    states = {
        state_of(a_view(), told(), CLOCK),
        state_of(a_view(), seen, CLOCK),
        state_of(a_view(assignee=ANN.id), seen, CLOCK),
        state_of(a_view(), seen, ended),
    }
    assert len(states) == 4
    assert all(len(state) <= 64 for state in states)
    assert card(seen).status.startswith("Ann acknowledged at ")
    assert (card(seen, ended).buttons, card(seen, ended).tone) == ((), Tone.DONE)


def test_the_nudge_says_until_when() -> None:
    assert nudge(None, told("half"), CLOCK).startswith("Half of the time is gone: the first")
    # where there is neither a channel of managers nor anybody to write to
    assert nudge(a_view(), told("soon"), CLOCK).startswith("Due soon: the first reply is due at")
    late = nudge(a_view(), told(), CLOCK)
    assert late.endswith("Nobody has acknowledged this yet.")
