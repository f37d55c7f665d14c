"""In which order tickets are served: the due time, less what speaks for coming earlier. Pure.

``score = due time - boosts``, the lowest first. Scores stand still and time does not, so whoever
waits grows older without being touched. Words in a mail move it by no more than the cap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from desk.classification import Classification, Sentiment
from desk.ticket import Ticket

MOST = 120
"""Minutes; however many reasons there are, none overtakes by more than this."""

VERY = 0.8
"""From this confidence on, an unhappy mail is a very unhappy one."""

Boost = tuple[str, int]
"""A reason, and how many minutes earlier the ticket comes for it; below zero, later."""


class Because(StrEnum):
    """Reasons that are looked for by name."""

    VIP = "an important customer"
    UNHAPPY = "very unhappy"
    REOPENED = "not content with our reply"
    BUMPED = "moved up by hand"
    RESENT = "sent it again"
    LATE = "late already, and others can still be in time"


@dataclass(frozen=True, slots=True)
class Weights:
    """Minutes that each reason is worth; together no more than ``most``. ``again`` counts for each
    further mail without an answer, at most ``again_most``; ``late`` is taken away, not given.
    ``vips`` are addresses, and domains with their @."""

    vip: int = 30
    unhappy: int = 20
    reopened: int = 15
    again: int = 15
    again_most: int = 45
    bump: int = 60
    most: int = MOST
    late: int = 240
    vips: frozenset[str] = field(default_factory=frozenset)

    def is_vip(self, address: str) -> bool:
        return not self.vips.isdisjoint(vip_keys(address))


USUAL = Weights()


def vip_keys(address: str) -> tuple[str, str]:
    """Under what an address may be known as important: itself, and its domain.

    >>> vip_keys(" Eve@Lindqvist.example")
    ('eve@lindqvist.example', '@lindqvist.example')
    """
    folded = address.strip().casefold()
    return folded, f"@{folded.rpartition('@')[2]}"


def boosts(
    known: Classification, answered: int, unanswered: int, is_vip: bool, weights: Weights
) -> tuple[Boost, ...]:
    """Why a mail comes earlier than its due time says. ``answered`` counts the
    customer's mails up to our last reply, ``unanswered`` those since."""
    found: list[Boost] = []
    if is_vip:
        found.append((Because.VIP, weights.vip))
    if known.sentiment.label is Sentiment.NEGATIVE and known.sentiment.confidence >= VERY:
        found.append((Because.UNHAPPY, weights.unhappy))
    if answered and unanswered:
        found.append((Because.REOPENED, weights.reopened))
    if unanswered > 1:
        minutes = min(weights.again * (unanswered - 1), weights.again_most)
        found.append((f"wrote {unanswered} times", minutes))
    return tuple((str(reason), minutes) for reason, minutes in found if minutes)


def with_boost(boosts: Iterable[Boost], reason: Because, minutes: int) -> tuple[Boost, ...]:
    """``minutes`` 0 takes the reason away."""
    others = tuple(boost for boost in boosts if boost[0] != reason)
    return (*others, (str(reason), minutes)) if minutes else others


def has_boost(boosts: Iterable[Boost], reason: Because) -> bool:
    return any(known == reason for known, _ in boosts)


def score(due: datetime, boosts: Iterable[Boost], most: int = MOST) -> float:
    """Milliseconds since 1970."""
    return (due - timedelta(minutes=earlier(boosts, most))).timestamp() * 1000


def earlier(boosts: Iterable[Boost], most: int = MOST) -> int:
    """Minutes, all reasons together: those for coming earlier are capped, the others are not."""
    given = [minutes for _, minutes in boosts]
    return min(sum(m for m in given if m > 0), most) + sum(m for m in given if m < 0)


def parts(ticket: Ticket) -> list[str]:
    """What moved a ticket, reason by reason."""
    return [_part(reason, minutes) for reason, minutes in ticket.boosts]


def explained(ticket: Ticket, most: int) -> list[str]:
    """The same, and the cap when it cuts something off."""
    whole = sum(minutes for _, minutes in ticket.boosts if minutes > 0)
    capped = [f"together only {most} min earlier, which is the most"] if whole > most else []
    return [*parts(ticket), *capped]


def _part(reason: str, minutes: int) -> str:
    return f"{abs(minutes)} min {'earlier' if minutes > 0 else 'later'}: {reason}"
