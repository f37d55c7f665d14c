"""A clock to fast-forward, a queue that remembers, and a desk with a ticket to act on."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from desk.action import ActionRequest, Seen
from desk.actions import Actions
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Address, ParsedEmail
from desk.errors import Transient
from desk.ids import EmailId, TicketId
from desk.mails import Received
from desk.moves import Verb
from desk.people import Role, User
from desk.response import Citation, Draft, Envelope, Finding, Response, Severity
from desk.rules import Job
from desk.steps import Step
from desk.store import Store
from desk.ticket import Ticket
from desk.vault import Vault, open_vault

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
KEYS = "\n".join(f"{name} {b64encode(bytes(32)).decode()}" for name in ("test", "index"))
CUSTOMER = Address("Priya Nair", "priya@lindqvist.example")


class FastClock:
    """Stands still until told to go on."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def forward(self, **by: float) -> None:
        self._now += timedelta(**by)


def job(
    step: Step, id: int, score: float, not_before: datetime | None = None, is_urgent: bool = False
) -> Job:
    """One that is not urgent, unless a test says so."""
    return Job(step, id, score, not_before, is_urgent=is_urgent)


@dataclass
class ListQueue:
    """A queue that is a list. ``is_away`` makes it a Redis that does not answer."""

    jobs: list[tuple[Step, int]] = field(default_factory=list)
    urgent: set[tuple[Step, int]] = field(default_factory=set)
    is_away: bool = False

    async def put(self, *jobs: Job) -> None:
        if self.is_away:
            raise Transient("Redis did not answer")
        self.jobs += [(job.step, job.id) for job in jobs]
        self.urgent |= {(job.step, job.id) for job in jobs if job.is_urgent}


def new_vault(folder: Path) -> Vault:
    """Always of the same key: making one waits for the disk."""
    file = folder / "key"
    file.touch(mode=0o600)
    file.write_text(KEYS)
    return open_vault(file)


def review(
    text: str,
    citations: tuple[Citation, ...],
    email: ParsedEmail,
    recipients: tuple[Address, ...],
) -> tuple[tuple[Finding, ...], int]:
    """Blocks a text with the word "iban" in it."""
    if "iban" in text.lower():
        return (Finding("privacy", Severity.BLOCKING, "It tells an IBAN."),), 10
    return (), 90


def mail(subject: str = "Nobody in our office can log in", **changes: object) -> ParsedEmail:
    plain = ParsedEmail(
        message_id=f"<{abs(hash((subject, str(changes)))):x}@lindqvist.example>",
        sender=CUSTOMER,
        to=(Address("", "support@lanewright.example"),),
        subject=subject,
        text="Since nine o'clock nobody can log in.",
        reply="Since nine o'clock nobody can log in.",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def received(parsed: ParsedEmail, key: str = "1", at: datetime = START) -> Received:
    return Received(key, b"raw", "0" * 64, at, parsed, parsed.subject.lower())


def classified(urgency: Urgency = Urgency.CRITICAL) -> Classification:
    return Classification(
        Label(Sentiment.NEGATIVE, 0.93),
        Label(urgency, 0.97),
        Label(Category.ACCOUNT, 0.6),
        ("“nobody can log in”",),
        ("category",),
        "test-heads",
    )


@dataclass
class Scene:
    """A desk with one ticket that waits with a draft, an agent and a manager."""

    store: Store
    queue: ListQueue
    actions: Actions
    ann: User
    omar: User
    ticket: Ticket

    async def response(self) -> Response | None:
        return (await self.store.view(self.ticket.id)).response

    async def request(self, verb: Verb, user: User | None = None, **more: object) -> ActionRequest:
        """A click on the card as it is now."""
        response = await self.response()
        seen = Seen(response.id, response.version, response.hash) if response else None
        who = user or self.ann
        plain = ActionRequest(f"{verb}-{uuid4().hex}", who, verb, self.ticket.id, seen)
        return replace(plain, **more)  # type: ignore[arg-type]

    async def verbs(self) -> list[str]:
        return [entry.verb for entry in await self.store.history(self.ticket.id)]


async def scene(store: Store, text: str = "Hello Priya, we are on it.") -> Scene:
    async with store.change() as change:
        ann = await change.add_user("ann@lanewright.example", "Ann", Role.AGENT)
        omar = await change.add_user("omar@lanewright.example", "Omar", Role.MANAGER)
        box = await change.add_mailbox("support", "support@lanewright.example", "maildir")
        new = received(mail())
        ticket = await change.open_ticket(box.id, new, 1.0)
        email = await change.receive(ticket, new)
    await drafted(store, ticket.id, email.id, text)
    queue = ListQueue()
    actions = Actions(store, queue, review, timedelta(seconds=30))
    return Scene(store, queue, actions, ann, omar, await store.ticket(ticket.id))


async def drafted(store: Store, ticket: TicketId, email: EmailId, text: str) -> None:
    """Triage and drafting, as the steps leave a ticket."""
    async with store.change() as change:
        await change.classify(email, classified())
        new = await change.ticket(ticket)
        changes = {
            "urgency": Urgency.CRITICAL,
            "due_at": await change.aim_clocks(new, START, Urgency.CRITICAL),
            "boosts": (("very unhappy", 20),),
        }
        await change.move_ticket(new, Verb.TRIAGE, changes)
    async with store.change() as change:
        opened = await change.move_ticket(await change.ticket(ticket), Verb.DRAFT)
        envelope = Envelope((CUSTOMER,), (), "Re: Nobody in our office can log in", text)
        draft = Draft(text, writer="extractive", score=82)
        await change.add_response(opened, email, envelope, draft)


async def overdue(at: Scene) -> int:
    """Past the due time: the escalation, as the watch notes it."""
    clock = at.store.clock
    assert isinstance(clock, FastClock)
    clock.forward(minutes=61)
    for id in await at.store.due_clocks():
        async with at.store.change() as change:
            await change.fire(id)
    [alert] = await at.store.untold()
    return alert


def steps(jobs: Collection[tuple[Step, int]]) -> list[Step]:
    return [step for step, _ in jobs]
