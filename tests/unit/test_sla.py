"""SLA clocks: their rungs, what pauses, hurries and quiets them, and what the settings promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.classification import Urgency
from desk.errors import Misconfigured
from desk.settings import Settings, read_settings
from desk.sla import rungs
from desk.sla.calendars import Calendar, read_hours
from desk.sla.rungs import Escalation, Goal, Pace, SlaClock, Terms

NOW = datetime(2026, 11, 16, 9, tzinfo=UTC)  # a Monday
OFFICE = Calendar("UTC", read_hours(["mon-fri 09:00-17:00"]))
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TERMS = Terms(10 * HOUR, OFFICE)


def clock(terms: Terms = TERMS, at: datetime = NOW) -> SlaClock:
    return rungs.started(1, 1, Goal.FIRST, terms, at)


def come(one: SlaClock, now: datetime) -> list[tuple[str, datetime]]:
    return [(rungs.name_of(rung), at) for rung, at in rungs.passed(one, now)[0]]


def test_the_rungs_of_a_clock_lie_in_working_time() -> None:
    tuesday = NOW + timedelta(days=1)
    assert come(clock(), tuesday + 2 * HOUR) == [
        ("half", NOW + 5 * HOUR),
        ("soon", NOW + 8 * HOUR),
        ("breach", tuesday + 2 * HOUR),
    ]
    assert clock().due_at == tuesday + 2 * HOUR


def test_a_breach_is_said_again_and_after_many_times_less_often() -> None:
    one = clock(Terms(HOUR))
    said = come(one, NOW + HOUR + 45 * MINUTE)
    assert [name for name, _ in said[2:]] == ["breach", "again 1", "again 2", "again 3"]
    times = [at for _, at in come(one, NOW + timedelta(days=2))][3:]
    gaps = [late - early for early, late in pairwise(times)]
    assert gaps[:19] == [15 * MINUTE] * 19
    assert set(gaps[19:]) == {5 * HOUR}


def test_a_pause_moves_what_is_still_to_come_and_costs_nothing() -> None:
    one = rungs.paused(clock(), NOW + 4 * HOUR)
    assert (one.next_at, one.used(NOW + 100 * HOUR)) == (None, 4 * HOUR)
    again = rungs.resumed(one, NOW + timedelta(days=1))
    assert again.next_at == NOW + timedelta(days=1) + HOUR
    assert again.left(NOW + timedelta(days=1, hours=2)) == 4 * HOUR


def test_a_stopped_clock_says_nothing_more_and_keeps_its_due_time() -> None:
    one = rungs.stopped(clock(), NOW + HOUR)
    assert come(one, NOW + timedelta(days=9)) == []
    assert (one.due_at, one.ended_at) == (clock().due_at, NOW + HOUR)


def test_once_aimed_other_terms_only_ever_make_it_earlier() -> None:
    first = rungs.aimed(clock(Terms(4 * HOUR)), TERMS)
    assert (first.due_at, first.is_aimed) == (clock().due_at, True)
    assert rungs.aimed(first, Terms(20 * HOUR, OFFICE)) == first
    assert rungs.aimed(first, Terms(2 * HOUR, OFFICE)).due_at == NOW + 2 * HOUR
    asleep = rungs.paused(first, NOW)
    assert rungs.aimed(asleep, Terms(20 * HOUR, OFFICE)) == asleep
    assert rungs.aimed(asleep, Terms(2 * HOUR, OFFICE)).terms.target == 2 * HOUR
    _, late = rungs.passed(clock(), NOW + timedelta(days=2))
    assert rungs.aimed(late, Terms(HOUR, OFFICE)).next_at == late.next_at


def test_a_person_may_put_off_what_is_not_broken_yet() -> None:
    aimed = rungs.aimed(clock(), Terms(2 * HOUR, OFFICE))
    assert rungs.aimed(aimed, TERMS, by_hand=True) == replace(clock(), is_aimed=True)
    assert rungs.aimed(rungs.paused(aimed, NOW), TERMS, by_hand=True).terms == TERMS
    _, told = rungs.passed(aimed, NOW + HOUR)
    later = rungs.aimed(told, TERMS, by_hand=True)
    assert (later.rung, later.next_at, later.due_at) == (1, NOW + 8 * HOUR, clock().due_at)
    _, late = rungs.passed(aimed, NOW + 3 * HOUR)
    assert rungs.aimed(late, TERMS, by_hand=True) == late
    assert rungs.due_under(late, TERMS) == clock().due_at


def test_a_broken_promise_that_goes_on_is_said_again_after_the_usual_pause() -> None:
    now = NOW + timedelta(days=1, hours=3)
    _, late = rungs.passed(clock(), now)
    again = rungs.resumed(rungs.paused(late, now), NOW + timedelta(days=2))
    assert (again.rung, again.due_at) == (late.rung, NOW + timedelta(days=2))
    assert again.next_at == NOW + timedelta(days=2) + 15 * MINUTE


def test_the_alarm_is_the_latest_of_a_clock_that_still_counts() -> None:
    ended, running = rungs.stopped(clock(), NOW), replace(clock(), number=2)
    told = [Escalation(id, 1, "breach", number, NOW) for id, number in ((1, 2), (2, 2), (3, 1))]
    assert rungs.alarm_of([ended, running], told) == told[1]
    assert rungs.alarm_of([ended], told) is None


def test_the_clock_towards_a_reply_is_shown_before_the_other() -> None:
    reply, resolution = clock(), replace(clock(), number=2, goal=Goal.RESOLUTION)
    assert rungs.leading([resolution, reply]) == reply
    assert rungs.leading([resolution, rungs.stopped(reply, NOW)]) == resolution
    assert rungs.leading([]) is None


def test_only_a_breach_can_be_quieted() -> None:
    now = NOW + timedelta(days=1, hours=3)
    assert rungs.quiet(clock(), HOUR, NOW) == clock()
    _, late = rungs.passed(clock(), now)
    assert rungs.quiet(late, HOUR, now).next_at == now + HOUR
    saturday = NOW + timedelta(days=5)
    assert rungs.quiet_until(late, saturday).next_at == NOW + timedelta(days=7)
    assert rungs.hurried(rungs.quiet_until(late, saturday), now).next_at == now + 15 * MINUTE
    assert rungs.hurried(late, now) == late


@pytest.mark.parametrize(
    ("verb", "is_claimed", "minutes"),
    [
        ("acknowledge", False, 30),
        ("acknowledge", True, 120),
        ("claim", True, 120),
        ("release", False, 15),
        ("snooze", False, 60),
    ],
)
def test_what_people_do_quiets_a_breach_for_a_while(
    verb: str, is_claimed: bool, minutes: int
) -> None:
    now = NOW + timedelta(days=1, hours=3)
    late = rungs.quiet(rungs.passed(clock(), now)[1], 4 * HOUR, now)
    quieted = rungs.quieted(late, verb, is_claimed, now + HOUR, now)
    assert quieted.next_at == now + minutes * MINUTE


@given(
    st.lists(
        st.tuples(st.sampled_from(["pause", "resume", "quiet"]), st.integers(1, 900)), max_size=12
    ),
    st.integers(10, 2000),
)
def test_the_first_rungs_come_at_their_share_of_running_time(
    events: list[tuple[str, int]], minutes: int
) -> None:
    """Counted minute by minute, whatever pauses there were."""
    target = 2 * minutes * 5 * MINUTE
    one, at, ran = clock(Terms(target, OFFICE)), NOW, timedelta()
    found: dict[str, timedelta] = {}
    for what, after in events:
        later = at + after * MINUTE
        come, one = rungs.passed(one, later)
        for rung, when in come:
            since = one.terms.calendar.elapsed(at, when)
            found[rungs.name_of(rung)] = ran + since
        if one.running_since is not None:
            ran += OFFICE.elapsed(at, later)
        at = later
        if what == "pause" and one.running_since is not None:
            one = rungs.paused(one, at)
        elif what == "resume" and one.running_since is None:
            one = rungs.resumed(one, at)
        elif what == "quiet":
            one = rungs.quiet(one, HOUR, at)
    shares = {"half": 0.5, "soon": 0.8, "breach": 1.0}
    for name, share in shares.items():
        assert (name in found) == (ran >= target * share)
        assert found.get(name, target * share) == target * share


def test_a_snapshot_is_the_same_promise() -> None:
    terms = Terms(HOUR, OFFICE, Pace(MINUTE, 2 * MINUTE, 3 * MINUTE))
    assert rungs.read_terms(rungs.terms_json(terms)) == terms


# -- settings


def test_without_policies_sla_minutes_hold_day_and_night() -> None:
    promises = read_settings().promises
    for goal in (Goal.FIRST, Goal.NEXT):
        terms = promises.terms("support", Urgency.CRITICAL, goal)
        assert terms is not None
        assert (terms.target, terms.calendar.is_always_open) == (HOUR, True)
    assert promises.terms("support", Urgency.CRITICAL, Goal.RESOLUTION) is None


def given_policies(**more: object) -> Settings:
    return read_settings(
        calendars=[{"name": "office", "hours": ["mon-fri 09:00-17:00"]}],
        mailboxes=[{"name": box, "address": f"{box}@x.example"} for box in ("support", "vip")],
        policies=[
            {"calendar": "office", "first_reply_minutes": {"high": 30}},
            {"mailbox": "vip", "next_reply_minutes": {"high": 5}, **more},
        ],
    )


def test_a_mailbox_has_its_own_policy() -> None:
    promises = given_policies(resolution_minutes={"high": 600}).promises
    targets = [
        (promises.terms(box, Urgency.HIGH, goal) or Terms(timedelta())).target / MINUTE
        for box in ("support", "vip")
        for goal in Goal
    ]
    assert targets == [30, 30, 0, 240, 5, 600]
    usual = promises.terms("support", Urgency.LOW, Goal.FIRST)
    assert usual is not None
    assert (usual.target, usual.calendar) == (timedelta(days=3), OFFICE)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"policies": [{"calendar": "moon"}]}, "there is no calendar 'moon'"),
        ({"calendars": [{"name": "a", "hours": ["always"]}]}, "'always' is not like"),
        ({"calendars": [{"name": "a", "timezone": "Mars"}]}, "write a time zone"),
        ({"calendars": [{"name": "a", "country": "XX"}]}, "XX"),
        (
            {
                "calendars": [{"name": "a", "hours": ["mon 00:00-00:01"]}],
                "policies": [{"calendar": "a"}],
            },
            "too few hours",
        ),
        ({"escalation": {"repeat_minutes": 0}}, "escalation.repeat_minutes"),
        ({"policies": [{"first_reply_minutes": {"high": -1}}]}, "first_reply_minutes"),
    ],
)
def test_what_is_wrong_is_told(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        read_settings(**given)
