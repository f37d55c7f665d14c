"""The second pass over SLA clocks, from the audit log alone: which rungs should have been told, and
were not, or twice, or late. It trusts no table of the desk but the log, which verifies by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import orjson

from desk.audit import AuditLog
from desk.errors import said
from desk.sla import rungs
from desk.sla.records import FAILED
from desk.sla.rungs import Goal, SlaClock

PATIENCE = timedelta(seconds=35)
"""A tick of the watch, and thirty seconds."""

TELLING = timedelta(minutes=10)
"""A network may be away; after so long it should have been said somewhere."""

QUIETING = ("acknowledge", "claim", "take", "assign", "release", "snooze")
HURRYING = ("receive", "wake", "fail", "lose")

Detail = Mapping[str, Any]
Key = tuple[int, str]
"""A clock's number, and the name of a rung."""


class Fault(StrEnum):
    MISSING = "missing"
    TWICE = "twice"
    LATE = "late"
    EARLY = "early"
    UNTOLD = "untold"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one rung of one clock; with all of it, when no rung is named."""

    fault: Fault
    ticket_id: int
    clock: int
    rung: str
    due_at: datetime
    detail: str = ""


@dataclass(slots=True)
class Case:
    """One ticket, as far as the log was read. ``known_since`` is when a clock's times could first
    be known: it may start in the past."""

    ticket_id: int
    clocks: dict[int, SlaClock] = field(default_factory=dict)
    known_since: dict[int, datetime] = field(default_factory=dict)
    due: dict[Key, datetime] = field(default_factory=dict)
    noted: set[Key] = field(default_factory=set)
    pending: dict[Key, datetime] = field(default_factory=dict)
    is_claimed: bool = False
    broken: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def read(self, entry: AuditLog) -> None:
        detail = orjson.loads(entry.detail)
        place, _, number = entry.subject.partition(":")
        if place == "clock":
            self._follow(entry.verb, int(number), entry.at, detail)
        elif entry.verb == "alert":
            self.pending.pop((detail["clock"], detail["rung"]), None)
        elif entry.verb == "wake" and entry.actor is None:
            pass  # at its time
        elif entry.verb in QUIETING or entry.verb in HURRYING:
            self._act(entry.verb, entry.at, detail)

    def _follow(self, verb: str, number: int, at: datetime, detail: Detail) -> None:
        if number in self.broken:
            return
        try:
            READERS[verb](self, number, at, detail)
        except rungs.UNCOMPUTABLE as error:
            self.fail(number, at, {"error": said(error)})

    def close(self, now: datetime) -> list[Finding]:
        """At the end of the log: what should have come by now and did not."""
        self._catch_up(now - PATIENCE)
        for key, due in self.due.items():
            since = max(due, self.known_since[key[0]])
            if key not in self.noted and since < now - PATIENCE:
                self._find(Fault.MISSING, key, "it was never noted")
        self._give_up_telling(now)
        return self.findings

    def _catch_up(self, now: datetime) -> None:
        """The rungs that have come by ``now``."""
        for number, clock in self.clocks.items():
            come, self.clocks[number] = rungs.passed(clock, now)
            for rung, due in come:
                self.due[number, rungs.name_of(rung)] = due

    def _act(self, verb: str, at: datetime, detail: Detail) -> None:
        """What a person did keeps a breach quiet, or lets it be heard sooner."""
        self._catch_up(at)
        if verb in ("claim", "take", "assign", "release"):
            self.is_claimed = verb != "release"
        until = datetime.fromisoformat(detail["until"]) if "until" in detail else None
        for number, clock in self.clocks.items():
            if verb in HURRYING:
                self.clocks[number] = rungs.hurried(clock, at)
            else:
                self.clocks[number] = rungs.quieted(clock, verb, self.is_claimed, until, at)

    def start(self, number: int, at: datetime, detail: Detail) -> None:
        since = datetime.fromisoformat(detail["started_at"])
        terms = rungs.read_terms(detail["terms"])
        self.clocks[number] = rungs.started(
            self.ticket_id, number, Goal(detail["goal"]), terms, since
        )
        rungs.prove(self.clocks[number], at)
        self.known_since[number] = at

    def aim(self, number: int, at: datetime, detail: Detail) -> None:
        terms, by_hand = rungs.read_terms(detail["terms"]), detail.get("by_hand", False)
        self.clocks[number] = rungs.aimed(self.clocks[number], terms, by_hand=by_hand)
        rungs.prove(self.clocks[number], at)
        self.known_since[number] = at

    def fail(self, number: int, at: datetime, detail: Detail) -> None:
        """What it would have come to is not looked for any more."""
        self.broken.add(number)
        self.clocks.pop(number, None)
        for key in [key for key in self.due if key[0] == number]:
            del self.due[key]
        for key in [key for key in self.pending if key[0] == number]:
            del self.pending[key]
        why = f"its times could not be computed: {detail['error']}"
        self.findings.append(Finding(Fault.BROKEN, self.ticket_id, number, "", at, why))

    def pause(self, number: int, at: datetime, detail: Detail) -> None:
        self._catch_up(at)
        self.clocks[number] = rungs.paused(self.clocks[number], at)

    def resume(self, number: int, at: datetime, detail: Detail) -> None:
        self.clocks[number] = rungs.resumed(self.clocks[number], at)

    def stop(self, number: int, at: datetime, detail: Detail) -> None:
        self._catch_up(at)
        self.clocks[number] = rungs.stopped(self.clocks[number], at)
        self._give_up_telling(at, number)

    def escalate(self, number: int, at: datetime, detail: Detail) -> None:
        self._catch_up(at)
        key = (number, detail["rung"])
        if key in self.noted:
            self._find(Fault.TWICE, key, "it was noted before")
        elif key not in self.due:
            self._find(Fault.EARLY, key, "its time had not come")
        else:
            self._judge(key, at, detail["moot"])
        self.noted.add(key)
        if detail["moot"] is None:
            self._give_up_telling(at, number)
            self.pending[key] = at

    def _judge(self, key: Key, at: datetime, moot: str | None) -> None:
        """Too late is too late, also when nobody had to be told any more by then."""
        late = at - max(self.due[key], self.known_since[key[0]])
        if late > PATIENCE:
            why = f"noted {late.total_seconds():.0f} s after its time"
            fault = Fault.LATE if moot is None else Fault.UNTOLD
            self._find(fault, key, f"{why}: {moot}" if moot else why)

    def _give_up_telling(self, at: datetime, number: int | None = None) -> None:
        """What was noted long ago, and nobody was told."""
        for key, since in list(self.pending.items()):
            if number in (None, key[0]):
                del self.pending[key]
                if at - since > TELLING:
                    self._find(Fault.UNTOLD, key, "noted, but nobody was told")

    def _find(self, fault: Fault, key: Key, detail: str) -> None:
        due = self.due.get(key) or self.known_since[key[0]]
        self.findings.append(Finding(fault, self.ticket_id, key[0], key[1], due, detail))


READERS: Mapping[str, Callable[[Case, int, datetime, Detail], None]] = MappingProxyType(
    {
        "start_clock": Case.start,
        "aim_clock": Case.aim,
        "pause_clock": Case.pause,
        "resume_clock": Case.resume,
        "stop_clock": Case.stop,
        "escalate": Case.escalate,
        FAILED: Case.fail,
    }
)


async def audited(entries: AsyncIterable[AuditLog], now: datetime) -> tuple[int, list[Finding]]:
    """How many rungs were noted, and what is wrong with them or missing, by ticket."""
    cases: dict[int, Case] = {}
    async for entry in entries:
        if entry.ticket_id is not None:
            cases.setdefault(entry.ticket_id, Case(entry.ticket_id)).read(entry)
    findings = [finding for case in cases.values() for finding in case.close(now)]
    return sum(len(case.noted) for case in cases.values()), findings
