"""The priority queue on Redis: an index of what the database says is due, and it may vanish.

Every change is one Lua script (``lua/``) under Redis's own clock. Who claims a job holds a lease
with a random token; whoever comes with an older token is refused. Payloads are ids only.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from desk.rules import Job
from desk.steps import Step
from workers.scripts import PATIENCE, PREFIX, Scripts

_CHUNK = 500  # jobs a script call, so that nobody else waits long for Redis

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """The right to run ``job`` until its lease of ``lease`` seconds ends.

    ``tries`` counts the failed runs before this one, ``lost`` the runs whose lease was lost, and
    ``alone`` those of the lost ones beside which nothing else ran.
    """

    job: str
    id: int
    token: str
    score: float
    tries: int
    lost: int
    alone: int
    lease: float


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs of a step are ready, delayed (``due``: of these, overdue) and leased."""

    ready: int
    delayed: int
    due: int
    leased: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as listed. ``state`` is leased, ready or delayed; ``until`` ends the lease or delay."""

    state: str
    id: int
    score: float
    until: datetime | None
    tries: int
    lost: int


class RedisQueue(Scripts):
    """The mail line (``desk.ports.Queue``) and what workers need on top of it."""

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        """``url`` as in desk.redis_line; ``prefix`` needs a {hash tag}."""
        super().__init__(url, prefix)
        self._name = secrets.token_hex(4)  # which worker this is, for its share of the jobs
        self._unanswered: set[str] = set()

    # what everybody may do

    async def put(self, *jobs: Job) -> None:
        await self._put("put", jobs)

    async def reconcile(self, jobs: Iterable[Job]) -> None:
        """Add what is missing and take over the scores. For sweeps: unlike ``put`` it leaves a
        running job alone and does not cut a backoff short. Starts an epoch if there is none."""
        await self._put("reconcile", list(jobs))
        async with self.border():
            await self.redis.set(f"{self.prefix}:epoch", secrets.token_hex(8), nx=True)

    async def epoch(self) -> str | None:
        """None after Redis lost everything, another after it started anew or another took over:
        then it may lack what it was told last, and all jobs must be reconciled."""
        async with self.border():
            value = await self.redis.get(f"{self.prefix}:epoch")
            server = await self.redis.info("server")
        return None if value is None else f"{server['run_id']} {value.decode('ascii', 'replace')}"

    async def rescore(self, step: Step, id: int, score: float) -> bool:
        """Give a job a new rank; False when it is not in the queue."""
        return bool(await self.run("rescore", _job(step, id), _score(score)))

    async def remove(self, step: Step, id: int) -> bool:
        """Take a waiting job out; one that runs is left to end. True when it waited."""
        return bool(await self.run("remove", _job(step, id)))

    async def depth(self) -> dict[Step, Depth]:
        rows = await self.run("depth", *Step)
        return {step: Depth(*row) for step, row in zip(Step, rows, strict=True)}

    async def listing(self, step: Step, limit: int = 100) -> list[Entry]:
        """Running jobs first, then those that are ready in their order, then delayed ones."""
        return [_entry(row) for row in await self.run("listing", step, limit)]

    async def bad(self) -> int:
        """How many members that are no job ids were found in Redis and thrown away."""
        async with self.border():
            return int(await self.redis.get(f"{self.prefix}:bad") or 0)

    # what workers do

    async def claim(
        self, step: Step, n: int, lease_seconds: float, *, only_urgent: bool = False
    ) -> list[Claim]:
        """Up to ``n`` jobs, lowest score first; [] when nothing is ready. Of a short queue no
        more than this worker's share; then the bell has rung for the others."""
        await self._recover()
        token = secrets.token_hex(8)
        asked = (step, n, _ms(lease_seconds), token, int(only_urgent), self._name)
        try:
            bad, *rows = await self.run("claim", *asked)
        except BaseException:
            self._unanswered.add(token)
            raise
        if bad:
            logger.warning("queue_bad_members", step=step, count=bad)
        return [
            Claim(
                job.decode(),
                _number(job),
                token,
                float(score),
                int(tries),
                int(lost),
                int(alone),
                lease_seconds,
            )
            for job, score, tries, lost, alone in rows
        ]

    async def renew(self, claims: Collection[Claim]) -> set[Claim]:
        """Start the leases anew; returns the claims that were lost meanwhile."""
        args = [arg for claim in claims for arg in (claim.job, claim.token, _ms(claim.lease))]
        held = await self.run("renew", *args)
        return {claim for claim, holds in zip(claims, held, strict=True) if not holds}

    async def isolate(self, claim: Claim) -> bool:
        """Nothing runs beside the job from now on: if its lease is lost, that is held against it
        alone. False when it was lost before."""
        return bool(await self.run("isolate", claim.job, claim.token))

    async def ack(self, claim: Claim) -> bool:
        """The job is done. False, as everywhere below, when the lease was lost before."""
        return (await self.ack_many([claim]))[0]

    async def ack_many(self, claims: Sequence[Claim]) -> list[bool]:
        return await self._finish("ack", claims)

    async def retry(self, claim: Claim, delay: float) -> bool:
        """The job failed: it costs a try, and after ``delay`` seconds it has its old rank; sooner
        when it was put meanwhile."""
        return (await self._finish("retry", [claim], delay))[0]

    async def release(self, claim: Claim, delay: float = 0) -> bool:
        """The job was not run to its end, and that costs no try; not before ``delay`` seconds."""
        return (await self.release_many([claim], delay))[0]

    async def release_many(self, claims: Sequence[Claim], delay: float = 0) -> list[bool]:
        return await self._finish("release", claims, delay)

    async def drop(self, claim: Claim) -> bool:
        """The job is dead; only a ``put`` after its claim brings it back."""
        return (await self._finish("drop", [claim]))[0]

    async def wait(self, step: Step, seconds: float, *, only_urgent: bool = False) -> bool:
        """Sleep until there may be work for this step, at most ``seconds``; False = none seen."""
        pause = await self.run("pause")
        if pause == 0:
            return True
        limit = seconds if pause < 0 else min(seconds, pause / 1000)
        bell = f"{self.prefix}:bell:{step}" + (":urgent" if only_urgent else "")
        async with self.border(limit + PATIENCE):
            rung = await self.redis.blpop([bell], timeout=max(0.001, limit))
        return rung is not None or limit < seconds

    async def _put(self, verb: str, jobs: Sequence[Job]) -> None:
        for start in range(0, len(jobs), _CHUNK):
            args: list[str] = []
            for job in jobs[start : start + _CHUNK]:
                not_before = "0" if job.not_before is None else _ms(job.not_before.timestamp())
                lane = str(int(job.is_urgent))
                args += (_job(job.step, job.id), _score(job.score), not_before, lane)
            await self.run("put", verb, *args)

    async def _finish(self, verb: str, claims: Sequence[Claim], delay: float = 0) -> list[bool]:
        args = [arg for claim in claims for arg in (claim.job, claim.token)]
        return [bool(held) for held in await self.run("finish", verb, _ms(delay), *args)]

    async def _recover(self) -> None:
        """Give back what claims took whose answer was cut off, instead of losing their leases."""
        if self._unanswered:
            tokens = set(self._unanswered)
            await self.run("recover", *tokens)
            self._unanswered -= tokens


def _job(step: Step, id: int) -> str:
    if id < 0:
        raise ValueError(f"A job's id must be a natural number, not {id}.")
    return f"{step}:{id}"


def _number(job: bytes) -> int:
    return int(job.partition(b":")[2])


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _score(score: float) -> str:
    if not math.isfinite(score):
        raise ValueError(f"A score must be a finite number, not {score}.")
    return repr(float(score))


def _entry(row: Sequence[bytes]) -> Entry:
    state, job, score, until, tries, lost = row
    at = float(until)
    return Entry(
        state=state.decode(),
        id=_number(job),
        score=float(score),
        until=datetime.fromtimestamp(at / 1000, UTC) if at else None,
        tries=int(tries),
        lost=int(lost),
    )
