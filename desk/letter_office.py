"""What managers do about jobs that were given up: from the command line, in chat and on a card."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import update

from desk import burial, records, troubles
from desk.change import Change
from desk.dead_letters import letter_of
from desk.errors import Refused
from desk.handing_on import hand_on
from desk.ids import DeadLetterId, MailboxId, ResponseId, TicketId, UserId
from desk.moves import TICKET_MOVES, Verb
from desk.people import Role, User
from desk.ports import Queue
from desk.response import ResponseState
from desk.rules import Job, jobs
from desk.steps import DeadLetter, Ending, Step
from desk.store import Store
from desk.tables.jobs import dead_letters
from desk.ticket import Ticket

MAX_NOTE = 500

LIST_LENGTH = 50


async def requeue(change: Change, id: DeadLetterId, note: str = "") -> DeadLetter | None:
    """Try it again from the beginning: the state goes back to where the step is asked for, and its
    tries count from zero. None when somebody closed the letter before; then nothing is done."""
    letter = await _closed(change, id, Ending.REQUEUED, note)
    if letter is None or letter.ticket_id is None:
        return letter
    ticket = await change.ticket(letter.ticket_id)
    if letter.step in (Step.TRIAGE, Step.DRAFTING):
        is_untouched = await change.live_response(ticket.id) is None
        verb = Verb.REQUEUE if letter.step is Step.TRIAGE else Verb.REGENERATE
        if (ticket.state, verb) in TICKET_MOVES and is_untouched:
            await change.move_ticket(ticket, verb)
    # of other steps the record still asks for it
    await _let_people_see(change, letter, ticket, Verb.REQUEUE)
    return letter


async def discard(change: Change, id: DeadLetterId, note: str = "") -> DeadLetter | None:
    """It is not tried again, and the ticket says so wherever people work. None as above."""
    letter = await _closed(change, id, Ending.DISCARDED, note)
    if letter is None:
        return None
    before = await change.ticket(letter.ticket_id) if letter.ticket_id is not None else None
    match letter.step:
        case Step.SHOW if before is not None:
            # in no channel, but in the queue, in the console and by command
            await change.record_shown(before.id, before.version)
        case Step.ALERT:
            await change.make_moot(letter.target, "given up")
        case Step.SENDING:
            await _take_back(change, letter)
        case Step.REPORT:
            await burial.record_reported(change, DeadLetterId(letter.target), 0)
        case Step.WARN:
            await troubles.hush(change, MailboxId(letter.target))
    if before is not None:
        await _let_people_see(change, letter, before, Verb.DISCARD)
    return letter


async def _let_people_see(change: Change, letter: DeadLetter, before: Ticket, verb: Verb) -> None:
    """The cards are drawn anew, unless it is the drawing that was given up."""
    ticket = await change.ticket(before.id)
    if letter.step is not Step.SHOW and ticket.version == before.version:
        await change.set_ticket(ticket, verb, {})


async def _take_back(change: Change, letter: DeadLetter) -> None:
    """What was never handed over has failed; of what was, nobody knows whether it left."""
    response = await change.response(ResponseId(letter.target))
    if response.state is ResponseState.APPROVED:
        failure = f"{letter.failure.reason} A manager discarded the job."
        await change.move_response(response, Verb.FAIL, {"failure": failure})
    elif response.state is ResponseState.SENDING:
        await change.move_response(response, Verb.LOSE)


async def _closed(change: Change, id: DeadLetterId, ending: Ending, note: str) -> DeadLetter | None:
    """The letter, if it was open until now: of several that close it, one does."""
    result = await change.connection.execute(
        update(dead_letters)
        .where(dead_letters.c.id == id, dead_letters.c.is_open)
        .values(
            is_open=False,
            ending=ending.value,
            closed_by=change.actor,
            closed_at=change.now,
        )
    )
    if result.rowcount != 1:
        return None
    row = await change.row(dead_letters, id)
    place = f"dead_letters.sealed:{id}"
    sealed = {**records.unseal(change.vault, row["sealed"], place), "note": note[:MAX_NOTE]}
    value = records.seal(change.vault, sealed, place)
    await change.connection.execute(
        update(dead_letters).where(dead_letters.c.id == id).values(sealed=value)
    )
    letter = letter_of({**row, "sealed": value}, change.vault)
    verb = Verb.REQUEUE if ending is Ending.REQUEUED else Verb.DISCARD
    detail = {"job": f"{letter.step}:{letter.target}", "has_note": bool(note)}
    change.audit(verb, f"dead_letter:{id}", letter.ticket_id, detail)
    return letter


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
        letter = await self._decide(user, id, note, requeue)
        await hand_on(self.queue, *await self._asked_for(letter))
        return letter

    async def discard(self, user: User, id: int, note: str = "") -> DeadLetter:
        """It is not tried again. Refused as above."""
        letter = await self._decide(user, id, note, discard)
        if letter.ticket_id is not None:
            await hand_on(self.queue, *await self._of_ticket(letter.ticket_id))
        return letter

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
        own = []
        if letter.step in (Step.INTAKE, Step.ALERT, Step.REPORT, Step.WARN):
            is_urgent = letter.step is not Step.INTAKE
            own = [Job(letter.step, letter.target, 0.0, is_urgent=is_urgent)]
        return [*own, *(await self._of_ticket(letter.ticket_id) if letter.ticket_id else ())]

    async def _of_ticket(self, id: TicketId) -> Sequence[Job]:
        dead = await self.store.given_up()
        wanted = jobs(*await self.store.progress(id))
        return [job for job in wanted if (job.step, job.id) not in dead]


def _require_manager(user: User) -> None:
    if user.role.rank < Role.MANAGER.rank:
        raise Refused(f"Only a manager can do this, and you are registered as {user.role}")
