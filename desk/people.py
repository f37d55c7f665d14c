"""Who works here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from desk.ids import UserId


class Role(StrEnum):
    """A user's rights; each includes the ones before it."""

    AGENT = "agent"
    MANAGER = "manager"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody of ours. ``team`` "" belongs to every team."""

    id: UserId
    email: str
    name: str
    role: Role
    team: str = ""
