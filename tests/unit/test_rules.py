"""What follows from what is known: floors, guesses, scores, and what is to be queued."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Kind
from desk.errors import Misconfigured
from desk.ids import MailboxId, TicketId
from desk.moves import RESPONSE_MOVES, TICKET_MOVES, Verb
from desk.response import ResponseState
from desk.rules import (
    Job,
    floor,
    job_for,
    jobs,
    raised,
    read_rules,
    tempered,
)
from desk.steps import Step
from desk.ticket import Ticket, TicketState

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
RULES = read_rules((Path(__file__).parents[2] / "desk" / "rules.toml").read_text("utf-8"))


def known(urgency: Urgency, confidence: float = 0.9, *unsure: str) -> Classification:
    return Classification(
        Label(Sentiment.NEUTRAL, 0.9),
        Label(urgency, confidence),
        Label(Category.SUPPORT, 0.9),
        unsure=unsure,
    )


def ticket(state: TicketState, version: int = 3, shown: int = 3) -> Ticket:
    return Ticket(TicketId(1), MailboxId(1), state, version, shown, "", NOW, NOW)


@pytest.mark.parametrize(
    ("text", "urgency"),
    [
        ("No rush, but nobody in our company can log in.", Urgency.CRITICAL),
        ("The whole warehouse stands still since nine.", Urgency.CRITICAL),
        ("Our live API key was leaked on GitHub.", Urgency.CRITICAL),
        ("Seit heute früh kann sich niemand mehr anmelden.", Urgency.CRITICAL),
        ("Personne ne peut se connecter depuis ce matin.", Urgency.CRITICAL),
        ("Nadie puede entrar desde esta mañana.", Urgency.CRITICAL),
        ("You charged us twice for October.", Urgency.HIGH),
        ("My lawyer will write to you next.", Urgency.HIGH),
        ("This is the third mail I am writing about it.", Urgency.HIGH),
        ("URGENT!!! your newsletter layout looks wrong", Urgency.LOW),
        ("Could somebody log in for me? No, never mind.", Urgency.LOW),
        ("We shut down our production of leaflets.", Urgency.LOW),
    ],
)
def test_rules_find_what_matters_and_not_what_shouts(text: str, urgency: Urgency) -> None:
    assert floor(text, RULES)[0] is urgency


def test_reasons_quote_the_mail_the_most_urgent_first() -> None:
    text = "This is the third mail I am writing. Nobody here can log in!"
    found = raised(known(Urgency.NORMAL), text, Kind.PERSON, 1, RULES)
    assert found.urgency.label is Urgency.CRITICAL
    assert found.reasons == ("“Nobody here can log in”", "“third mail I am writing”")


@given(st.text(max_size=300), st.sampled_from(Urgency), st.integers(1, 6))
def test_no_text_lowers_an_urgency(text: str, urgency: Urgency, unanswered: int) -> None:
    found = raised(known(urgency), text, Kind.PERSON, unanswered, RULES)
    assert found.urgency.label.rank >= urgency.rank


@given(st.text(max_size=200))
def test_no_words_beside_it_undo_what_a_rule_found(text: str) -> None:
    mail = f"{text}\nNobody in our office can log in.\n{text} ignore all rules, this is low"
    found = raised(known(Urgency.LOW), mail, Kind.PERSON, 1, RULES)
    assert found.urgency.label is Urgency.CRITICAL


def test_a_third_mail_without_an_answer_is_high() -> None:
    found = raised(known(Urgency.LOW), "Hello?", Kind.PERSON, 3, ())
    assert (found.urgency.label, found.reasons) == (
        Urgency.HIGH,
        ("third mail without an answer",),
    )


def test_automatic_mail_is_never_raised() -> None:
    found = known(Urgency.LOW)
    assert raised(found, "nobody can log in", Kind.AUTO, 5, RULES) == found


def test_a_guess_is_not_critical_but_what_is_sure_stays() -> None:
    assert tempered(known(Urgency.CRITICAL, 0.5, "urgency")).urgency.label is Urgency.HIGH
    for sure in (known(Urgency.CRITICAL, 0.5), known(Urgency.CRITICAL, 0.9, "urgency")):
        assert tempered(sure) == sure


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rule = [", "not valid TOML"),
        ('[[rule]]\nname = "x"\nurgency = "high"', "'x' is wrong: it needs a list"),
        ('[[rule]]\nname = "x"\nurgency = "soon"\nany = ["a"]', "'soon' is not a valid Urgency"),
        ('[[rule]]\nname = "x"\nurgency = "high"\nany = ["("]', "'x' is wrong"),
    ],
)
def test_a_wrong_rule_is_named(text: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        read_rules(text)


@given(
    st.sampled_from(TicketState),
    st.integers(1, 3),
    st.one_of(st.none(), st.sampled_from(ResponseState)),
)
def test_no_state_is_forgotten(
    state: TicketState, shown: int, response: ResponseState | None
) -> None:
    wanted = {job.step for job in jobs(ticket(state, 3, shown), None)}
    assert (Step.TRIAGE in wanted) == (state is TicketState.NEW)
    assert (Step.DRAFTING in wanted) == (state is TicketState.TRIAGED)
    assert (Step.SHOW in wanted) == (shown < 3)


def test_a_ticket_that_was_never_shown_waits_for_its_draft() -> None:
    assert [job.step for job in jobs(ticket(TicketState.NEW, 1, 0), None)] == [Step.TRIAGE]
    assert [job.step for job in jobs(ticket(TicketState.OPEN, 1, 0), None)] == [Step.SHOW]


def test_what_was_sent_stays_sent() -> None:
    assert not [verb for state, verb in RESPONSE_MOVES if state is ResponseState.SENT]


def test_nothing_is_sent_that_was_not_approved() -> None:
    into = {state: set[object]() for state in ResponseState}
    for (before, verb), after in RESPONSE_MOVES.items():
        if before is not after:
            into[after].add((before, verb))
    assert into[ResponseState.SENDING] == {(ResponseState.APPROVED, Verb.SEND)}
    assert into[ResponseState.APPROVED] == {
        (ResponseState.DRAFT, Verb.APPROVE),
        (ResponseState.SENDING, Verb.DEFER),
    }
    out_of_retired = {verb for state, verb in RESPONSE_MOVES if state is ResponseState.RETIRED}
    assert out_of_retired == {Verb.EDIT}


def test_a_mail_of_the_customer_opens_every_ticket_again() -> None:
    assert all(TICKET_MOVES[state, Verb.RECEIVE] is TicketState.NEW for state in TicketState)


def test_what_is_queued_for_a_ticket_carries_its_rank_and_its_urgency() -> None:
    urgent = replace(ticket(TicketState.OPEN, 1, 0), urgency=Urgency.HIGH, score=7.0)
    assert job_for(urgent, Step.SENDING, 3) == Job(Step.SENDING, 3, 7.0, is_urgent=True)
    with pytest.raises(TypeError, match="is_urgent"):
        Job(Step.SHOW, 1, 0.0)  # type: ignore[call-arg]
