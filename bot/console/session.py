"""Who sits in front of the console: one-time tokens that become sessions, in memory alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from desk.ids import UserId

HOUR = 3600.0
TOKEN_LIFE = 24 * HOUR
SESSION_LIFE = 24 * HOUR
"""Seconds without a visit after which a session ends."""


@dataclass(slots=True)
class Sessions:
    """``seconds`` is a clock that never goes back."""

    seconds: Callable[[], float] = time.monotonic
    _tokens: dict[str, tuple[UserId, float]] = field(default_factory=dict)
    _sessions: dict[str, tuple[UserId, float]] = field(default_factory=dict)

    def new_token(self, user: UserId) -> str:
        """Opens one session of this user, once."""
        return self._remember(self._tokens, user, TOKEN_LIFE)

    def redeem(self, token: str) -> str | None:
        """The session that a token opens; None when it is wrong, used or too old."""
        user, until = self._tokens.pop(token, (None, 0.0))
        if user is None or until < self.seconds():
            return None
        return self._remember(self._sessions, user, SESSION_LIFE)

    def user(self, session: str) -> UserId | None:
        """Whose session it is; being asked keeps it alive."""
        user, until = self._sessions.get(session, (None, 0.0))
        if user is None or until < self.seconds():
            return None
        self._sessions[session] = (user, self.seconds() + SESSION_LIFE)
        return user

    def _remember(self, where: dict[str, tuple[UserId, float]], user: UserId, life: float) -> str:
        now = self.seconds()
        for old in [secret for secret, (_, until) in where.items() if until < now]:
            del where[old]
        secret = secrets.token_urlsafe(32)
        where[secret] = (user, now + life)
        return secret
