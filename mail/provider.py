"""The port of a mailbox: read what is new, wait for more, send, look up what was sent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser
from enum import StrEnum
from typing import Protocol

PAGE_BYTES = 32 * 1024 * 1024
"""A page ends early once its mails weigh this much, so that memory stays bounded."""

MAIL_BYTES = 40 * 1024 * 1024
"""A longer mail is handed over cut after this many bytes."""

LEFT_OUT = "X-Maildesk-Left-Out"
"""The first header of a mail that a provider does not hand over whole: what is missing of it."""


class Lack(StrEnum):
    ATTACHMENTS = "attachments"
    TEXT = "text"
    ALL = "all"

    @property
    def header(self) -> bytes:
        return f"{LEFT_OUT}: {self}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Arrival:
    """One mail as a provider hands it over."""

    key: str  # the provider's own id, unique in the mailbox, stable over re-reads
    raw: bytes
    received_at: datetime  # aware
    thread: str = ""  # the provider's own id of the conversation, if it has one
    is_sent: bool = False  # it left from this mailbox, by whichever mail client
    is_answered: bool = False  # by somebody who was there before us


@dataclass(frozen=True, slots=True)
class Origin:
    """The mail that a reply answers, as its provider knows it: its key and its conversation."""

    key: str = ""
    thread: str = ""


NOWHERE = Origin()

Ready = Callable[[], Awaitable[None]]
"""Awaited when all is prepared, right before a mail can leave; what it raises stops that."""


async def at_once() -> None:
    """Nothing more is to be asked."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some arrivals in the mailbox's order, and where the next page begins."""

    arrivals: tuple[Arrival, ...]
    checkpoint: str  # store in the same transaction as the arrivals
    more: bool
    is_partial: bool = False  # a part of the mailbox that could not be read was not tried again


class Provider(Protocol):
    """One mailbox. Providers are async context managers and reconnect by themselves.

    Reading is at least once: the same mail may come again (after a crash, or when the mailbox
    was rebuilt) and then carries the same key wherever the mailbox allows it, so the store's
    UNIQUE (mailbox, key) makes it once.
    """

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        """What is new after ``checkpoint`` ("" or one of another mailbox = from the start).

        A page may be empty and have ``more``. Raises Transient when the mailbox cannot be
        reached, Misconfigured when it does not let us in.
        """
        ...

    async def wait(self, seconds: float) -> bool:
        """True as soon as there may be new mail, False after ``seconds`` without.

        Raises as ``fetch`` does, at once when the connection breaks.
        """
        ...

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        """Hand a mail over; returning means that it was accepted for every recipient.

        Raises Transient when nothing was handed over, Permanent when it was refused (with the
        other side's words), Ambiguous when it may have left; and what ``ready`` raises, when
        nothing was handed over either.
        """
        ...

    async def find_sent(self, message_id: str) -> bool:
        """Whether the sent mail holds this Message-ID. Raises as ``fetch`` does."""
        ...


def never_handed_over(server: str, key: str) -> bytes:
    """In the place of a mail that ``server`` cannot hand over, and a person has to look for. It
    names its ``key``: two of them are two mails."""
    said = f"{server} does not hand over mail {key}"
    note = f"Subject: ({said})\r\n\r\n{said}. Open it in the mailbox itself.\r\n"
    return Lack.ALL.header + note.encode()


def message_id_of(mime: bytes) -> str:
    """The Message-ID header with its angle brackets, "" without one."""
    head = re.split(rb"\r?\n\r?\n", mime, maxsplit=1)[0]
    return str(BytesHeaderParser().parsebytes(head).get("Message-ID", "")).strip()
