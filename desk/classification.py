"""What triage says of a mail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar


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
