"""What is kept of a failed job, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom

from desk.faults import kind, reason, trace
from desk.steps import Failure

_chance = SystemRandom().random


def backoff(
    tries: int, base: float = 2.0, cap: float = 300.0, random: Callable[[], float] = _chance
) -> float:
    """Seconds to wait after so many earlier failures, with full jitter:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""
    return random() * min(cap, base * 2.0 ** min(tries, 64))


def failure(error: Exception) -> Failure:
    """All that is kept of an error."""
    return Failure(kind(error), reason(error), trace(error))
