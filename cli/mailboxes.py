"""Opening mailboxes from the settings: one provider for each kind."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from desk.email import Mailbox
from desk.errors import Misconfigured
from desk.ids import MailboxId
from desk.mailbox_settings import MailboxSettings, OAuthClientSettings
from desk.ports import Limits
from desk.settings import Settings
from desk.store import Store
from mail.gmail import GmailProvider
from mail.gmail_api import GOOGLE_API, GmailApi
from mail.graph import GLOBAL, Graph, GraphAccount
from mail.http import Http
from mail.imap import ImapProvider
from mail.imap_account import ImapAccount
from mail.imap_gate import ImapGate
from mail.maildir import MaildirProvider
from mail.oauth import GOOGLE, Account, Client, Service, TokenSource, microsoft
from mail.outlook import OutlookProvider
from mail.provider import Provider
from mail.quota import GMAIL, GRAPH, Quota
from mail.reopening import ReopeningMailbox
from mail.smtp import SmtpSender
from mail.tokens import StoredPassword, StoredTokens
from workers.lookout import Reach

REQUEST_SECONDS = 300.0
"""A mail of the largest size over a slow line."""

REACH_SECONDS = 15.0

# https://learn.microsoft.com/graph/permissions-reference#mail-permissions
SHARED_SCOPES = (
    "https://graph.microsoft.com/Mail.ReadWrite.Shared",
    "https://graph.microsoft.com/Mail.Send.Shared",
)


# https://developers.google.com/gmail/imap/xoauth2-protocol and
# https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
IMAP_SCOPES = {
    "google": ("https://mail.google.com/",),
    "microsoft": (
        "https://outlook.office.com/IMAP.AccessAsUser.All",
        "https://outlook.office.com/SMTP.Send",
        "offline_access",
    ),
}


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
    """Each says by itself what is wrong with it, when it is used; the others go on."""
    async with AsyncExitStack() as stack:
        yield {
            record.id: await stack.enter_async_context(
                ReopeningMailbox(
                    partial(opened_mailbox, opening, record, given, gate_of(opening, given)),
                    is_read_anew=given.kind == "imap",
                )
            )
            for record, given in mailboxes
        }


@asynccontextmanager
async def opened_mailbox(
    opening: Opening, record: Mailbox, given: MailboxSettings, gate: ImapGate | None = None
) -> AsyncIterator[Provider]:
    """Nothing is connected yet: a server that is away shows when it is first asked."""
    backfill = timedelta(days=given.backfill_days)
    match given.kind:
        case "maildir":
            async with MaildirProvider(maildir_of(given), backfill=backfill) as provider:
                yield provider
        case "imap":
            clock = opening.store.clock
            async with (
                opened_imap(opening, record, given) as (account, sender),
                ImapProvider(account, sender, clock, opening.limits, gate) as imap,
            ):
                yield imap
        case "gmail":
            async with opened_gmail(opening, record, given) as api:
                yield GmailProvider(api, backfill)
        case "outlook":
            async with opened_outlook(opening, record, given) as graph:
                yield OutlookProvider(graph, opening.store.clock, backfill=backfill)


def servers_of(
    opening: Opening, mailboxes: Sequence[tuple[Mailbox, MailboxSettings]]
) -> dict[MailboxId, Reach]:
    """Those through which mail leaves beside the server that it is read from."""

    async def reach(record: Mailbox, given: MailboxSettings) -> None:
        async with opened_imap(opening, record, given) as (_, sender):
            await replace(sender, timeout=REACH_SECONDS).reach()

    return {
        record.id: partial(reach, record, given)
        for record, given in mailboxes
        if given.kind == "imap"
    }


def gate_of(opening: Opening, given: MailboxSettings) -> ImapGate:
    """It remembers what a server refused for as long as the process lives."""
    return ImapGate(f"imap:{given.user}@{given.host}", opening.limits, opening.store.clock)


@asynccontextmanager
async def opened_imap(
    opening: Opening, record: Mailbox, given: MailboxSettings
) -> AsyncIterator[tuple[ImapAccount, SmtpSender]]:
    """By the password, or by the token of a person who signed in; so is SMTP, unless it has a
    password of its own."""
    client = imap_client(opening.settings, given)
    if client is None:
        yield imap_of(given, await password_of(opening, record, given))
        return
    account, sender = imap_of(given, "")
    async with _signed_in(opening, record, given, client) as (source, _):
        yield (
            replace(account, token=source),
            sender if sender.password else replace(sender, token=source),
        )


@asynccontextmanager
async def opened_gmail(
    opening: Opening, record: Mailbox, given: MailboxSettings
) -> AsyncIterator[GmailApi]:
    clock = opening.store.clock
    async with _signed_in(opening, record, given, google_client(opening.settings)) as (
        source,
        http,
    ):
        quota = Quota(f"gmail:{given.address}", GMAIL, opening.limits, clock)
        base = (given.api_url or GOOGLE_API).rstrip("/")
        yield GmailApi(given.name, base, source, quota, http, clock)


@asynccontextmanager
async def opened_outlook(
    opening: Opening, record: Mailbox, given: MailboxSettings
) -> AsyncIterator[Graph]:
    """``user`` names a shared mailbox; without one it is that of whoever signed in."""
    clock = opening.store.clock
    client = microsoft_client(opening.settings, is_shared=bool(given.user))
    async with _signed_in(opening, record, given, client) as (source, http):
        quota = Quota(f"outlook:{given.address}", GRAPH, opening.limits, clock)
        account = GraphAccount(source, given.user, given.api_url or GLOBAL)
        yield Graph(account, http, quota, clock)


@asynccontextmanager
async def _signed_in(
    opening: Opening, record: Mailbox, given: MailboxSettings, client: Client
) -> AsyncIterator[tuple[TokenSource, Http]]:
    tokens = StoredTokens(opening.store, record.id)
    async with Http(timeout=REQUEST_SECONDS) as http:
        account = Account(given.name, given.kind, given.address)
        source = TokenSource(account, client, tokens, http, opening.store.clock)
        try:
            yield source, http
        finally:
            await source.close()


async def password_of(opening: Opening, record: Mailbox, given: MailboxSettings) -> str:
    """Of the settings, else the one that ``mailbox add`` keeps sealed in the records."""
    return (
        given.password.get_secret_value() or await StoredPassword(opening.store, record.id).load()
    )


def require_described(settings: Settings, given: MailboxSettings) -> None:
    """Raises Misconfigured when the settings do not say enough to open it. Opens nothing."""
    match given.kind:
        case "maildir" if given.folder is None:
            raise Misconfigured(f"The mailbox {given.name} needs its folder in the settings")
        case "imap":
            imap_of(given, "")
            imap_client(settings, given)
        case "gmail":
            google_client(settings)
        case "outlook":
            microsoft_client(settings, is_shared=bool(given.user))


def imap_client(settings: Settings, given: MailboxSettings) -> Client | None:
    """None for a mailbox with a password. Raises Misconfigured without a client."""
    match given.sign_in:
        case "google":
            google = replace(GOOGLE, scopes=IMAP_SCOPES["google"])
            return _client("google", google, settings.oauth.google)
        case "microsoft":
            service = microsoft(settings.oauth.microsoft.tenant)
            service = replace(service, scopes=IMAP_SCOPES["microsoft"])
            return _client("microsoft", service, settings.oauth.microsoft)
    return None


def google_client(settings: Settings) -> Client:
    """Raises Misconfigured without one."""
    return _client("google", GOOGLE, settings.oauth.google)


def microsoft_client(settings: Settings, *, is_shared: bool) -> Client:
    """For a shared mailbox more is asked for. Raises Misconfigured without one."""
    service = microsoft(settings.oauth.microsoft.tenant)
    if is_shared:
        service = replace(service, scopes=(*service.scopes, *SHARED_SCOPES))
    return _client("microsoft", service, settings.oauth.microsoft)


def _client(section: str, service: Service, given: OAuthClientSettings) -> Client:
    if not given.client_id:
        raise Misconfigured(f"A mailbox at {service.name} needs client_id in [oauth.{section}]")
    asked = replace(
        service,
        authorize_url=given.authorize_url or service.authorize_url,
        token_url=given.token_url or service.token_url,
    )
    return Client(asked, given.client_id, given.client_secret.get_secret_value())


def maildir_of(given: MailboxSettings) -> Path:
    if given.folder is None:
        raise Misconfigured(f"The mailbox {given.name} needs its folder in the settings")
    return _folder(given.name, given.folder)


def imap_of(given: MailboxSettings, password: str) -> tuple[ImapAccount, SmtpSender]:
    if not given.host or given.smtp is None:
        raise Misconfigured(f"The mailbox {given.name} needs host and smtp in the settings")
    trusted = _trusted(given.ca_file)
    smtp = SmtpSender(
        given.smtp.host,
        given.smtp.port,
        given.smtp.user or given.user,
        given.smtp.password.get_secret_value() or password,
        given.smtp.tls,
        tls_context=trusted,
    )
    account = ImapAccount(
        host=given.host,
        port=given.port,
        user=given.user,
        password=password,
        tls=given.tls,
        folders=given.read_folders,
        sent_folder=given.sent_folder,
        save_sent=given.save_sent,
        backfill=timedelta(days=given.backfill_days),
        connections=given.connections,
        tls_context=trusted,
    )
    return account, smtp


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
