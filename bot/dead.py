"""The words about jobs that were given up: the command ``dead``, and what cards say of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile

from bot.words import clean, clip
from desk.errors import Refused
from desk.letter_office import LetterOffice
from desk.people import User
from desk.ports import Queue
from desk.standing import when
from desk.steps import DeadLetter
from desk.store import Store

LISTED = 10
USAGE = "Write dead, dead show 3, dead requeue 3, or dead discard 3 and the reason"

Decision = Callable[[User, int, str], Awaitable[DeadLetter]]


async def answer(store: Store, queue: Queue, user: User, words: Sequence[str]) -> str:
    """``words`` are what was typed after ``dead``: nothing, a number, or a verb, numbers, and why.
    Raises Refused."""
    office = LetterOffice(store, queue)
    if not words:
        return await _list(office, user)
    verb, *rest = words if not _is_number(words[0]) else ("show", *words)
    numbers = [int(word.lstrip("#")) for word in takewhile(_is_number, rest)]
    note = " ".join(rest[len(numbers) :])
    if not numbers:
        raise Refused(USAGE)
    match verb.lower():
        case "show":
            return "\n\n".join([await _show(office, user, number) for number in numbers])
        case "requeue":
            return await _each(office.requeue, user, numbers, note)
        case "discard":
            return await _each(office.discard, user, numbers, note)
    raise Refused(USAGE)


async def _list(office: LetterOffice, user: User) -> str:
    letters = await office.listing(user)
    lines = [line(letter) for letter in letters[:LISTED]]
    if len(letters) > LISTED:
        lines.append(f"… and {len(letters) - LISTED} older ones")
    return "\n".join(lines) or "Nothing was given up."


async def _show(office: LetterOffice, user: User, id: int) -> str:
    letter = await office.letter(user, id)
    said = [line(letter)]
    said += [f"{when(a.at)}  {a.error}  ({a.trace})" for a in letter.attempts]
    if not letter.is_open:
        said.append(await office.closing(letter) + ".")
    if letter.note:
        said.append(f"“{clean(letter.note)}”")
    return "\n".join(said)


async def _each(decide: Decision, user: User, numbers: Sequence[int], note: str) -> str:
    """Number by number: what was refused does not stop the others."""
    said = []
    for number in numbers:
        try:
            letter = await decide(user, number, note)
            said.append(f"{number} {letter.ending}: {letter.step}{_of(letter)}.")
        except Refused as refusal:
            said.append(f"{refusal}.")
    return "\n".join(said)


def line(letter: DeadLetter) -> str:
    tries = f"after {letter.tries} tries" if letter.tries > 1 else "at once"
    reason = clean(clip(letter.failure.reason, 200))
    return f"{letter.id} · {letter.step}{_of(letter)} · given up {tries}: {reason}"


def _of(letter: DeadLetter) -> str:
    return f" of #{letter.ticket_id}" if letter.ticket_id else ""


def _is_number(word: str) -> bool:
    return word.lstrip("#").isdecimal() and len(word) <= 12
