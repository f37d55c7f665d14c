"""A round over many records: one that fails is logged by its id, and the others have their turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from desk.errors import Conflict, Transient
from desk.faults import caught, kind, trace

log = structlog.get_logger()

IN_A_ROW = 3
"""So many that are Transient one after the other are no trouble of their own."""

Id = TypeVar("Id", bound=int)


async def each(what: str, ids: Sequence[Id], look: Callable[[Id], Awaitable[bool]]) -> int:
    """Look at each by itself; for how many that did something. What failed is found again in the
    next round. Raises Transient when the other side is away."""
    done = away = 0
    for id in ids:
        outcome = await caught(look(id))
        away = away + 1 if isinstance(outcome, Transient) else 0
        if not isinstance(outcome, Exception):
            done += outcome
        elif not isinstance(outcome, Conflict):  # that one changed in this moment
            error, at = kind(outcome), trace(outcome)
            log.error("left for the next round", what=what, id=id, error=error, at=at)
        if isinstance(outcome, Transient) and away == IN_A_ROW:
            raise outcome
    return done
