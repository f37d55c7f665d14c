"""What a card says, before any network's JSON: made once, drawn by each network in its own way.

Customer text reaches a card as it is; escaping is the drawing's business. Times are marks made by
``desk.standing.when``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desk.action import Seen
from desk.ids import TicketId
from desk.moves import Verb
from desk.response import Finding


class Tone(StrEnum):
    """How the head of a card looks; its words say the same."""

    ALARM = "alarm"  # critical
    WARNING = "warning"  # high
    CALM = "calm"
    DONE = "done"  # nothing to do any more


class Look(StrEnum):
    PRIMARY = "primary"
    DANGER = "danger"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Button:
    """Something to do. ``confirm`` is a question to say yes to first; ``asks`` opens a field for
    text, already filled with ``text``; ``choices`` are (value, words) to choose from; without
    these two, ``text`` goes along. ``is_quiet`` puts it behind More, where no question can be asked
    first."""

    verb: Verb
    label: str
    look: Look = Look.PLAIN
    confirm: str = ""
    asks: str = ""
    text: str = ""
    is_quiet: bool = False
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One ticket. ``line`` is its notification: all that matters in one sentence. ``alert`` is the
    escalation and ``letter`` the dead letter that the card tells of, 0 on the ticket's own."""

    ticket_id: TicketId
    version: int
    seen: Seen | None
    tone: Tone
    title: str
    who: str
    due: str
    status: str
    facts: tuple[tuple[str, str], ...]
    quote: str
    below_quote: str
    draft: str
    no_draft: str
    findings: tuple[Finding, ...]
    sources: tuple[tuple[int, str], ...]
    buttons: tuple[Button, ...]
    footer: str
    line: str
    drawn_at: datetime
    alert: int = 0
    letter: int = 0

    @property
    def is_own(self) -> bool:
        """The ticket's own card, and not one that tells of something about it."""
        return not self.alert and not self.letter

    @property
    def mark(self) -> str:
        """By which a network finds it again."""
        if self.alert:
            return mark("alert", self.alert)
        return mark("report", self.letter) if self.letter else mark("ticket", self.ticket_id)


def mark(what: str, id: int) -> str:
    return f"{what} {id}"
