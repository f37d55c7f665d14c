"""What managers do about jobs that were given up, from the command line and from chat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from desk import dead_letters
from desk.change import Change
from desk.errors import Refused
from desk.handing_on import hand_on
from desk.model import DeadLetter, DeadLetterId, Role, Step, User, UserId
from desk.ports import Queue
from desk.rules import Job, jobs
from desk.store import Store

LIST_LENGTH = 50

Decision = Callable[[Change, DeadLetterId, str], Awaitable[DeadLetter | None]]


@dataclass(frozen=True, slots=True)
class LetterOffice:
    """Every method takes who asks, and refuses whoever is no manager."""

    store: Store
    queue: Queue

    async def listing(self, user: User, limit: int = LIST_LENGTH) -> list[DeadLetter]:
        """The open letters, the newest first."""
        _require_manager(user)
        return await self.store.dead_letters(limit)

    async def letter(self, user: User, id: int) -> DeadLetter:
        """A letter, also a closed one."""
        _require_manager(user)
        found = await self.store.dead_letter(id)
        if found is None:
            raise Refused(f"There is no dead letter {id}")
        return found

    async def requeue(self, user: User, id: int, note: str = "") -> DeadLetter:
        """Try it again from the beginning. Refused, saying how it was closed, when somebody was
        faster: of many who ask at once, one has it run."""
        letter = await self._decide(user, id, note, dead_letters.requeue)
        await hand_on(self.queue, *await self._asked_for(letter))
        return letter

    async def discard(self, user: User, id: int, note: str = "") -> DeadLetter:
        """It is not tried again. Refused as above."""
        return await self._decide(user, id, note, dead_letters.discard)

    async def _decide(self, user: User, id: int, note: str, decision: Decision) -> DeadLetter:
        known = await self.letter(user, id)
        async with self.store.change(user.id) as change:
            closed = await decision(change, known.id, note)
        if closed is None:
            raise Refused(await self.closing(await self.letter(user, id)))
        return closed

    async def closing(self, letter: DeadLetter) -> str:
        """How a letter was closed, in a sentence."""
        who = "the desk" if letter.closed_by is None else await self._name(letter.closed_by)
        at = f" at {letter.closed_at:%Y-%m-%d %H:%M} UTC" if letter.closed_at else ""
        return f"Dead letter {letter.id} was {letter.ending} by {who}{at}"

    async def _name(self, id: UserId) -> str:
        return (await self.store.user(id)).name

    async def _asked_for(self, letter: DeadLetter) -> Sequence[Job]:
        """What the records ask for now; a ticket may have moved on meanwhile."""
        if letter.step in (Step.INTAKE, Step.ALERT, Step.REPORT):
            return [Job(letter.step, letter.target, 0.0, is_urgent=letter.step is not Step.INTAKE)]
        if letter.ticket_id is None:
            return []
        view = await self.store.view(letter.ticket_id)
        dead = await self.store.given_up()
        wanted = jobs(view.ticket, view.response)
        return [job for job in wanted if (job.step, job.id) not in dead]


def _require_manager(user: User) -> None:
    if user.role.rank < Role.MANAGER.rank:
        raise Refused(f"Only a manager can do this, and you are registered as {user.role}")
