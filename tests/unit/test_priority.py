"""The order of the queue: what each reason is worth, the cap, and that no words get past it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Kind
from desk.ids import MailboxId, TicketId
from desk.priority import (
    MOST,
    USUAL,
    Because,
    Weights,
    boosts,
    earlier,
    explained,
    has_boost,
    score,
    vip_keys,
    with_boost,
)
from desk.rules import Rule, floor, raised, read_rules, tempered
from desk.ticket import Ticket, TicketState

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
SLA = {
    Urgency.CRITICAL: timedelta(hours=1),
    Urgency.HIGH: timedelta(hours=4),
    Urgency.NORMAL: timedelta(hours=24),
    Urgency.LOW: timedelta(hours=72),
}
WORDS = ("fire", "lawyer", "refund", "nobody can log in", "no rush", "ignore the rules")


def known(
    sentiment: Sentiment = Sentiment.NEUTRAL,
    confidence: float = 0.9,
    urgency: Urgency = Urgency.NORMAL,
) -> Classification:
    return Classification(
        Label(sentiment, confidence), Label(urgency, 0.9), Label(Category.SUPPORT, 0.9)
    )


ANGRY = known(Sentiment.NEGATIVE, 0.95)


def test_each_reason_is_worth_its_minutes() -> None:
    assert boosts(known(), 0, 1, False, USUAL) == ()
    assert boosts(ANGRY, 0, 1, False, USUAL) == (("very unhappy", 20),)
    assert boosts(known(Sentiment.NEGATIVE, 0.7), 0, 1, False, USUAL) == ()
    assert boosts(known(), 0, 1, True, USUAL) == (("an important customer", 30),)
    assert boosts(known(), 2, 1, False, USUAL) == (("not content with our reply", 15),)
    assert boosts(known(), 0, 3, False, USUAL) == (("wrote 3 times", 30),)
    assert boosts(known(), 0, 9, False, USUAL) == (("wrote 9 times", 45),)


def test_a_reason_that_is_worth_nothing_is_not_told() -> None:
    assert boosts(ANGRY, 0, 1, True, Weights(vip=0, unhappy=0)) == ()


def test_the_earliest_due_time_less_its_boosts_is_served_first() -> None:
    due = NOW + timedelta(hours=4)
    calm = score(due, ())
    assert calm == due.timestamp() * 1000
    assert calm - score(due, (("very unhappy", 20), ("x", 15))) == 35 * 60_000
    assert score(due, (("x", 10_000),)) == score(due, (("y", MOST),))
    assert score(due, (("x", 100), ("y", 100)), 50) == calm - 50 * 60_000


def test_what_is_late_goes_back_whatever_speaks_for_it() -> None:
    late = with_boost((("x", 500),), Because.LATE, -240)
    assert earlier(late) == MOST - 240
    assert has_boost(late, Because.LATE)
    assert with_boost(late, Because.LATE, 0) == (("x", 500),)
    assert earlier(with_boost(late, Because.LATE, -240)) == earlier(late)


def test_the_explanation_names_each_part_and_the_cap() -> None:
    ticket = Ticket(
        TicketId(1),
        MailboxId(1),
        TicketState.OPEN,
        1,
        1,
        "",
        NOW,
        NOW,
        boosts=(("very unhappy", 100), ("an important customer", 30), ("late", -240)),
    )
    assert explained(ticket, MOST) == [
        "100 min earlier: very unhappy",
        "30 min earlier: an important customer",
        "240 min later: late",
        "together only 120 min earlier, which is the most",
    ]
    assert explained(replace(ticket, boosts=()), MOST) == []


def test_important_customers_are_known_by_address_or_domain() -> None:
    weights = Weights(vips=frozenset({"eve@x.example", "@big.example"}))
    assert weights.is_vip(" EVE@X.example ")
    assert weights.is_vip("anybody@BIG.example")
    assert not weights.is_vip("adam@x.example")
    assert not weights.is_vip("@big.example.evil.example")
    assert not weights.is_vip("")
    assert vip_keys("no address") == ("no address", "@no address")


# -- no words in a mail get past a floor or past the cap

pieces = st.one_of(st.sampled_from(WORDS), st.text(max_size=40))
texts = st.lists(pieces, max_size=8).map(" ".join)


def rule(word: str, urgency: Urgency) -> Rule:
    quoted = "".join(f"[{letter}]" if letter.isalpha() else letter for letter in word)
    return read_rules(f"[[rule]]\nname = 'r'\nurgency = '{urgency}'\nany = ['{quoted}']")[0]


rules = st.lists(
    st.builds(rule, st.sampled_from(WORDS), st.sampled_from(list(Urgency))), max_size=4
)
classifications = st.builds(
    known,
    st.sampled_from(list(Sentiment)),
    st.floats(0, 1),
    st.sampled_from(list(Urgency)),
)


@given(classifications, texts, rules, st.integers(1, 9))
def test_no_text_lowers_the_urgency_below_the_floor_of_a_rule(
    found: Classification, text: str, given_rules: list[Rule], unanswered: int
) -> None:
    """Whatever else is written, and whatever the model makes of it."""
    least = max(
        (r.urgency for r in given_rules if any(p.search(text) for p in r.patterns)),
        key=lambda urgency: urgency.rank,
        default=Urgency.LOW,
    )
    after = raised(tempered(found), text, Kind.PERSON, unanswered, given_rules)
    assert after.urgency.label.rank >= least.rank
    assert floor(text, given_rules)[0] is least


@given(classifications, texts, rules, st.integers(1, 99), st.integers(0, 99), st.booleans())
def test_no_text_moves_a_ticket_by_more_than_the_cap(
    found: Classification,
    text: str,
    given_rules: list[Rule],
    unanswered: int,
    before: int,
    is_vip: bool,
) -> None:
    """Its place is that of its urgency's due time, less at most the cap; and never later."""
    after = raised(tempered(found), text, Kind.PERSON, unanswered, given_rules)
    due = NOW + SLA[after.urgency.label]
    moved = boosts(after, before, unanswered, is_vip, USUAL)
    moved = with_boost(moved, Because.BUMPED, USUAL.bump)
    place = score(due, moved)
    assert (due - timedelta(minutes=MOST)).timestamp() * 1000 <= place <= due.timestamp() * 1000
    assert place >= (NOW + SLA[Urgency.CRITICAL] - timedelta(minutes=MOST)).timestamp() * 1000
