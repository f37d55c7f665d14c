"""The words of the desk as frozen values, and the two tables of the moves they allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, NewType, TypeVar

from desk.sla import Escalation, SlaClock

UserId = NewType("UserId", int)
MailboxId = NewType("MailboxId", int)
EmailId = NewType("EmailId", int)
TicketId = NewType("TicketId", int)
ResponseId = NewType("ResponseId", int)
DeadLetterId = NewType("DeadLetterId", int)


class Sentiment(StrEnum):
    """The writer's feeling towards us or the matter."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class Urgency(StrEnum):
    """What happens if nobody reads it soon. ``rank`` orders them, low first; part of the work is
    kept free for what ``is_urgent``."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Urgency).index(self)

    @property
    def is_urgent(self) -> bool:
        return self in (Urgency.HIGH, Urgency.CRITICAL)


class Category(StrEnum):
    """What the desk must do about it; the main one."""

    SUPPORT = "support"
    BILLING = "billing"
    SALES = "sales"
    COMPLAINT = "complaint"
    FEEDBACK = "feedback"
    ACCOUNT = "account"
    SPAM = "spam"
    OTHER = "other"


class Kind(StrEnum):
    """What sort of mail it is, by its form. Only a person's mail gets a draft."""

    PERSON = "person"
    BOUNCE = "bounce"
    AUTO = "auto"
    LIST = "list"
    CALENDAR = "calendar"
    ENCRYPTED = "encrypted"


class Role(StrEnum):
    """A user's rights; each includes the ones before it."""

    AGENT = "agent"
    MANAGER = "manager"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Network(StrEnum):
    """Where people talk to the desk."""

    SLACK = "slack"
    TEAMS = "teams"
    CONSOLE = "console"


class Step(StrEnum):
    """A unit of background work. Its jobs are named ``<step>:<id>``."""

    INTAKE = "intake"  # id of a mailbox
    TRIAGE = "triage"  # id of a ticket
    DRAFTING = "drafting"  # id of a ticket
    SENDING = "sending"  # id of a response
    SHOW = "show"  # id of a ticket
    ALERT = "alert"  # id of an escalation
    REPORT = "report"  # id of a dead letter


class TicketState(StrEnum):
    NEW = "new"
    TRIAGED = "triaged"
    OPEN = "open"
    SNOOZED = "snoozed"
    WAITING = "waiting"
    CLOSED = "closed"


class ResponseState(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"
    RETIRED = "retired"


class Verb(StrEnum):
    """Everything that moves a ticket or its response, whoever does it."""

    # what a person does on a card or by a command
    APPROVE = "approve"
    START_EDIT = "start_edit"
    EDIT = "edit"
    CLAIM = "claim"
    RELEASE = "release"
    REJECT = "reject"
    REGENERATE = "regenerate"
    UNDO = "undo"
    CLOSE = "close"
    SEND_AGAIN = "send_again"
    MARK_SENT = "mark_sent"
    ATTACH = "attach"
    DETACH = "detach"
    ACKNOWLEDGE = "acknowledge"
    TAKE = "take"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    WAKE = "wake"
    # what moves a ticket in the queue
    BUMP = "bump"
    VIP = "vip"
    CORRECT = "correct"
    # what a manager decides about a job that was given up
    REQUEUE = "requeue"
    DISCARD = "discard"
    # what the desk does itself
    RECEIVE = "receive"
    RESEND = "resend"
    BOUNCE = "bounce"
    ANSWER = "answer"
    TRIAGE = "triage"
    ESCALATE = "escalate"
    DRAFT = "draft"
    GIVE_UP = "give_up"
    RANK = "rank"
    RETIRE = "retire"
    SEND = "send"
    DEFER = "defer"
    DELIVER = "deliver"
    FAIL = "fail"
    LOSE = "lose"
    LOOK = "look"
    FIND = "find"


T, R, V = TicketState, ResponseState, Verb

TICKET_MOVES = MappingProxyType(
    {
        (T.NEW, V.TRIAGE): T.TRIAGED,
        (T.TRIAGED, V.DRAFT): T.OPEN,
        # neither triage nor a draft could be had: a person sees the mail as it is
        (T.NEW, V.GIVE_UP): T.OPEN,
        (T.TRIAGED, V.GIVE_UP): T.OPEN,
        (T.OPEN, V.REGENERATE): T.TRIAGED,
        (T.OPEN, V.REQUEUE): T.NEW,
        (T.OPEN, V.DELIVER): T.WAITING,
        (T.OPEN, V.CLOSE): T.CLOSED,
        (T.OPEN, V.SNOOZE): T.SNOOZED,
        # again, until another time
        (T.SNOOZED, V.SNOOZE): T.SNOOZED,
        (T.SNOOZED, V.WAKE): T.OPEN,
        (T.SNOOZED, V.REGENERATE): T.TRIAGED,
        (T.SNOOZED, V.DELIVER): T.WAITING,
        (T.SNOOZED, V.CLOSE): T.CLOSED,
        (T.WAITING, V.CLOSE): T.CLOSED,
        # a person answered from another mail client
        **{(state, V.ANSWER): T.WAITING for state in (T.NEW, T.TRIAGED, T.OPEN, T.SNOOZED)},
        # our reply came back: somebody has to reach the customer otherwise
        **{(state, V.BOUNCE): T.OPEN for state in (T.OPEN, T.SNOOZED, T.WAITING, T.CLOSED)},
        # the customer wrote (again): it is read and drafted afresh from any state
        **{(state, V.RECEIVE): T.NEW for state in T},
    }
)
RESPONSE_MOVES = MappingProxyType(
    {
        (R.DRAFT, V.EDIT): R.DRAFT,
        (R.DRAFT, V.ATTACH): R.DRAFT,
        (R.DRAFT, V.DETACH): R.DRAFT,
        (R.DRAFT, V.APPROVE): R.APPROVED,
        (R.DRAFT, V.REJECT): R.RETIRED,
        (R.DRAFT, V.REGENERATE): R.RETIRED,
        (R.DRAFT, V.RETIRE): R.RETIRED,
        (R.APPROVED, V.UNDO): R.DRAFT,
        (R.APPROVED, V.RETIRE): R.RETIRED,
        (R.APPROVED, V.SEND): R.SENDING,
        (R.APPROVED, V.FAIL): R.FAILED,
        (R.APPROVED, V.DEFER): R.APPROVED,
        (R.SENDING, V.DEFER): R.APPROVED,
        (R.SENDING, V.DELIVER): R.SENT,
        (R.SENDING, V.FAIL): R.FAILED,
        (R.SENDING, V.LOSE): R.UNKNOWN,
        (R.UNKNOWN, V.LOOK): R.UNKNOWN,
        (R.UNKNOWN, V.DELIVER): R.SENT,
        (R.UNKNOWN, V.MARK_SENT): R.SENT,
        (R.UNKNOWN, V.SEND_AGAIN): R.DRAFT,
        # an earlier version, of which nobody knew whether it had left, is in the sent mail: with
        # the same words that is all, with others a person decides
        (R.DRAFT, V.DELIVER): R.SENT,
        (R.APPROVED, V.DELIVER): R.SENT,
        (R.DRAFT, V.FIND): R.DRAFT,
        (R.APPROVED, V.FIND): R.DRAFT,
        (R.FAILED, V.EDIT): R.DRAFT,
        (R.FAILED, V.RETIRE): R.RETIRED,
        (R.FAILED, V.SEND_AGAIN): R.DRAFT,
        # a person writes the reply after all
        (R.RETIRED, V.EDIT): R.DRAFT,
    }
)

LIVE = frozenset({R.DRAFT, R.APPROVED, R.SENDING, R.UNKNOWN, R.FAILED})
"""States of a response that still wants something; a ticket has at most one such response."""


@dataclass(frozen=True, slots=True)
class Address:
    """A display name (may be empty) and an address ``local@domain``."""

    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment's description; ``size`` in bytes, ``sha256`` in hex. Never unpacked."""

    name: str
    type: str
    size: int
    sha256: str


QUARANTINED = "quarantined: "
"""How the defect begins of a mail that stopped its parser."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A delivery report (RFC 3464). ``message_id`` is that of the mail it speaks of, ``status`` an
    enhanced code such as 5.1.1, ``diagnostic`` the other server's words; each may be empty. Not
    ``is_final``: it is only late, and still tried."""

    message_id: str = ""
    recipient: str = ""
    status: str = ""
    diagnostic: str = ""
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class ParsedEmail:
    """What mail.parse reads out of the bytes of one mail.

    ``text`` is the whole body as plain text; ``reply`` the part its writer wrote now,
    ``quoted`` the history below it and ``signature`` the closing, each possibly empty.
    ``date`` is aware or None. ``message_id`` and ``references`` carry their angle brackets.
    """

    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    sender: Address = field(default_factory=lambda: Address("", ""))
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    date: datetime | None = None
    text: str = ""
    reply: str = ""
    quoted: str = ""
    signature: str = ""
    attachments: tuple[Attachment, ...] = ()
    kind: Kind = Kind.PERSON
    defects: tuple[str, ...] = ()
    truncated: bool = False
    bounce: Bounce | None = None

    @property
    def quarantine(self) -> str:
        """Why only a few headers of it were read; empty for nearly every mail."""
        first = next(iter(self.defects), "")
        return first.removeprefix(QUARANTINED) if first.startswith(QUARANTINED) else ""


class Relation(StrEnum):
    """How a mail stands to its ticket. Only a MAIL is worked on."""

    MAIL = "mail"
    COPY = "copy"  # the same mail once more, for example over a mailing list
    RESEND = "resend"  # the same words, sent again before we answered
    BOUNCE = "bounce"  # our reply came back


@dataclass(frozen=True, slots=True)
class Email:
    """One received mail as stored. ``copy_of`` is the mail that came before with the same words,
    ``key`` and ``thread`` are the provider's ids of the mail and of its conversation."""

    id: EmailId
    mailbox_id: MailboxId
    ticket_id: TicketId
    received_at: datetime
    parsed: ParsedEmail
    relation: Relation = Relation.MAIL
    copy_of: EmailId | None = None
    key: str = ""
    thread: str = ""


L = TypeVar("L", Sentiment, Urgency, Category)


@dataclass(frozen=True, slots=True)
class Label(Generic[L]):
    """A label with the calibrated probability (0..1) that it is right."""

    label: L
    confidence: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What triage says of one mail.

    ``reasons`` are sentences for people why the urgency is what it is; ``unsure`` names the
    parts ("sentiment", "urgency", "category") whose confidence lies below their threshold;
    ``model`` says which heads decided.
    """

    sentiment: Label[Sentiment]
    urgency: Label[Urgency]
    category: Label[Category]
    reasons: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a knowledge-base article. ``article`` is its file name, ``title`` its headline,
    ``heading`` the path of headings above it; ``score`` the cosine similarity to the question."""

    article: str
    title: str
    heading: str
    text: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Citation:
    """``[n]`` in a reply stands for this passage."""

    n: int
    passage: Passage


class Severity(StrEnum):
    """How much a finding matters. BLOCKING needs a second confirmation before sending."""

    GOOD = "good"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found in a draft; ``reason`` is a sentence for the card."""

    check: str
    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A reply as a writer proposes it. ``score`` 0..100. Empty ``text`` means: no draft, and
    ``reason`` says why. ``writer`` is the rung of the ladder ("tgi", "extractive"), ``model`` what
    ran there, ``prompt`` the version of the prompt."""

    text: str
    citations: tuple[Citation, ...] = ()
    findings: tuple[Finding, ...] = ()
    score: int = 0
    writer: str = ""
    model: str = ""
    prompt: str = ""
    needs_human: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What would leave: everything that an approval covers."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A reply to one email: a draft until approved. ``hash`` covers exactly the envelope.

    ``send_after`` is when it may be sent, or, while it is unknown, looked for the next time, and
    ``tries`` how often that did not work. ``earlier_ids`` are the Message-IDs of versions that may
    have left before it was made a draft again.
    """

    id: ResponseId
    ticket_id: TicketId
    email_id: EmailId
    state: ResponseState
    version: int
    hash: str
    envelope: Envelope
    draft: Draft
    created_at: datetime
    message_id: str = ""
    edited_by: UserId | None = None
    approved_by: UserId | None = None
    approved_at: datetime | None = None
    send_after: datetime | None = None
    sent_at: datetime | None = None
    tries: int = 0
    failure: str = ""
    earlier_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A customer conversation we work on.

    ``version`` grows with every change of the ticket or of its response; ``shown_version`` is the
    version its cards show. ``score`` orders the queue: milliseconds since 1970, earliest first;
    ``boosts`` are (reason, minutes) taken off the due time. ``instruction`` is what an agent asked
    of the next draft.
    """

    id: TicketId
    mailbox_id: MailboxId
    state: TicketState
    version: int
    shown_version: int
    subject: str
    created_at: datetime
    updated_at: datetime
    urgency: Urgency = Urgency.NORMAL
    due_at: datetime | None = None
    score: float = 0.0
    boosts: tuple[tuple[str, int], ...] = ()
    assignee: UserId | None = None
    editing: UserId | None = None
    editing_since: datetime | None = None
    snoozed_until: datetime | None = None
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody of ours. ``team`` "" belongs to every team."""

    id: UserId
    email: str
    name: str
    role: Role
    team: str = ""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account we read and send from. ``kind`` names the provider; ``checkpoint`` is what the
    provider needs to go on reading (its own text); ``problem`` is empty or a sentence; agents of
    other teams than ``team`` do not see its tickets ("" is everybody's)."""

    id: MailboxId
    name: str
    address: str
    kind: str
    team: str = ""
    checkpoint: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a card is shown: a message in a channel of a network; "" while it is being posted."""

    network: Network
    channel: str
    message: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. ``error`` names the classes and ``trace`` files, lines and functions: both
    without a word of what it worked on. ``reason`` is a sentence for people."""

    error: str
    reason: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed run of a job."""

    at: datetime
    error: str
    trace: str


class Ending(StrEnum):
    """How a dead letter was closed."""

    REQUEUED = "requeued"
    DISCARDED = "discarded"
    OVERTAKEN = "overtaken"  # something changed, and what was given up was wanted anew


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was given up: after ``tries`` runs, of which ``attempts`` are known, oldest first.

    ``target`` is the job's id and ``ticket_id`` the ticket that it concerns, if any. ``note`` is
    what the manager said who closed it.
    """

    id: DeadLetterId
    step: Step
    target: int
    ticket_id: TicketId | None
    failure: Failure
    tries: int
    attempts: tuple[Attempt, ...]
    created_at: datetime
    is_open: bool = True
    ending: Ending | None = None
    closed_by: UserId | None = None
    closed_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rank:
    """The ``place``-th of the ``waiting`` tickets that wait for a person, at a moment."""

    place: int
    waiting: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TicketView:
    """Everything a card or a command says about a ticket, read in one transaction.

    ``email`` is the customer's latest mail, ``mails`` how many there are, ``names`` the display
    names of all users mentioned by id, ``last`` the latest audit entry that a person should see
    ("sent by Ann at …"), as (verb, user id or None, time). ``unanswered`` counts the customer's
    mails since the one that we answered last. ``answered_at`` is when somebody answered the latest
    mail from another mail client; ``resends`` counts how often it was sent again; ``bounce`` is why
    our reply to it came back, "" if it did not. ``given_up`` are the open dead letters;
    ``rank`` is None when nobody asked for it, or when the ticket waits for no person.
    """

    ticket: Ticket
    mailbox: Mailbox
    email: Email
    mails: int
    classification: Classification | None
    response: Response | None
    names: dict[UserId, str]
    last: tuple[Verb, UserId | None, datetime] | None = None
    unanswered: int = 1
    clock: SlaClock | None = None
    alarm: Escalation | None = None
    answered_at: datetime | None = None
    resends: int = 0
    bounce: str = ""
    given_up: tuple[DeadLetter, ...] = ()
    rank: Rank | None = None
