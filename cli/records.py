"""Opening the records: data folder, schema, key, first user, mailboxes."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from desk.email import Mailbox
from desk.engine import upgrade
from desk.errors import Misconfigured, Refused
from desk.mailbox_settings import SAMPLE, MailboxSettings
from desk.people import Role, User
from desk.settings import Settings
from desk.store import Store
from desk.vault import Vault, create_key_file, open_vault

SAMPLES = Path(__file__).parent.parent / "samples"


def make_folder(folder: Path) -> Path:
    """Readable by its owner only, if it is made here: one that was there may be an operator's own,
    or a system's. Raises Misconfigured when nothing can be written there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"The data folder {folder} cannot be written ({error.strerror}): choose another with"
            " --data or MAILDESK_DATA"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Misconfigured(f"The data folder {folder} cannot be written: choose another: --data")
    return folder


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store with its schema up to date; the first time with a new key."""
    make_folder(settings.data)
    database = settings.data / "desk.db"
    if not settings.database and not database.exists():
        # SQLite gives its -wal and -shm files the mode of the database
        database.touch(mode=0o600)
    await upgrade(settings.database_url)
    key = settings.data / "key"
    if not key.exists():
        await _create_key(settings, key)
    promises = settings.promises
    async with Store.open(settings.database_url, open_vault(key), promises=promises) as store:
        yield store


async def _create_key(settings: Settings, key: Path) -> None:
    """Only for an empty database: whatever is in another one was sealed with the key we miss."""
    nothing = Vault({b"none": bytes(32)}, bytes(32))
    async with Store.open(settings.database_url, nothing) as store:
        is_new = (await store.verify()).entries == 0
    if is_new:
        create_key_file(key)


def mailbox_settings(settings: Settings) -> tuple[MailboxSettings, ...]:
    """The configured mailboxes, or the sample one."""
    if settings.mailboxes:
        return settings.mailboxes
    return (
        MailboxSettings(
            name=SAMPLE,
            address="support@lanewright.example",
            kind="maildir",
            display_name="Lanewright Support",
            signature="Lanewright Support",
            folder=settings.data / "mail" / "support",
        ),
    )


async def register_mailboxes(
    store: Store, settings: Settings
) -> list[tuple[Mailbox, MailboxSettings]]:
    """Each configured mailbox with its record."""
    found = []
    for given in mailbox_settings(settings):
        async with store.change() as change:
            record = await change.add_mailbox(given.name, given.address, given.kind, given.team)
        found.append((record, given))
    return found


async def first_user(store: Store) -> User:
    """Whoever starts Maildesk, an administrator; made when there is none yet."""
    if (admin := await _administrator(store)) is not None:
        return admin
    try:
        async with store.change() as change:
            return await change.add_user("you@localhost", _own_name(), Role.ADMIN)
    except Refused:  # another process was faster
        if (admin := await _administrator(store)) is not None:
            return admin
        raise


async def _administrator(store: Store) -> User | None:
    return next((user for user in await store.users() if user.role is Role.ADMIN), None)


def _own_name() -> str:
    """The login, written as a name."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = "operator"
    return "Operator" if login == "root" else login.capitalize()
