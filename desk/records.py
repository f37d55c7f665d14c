"""Values from and to rows. What is personal goes through the vault as one sealed JSON a row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import orjson
import structlog

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Address, Attachment, Bounce, Email, Kind, Mailbox, ParsedEmail, Relation
from desk.errors import Permanent
from desk.people import Role, User
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
from desk.vault import Vault

if TYPE_CHECKING:  # the command parse reads no rows
    from sqlalchemy import RowMapping

Row: TypeAlias = "RowMapping | Mapping[str, Any]"
T = TypeVar("T")

SPOILED = (Permanent, LookupError, TypeError, ValueError)
"""What reading a row raises that somebody changed, or that was sealed with a lost key."""

log = structlog.get_logger()


def readable(
    rows: Iterable[Row], read: Callable[[Row, Vault], T], vault: Vault, table: str
) -> list[T]:
    """Those that can be read. A spoiled one is logged by its id: whoever looks after all of them
    must not stand still because of it."""
    found = []
    for row in rows:
        try:
            found.append(read(row, vault))
        except SPOILED as error:
            log.error("row not readable", table=table, id=row["id"], error=type(error).__name__)
    return found


def seal(vault: Vault, value: object, place: str) -> bytes:
    return vault.seal(orjson.dumps(value), place)


def unseal(vault: Vault, sealed: bytes, place: str) -> Any:
    return orjson.loads(vault.open(sealed, place))


def envelope_hash(envelope: Envelope) -> str:
    """Covers recipients, subject, text and attachments: what an approval is given to."""
    return hashlib.sha256(orjson.dumps(envelope, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _addresses(rows: list[Row]) -> tuple[Address, ...]:
    return tuple(Address(**row) for row in rows)


def _attachments(rows: list[Row]) -> tuple[Attachment, ...]:
    return tuple(Attachment(**row) for row in rows)


def parsed_email(row: Row) -> ParsedEmail:
    """From the sealed JSON of ``emails``."""
    date = row["date"]
    return ParsedEmail(
        **{
            **row,
            "references": tuple(row["references"]),
            "sender": Address(**row["sender"]),
            "to": _addresses(row["to"]),
            "cc": _addresses(row["cc"]),
            "reply_to": _addresses(row["reply_to"]),
            "date": datetime.fromisoformat(date) if date else None,
            "attachments": _attachments(row["attachments"]),
            "kind": Kind(row["kind"]),
            "defects": tuple(row["defects"]),
            # a mail stored by an earlier version has none
            "bounce": Bounce(**row["bounce"]) if row.get("bounce") else None,
        }
    )


def email(row: Row, vault: Vault) -> Email:
    sealed = unseal(vault, row["sealed"], f"emails.sealed:{row['id']}")
    return Email(
        id=row["id"],
        mailbox_id=row["mailbox_id"],
        ticket_id=row["ticket_id"],
        received_at=row["received_at"],
        parsed=parsed_email(sealed),
        relation=Relation(row["relation"]),
        copy_of=row["copy_of"],
        key=row["provider_key"],
        thread=row["thread"],
    )


TICKET_COLUMNS = (
    "mailbox_id",
    "version",
    "shown_version",
    "created_at",
    "updated_at",
    "due_at",
    "score",
    "assignee",
    "editing",
    "editing_since",
    "snoozed_until",
)


def ticket(row: Row, vault: Vault) -> Ticket:
    sealed = unseal(vault, row["sealed"], f"tickets.sealed:{row['id']}")
    return Ticket(
        id=row["id"],
        state=TicketState(row["state"]),
        urgency=Urgency(row["urgency"]),
        boosts=tuple((reason, minutes) for reason, minutes in orjson.loads(row["boosts"])),
        subject=sealed["subject"],
        instruction=sealed["instruction"],
        **{name: row[name] for name in TICKET_COLUMNS},
    )


def ticket_row(ticket: Ticket, vault: Vault) -> dict[str, object]:
    sealed = {"subject": ticket.subject, "instruction": ticket.instruction}
    return {
        **{name: getattr(ticket, name) for name in TICKET_COLUMNS},
        "state": ticket.state.value,
        "urgency": ticket.urgency.value,
        "boosts": orjson.dumps(ticket.boosts).decode(),
        "sealed": seal(vault, sealed, f"tickets.sealed:{ticket.id}"),
    }


def classification(row: Row, vault: Vault) -> Classification:
    sealed = unseal(vault, row["sealed"], f"classifications.sealed:{row['id']}")
    return Classification(
        Label(Sentiment(row["sentiment"]), row["sentiment_confidence"]),
        Label(Urgency(row["urgency"]), row["urgency_confidence"]),
        Label(Category(row["category"]), row["category_confidence"]),
        tuple(sealed["reasons"]),
        tuple(filter(None, row["unsure"].split(","))),
        row["model"],
    )


def classification_row(known: Classification) -> dict[str, object]:
    """The plain columns; ``reasons`` may quote the mail and are sealed."""
    return {
        "sentiment": known.sentiment.label.value,
        "sentiment_confidence": known.sentiment.confidence,
        "urgency": known.urgency.label.value,
        "urgency_confidence": known.urgency.confidence,
        "category": known.category.label.value,
        "category_confidence": known.category.confidence,
        "unsure": ",".join(known.unsure),
        "model": known.model[:64],
    }


RESPONSE_COLUMNS = (
    "ticket_id",
    "email_id",
    "version",
    "hash",
    "created_at",
    "message_id",
    "edited_by",
    "approved_by",
    "approved_at",
    "send_after",
    "sent_at",
    "tries",
)


def response(row: Row, vault: Vault) -> Response:
    sealed = unseal(vault, row["sealed"], f"responses.sealed:{row['id']}")
    envelope = sealed["envelope"]
    draft = Draft(
        text=sealed["text"],
        citations=tuple(Citation(c["n"], Passage(**c["passage"])) for c in sealed["citations"]),
        findings=tuple(
            Finding(f["check"], Severity(f["severity"]), f["reason"]) for f in sealed["findings"]
        ),
        score=row["score"],
        writer=row["writer"],
        model=row["model"],
        prompt=row["prompt"],
        needs_human=sealed["needs_human"],
        reason=sealed["reason"],
    )
    return Response(
        id=row["id"],
        state=ResponseState(row["state"]),
        envelope=Envelope(
            _addresses(envelope["to"]),
            _addresses(envelope["cc"]),
            envelope["subject"],
            envelope["text"],
            _attachments(envelope["attachments"]),
        ),
        draft=draft,
        failure=sealed["failure"],
        earlier_ids=tuple(row["earlier_ids"].split()),
        **{name: row[name] for name in RESPONSE_COLUMNS},
    )


def response_row(response: Response, vault: Vault) -> dict[str, object]:
    draft = response.draft
    sealed = {
        "envelope": response.envelope,
        "text": draft.text,
        "citations": draft.citations,
        "findings": draft.findings,
        "needs_human": draft.needs_human,
        "reason": draft.reason,
        "failure": response.failure,
    }
    return {
        **{name: getattr(response, name) for name in RESPONSE_COLUMNS},
        "state": response.state.value,
        "earlier_ids": " ".join(response.earlier_ids),
        "writer": draft.writer,
        "model": draft.model[-128:],  # of a path the end says more
        "prompt": draft.prompt,
        "score": draft.score,
        "sealed": seal(vault, sealed, f"responses.sealed:{response.id}"),
    }


def user(row: Row, vault: Vault) -> User:
    sealed = unseal(vault, row["sealed"], f"users.sealed:{row['id']}")
    return User(row["id"], sealed["email"], sealed["name"], Role(row["role"]), row["team"])


def mailbox(row: Row) -> Mailbox:
    return Mailbox(**{name: row[name] for name in Mailbox.__slots__})
