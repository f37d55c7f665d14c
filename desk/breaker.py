"""A breaker: after a few failures the other side is left alone, then tried with one probe."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from desk.ports import Clock


class Breaker:
    """Closed until ``failures`` within ``window`` seconds; then open for ``rest`` seconds; then
    half open: one call is let through, and its outcome closes or opens the breaker again.

    Ask ``admits`` before each call, and answer it with exactly one of ``succeeded``, ``failed``,
    ``pause`` or ``dropped``.
    """

    def __init__(
        self, clock: Clock, failures: int = 5, window: float = 30, rest: float = 15
    ) -> None:
        self._clock = clock
        self._limit = failures
        self._window = timedelta(seconds=window)
        self._rest = timedelta(seconds=rest)
        self._failed: deque[datetime] = deque(maxlen=failures)
        self._opened: datetime | None = None
        self._paused_until: datetime | None = None
        self._probing = False

    @property
    def state(self) -> str:
        """``closed``, ``open``, ``half-open`` or ``paused``, for the log and ``check``."""
        now = self._clock.now()
        if self._paused_until is not None and now < self._paused_until:
            return "paused"
        if self._opened is None:
            return "closed"
        return "open" if now < self._opened + self._rest else "half-open"

    @property
    def remaining(self) -> float:
        """Seconds until a call may be made again; 0 when one may be made now."""
        now = self._clock.now()
        if self.state == "paused" and self._paused_until is not None:
            return (self._paused_until - now).total_seconds()
        if self.state == "open" and self._opened is not None:
            return (self._opened + self._rest - now).total_seconds()
        return 0.0

    def admits(self) -> bool:
        """Whether a call may be made now; in the half-open state only the first one may."""
        if self.state == "half-open":
            free = not self._probing
            self._probing = True
            return free
        return self.state == "closed"

    def succeeded(self) -> None:
        """It answered. A late answer to an older call does not close an open breaker."""
        if self._opened is None or self._probing:
            self._opened = None
            self._failed.clear()
        self._probing = False

    def failed(self) -> None:
        now = self._clock.now()
        self._failed.append(now)
        full = len(self._failed) == self._limit and now - self._failed[0] <= self._window
        if self._probing or (self._opened is None and full):
            self._opened = now
        self._probing = False

    def pause(self, seconds: float) -> None:
        """It asked to be left alone; that is no failure. Of several pauses the last to end counts:
        calls that were under way together are told different ones."""
        until = self._clock.now() + timedelta(seconds=seconds)
        self._paused_until = max(until, self._paused_until or until)
        self._probing = False

    def dropped(self) -> None:
        """The call was cancelled, or failed for a reason that says nothing of it."""
        self._probing = False
