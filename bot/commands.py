"""The commands people type: one grammar for Slack, Teams and the console."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot import dead
from bot.answers import listed, whole_mail, why
from bot.card import Card
from bot.ticket_card import ticket_card
from bot.words import clip
from desk import access
from desk.action import ActionRequest, Outcome, Result, Seen
from desk.actions import Actions
from desk.errors import Refused
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.standing import not_computed, standing
from desk.store import Store
from desk.ticket_view import TicketView
from desk.troubles import Part

HELP = (
    ("help", "this list"),
    ("queue", "the tickets that wait, the next one first"),
    ("next", "the card to take next"),
    ("mine", "what you have claimed"),
    ("show 12", "the card of ticket 12, and its whole mail"),
    ("12 approve", "send the draft of ticket 12"),
    ("12 claim", "take it; 12 release gives it back"),
    ("12 acknowledge", "you have seen that it is late; somebody must reply or claim it soon"),
    ("12 take over", "it is yours from now on, whoever has claimed it"),
    ("12 assign ann", "it is hers from now on; a name or an address (managers)"),
    ("12 snooze 2h", "out of the queue for 2 hours; 12 wake brings it back"),
    ("12 undo", "stop a reply that has not left yet"),
    ("12 reject", "throw the draft away"),
    ("12 regenerate", "have another draft written; add what it should do differently"),
    ("12 detach", "the reply goes without its files; add a name for one of them"),
    ("12 close", "no reply is needed"),
    ("12 sent", "nobody knew whether a reply left, and you do: it did (managers)"),
    ("12 again", "a reply that was not sent, or is not there, is a draft again"),
    ("12 bump", "move it up, for it cannot wait; 12 bump off takes that back"),
    ("12 urgency high", "how urgent it is, if triage is wrong: low, normal, high or critical"),
    ("12 vip", "its writer is an important customer; add domain for all of them, or off"),
    ("why 12", "why ticket 12 stands where it stands"),
    ("dead", "for managers: jobs that were given up; dead show 3 tells all about one"),
    ("dead requeue 3", "run it again from the beginning; dead discard 3 says that nobody will"),
    ("stats", "how the desk is doing"),
)

VERBS = {
    "approve": Verb.APPROVE,
    "claim": Verb.CLAIM,
    "release": Verb.RELEASE,
    "undo": Verb.UNDO,
    "reject": Verb.REJECT,
    "regenerate": Verb.REGENERATE,
    "detach": Verb.DETACH,
    "close": Verb.CLOSE,
    "bump": Verb.BUMP,
    "vip": Verb.VIP,
    "urgency": Verb.CORRECT,
    "acknowledge": Verb.ACKNOWLEDGE,
    "take": Verb.TAKE,
    "assign": Verb.ASSIGN,
    "snooze": Verb.SNOOZE,
    "wake": Verb.WAKE,
    "sent": Verb.MARK_SENT,
    "again": Verb.SEND_AGAIN,
}

FORMERLY = {"ack": "acknowledge"}
"""Words that once were commands, and what they are called now."""

WITH_TEXT = ("regenerate", "detach", "bump", "vip", "urgency", "assign", "snooze")
"""Commands whose verb needs the rest of the line."""

QUEUE_LENGTH = 10
LOOKED_THROUGH = 100

NOBODY = "Nobody waits. Well done."
NOBODY_FREE = "Whoever waits is taken care of: somebody has claimed it, or a reply is on its way."


@dataclass(frozen=True, slots=True)
class Command:
    """What was typed: a word, the ticket it is about, and the rest of the line."""

    word: str
    ticket: TicketId | None = None
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer for the person alone: plain lines, then the cards of tickets."""

    text: str = ""
    cards: tuple[Card, ...] = ()


def read_command(line: str) -> Command:
    """Case, ``#`` and the order of verb and number do not matter.

    >>> read_command("#12 Approve"), read_command("approve 12").ticket
    (Command(word='approve', ticket=12, rest=''), 12)
    """
    words = line.split()
    if not words:
        return Command("help")
    is_take_over = [word.lower() for word in words[:2]] == ["take", "over"]
    first = words[: 3 if is_take_over else 2]
    number = next((i for i, w in enumerate(first) if re.fullmatch(r"#?\d{1,12}", w)), None)
    id = None if number is None else TicketId(int(words.pop(number).removeprefix("#")))
    word = words[0].lower() if words else "show"
    return Command(FORMERLY.get(word, word), id, " ".join(words[1:]))


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands for users."""

    store: Store
    actions: Actions

    async def run(self, user: User, line: str, key: str = "") -> Reply:
        """Answer one line. ``key`` is the same when a network delivers the line twice."""
        command = read_command(line)
        try:
            if command.word in VERBS:
                return await self._act(user, command, key)
            answer = self._answers().get(command.word)
            if answer is None:
                return Reply(f"I do not know “{clip(command.word, 40)}”.\n\n{help_text()}")
            return await answer(user, command)
        except Refused as refusal:
            return Reply(str(refusal))

    def _answers(self) -> dict[str, Callable[[User, Command], Awaitable[Reply]]]:
        return {
            "help": self._help,
            "queue": self._queue,
            "next": self._next,
            "mine": self._mine,
            "show": self._show,
            "why": self._why,
            "dead": self._dead,
            "stats": self._stats,
        }

    async def _help(self, user: User, command: Command) -> Reply:
        return Reply(help_text())

    async def _queue(self, user: User, command: Command) -> Reply:
        views = await access.queue(self.store, user, QUEUE_LENGTH + 1)
        return Reply(self._listed(views) or NOBODY)

    async def _mine(self, user: User, command: Command) -> Reply:
        views = await access.queue(self.store, user, QUEUE_LENGTH + 1, mine=True)
        return Reply(self._listed(views) or "You have claimed nothing. Type next to take one.")

    async def _next(self, user: User, command: Command) -> Reply:
        views = await access.queue(self.store, user, LOOKED_THROUGH)
        free = [v for v in views if v.ticket.assignee in (None, user.id) and not standing(v)]
        if free:
            return Reply(cards=(self._card(free[0], user),))
        return Reply(NOBODY_FREE if views else NOBODY)

    async def _show(self, user: User, command: Command) -> Reply:
        view = await self._ticket(user, command)
        return Reply(whole_mail(view), (self._card(view, user),))

    async def _why(self, user: User, command: Command) -> Reply:
        view = await self._ticket(user, command)
        return Reply(why(view, self.actions.weights.most))

    async def _dead(self, user: User, command: Command) -> Reply:
        words = [*([str(command.ticket)] if command.ticket else []), *command.rest.split()]
        return Reply(await dead.answer(self.store, self.actions.queue, user, words))

    async def _stats(self, user: User, command: Command) -> Reply:
        counts = await access.counts(self.store, user)
        waiting, sent = counts.get("open", 0), counts.get("sent", 0)
        reading = counts.get("new", 0) + counts.get("triaged", 0)
        said = (
            f"{waiting} wait for an answer, {reading} are being read and drafted,"
            f" {sent} replies were sent."
        )
        return Reply("\n".join([said, *await self._problems(user)]))

    async def _problems(self, user: User) -> list[str]:
        """What is wrong with mailboxes, for those who can do something about it."""
        if user.role is Role.AGENT:
            return []
        boxes = {mailbox.id: mailbox for mailbox in await self.store.mailboxes()}
        found = [(box, box.problem) for box in boxes.values() if box.problem]
        for one in await self.store.troubles():
            if one.part is not Part.READING and one.ended_at is None:
                found.append((boxes[one.mailbox_id], f"cannot send: {one.problem}"))
        problems = [f"Mailbox {box.name}: {problem}" for box, problem in found]
        failed = await self.store.failed_clocks()
        return [*problems, not_computed(failed)] if failed else problems

    async def _act(self, user: User, command: Command, key: str) -> Reply:
        view = await self._ticket(user, command)
        response, (text, is_sure) = view.response, wish(command)
        outcome = await self.actions.act(
            ActionRequest(
                key=key or uuid.uuid4().hex,
                user=user,
                verb=VERBS[command.word],
                ticket_id=view.ticket.id,
                seen=Seen(response.id, response.version, response.hash) if response else None,
                text=text,
                confirmed=is_sure,
            )
        )
        if outcome.result is not Result.DONE:
            return Reply(told(outcome, command))
        return Reply(cards=(self._card(await self.store.view(view.ticket.id), user),))

    async def _ticket(self, user: User, command: Command) -> TicketView:
        if command.ticket is None:
            raise Refused(f"Which ticket? Write its number, for example:  {command.word} 12")
        return await access.ticket(self.store, user, command.ticket)

    def _card(self, view: TicketView, user: User) -> Card:
        return ticket_card(view, self.store.clock.now(), user.name)

    def _listed(self, views: list[TicketView]) -> str:
        now = self.store.clock.now()
        more = ["… and more"] if len(views) > QUEUE_LENGTH else []
        return "\n".join([*(listed(view, now) for view in views[:QUEUE_LENGTH]), *more])


def wish(command: Command) -> tuple[str, bool]:
    """The text for the verb, and whether the person has been asked already and goes on."""
    if command.word == "regenerate":
        *words, last = command.rest.split(" ")
        return (" ".join(words), True) if last == "anyway" else (command.rest, False)
    return command.rest if command.word in WITH_TEXT else "", command.rest == "anyway"


def told(outcome: Outcome, command: Command) -> str:
    """The words for an action that was not done."""
    if outcome.result is Result.CONFIRM:
        again = " ".join(filter(None, (command.word, wish(command)[0], "anyway")))
        return f"{outcome.note}\nTo do it anyway:  {command.ticket} {again}"
    return outcome.note or "That was done already."


def help_text() -> str:
    width = max(len(usage) for usage, _ in HELP)
    return "\n".join(f"{usage.ljust(width)}   {meaning}" for usage, meaning in HELP)
