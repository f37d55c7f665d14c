"""What a writer is asked, what a writer is, and the ladder of writers that always answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from desk.breaker import Breaker
from desk.classification import Category, Sentiment
from desk.errors import DeskError, Permanent, Throttled
from desk.faults import caught, kind, reason, trace
from desk.ports import Clock
from desk.response import Draft, Passage

_NAME = re.compile(r"(?:<[A-Z_]+_\d+>|[^\W\d_][\w.'’-]*)(?: [^\W\d_][\w.'’-]*){0,2}$")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A mail to answer, already redacted, with the passages that may answer it.

    ``language`` as language.detect says it; ``customer`` a first name or a placeholder, may be
    empty; ``instruction`` what an agent asked for ("shorter"), usually empty; ``signature`` the
    lines below the reply.
    """

    subject: str
    text: str
    language: str = "en"
    category: Category = Category.OTHER
    sentiment: Sentiment = Sentiment.NEUTRAL
    customer: str = ""
    instruction: str = ""
    signature: str = ""
    passages: tuple[Passage, ...] = ()

    @property
    def addressee(self) -> str:
        """``customer`` if it reads like a name; a mail's sender may call himself anything."""
        name = " ".join(self.customer.split())
        return name if len(name) <= 40 and _NAME.match(name) else ""


class Writer(Protocol):
    """Something that drafts a reply. ``name`` is what cards and records call it."""

    @property
    def name(self) -> str: ...

    async def write(self, question: Question) -> Draft:
        """Raises Transient (busy or away; Throttled with its pause) or Permanent."""
        ...


class Ladder:
    """Asks its writers in order; the first that answers wins, and each has its own breaker."""

    def __init__(self, writers: Sequence[Writer], clock: Clock) -> None:
        self._rungs = tuple((writer, Breaker(clock)) for writer in writers)

    @property
    def states(self) -> dict[str, str]:
        """The state of each writer's breaker, by the writer's name."""
        return {writer.name: breaker.state for writer, breaker in self._rungs}

    async def write(self, question: Question) -> Draft:
        """A draft, or an empty one with the reason. No writer's error gets out."""
        reasons = []
        for writer, breaker in self._rungs:
            if not breaker.admits():
                reasons.append(f"{writer.name} is left alone for now ({breaker.state})")
                continue
            draft = await caught(_ask(writer, breaker, question))
            if isinstance(draft, Draft):
                return replace(draft, writer=draft.writer or writer.name)
            reasons.append(f"{writer.name}: {reason(draft)}".rstrip("."))
            _report(writer.name, draft)
        why = "; ".join(reasons) or "none is set up"
        return Draft(text="", needs_human=True, reason=f"No writer could draft a reply: {why}.")


def _report(writer: str, error: Exception) -> None:
    """Names and kinds only: an error's text may quote the mail."""
    if isinstance(error, DeskError):
        log.warning("writer.fell", writer=writer, error=type(error).__name__)
    else:
        log.error("writer.broke", writer=writer, error=kind(error), at=trace(error))


async def _ask(writer: Writer, breaker: Breaker, question: Question) -> Draft:
    """One call, and its outcome told to the breaker whatever happens."""
    try:
        draft = await writer.write(question)
    except Throttled as error:
        breaker.pause(error.seconds)
        raise
    except Permanent:
        breaker.dropped()
        raise
    except DeskError:
        breaker.failed()
        raise
    except BaseException:
        breaker.dropped()
        raise
    breaker.succeeded()
    return draft
