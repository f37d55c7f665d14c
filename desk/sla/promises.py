"""What is promised to those who write: by mailbox and urgency, from the settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from desk.classification import Urgency
from desk.sla.calendars import Calendar
from desk.sla.rungs import DAY_AND_NIGHT, Goal, Pace, Terms

USUAL = MappingProxyType(
    {
        Urgency.CRITICAL: timedelta(hours=1),
        Urgency.HIGH: timedelta(hours=4),
        Urgency.NORMAL: timedelta(hours=24),
        Urgency.LOW: timedelta(hours=72),
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The promises to the writers of one mailbox."""

    first: Mapping[Urgency, timedelta]
    next: Mapping[Urgency, timedelta]
    resolution: Mapping[Urgency, timedelta] = field(default_factory=dict)
    calendar: Calendar = DAY_AND_NIGHT


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of each mailbox by its name, and that of all others."""

    otherwise: Policy
    of: Mapping[str, Policy] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

    def terms(self, mailbox: str, urgency: Urgency, goal: Goal) -> Terms | None:
        """None when nothing is promised."""
        policy = self.of.get(mailbox, self.otherwise)
        targets = {
            Goal.FIRST: policy.first,
            Goal.NEXT: policy.next,
            Goal.RESOLUTION: policy.resolution,
        }[goal]
        target = targets.get(urgency)
        return Terms(target, policy.calendar, self.pace) if target is not None else None


DEFAULT = Policies(Policy(USUAL, USUAL))
