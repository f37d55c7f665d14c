"""Fail points: places where a process can be made to fail on purpose, each by its name.

Unarmed they do nothing. ``MAILDESK_FAILPOINTS="sending.marked=kill@2, board.posted=delay:0.5"``
arms them in a process that starts, ``armed`` in a test.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from desk.errors import Misconfigured, Transient

VARIABLE = "MAILDESK_FAILPOINTS"

POINTS: Mapping[str, str] = MappingProxyType(
    {
        "change.committing": "a transaction has written everything and commits now",
        "change.committed": "a transaction is committed, and its writer does not know it yet",
        "job.claimed": "a job is leased and nothing of it was done",
        "job.ran": "a job was done and not settled in Redis",
        "job.settled": "a job is settled in Redis",
        "intake.fetched": "mails were read and not stored",
        "intake.stored": "mails are stored and their tickets not queued",
        "triage.stored": "tickets are triaged and not queued for a draft",
        "drafting.stored": "a draft is stored and not queued to be shown",
        "sending.approved": "an approved reply is composed and not marked as being sent",
        "sending.marked": "a reply is marked as being sent and not handed over",
        "sending.looked": "a reply was found to be ours to send still, and not handed over",
        "mail.accepted": "the mail server took a reply, and no copy of it is filed",
        "sending.handed_over": "a reply was handed over and that is not noted",
        "sending.lost": "a reply is marked as unknown and was not looked for",
        "sending.noted": "a reply is noted as sent and its card not queued to be shown",
        "board.intended": "it is noted that a card will be posted, and it is not",
        "board.posted": "a card was posted and its place is not noted",
        "board.recorded": "the place of a posted card is noted",
        "board.updated": "a card was drawn anew and that is not noted",
        "alerts.posted": "an alert was posted and that is not noted",
        "alerts.nudged": "a thread was told of an alert and that is not noted",
        "reports.posted": "a report of a dead letter was posted and that is not noted",
        "board.told": "managers were told of an escalation and that is not noted",
    }
)
"""All fail points, and what is so when the code passes there."""

FAULT = re.compile(r"([\w.]+)=(raise|kill|delay|block)(?::([\d.]+))?(?:@(\d+))?")


class Action(StrEnum):
    """RAISE a Transient, KILL the process (SIGKILL), DELAY, or BLOCK until released."""

    RAISE = "raise"
    KILL = "kill"
    DELAY = "delay"
    BLOCK = "block"


@dataclass(slots=True)
class Fault:
    """What happens at a point: at its ``nth`` passing only, or at each when that is 0."""

    action: Action
    seconds: float = 0.0
    nth: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


_armed: dict[str, Fault] = {}
_passed: Counter[str] = Counter()


async def failpoint(name: str) -> None:
    """Where the code passes the point ``name``."""
    if _armed:
        await _pass(name)


async def _pass(name: str) -> None:
    fault = _armed.get(name)
    if fault is None:
        return
    _passed[name] += 1
    if fault.nth not in (0, _passed[name]):
        return
    fault.reached.set()
    match fault.action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.DELAY:
            await asyncio.sleep(fault.seconds)
        case Action.BLOCK:
            await fault.released.wait()
        case Action.RAISE:
            raise Transient(f"The fail point {name} was armed")


def arm(faults: str) -> Mapping[str, Fault]:
    """``name=action[:seconds][@nth]``, several with commas between them; "" arms nothing."""
    wanted = {}
    for part in filter(None, (part.strip() for part in faults.split(","))):
        match = FAULT.fullmatch(part)
        if match is None or match[1] not in POINTS:
            raise Misconfigured(f"{VARIABLE} does not understand {part!r}: see desk/failpoints.py")
        nth, seconds = int(match[4] or 0), float(match[3] or 0)
        wanted[match[1]] = Fault(Action(match[2]), seconds, nth)
    for name in wanted:
        _passed[name] = 0
    _armed.update(wanted)
    return wanted


@contextmanager
def armed(faults: str) -> Iterator[Mapping[str, Fault]]:
    """Armed inside of the block, in this process; at its end those who block go on."""
    wanted = arm(faults)
    try:
        yield wanted
    finally:
        for name, fault in wanted.items():
            _armed.pop(name, None)
            fault.released.set()
