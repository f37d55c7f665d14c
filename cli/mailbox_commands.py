"""Commands on mailboxes: add with a sign-in, list, try out, remove.

What a mailbox is stands in maildesk.toml; passwords and sign-ins are kept sealed in the records.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import ValidationError

from cli.mailbox_file import add_block, remove_block
from cli.mailboxes import (
    Opening,
    google_client,
    imap_client,
    microsoft_client,
    opened_gmail,
    opened_imap,
    opened_outlook,
    require_described,
)
from cli.output import Record
from cli.records import mailbox_settings, opened_store
from desk import troubles
from desk.email import Mailbox
from desk.errors import DeskError, Misconfigured
from desk.mailbox_settings import MailboxSettings
from desk.settings import Settings
from desk.store import Store
from desk.troubles import Part
from mail.bucket import LocalLimits
from mail.checkup import Finding, Try, maildir_tries, tried
from mail.checkup_api import gmail_tries, outlook_tries, service_tries
from mail.checkup_imap import imap_tries
from mail.gmail_api import GOOGLE_API
from mail.graph import GLOBAL
from mail.http import Http
from mail.oauth import Client
from mail.sign_in import sign_in
from mail.tokens import StoredPassword, StoredTokens


async def add(settings: Settings, block: dict[str, Any], password: str) -> Record:
    """A mailbox of this name that is there already is signed in anew."""
    given = _checked(block)
    known = next((one for one in settings.mailboxes if one.name == given.name), None)
    if known is not None and known.kind != given.kind:
        raise Misconfigured(f"There is a mailbox named {given.name} already, of kind {known.kind}")
    async with opened_store(settings) as store:
        await _open_up(store, settings, known or given, password)
    if known is None:
        add_block(block)
    return {
        "name": given.name,
        "kind": given.kind,
        "address": (known or given).address,
        "is_new": known is None,
    }


def _checked(block: dict[str, Any]) -> MailboxSettings:
    try:
        return MailboxSettings.model_validate(block)
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
        raise Misconfigured(f"This mailbox cannot be added: {wrong}") from None


async def _open_up(store: Store, settings: Settings, given: MailboxSettings, password: str) -> None:
    """Nothing is kept when the person does not sign in."""
    client = _client(settings, given)
    signed = await _signed_in(store, client, given.address) if client else None
    async with store.change() as change:
        record = await change.add_mailbox(given.name, given.address, given.kind, given.team)
        change.audit("mailbox_opened", f"mailbox:{record.id}", None, {"kind": given.kind})
        await change.save_checkpoint(record.id, record.checkpoint)  # what was wrong is tried anew
        await troubles.end(change, record.id)
    if signed is not None:
        await StoredTokens(store, record.id).replace(signed)
    elif password:
        await StoredPassword(store, record.id).replace(password)


def _client(settings: Settings, given: MailboxSettings) -> Client | None:
    match given.kind:
        case "gmail":
            return google_client(settings)
        case "outlook":
            return microsoft_client(settings, is_shared=bool(given.user))
        case "imap":
            return imap_client(settings, given)
    return None


async def _signed_in(store: Store, client: Client, address: str) -> Any:
    async with Http() as http:
        return await sign_in(client, http, store.clock, _show, address)


def _show(address: str) -> None:
    """Beside standard output, which may be for a script."""
    print(f"Open this address in a browser and sign in:\n\n  {address}\n", file=sys.stderr)


async def remove(settings: Settings, name: str) -> Record:
    """Its tickets stay; its password or sign-in does not."""
    file = remove_block(name)
    async with opened_store(settings) as store:
        for record in await store.mailboxes():
            if record.name == name:
                async with store.change() as change:
                    await change.forget_sign_in(record.id)
                    checkpoint = (await change.mailbox(record.id)).checkpoint
                    await change.save_checkpoint(record.id, checkpoint)
                    await troubles.forget(change, record.id)
                    change.audit("mailbox_removed", f"mailbox:{record.id}", None, {})
    return {"removed": name, "file": str(file)}


async def listed(settings: Settings) -> list[Record]:
    async with opened_store(settings) as store:
        records = {record.name: record for record in await store.mailboxes()}
        return [
            await _row(store, settings, given, records.get(given.name))
            for given in mailbox_settings(settings)
        ]


async def _row(
    store: Store, settings: Settings, given: MailboxSettings, record: Mailbox | None
) -> Record:
    """``problem`` is what the settings lack, else what intake met when it last read it, else why
    no reply leaves."""
    problem = (record.problem or await _sending_problem(store, record)) if record else ""
    try:
        require_described(settings, given)
    except Misconfigured as error:
        problem = str(error)
    return {
        "name": given.name,
        "kind": given.kind,
        "address": given.address,
        "team": given.team,
        "is_signed_in": await _is_signed_in(store, given, record),
        "problem": problem,
    }


async def _sending_problem(store: Store, record: Mailbox) -> str:
    found = await store.troubles(record.id)
    running = [one for one in found if one.part is not Part.READING and one.ended_at is None]
    return f"It cannot send: {running[0].problem}" if running else ""


async def _is_signed_in(
    store: Store, given: MailboxSettings, record: Mailbox | None
) -> bool | None:
    """None where nobody needs to sign in."""
    if given.kind == "maildir":
        return None
    has_password = given.kind == "imap" and given.sign_in == "password"
    if has_password and given.password.get_secret_value():
        return True
    if record is None:
        return False
    if has_password:
        return bool(await StoredPassword(store, record.id).load())
    stored = await StoredTokens(store, record.id).load()
    return stored is not None and not stored.is_ended


# -- what works


async def tested(settings: Settings, name: str) -> AsyncIterator[tuple[str, Finding]]:
    """Each finding as soon as it is there, with its mailbox's name."""
    wanted = [one for one in mailbox_settings(settings) if name in ("", one.name)]
    if not wanted:
        raise Misconfigured(f"There is no mailbox named {name} in the settings")
    async with opened_store(settings) as store:
        opening = Opening(settings, store, LocalLimits())
        for given in wanted:
            async for finding in _findings(opening, given):
                yield given.name, finding


async def _findings(opening: Opening, given: MailboxSettings) -> AsyncIterator[Finding]:
    async with opening.store.change() as change:
        record = await change.add_mailbox(given.name, given.address, given.kind, given.team)
    try:
        async for finding in _tries_of(opening, record, given):
            yield finding
    except DeskError as error:  # it is not even described well enough to be tried
        yield Finding("settings", False, str(error))


async def _tries_of(
    opening: Opening, record: Mailbox, given: MailboxSettings
) -> AsyncIterator[Finding]:
    match given.kind:
        case "maildir":
            if given.folder is None:
                raise Misconfigured(f"The mailbox {given.name} needs its folder in the settings")
            async for finding in tried(maildir_tries(given.folder)):
                yield finding
        case "imap":
            async with opened_imap(opening, record, given) as (account, sender):
                async for finding in tried(imap_tries(account, sender, given.address)):
                    yield finding
        case "gmail":
            async with opened_gmail(opening, record, given) as api:
                reaching = service_tries(given.api_url or GOOGLE_API, api.token)
                async for finding in _each(reaching, gmail_tries(api)):
                    yield finding
        case "outlook":
            async with opened_outlook(opening, record, given) as graph:
                reaching = service_tries(given.api_url or GLOBAL, graph.token)
                async for finding in _each(reaching, outlook_tries(graph)):
                    yield finding


async def _each(*some: Sequence[Try]) -> AsyncIterator[Finding]:
    async for finding in tried([one for tries in some for one in tries]):
        yield finding
