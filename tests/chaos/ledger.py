"""The oracle of the queue's fault tests: what should be done, what was run, and what came of it.

Rows in SQLite, written as steps write theirs: read fresh, compare and set, commit, and only then
acknowledge. It stands in for the records where a test needs thousands of jobs in seconds.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from desk.classification import Urgency
from desk.ids import MailboxId, TicketId
from desk.response import Response
from desk.steps import Failure, Step
from desk.ticket import Ticket, TicketState

SCHEMA = """
CREATE TABLE jobs (id INTEGER PRIMARY KEY, score REAL, urgency TEXT, kind TEXT, state TEXT);
CREATE TABLE runs (id INTEGER, worker INTEGER, at REAL);
CREATE TABLE effects (id INTEGER, worker INTEGER, at REAL);
CREATE TABLE dead (id INTEGER, error TEXT, tries INTEGER);
"""
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Ledger:
    """``workers.sweep.Records`` and ``workers.settle.DeadLetters`` on a file. All times are those
    of the monotonic clock, which the processes of a machine share."""

    def __init__(self, file: Path, worker: int = 0) -> None:
        self.worker = worker
        self._db = sqlite3.connect(file, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")

    @classmethod
    def create(cls, file: Path) -> Self:
        with closing(sqlite3.connect(file)) as db:
            db.executescript(SCHEMA)
        return cls(file)

    def close(self) -> None:
        self._db.close()

    def add(
        self, ids: Iterable[int], kind: str = "plain", urgency: Urgency = Urgency.NORMAL
    ) -> None:
        rows = [(id, float(id), urgency.value, kind, "queued") for id in ids]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    # what a step does

    def begin(self, id: int) -> str:
        """A run starts; the kind of its job."""
        values = (id, self.worker, time.monotonic())
        self._db.execute("INSERT INTO runs VALUES (?, ?, ?)", values)
        [kind] = self._db.execute("SELECT kind FROM jobs WHERE id = ?", (id,)).fetchone()
        return str(kind)

    def finish(self, id: int) -> bool:
        """The effect and the new state in one transaction; False when somebody was faster."""
        self._db.execute("BEGIN IMMEDIATE")
        done = "UPDATE jobs SET state = 'done' WHERE id = ? AND state = 'queued'"
        is_first = self._db.execute(done, (id,)).rowcount == 1
        if is_first:
            values = (id, self.worker, time.monotonic())
            self._db.execute("INSERT INTO effects VALUES (?, ?, ?)", values)
        self._db.execute("COMMIT")
        return is_first

    def change(self, id: int, kind: str) -> None:
        self._db.execute("UPDATE jobs SET kind = ? WHERE id = ?", (kind, id))

    def kind(self, id: int) -> str:
        return str(self.one("SELECT kind FROM jobs WHERE id = ?", id))

    # what the sweep reads, and where jobs end that were given up

    async def unfinished(self) -> list[tuple[Ticket, Response | None]]:
        rows = self._db.execute("SELECT id, score, urgency FROM jobs WHERE state = 'queued'")
        return [
            (
                Ticket(
                    id=TicketId(id),
                    mailbox_id=MailboxId(1),
                    state=TicketState.NEW,
                    version=1,
                    shown_version=0,
                    subject="",
                    created_at=LONG_AGO,
                    updated_at=LONG_AGO,
                    urgency=Urgency(urgency),
                    score=score,
                ),
                None,
            )
            for id, score, urgency in rows.fetchall()
        ]

    async def given_up(self) -> set[tuple[Step, int]]:
        return {(Step.TRIAGE, id) for (id,) in self._db.execute("SELECT id FROM dead")}

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        pass

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        self._db.execute("INSERT INTO dead VALUES (?, ?, ?)", (id, failure.error, tries))

    # what a test asks

    def one(self, query: str, *values: object) -> object:
        [answer] = self._db.execute(query, values).fetchone()
        return answer

    def all(self, query: str, *values: object) -> list[tuple[float, ...]]:
        return self._db.execute(query, values).fetchall()

    @property
    def open(self) -> int:
        """How many jobs are neither done nor given up."""
        query = (
            "SELECT count(*) FROM jobs WHERE state = 'queued' AND id NOT IN (SELECT id FROM dead)"
        )
        return int(str(self.one(query)))

    def not_once(self) -> list[tuple[float, ...]]:
        """Jobs whose effect is not there exactly once: id and how often."""
        return self.all(
            "SELECT jobs.id, count(effects.id) FROM jobs LEFT JOIN effects USING (id)"
            " WHERE jobs.id NOT IN (SELECT id FROM dead) GROUP BY jobs.id"
            " HAVING count(effects.id) != 1"
        )

    @property
    def extra_runs(self) -> int:
        return int(
            str(self.one("SELECT (SELECT count(*) FROM runs) - (SELECT count(*) FROM jobs)"))
        )
