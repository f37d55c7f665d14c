"""What an SMTP server does to each mail in turn, decided beforehand by recipient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from enum import StrEnum

from aiosmtpd.smtp import Envelope


class Fate(StrEnum):
    """``LOST`` ends without an answer after the body and without the mail; ``DROPPED`` and
    ``STALLED`` with it; ``KEPT`` too, and files a copy as Gmail and Exchange do."""

    TAKEN = "taken"
    REFUSED = "refused"
    LATER = "later"
    DATA_DROPPED = "data dropped"
    BODY_LATER = "body later"
    BODY_REFUSED = "body refused"
    DROPPED = "dropped"
    STALLED = "stalled"
    KEPT = "kept"
    LOST = "lost"
    STALLED_LOST = "stalled and lost"


TAKES = frozenset({Fate.TAKEN, Fate.DROPPED, Fate.STALLED, Fate.KEPT})
AMBIGUOUS = frozenset({Fate.DROPPED, Fate.STALLED, Fate.KEPT, Fate.LOST, Fate.STALLED_LOST})
FINAL = frozenset({Fate.REFUSED, Fate.BODY_REFUSED})
PASSING = frozenset({Fate.LATER, Fate.DATA_DROPPED, Fate.BODY_LATER})


def nowhere(content: bytes) -> None:
    """No copy is filed."""


@dataclass
class Fates:
    """``coming`` are used up one a mail; then a mail is taken. ``keep`` files a copy."""

    coming: dict[str, list[Fate]] = field(default_factory=dict)
    keep: Callable[[bytes], None] = nowhere
    taken: list[tuple[str, str]] = field(default_factory=list)
    """Recipient and Message-ID of every mail that the server answers for from now on."""

    def next(self, address: str) -> Fate:
        waiting = self.coming.get(address)
        return waiting.pop(0) if waiting else Fate.TAKEN

    def take(self, envelope: Envelope, fate: Fate) -> None:
        content = envelope.content
        assert isinstance(content, bytes)
        message_id = str(BytesHeaderParser().parsebytes(content).get("Message-ID", ""))
        self.taken += [(address, message_id) for address in envelope.rcpt_tos]
        if fate is Fate.KEPT:
            self.keep(content)

    def count(self) -> Counter[str]:
        """How many mails each recipient got."""
        return Counter(address for address, _ in self.taken)
