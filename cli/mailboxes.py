"""Opening mailboxes from the settings: one provider for each kind."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from desk.errors import Misconfigured
from desk.model import Mailbox, MailboxId
from desk.ports import Limits
from desk.settings import MailboxSettings, OAuthClientSettings, Settings
from desk.store import Store
from mail.gmail import GmailProvider
from mail.gmail_api import GOOGLE_API, GmailApi
from mail.http import Http
from mail.imap import ImapProvider
from mail.imap_line import ImapAccount
from mail.maildir import MaildirProvider
from mail.oauth import GOOGLE, Client, Service, TokenSource
from mail.provider import Provider
from mail.quota import GMAIL, Quota
from mail.smtp import SmtpSender
from mail.tokens import StoredTokens


@dataclass(frozen=True, slots=True)
class Opening:
    """What mailboxes are opened with. ``limits`` are those of all processes together."""

    settings: Settings
    store: Store
    limits: Limits


@asynccontextmanager
async def opened_mailboxes(
    opening: Opening, mailboxes: Sequence[tuple[Mailbox, MailboxSettings]]
) -> AsyncIterator[Mapping[MailboxId, Provider]]:
    async with AsyncExitStack() as stack:
        yield {
            record.id: await stack.enter_async_context(opened_mailbox(opening, record, given))
            for record, given in mailboxes
        }


@asynccontextmanager
async def opened_mailbox(
    opening: Opening, record: Mailbox, given: MailboxSettings
) -> AsyncIterator[Provider]:
    """Nothing is connected yet: a server that is away shows when it is first asked."""
    match given.kind:
        case "maildir":
            async with _maildir(given) as provider:
                yield provider
        case "imap":
            async with _imap(given) as imap:
                yield imap
        case "gmail":
            async with Http() as http, _gmail(opening, record, given, http) as gmail:
                yield gmail
        case "outlook":
            raise Misconfigured(f"The mailbox {given.name}: Outlook is not supported yet")


def _gmail(opening: Opening, record: Mailbox, given: MailboxSettings, http: Http) -> GmailProvider:
    clock = opening.store.clock
    client = google_client(opening.settings)
    source = TokenSource(given.name, client, StoredTokens(opening.store, record.id), http, clock)
    quota = Quota(f"gmail:{given.address}", GMAIL, opening.limits, clock)
    base = (given.api_url or GOOGLE_API).rstrip("/")
    api = GmailApi(given.name, base, source, quota, http, clock)
    return GmailProvider(api, timedelta(days=given.backfill_days))


def google_client(settings: Settings) -> Client:
    """Raises Misconfigured without one."""
    return _client("google", GOOGLE, settings.oauth.google)


def _client(section: str, service: Service, given: OAuthClientSettings) -> Client:
    if not given.client_id:
        raise Misconfigured(f"A mailbox at {service.name} needs client_id in [oauth.{section}]")
    asked = replace(
        service,
        authorize_url=given.authorize_url or service.authorize_url,
        token_url=given.token_url or service.token_url,
    )
    return Client(asked, given.client_id, given.client_secret.get_secret_value())


def _maildir(given: MailboxSettings) -> MaildirProvider:
    if given.folder is None:
        raise Misconfigured(f"The mailbox {given.name} needs its folder in the settings")
    backfill = timedelta(days=given.backfill_days)
    return MaildirProvider(_folder(given.name, given.folder), backfill=backfill)


def _imap(given: MailboxSettings) -> ImapProvider:
    if not given.host or given.smtp is None:
        raise Misconfigured(f"The mailbox {given.name} needs host and smtp in the settings")
    trusted = _trusted(given.ca_file)
    smtp = SmtpSender(
        given.smtp.host,
        given.smtp.port,
        given.smtp.user or given.user,
        given.smtp.password.get_secret_value() or given.password.get_secret_value(),
        given.smtp.tls,
        tls_context=trusted,
    )
    account = ImapAccount(
        host=given.host,
        port=given.port,
        user=given.user,
        password=given.password.get_secret_value(),
        tls=given.tls,
        folders=given.read_folders,
        sent_folder=given.sent_folder,
        save_sent=given.save_sent,
        backfill=timedelta(days=given.backfill_days),
        tls_context=trusted,
    )
    return ImapProvider(account, smtp)


def _trusted(ca_file: Path | None) -> ssl.SSLContext | None:
    """Who vouches for servers; None for those whom the machine trusts."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"The ca_file {ca_file} holds no certificates: {error}") from error


def _folder(mailbox: str, folder: Path) -> Path:
    """What is there keeps its rights: another program may deliver to it."""
    try:
        for name in ("tmp", "new", "cur"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"The folder of the mailbox {mailbox} cannot be used: {folder}: {error.strerror}"
        ) from error
    return folder
