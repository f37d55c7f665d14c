"""A mailbox, and a mail that came into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from desk.ids import EmailId, MailboxId, TicketId


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


class Kind(StrEnum):
    """What sort of mail it is, by its form. Only a person's mail gets a draft."""

    PERSON = "person"
    BOUNCE = "bounce"
    AUTO = "auto"
    LIST = "list"
    CALENDAR = "calendar"
    ENCRYPTED = "encrypted"


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
