"""The processes: everything in one (``run``), a bot, a worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cli import parts
from cli.doors import Doors, opened_doors
from cli.feed import feed
from cli.knowledge import add_samples, tell_trouble
from cli.logs import configure_logs
from cli.mailboxes import Opening, opened_mailboxes, servers_of
from cli.records import SAMPLES, first_user, opened_store, register_mailboxes
from desk import failpoints
from desk.burial import Grave
from desk.email import Mailbox
from desk.ids import MailboxId
from desk.mailbox_settings import MailboxSettings
from desk.metrics import Metrics
from desk.rules import Job
from desk.settings import Settings
from desk.steps import Step
from desk.store import Store
from mail.parse_pool import ParsePool
from mail.provider import Provider
from workers.drafting import Drafting
from workers.intake import Intake
from workers.lanes import BatchHandler, Handler, Service
from workers.limits import RedisLimits
from workers.lookout import Lookout, Reach
from workers.overload import Overload
from workers.queue import RedisQueue
from workers.redis_server import RedisServer
from workers.runner import Runner
from workers.schedule import Tick, run_schedule
from workers.sending import Sending
from workers.sweep import Sweep
from workers.triage import Triage
from workers.trials import Trials
from workers.watch import Watch

Announce = Callable[[str], None]
Mailboxes = Sequence[tuple[Mailbox, MailboxSettings]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every process holds."""

    settings: Settings
    store: Store
    redis: str
    queue: RedisQueue
    limits: RedisLimits
    mailboxes: Mailboxes
    metrics: Metrics
    trials: Trials = field(default_factory=Trials)

    def runner(self, services: Mapping[Step, Service]) -> Runner:
        return Runner(self.queue, services, Grave(self.store), trials=self.trials)

    def service(
        self,
        step: Step,
        handler: Handler,
        slots: int,
        limit: float = 600.0,
        *,
        is_patient: bool = False,
    ) -> dict[Step, Service]:
        """One step, timed; a call may take ``limit`` seconds. A share of the slots is kept free
        for what is urgent."""

        async def timed(id: int) -> None:
            with self.metrics.timed(step):
                await handler(id)

        reserved = slots // 4
        served = Service(timed, slots, limit=limit, is_patient=is_patient, reserved=reserved)
        return {step: served}

    def batch(self, step: Step, handler: BatchHandler, size: int) -> dict[Step, Service]:
        async def timed(ids: Sequence[int]) -> Mapping[int, Exception]:
            with self.metrics.timed(step):
                return await handler(ids)

        return {step: Service(timed, slots=1, batch=size)}


@asynccontextmanager
async def opened_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Records and queue; a redis-server of our own when none is configured."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(settings))
        url = settings.redis
        if not url:
            server = await stack.enter_async_context(RedisServer(settings.data / "redis"))
            url = server.url
        queue = await stack.enter_async_context(RedisQueue(url))
        limits = await stack.enter_async_context(RedisLimits(url))
        mailboxes = await register_mailboxes(store, settings)
        yield Desk(settings, store, url, queue, limits, mailboxes, Metrics())


class Process:
    """The tasks of a process: they end together, the runners first, within five seconds."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []
        self._runners: dict[asyncio.Task[None], Runner] = {}
        self._stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopped.set)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self._group.create_task(work))

    def serve(self, runner: Runner) -> None:
        if self._stopped.is_set():  # what it needs was opened too late
            return
        self._runners[self._group.create_task(runner.run())] = runner

    async def until_stopped(self) -> None:
        await self._stopped.wait()
        for runner in self._runners.values():
            runner.stop()
        if self._runners:  # what their jobs hold is closed after them
            await asyncio.wait(self._runners)
        for task in self._tasks:
            task.cancel()


async def run(settings: Settings, announce: Announce) -> None:
    """Everything in one process. The page answers first; models load behind it."""
    async with opened_desk(settings) as desk, opened_doors(desk) as doors:
        announce(await login(desk, doors))
        async with asyncio.TaskGroup() as group:
            process = Process(group)
            serve_doors(process, desk, doors)
            process.start(serve_steps(process, desk))
            await process.until_stopped()


async def run_bot(settings: Settings, announce: Announce) -> None:
    """The chat side alone: web, cards and alerts; no models."""
    async with opened_desk(settings) as desk, opened_doors(desk) as doors:
        announce(await login(desk, doors))
        async with asyncio.TaskGroup() as group:
            process = Process(group)
            serve_doors(process, desk, doors)
            await process.until_stopped()


async def run_worker(settings: Settings, announce: Announce) -> None:
    """All steps but show and alert. Start as many as are needed."""
    async with opened_desk(settings) as desk, asyncio.TaskGroup() as group:
        process = Process(group)
        process.start(serve_steps(process, desk))
        announce("Working; stop with Ctrl-C")
        await process.until_stopped()


async def login(desk: Desk, doors: Doors) -> str:
    """What to open: the console, as whoever administrates this desk."""
    user = await first_user(desk.store)
    return f"Maildesk is ready: {doors.address}/login?token={doors.console.new_token(user.id)}"


def serve_doors(process: Process, desk: Desk, doors: Doors) -> None:
    for work in doors.background:
        process.start(work())
    # a network may be away for hours, and everybody must be told nevertheless
    shown = desk.service(Step.SHOW, doors.board.show, slots=4, is_patient=True)
    alerts = desk.service(Step.ALERT, doors.board.alert, slots=1, is_patient=True)
    reports = desk.service(Step.REPORT, doors.board.report, slots=1, is_patient=True)
    warnings = desk.service(Step.WARN, doors.board.warn, slots=1, is_patient=True)
    process.serve(desk.runner({**shown, **alerts, **reports, **warnings}))


async def serve_steps(process: Process, desk: Desk) -> None:
    """Open what each step needs and serve it as soon as that is there; then keep it open."""
    async with AsyncExitStack() as stack:
        opening = Opening(desk.settings, desk.store, desk.limits)
        providers = await stack.enter_async_context(opened_mailboxes(opening, desk.mailboxes))
        pool = await stack.enter_async_context(ParsePool())
        servers = servers_of(opening, desk.mailboxes)
        serve_mail(process, desk, providers, servers, pool)
        if not desk.settings.mailboxes:
            folder = desk.mailboxes[0][1].folder
            process.start(feed(SAMPLES / "mailbox", folder))
        redactor = await stack.enter_async_context(parts.redactor(desk.settings))
        encoder = await parts.opened_encoder(desk.settings)
        knowledge = await stack.enter_async_context(parts.opened_knowledge(desk.settings, encoder))
        classifier = await parts.opened_classifier(desk.settings, encoder)
        rules = parts.urgency_rules(desk.settings)
        own = [one for _, given in desk.mailboxes for one in given.addresses]
        weights = desk.settings.priority.weights
        triage = Triage(desk.store, desk.queue, classifier, rules, own, weights)
        process.serve(desk.runner(desk.batch(Step.TRIAGE, triage, size=16)))
        if not desk.settings.mailboxes:
            await add_samples(desk.store, knowledge)
        process.start(tell_trouble(desk.store, knowledge))
        ladder = await stack.enter_async_context(parts.opened_ladder(desk.settings, desk.limits))
        drafter = parts.drafter(desk.settings, knowledge, redactor, ladder)
        signatures = {given.name: given.signed.drafted for _, given in desk.mailboxes}
        drafting = Drafting(desk.store, desk.queue, drafter, signatures)
        process.serve(desk.runner(desk.service(Step.DRAFTING, drafting, slots=4)))
        await asyncio.Event().wait()


def serve_mail(
    process: Process,
    desk: Desk,
    providers: Mapping[MailboxId, Provider],
    servers: Mapping[MailboxId, Reach],
    pool: ParsePool,
) -> None:
    """Intake, sending, and the schedule: all that needs no model."""
    intake = Intake(desk.store, desk.queue, providers, pool.parse)
    names = {given.name: given.display_name for _, given in desk.mailboxes}
    aliases = {given.name: given.aliases for _, given in desk.mailboxes}
    signatures = {given.name: given.signed for _, given in desk.mailboxes}
    sending = Sending(desk.store, desk.queue, providers, names, aliases, signatures)
    process.serve(
        desk.runner(
            {
                **desk.service(Step.INTAKE, intake, slots=2),
                # a mail server may take ten minutes over a body (RFC 5321 §4.5.3.2.6)
                **desk.service(Step.SENDING, sending, slots=4, limit=900.0),
            }
        )
    )
    for id, provider in providers.items():
        process.start(parts.listen(provider, id, desk.queue))
    process.start(Sweep(desk.store, desk.queue).heal())
    process.start(run_schedule(desk.redis, periodic(desk, providers, servers)))


def periodic(
    desk: Desk, providers: Mapping[MailboxId, Provider], servers: Mapping[MailboxId, Reach]
) -> list[Tick]:
    async def fetch() -> None:
        await desk.queue.put(*(Job(Step.INTAKE, id, 0.0, is_urgent=False) for id in providers))

    async def report() -> None:
        found = await desk.store.unreported()
        await desk.queue.put(*(Job(Step.REPORT, id, 0.0, is_urgent=True) for id in found))

    async def warn() -> None:
        found = [id for id in await desk.store.troubled() if id in providers]
        await desk.queue.put(*(Job(Step.WARN, id, 0.0, is_urgent=True) for id in found))

    return [
        Tick("report", 5, report),
        Tick("warn", 10, warn),
        Tick("fetch", 20, fetch),
        Tick("sweep", 10, Sweep(desk.store, desk.queue)),
        Tick("watch", 5, Watch(desk.store, desk.queue)),
        Tick("lookout", 60, Lookout(desk.store, servers)),
        Tick("overload", 30, Overload(desk.store, desk.queue, desk.settings.priority.weights)),
    ]


def start(
    process: Callable[[Settings, Announce], Coroutine[Any, Any, None]],
    given: Settings,
    *,
    log_file: bool = False,
) -> None:
    """Run a process until a signal ends it; of several failures the first is told."""
    configure_logs(given, given.data / "maildesk.log" if log_file else None)
    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    try:
        asyncio.run(process(given, say))
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def say(text: str) -> None:
    print(text, flush=True)
