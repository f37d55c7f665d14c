"""A mail's way through the steps on a real queue: to a card, then from approval to customer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from cli.parts import listen
from desk.burial import bury
from desk.classification import Urgency
from desk.email import Address, ParsedEmail
from desk.errors import (
    Ambiguous,
    DeskError,
    Misconfigured,
    Permanent,
    Throttled,
    Transient,
)
from desk.ids import EmailId, MailboxId
from desk.moves import Verb
from desk.response import Draft, Passage, ResponseState
from desk.steps import Failure, Step
from desk.store import Store
from desk.ticket import TicketState
from inference.ladder import Question
from inference.redact import Redacted
from mail.compose import reply_subject
from mail.parse import parse
from mail.provider import Page
from tests.doubles.desk import FastClock, ListQueue, job, review
from tests.doubles.house import Echo, House, NameRedactor, made_house, nothing
from tests.doubles.mailbox import ScriptedMailbox, parse_here, raw_mail
from workers.drafting import UNASKED, Drafter, envelope
from workers.intake import Intake
from workers.queue import RedisQueue
from workers.sending import Sending
from workers.sweep import Sweep
from workers.watch import Watch


class Blind:
    """Finds nothing."""

    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted:
        return Redacted(text, names or {})


class Signed(NameRedactor):
    """Finds the name below a closing, too."""

    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted:
        _, _, name = text.partition("Best,\n")
        return await super().redact(text, [*known, name] if name else known, names)


@pytest.fixture
def clock() -> FastClock:
    """Starts now: what is delayed in Redis goes by the clock of Redis."""
    return FastClock(datetime.now(UTC))


@pytest.fixture
async def house(store: Store, clock: FastClock, queue: RedisQueue) -> House:
    return await made_house(store, clock, queue)


FIRST = raw_mail("Scanner", "Hello, my scanner is broken. Priya", "<1@lindqvist.example>")


async def test_a_mail_becomes_a_ticket_with_a_draft_that_is_shown(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    view = await house.view()
    assert view.ticket.state is TicketState.OPEN
    assert view.ticket.shown_version == view.ticket.version
    assert view.response is not None
    assert view.response.envelope.text.startswith("Hello Priya, about:")
    assert view.response.envelope.subject == "Re: Scanner"
    assert [a.address for a in view.response.envelope.to] == ["priya@lindqvist.example"]
    verbs = [entry.verb for entry in await house.store.history(view.ticket.id)]
    assert verbs == ["receive", "triage", "draft"]
    assert await house.store.unfinished() == []


async def test_the_writer_never_sees_the_customers_name(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    [question] = house.echo.asked
    assert "Priya" not in question.text + question.subject + question.customer
    assert question.signature == "The desk"


async def test_a_first_name_that_is_a_word_too_is_hidden_from_the_writer() -> None:
    """Mark alone may be the verb, so the redactor leaves it."""
    asked = Echo([])
    drafter = Drafter(nothing, Blind(), asked, review, [])
    parsed = ParsedEmail(sender=Address("Mark Rose", "m@x.example"), text="Hi", reply="Hi")
    draft = await drafter.draft(parsed, None)
    assert draft is not None
    assert asked.asked[0].customer == "<PERSON_1>"
    assert draft.text.startswith("Hello Mark,")


async def test_who_signs_is_hidden_where_the_mail_names_them() -> None:
    asked = Echo([])
    drafter = Drafter(nothing, Signed(), asked, review, [])
    parsed = ParsedEmail(
        sender=Address("", "billing@acme.example"), reply="Ask Jane.", signature="Best,\nJane"
    )
    await drafter.draft(parsed, None)
    assert asked.asked[0].text == "Ask <PERSON_1>."


@pytest.mark.parametrize(
    "error", [Transient("It is away."), Misconfigured("A wrong token."), ValueError("secret")]
)
async def test_a_knowledge_base_that_fails_does_not_cost_the_draft(error: Exception) -> None:
    async def search(question: str, k: int = 4) -> list[Passage]:
        raise error

    drafter = Drafter(search, NameRedactor(), Echo([]), review, ["support@lanewright.example"])
    with capture_logs() as logs:
        draft = await drafter.draft(parse(FIRST), None)
    assert draft is not None
    assert draft.text
    assert draft.findings[0] == UNASKED
    said = str(error) if isinstance(error, DeskError) else "ValueError"
    assert [log["error"] for log in logs] == [said]


async def test_who_gets_no_draft_hears_that_the_knowledge_base_was_not_asked() -> None:
    async def search(question: str, k: int = 4) -> list[Passage]:
        raise Transient("It is away.")

    class Speechless(Echo):
        async def write(self, question: Question) -> Draft:
            return Draft("", needs_human=True, reason="Ask <PERSON_1>.")

    drafter = Drafter(search, NameRedactor(), Speechless([]), review, [])
    draft = await drafter.draft(parse(FIRST), None)
    assert draft is not None
    assert draft.reason == f"Ask Priya. {UNASKED.reason}"


def test_what_is_approved_names_who_gets_it_and_under_which_subject() -> None:
    ours = ["support@lanewright.example", "billing@lanewright.example"]
    parsed = ParsedEmail(
        sender=Address("Priya", "priya@lindqvist.example"),
        reply_to=(Address("", "billing@lanewright.example"),),
        subject="AW: Scanner",
    )
    content = envelope(parsed, "Hello", ours)
    assert [one.address for one in content.to] == ["priya@lindqvist.example"]
    assert content.subject == reply_subject(content.subject) == "Re: Scanner"


async def test_only_the_marks_of_citations_stay_here(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.EDIT, "e", text="Error [404] is repaired.")
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    [sent] = house.mailbox.sent_mails()
    assert sent.reply == "Error [404] is repaired."


async def test_reading_the_mailbox_again_makes_no_second_ticket(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    async with house.store.change() as change:
        await change.save_checkpoint(house.box, "")
    await house.settle()
    assert (await house.store.counts())["open"] == 1


async def test_an_approved_reply_leaves_once_and_in_the_thread(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.EDIT, "e", text="It is repaired.")
    await house.act(Verb.APPROVE, "a")
    await house.runner.drain()
    assert house.mailbox.sent == []
    await house.leave()
    [sent] = house.mailbox.sent_mails()
    assert sent.reply == "It is repaired."
    assert sent.in_reply_to == "<1@lindqvist.example>"
    assert sent.references == ("<1@lindqvist.example>",)
    assert sent.sender.name == "Lanewright"
    view = await house.view()
    assert (await house.state(), view.ticket.state) == (ResponseState.SENT, TicketState.WAITING)


async def test_nothing_leaves_while_the_undo_window_is_open(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    response = (await house.view()).response
    assert response is not None
    await house.queue.remove(Step.SENDING, response.id)
    await house.queue.put(job(Step.SENDING, response.id, 0.0))
    await house.runner.drain()
    assert house.mailbox.sent == []
    await house.act(Verb.UNDO, "u")
    await house.leave()
    assert (house.mailbox.sent, await house.state()) == ([], ResponseState.DRAFT)


async def test_a_server_that_is_not_ready_is_tried_again(house: House) -> None:
    house.mailbox.arrive(FIRST)
    house.mailbox.failures = [Transient("450 later")] * 6
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    for pause in (10, 20, 40, 80, 160, 320):
        await house.leave()
        assert await house.state() is ResponseState.APPROVED
        assert await waits(house) == pause
        house.clock.forward(minutes=10)
    await house.leave()
    assert len(house.mailbox.sent) == 1
    assert await house.state() is ResponseState.SENT


async def waits(house: House) -> float:
    """The seconds until the reply is tried again."""
    response = (await house.view()).response
    assert response is not None
    assert response.send_after is not None
    return (response.send_after - house.clock.now()).total_seconds()


@pytest.mark.parametrize(
    ("seconds", "pause"), [(3600.0, 3600), (1.0, 10), (float("inf"), 86400), (float("nan"), 86400)]
)
async def test_a_pause_that_was_asked_for_is_kept_to_for_a_day_at_most(
    house: House, seconds: float, pause: float
) -> None:
    """What a Retry-After may say: a number of any size (RFC 9110 §10.2.3)."""
    house.mailbox.arrive(FIRST)
    house.mailbox.failures = [Throttled("Slow down.", seconds)]
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    assert await house.state() is ResponseState.APPROVED
    assert await waits(house) == pause
    house.clock.forward(seconds=pause)
    await house.leave()
    assert await house.state() is ResponseState.SENT


async def test_a_server_that_stays_away_is_told_to_a_person(house: House) -> None:
    house.mailbox.arrive(FIRST)
    house.mailbox.failures = [Transient("The server is away.")] * 9
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    for _ in range(8):
        await house.leave()
        house.clock.forward(minutes=30)
    response = (await house.view()).response
    assert response is not None
    assert (response.state, response.failure) == (ResponseState.FAILED, "The server is away.")


async def test_a_reply_that_cannot_be_composed_comes_back_with_its_reason(house: House) -> None:
    domain = f"{'x' * 64}.example"  # RFC 1035 §2.3.4 allows 63
    house.mailbox.arrive(FIRST.replace(b"priya@lindqvist.example", f"priya@{domain}".encode()))
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    response = (await house.view()).response
    assert response is not None
    assert response.state is ResponseState.FAILED
    assert domain in response.failure
    assert house.mailbox.sent == []


async def test_a_refusal_comes_back_with_its_reason(house: House) -> None:
    house.mailbox.arrive(FIRST)
    house.mailbox.failures = [Permanent("550 no such user")]
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    view = await house.view()
    assert view.response is not None
    assert (view.response.state, view.response.failure) == (
        ResponseState.FAILED,
        "550 no such user",
    )
    assert view.ticket.state is TicketState.OPEN


@pytest.mark.parametrize("keeps", [True, False], ids=["it had left", "it had not"])
async def test_an_unclear_end_is_looked_up_and_never_repeated(house: House, keeps: bool) -> None:
    house.mailbox.arrive(FIRST)
    house.mailbox.failures, house.mailbox.keeps = [Ambiguous("the line broke")], keeps
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    assert await house.state() is (ResponseState.SENT if keeps else ResponseState.UNKNOWN)
    await house.leave()
    assert len(house.mailbox.sent) == int(keeps)


async def test_a_sender_that_died_in_the_middle_is_not_taken_over_blindly(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    response = (await house.view()).response
    assert response is not None
    async with house.store.change() as change:
        await change.move_response(response, Verb.SEND)
    await house.leave()
    assert (house.mailbox.sent, await house.state()) == ([], ResponseState.UNKNOWN)


async def test_a_new_mail_of_the_customer_retires_the_draft(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    again = raw_mail("Re: Scanner", "It works again!", "<2@x>", "<1@lindqvist.example>")
    house.mailbox.arrive(again)
    await house.settle()
    await house.leave()
    view = await house.view()
    assert house.mailbox.sent == []
    assert view.mails == 2
    assert view.response is not None
    assert view.response.state is ResponseState.DRAFT
    assert "It works again!" in view.response.envelope.text
    assert ("wrote 2 times", 15) in view.ticket.boosts


async def test_an_answer_to_our_reply_opens_the_same_ticket_again(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    [ours] = house.mailbox.sent_mails()
    house.mailbox.arrive(raw_mail("Re: Scanner", "No.", "<3@x>", ours.message_id))
    await house.settle()
    view = await house.view()
    assert (view.mails, view.ticket.state) == (2, TicketState.OPEN)
    assert view.response is not None
    assert view.response.email_id == EmailId(2)


@pytest.mark.parametrize("error", [Transient("away"), Permanent("signed out")])
async def test_a_mailbox_that_fails_says_so_and_recovers(house: House, error: DeskError) -> None:
    class Broken(ScriptedMailbox):
        async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
            raise error

    intake = Intake(house.store, house.queue, {house.box: Broken()}, parse_here)
    await intake(house.box)
    assert (await house.store.mailbox(house.box)).problem == str(error)
    house.mailbox.arrive(FIRST)
    await house.settle()
    assert (await house.store.mailbox(house.box)).problem == ""


async def test_what_redis_forgot_the_sweep_puts_back(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await Intake(house.store, house.queue, {house.box: house.mailbox}, parse_here)(house.box)
    await house.queue.remove(Step.TRIAGE, 1)
    await house.runner.drain()
    assert (await house.view()).ticket.state is TicketState.NEW
    await Sweep(house.store, house.queue)()
    await house.runner.drain()
    assert (await house.view()).ticket.state is TicketState.OPEN


async def test_the_sweep_leaves_alone_what_was_given_up(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    async with house.store.change() as change:
        await bury(change, Step.SENDING, 1, Failure("Permanent", "The mail server is gone."), 5)
        await bury(change, Step.SHOW, 1, Failure("Permanent", "Slack is gone."), 5)
    assert await Sweep(house.store, house.queue)() == 0


async def test_an_edit_that_nobody_ended_stops_after_a_while(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.START_EDIT, "s")
    watch = Watch(house.store, house.queue)
    await watch()
    assert (await house.view()).ticket.editing == house.ann.id
    house.clock.forward(minutes=16)
    await watch()
    assert (await house.view()).ticket.editing is None


async def test_a_card_that_was_shown_loses_its_buttons_as_soon_as_the_customer_writes(
    house: House,
) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    house.mailbox.arrive(raw_mail("Re: Scanner", "More.", "<2@x>", "<1@lindqvist.example>"))
    await Intake(house.store, house.queue, {house.box: house.mailbox}, parse_here)(house.box)
    depth = await house.queue.depth()
    assert (depth[Step.TRIAGE].ready, depth[Step.SHOW].ready) == (1, 1)


async def test_a_mail_that_cannot_be_triaged_still_reaches_a_card(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await Intake(house.store, house.queue, {house.box: house.mailbox}, parse_here)(house.box)
    await house.queue.remove(Step.TRIAGE, 1)
    async with house.store.change() as change:
        await bury(change, Step.TRIAGE, 1, Failure("Permanent", "The model is gone."), 5)
    await Sweep(house.store, house.queue)()
    await house.runner.drain()
    view = await house.view()
    assert (view.ticket.state, view.ticket.shown_version) == (TicketState.OPEN, view.ticket.version)
    await house.act(Verb.REGENERATE, "r")
    await house.runner.drain()
    assert await house.state() is ResponseState.DRAFT
    assert await house.store.dead_letters() == []


async def test_only_mails_without_an_answer_make_a_ticket_urgent(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    for number in (2, 3):
        again = raw_mail("Re: Scanner", "And?", f"<{number}@x>", "<1@lindqvist.example>")
        house.mailbox.arrive(again)
        await house.settle()
    view = await house.view()
    assert (view.mails, view.unanswered, view.ticket.urgency) == (3, 2, Urgency.NORMAL)
    house.mailbox.arrive(raw_mail("Re: Scanner", "?", "<4@x>", "<1@lindqvist.example>"))
    await house.settle()
    assert (await house.view()).ticket.urgency is Urgency.HIGH


async def test_a_mailbox_that_left_the_settings_is_said_on_the_card(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    house.clock.forward(seconds=31)
    response = (await house.view()).response
    assert response is not None
    await Sending(house.store, house.queue, {}, {})(response.id)
    assert "no longer in the settings" in ((await house.view()).response or response).failure


async def test_an_overdue_ticket_alerts_once(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    house.clock.forward(days=1, minutes=10)
    watch = Watch(house.store, house.queue)
    assert [await watch(), await watch()] == [1, 0]
    await house.runner.drain()
    assert await house.store.untold() == []


async def test_after_three_quick_replies_only_a_person_who_asks_gets_a_draft(house: House) -> None:
    """The other side answers each of our replies at once, as another desk would."""
    for round in range(6):
        ours = house.mailbox.sent_mails()
        answers = ours[-1].message_id if ours else ""
        words = f"We have received your message and will look into it. {round}"
        house.mailbox.arrive(raw_mail("Re: Scanner", words, f"<r{round}@x>", answers))
        await house.settle()
        view = await house.view()
        if view.response is None or not view.response.envelope.text:
            break
        await house.act(Verb.APPROVE, f"a{round}")
        await house.leave()
    assert len(house.mailbox.sent) == 3
    view = await house.view()
    assert view.response is not None
    assert "within an hour" in view.response.draft.reason
    await house.act(Verb.REGENERATE, "asked", text="answer them once more")
    await house.settle()
    assert (await house.view()).response is not None
    assert await house.state() is ResponseState.DRAFT


async def test_the_provider_is_told_which_mail_is_answered(house: House) -> None:
    house.mailbox.arrive(FIRST)
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    assert [origin.key for origin in house.mailbox.origins] == ["0"]


async def test_a_domain_with_other_than_ascii_is_spelled_alike_in_mail_and_envelope(
    house: House,
) -> None:
    """Few servers take others in an envelope, and Outlook compares."""
    address = "priya@größe.example".encode()
    house.mailbox.arrive(FIRST.replace(b"priya@lindqvist.example", address))
    await house.settle()
    await house.act(Verb.APPROVE, "a")
    await house.leave()
    assert house.mailbox.recipients == [("priya@xn--gre-6ka8i.example",)]
    [sent] = house.mailbox.sent_mails()
    assert [one.address for one in sent.to] == ["priya@xn--gre-6ka8i.example"]


async def test_a_mailbox_whose_line_breaks_strangely_ends_no_process() -> None:
    waited = asyncio.Event()

    class Strange(ScriptedMailbox):
        async def wait(self, seconds: float) -> bool:
            waited.set()
            raise UnicodeDecodeError("ascii", b"Priya", 0, 1, "what the server said")

    listening = asyncio.create_task(listen(Strange(), MailboxId(1), ListQueue()))
    with capture_logs() as logs:
        await waited.wait()
        await asyncio.sleep(0.01)
    assert not listening.done()
    listening.cancel()
    assert [line["error"] for line in logs] == ["UnicodeDecodeError"]
