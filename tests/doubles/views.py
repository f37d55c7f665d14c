"""Tickets as cards see them, in every state, without a database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Address, Attachment, Email, Mailbox, ParsedEmail
from desk.ids import EmailId, MailboxId, ResponseId, TicketId, UserId
from desk.moves import Verb
from desk.response import (
    Citation,
    Draft,
    Envelope,
    Finding,
    Passage,
    Response,
    ResponseState,
    Severity,
)
from desk.ticket import Ticket, TicketState
from desk.ticket_view import TicketView

NOW = datetime(2026, 11, 22, 11, 58, tzinfo=UTC)
ANN, OMAR = UserId(1), UserId(2)
PRIYA = Address("Priya Nair", "priya@lindqvist.example")

MAIL = """No rush, but since nine o'clock nobody in the Malmö office can log in any more.
We are forty people and the trucks leave at one.

I wrote twice already this morning."""

REPLY = """Hello Priya,

I am sorry about this morning. A certificate on the single sign-on for your region expired at 9:00 \
and is being replaced now [1]. Until then everyone can log in with their e-mail address and a \
one-time code: choose "Other ways to sign in" [2].

I will write again at 12:15.

Ann"""


def a_view(
    *,
    ticket: dict[str, object] | None = None,
    response: dict[str, object] | None = None,
    text: str = REPLY,
    mail: str = MAIL,
    subject: str = "Nobody in our office can log in",
    findings: tuple[Finding, ...] | None = None,
) -> TicketView:
    """An urgent ticket with a draft; ``ticket`` and ``response`` are what is different."""
    parsed = ParsedEmail(
        message_id="<1@lindqvist.example>",
        sender=PRIYA,
        to=(Address("", "support@lanewright.example"),),
        subject=subject,
        text=mail,
        reply=mail,
        attachments=(
            Attachment("sign-in.png", "image/png", 48_213, "0" * 64),
            Attachment("log.txt", "text/plain", 912, "1" * 64),
        ),
    )
    passages = (
        Passage("sso.md", "Renew the SSO certificate", "SSO", "Certificates expire.", 0.8),
        Passage("codes.md", "Signing in without single sign-on", "Codes", "One-time codes.", 0.7),
    )
    promise = 'A promise: "I will write again at 12:15"'
    found = (
        Finding("sources", Severity.GOOD, "2 sentences verified in their sources"),
        Finding("promises", Severity.WARNING, promise),
    )
    draft = Draft(
        text=text,
        citations=tuple(Citation(n, passage) for n, passage in enumerate(passages, 1)),
        findings=found if findings is None else findings,
        score=82,
        writer="tgi",
        model="Llama 3 8B",
    )
    made = Response(
        id=ResponseId(7),
        ticket_id=TicketId(1042),
        email_id=EmailId(5),
        state=ResponseState.DRAFT,
        version=3,
        hash="9f2c" * 16,
        envelope=Envelope((PRIYA,), (), f"Re: {subject}", text),
        draft=draft,
        created_at=NOW,
    )
    opened = Ticket(
        id=TicketId(1042),
        mailbox_id=MailboxId(1),
        state=TicketState.OPEN,
        version=5,
        shown_version=4,
        subject=subject,
        created_at=NOW,
        updated_at=NOW,
        urgency=Urgency.CRITICAL,
        due_at=NOW + timedelta(minutes=42),
    )
    return TicketView(
        ticket=replace(opened, **(ticket or {})),  # type: ignore[arg-type]
        mailbox=Mailbox(MailboxId(1), "support", "support@lanewright.example", "maildir"),
        email=Email(EmailId(5), MailboxId(1), TicketId(1042), NOW, parsed),
        mails=3,
        classification=Classification(
            sentiment=Label(Sentiment.NEGATIVE, 0.93),
            urgency=Label(Urgency.CRITICAL, 0.97),
            category=Label(Category.ACCOUNT, 0.51),
            reasons=('"nobody can log in"', "third mail today"),
            unsure=("category",),
        ),
        response=replace(made, **(response or {})),  # type: ignore[arg-type]
        names={ANN: "Ann", OMAR: "Omar"},
        last=(Verb.CLAIM, ANN, NOW),
    )


def every_state() -> Iterator[tuple[str, TicketView]]:
    """Named views of each state that a card distinguishes."""
    state = ResponseState
    by_ann = {"approved_by": ANN, "approved_at": NOW}
    leaves = NOW + timedelta(seconds=30)
    waiting = {"state": TicketState.WAITING, "assignee": ANN}
    blocking = Finding("figures", Severity.BLOCKING, "The price 49 € is in no source.")
    yield "draft", a_view()
    yield "claimed", a_view(ticket={"assignee": ANN})
    yield "editing", a_view(ticket={"editing": ANN, "editing_since": NOW})
    yield "blocking", a_view(findings=(blocking,))
    yield "approved", a_view(response={"state": state.APPROVED, "send_after": leaves, **by_ann})
    yield "sending", a_view(response={"state": state.SENDING, **by_ann})
    yield "sent", a_view(ticket=waiting, response={"state": state.SENT, "sent_at": NOW, **by_ann})
    yield "unknown", a_view(response={"state": state.UNKNOWN, **by_ann})
    refused = "the mail server does not know priya@lindqvist.example"
    yield "failed", a_view(response={"state": state.FAILED, "failure": refused, **by_ann})
    yield (
        "retired",
        replace(a_view(response={"state": state.RETIRED}), last=(Verb.REJECT, ANN, NOW)),
    )
    yield (
        "closed",
        replace(
            a_view(ticket={"state": TicketState.CLOSED}, response={"state": state.RETIRED}),
            last=(Verb.CLOSE, OMAR, NOW),
        ),
    )
    yield "new", replace(a_view(ticket={"state": TicketState.NEW}), response=None)
    yield "long", a_view(text="\n\n".join(f"{n}. {REPLY}" for n in range(40)))
    calm = {"urgency": Urgency.NORMAL, "due_at": NOW - timedelta(minutes=90)}
    yield "overdue", a_view(ticket=calm)
