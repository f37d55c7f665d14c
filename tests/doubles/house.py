"""All steps on one store and one queue, around a mailbox whose answers a test decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.board import Board
from desk.actions import Actions
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.ids import MailboxId, TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.response import Draft, Passage, ResponseState
from desk.steps import Failure, Step
from desk.store import Store
from desk.ticket_view import TicketView
from inference.ladder import Question
from inference.redact import Redacted
from tests.doubles.desk import FastClock, job, review
from tests.doubles.mailbox import ScriptedMailbox, parse_here
from workers.drafting import Drafter, Drafting
from workers.intake import Intake
from workers.lanes import Service
from workers.queue import RedisQueue
from workers.runner import Runner
from workers.sending import Sending
from workers.triage import Triage


class CalmClassifier:
    """Everything is neutral support, except what says "angry"."""

    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        return [
            Classification(
                Label(Sentiment.NEGATIVE if "angry" in text else Sentiment.NEUTRAL, 0.95),
                Label(Urgency.NORMAL, 0.8),
                Label(Category.SUPPORT, 0.9),
            )
            for text in emails
        ]


class NameRedactor:
    """Hides the known names and nothing else."""

    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted:
        found = dict(names or {})
        for number, name in enumerate(known, 1):
            for part in (name, name.split()[0]):
                if part in text:
                    text = text.replace(part, f"<PERSON_{number}>")
                    found[f"<PERSON_{number}>"] = part
        return Redacted(text, found)


@dataclass
class Echo:
    """Answers with what it was asked, and remembers it."""

    asked: list[Question]

    async def write(self, question: Question) -> Draft:
        self.asked.append(question)
        return Draft(f"Hello {question.customer}, about: {question.text}", writer="echo")


async def nothing(question: str, k: int = 4) -> list[Passage]:
    return []


@dataclass
class House:
    """All steps on one store and one queue."""

    store: Store
    queue: RedisQueue
    mailbox: ScriptedMailbox
    box: MailboxId
    echo: Echo
    runner: Runner
    actions: Actions
    ann: User
    clock: FastClock

    async def settle(self) -> None:
        """Intake, then whatever follows."""
        await self.queue.put(job(Step.INTAKE, self.box, 0.0))
        await self.runner.drain()

    async def view(self, id: int = 1) -> TicketView:
        return await self.store.view(TicketId(id))

    async def act(self, verb: Verb, key: str = "k", **more: object) -> None:
        from desk.action import ActionRequest, Result, Seen

        response = (await self.view()).response
        seen = Seen(response.id, response.version, response.hash) if response else None
        request = ActionRequest(key, self.ann, verb, TicketId(1), seen, **more)  # type: ignore[arg-type]
        assert (await self.actions.act(request)).result is Result.DONE

    async def state(self) -> ResponseState | None:
        response = (await self.view()).response
        return response.state if response else None

    async def leave(self) -> None:
        """The undo window ends and the reply is sent."""
        self.clock.forward(seconds=31)
        response = (await self.view()).response
        assert response is not None
        await self.queue.remove(Step.SENDING, response.id)
        await self.queue.put(job(Step.SENDING, response.id, 0.0))
        await self.runner.drain()


class Grave:
    def __init__(self) -> None:
        self.buried: list[tuple[Step, int, str]] = []

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        pass

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        self.buried.append((step, id, failure.reason))


async def made_house(
    store: Store, clock: FastClock, queue: RedisQueue, address: str = "support@lanewright.example"
) -> House:
    """All steps, a mailbox under this address, and Ann."""
    async with store.change() as change:
        ann = await change.add_user("ann@lanewright.example", "Ann", Role.AGENT)
        box = await change.add_mailbox("support", address, "maildir")
    mailbox, echo = ScriptedMailbox(), Echo([])
    providers = {box.id: mailbox}
    drafter = Drafter(nothing, NameRedactor(), echo, review, [box.address])

    async def changed(id: TicketId) -> None:
        pass

    board = Board(store, {}, [], [], changed)
    triage = Triage(store, queue, CalmClassifier(), (), [box.address])
    services = {
        Step.INTAKE: Service(Intake(store, queue, providers, parse_here)),
        Step.TRIAGE: Service(triage, slots=1, batch=8),
        Step.DRAFTING: Service(Drafting(store, queue, drafter, {"support": "The desk"})),
        Step.SENDING: Service(Sending(store, queue, providers, {"support": "Lanewright"})),
        Step.SHOW: Service(board.show),
        Step.ALERT: Service(board.alert),
    }
    runner = Runner(queue, services, Grave(), delay=lambda tries: 0.01)
    actions = Actions(store, queue, review)
    return House(store, queue, mailbox, box.id, echo, runner, actions, ann, clock)
