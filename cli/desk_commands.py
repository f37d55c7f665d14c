"""Commands on the records: queue, users, audit log, and the check of everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from cli import knowledge, mailbox_commands, parts
from cli.output import Record
from cli.records import first_user, opened_store
from desk import access
from desk.errors import DeskError, Misconfigured, Permanent, Refused
from desk.ids import TicketId
from desk.people import Role
from desk.priority import earlier
from desk.settings import Settings
from desk.standing import not_computed
from desk.ticket_view import TicketView
from mail.oauth import Account
from workers.queue import RedisQueue
from workers.redis_server import find_program

Probe = Callable[[], Awaitable[str]]
"""What a component says of itself. Refused: it is off."""


async def queue(settings: Settings, limit: int) -> list[Record]:
    """In the order in which tickets are served."""
    async with opened_store(settings) as store:
        return [row(view) for view in await access.queue(store, await first_user(store), limit)]


def row(view: TicketView) -> Record:
    ticket = view.ticket
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "urgency": ticket.urgency,
        "due": ticket.due_at,
        "score": ticket.score,
        "state": ticket.state,
        "assignee": view.names.get(ticket.assignee) if ticket.assignee else None,
    }


async def why(settings: Settings, id: int) -> Record:
    """A ticket's row and the parts of its score: ``earlier`` is what they come to, in minutes."""
    most = settings.priority.most_minutes
    async with opened_store(settings) as store:
        view = await access.ticket(store, await first_user(store), TicketId(id))
    known, boosts = view.classification, view.ticket.boosts
    return {
        **row(view),
        "reasons": known.reasons if known else (),
        "boosts": [{"reason": reason, "minutes": minutes} for reason, minutes in boosts],
        "most": most,
        "earlier": earlier(boosts, most),
        "place": view.rank.place if view.rank else None,
        "waiting": view.rank.waiting if view.rank else None,
    }


async def add_user(settings: Settings, email: str, name: str, role: Role, team: str) -> Record:
    if "@" not in email:
        raise Misconfigured(f"{email!r} is not an e-mail address")
    async with opened_store(settings) as store:
        async with store.change() as change:
            added = await change.add_user(email, name or email.partition("@")[0], role, team)
        return {"id": added.id}


async def users(settings: Settings) -> list[Record]:
    async with opened_store(settings) as store:
        return [
            {"id": u.id, "email": u.email, "name": u.name, "role": u.role, "team": u.team}
            for u in await store.users()
        ]


async def verify(settings: Settings, known: str) -> Record:
    """``known`` is a head that was printed before, or empty."""
    async with opened_store(settings) as store:
        found = await store.verify(known.strip().lower())
        return {
            "ok": found.ok,
            "entries": found.entries,
            "head": found.head,
            "first_broken": found.first_broken,
        }


async def audit_clocks(settings: Settings) -> list[Record]:
    """One row for each escalation that the log finds wrong."""
    async with opened_store(settings) as store:
        _, findings = await store.audit_clocks()
    return [
        {
            "ticket": found.ticket_id,
            "clock": found.clock,
            "rung": found.rung,
            "due": found.due_at,
            "fault": found.fault,
            "detail": found.detail,
        }
        for found in findings
    ]


async def check(settings: Settings) -> list[Record]:
    """One row a component. ``ok`` false in a required one fails the command."""
    probes: dict[str, Probe] = {
        "database": lambda: _database(settings),
        "clocks": lambda: _clocks(settings),
        "redis": lambda: _redis(settings),
        "encoder": lambda: _encoder(settings),
        "knowledge base": lambda: _knowledge(settings),
        "privacy": lambda: _privacy(settings),
        "rules": lambda: _rules(settings),
        "writer": lambda: _writer(settings),
        "on call": lambda: _on_call(settings),
        "slack": lambda: _slack(settings),
        "teams": lambda: _teams(settings),
        **await _mailbox_probes(settings),
    }
    return [await _probed(name, probe) for name, probe in probes.items()]


async def _mailbox_probes(settings: Settings) -> dict[str, Probe]:
    """None without the records: then it is their row that says what is wrong."""
    try:
        rows = await mailbox_commands.listed(settings)
    except DeskError:
        return {}
    return {f"mailbox {row['name']}": partial(check_mailbox, row) for row in rows}


async def _probed(name: str, probe: Probe) -> Record:
    try:
        return {"name": name, "ok": True, "detail": await probe()}
    except Refused as off:
        return {"name": name, "ok": None, "detail": str(off)}
    except DeskError as error:
        return {"name": name, "ok": False, "detail": str(error)}


async def _database(settings: Settings) -> str:
    async with opened_store(settings) as store:
        counts = await store.counts()
    return f"{sum(counts.values()) - counts['sent']} tickets, {counts['sent']} replies sent"


async def _clocks(settings: Settings) -> str:
    async with opened_store(settings) as store:
        failed = await store.failed_clocks()
    if failed:
        raise Permanent(not_computed(failed))
    return "every time that was promised can be computed"


async def _redis(settings: Settings) -> str:
    if not settings.redis:
        return f"started with Maildesk: {find_program()}"
    async with RedisQueue(settings.redis) as line:
        await line.ping()
    return "answers"


async def _encoder(settings: Settings) -> str:
    encoder = await parts.opened_encoder(settings)
    await parts.opened_classifier(settings, encoder)
    return f"{settings.encoder}, heads fit"


async def _knowledge(settings: Settings) -> str:
    async with opened_store(settings) as store, knowledge.opened(settings) as opened:
        return await knowledge.counted(store, opened)


async def _privacy(settings: Settings) -> str:
    if parts.redactor(settings).has_names:
        return "names in running text are found too"
    return (
        "addresses, numbers and the names in a mail's own headers are found; names in running text"
        " are not: set privacy.ner to a spaCy pipeline"
    )


async def _rules(settings: Settings) -> str:
    return f"{len(parts.urgency_rules(settings))} rules"


async def _writer(settings: Settings) -> str:
    urls = [given.url for given in (settings.tgi, settings.second_writer) if given.url]
    if not urls:
        raise Refused("No language model is configured: drafts quote your articles")
    return ", ".join(urls)


async def _on_call(settings: Settings) -> str:
    called = settings.escalation.on_call
    if not called:
        raise Refused("nobody: a breach is told to assignees and managers alone")
    async with opened_store(settings) as store:
        missing = [address for address in called if await store.user_by_email(address) is None]
    if missing:
        raise Misconfigured(
            f"escalation.on_call names {', '.join(missing)}: no user has this address; see user add"
        )
    return ", ".join(called)


async def _slack(settings: Settings) -> str:
    if not settings.slack.bot_token.get_secret_value():
        raise Refused("not configured")
    return "configured"


async def check_mailbox(row: Record) -> str:
    """What intake met when it last read it, and whether somebody must sign in."""
    if row["problem"]:
        raise Misconfigured(str(row["problem"]))
    if row["is_signed_in"] is False:
        account = Account(str(row["name"]), str(row["kind"]), str(row["address"]))
        raise Misconfigured(f"{account.name} needs sign-in. {account.remedy}")
    return str(row["address"])


async def _teams(settings: Settings) -> str:
    if settings.teams.is_local_test:
        return "configured for a local test: whoever reaches it is believed"
    if not settings.teams.app_id:
        raise Refused("not configured")
    return "configured"
