"""Opening the parts of a worker and of a bot from the settings: each is joined here, by hand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cli.records import mailbox_settings, make_private
from desk import dead_letters
from desk.actions import Review
from desk.errors import DeskError, Misconfigured
from desk.model import Address, Citation, Failure, Finding, Mailbox, MailboxId, ParsedEmail, Step
from desk.ports import Queue, SystemClock
from desk.rules import Rule, read_rules
from desk.settings import MailboxSettings, Settings, WriterSettings
from desk.store import Store
from inference.checks import check
from inference.classify import HeadsClassifier
from inference.encoder import Encoder
from inference.extractive import Extractive
from inference.heads import Heads
from inference.ladder import Ladder, Writer
from inference.letter import Letters
from inference.redact import Redactor
from inference.tgi import Dialect, Server, Tgi
from kb.articles import load
from kb.index import Index
from kb.search import Search
from mail.imap import ImapProvider
from mail.imap_line import ImapAccount
from mail.maildir import MaildirProvider
from mail.provider import Provider
from mail.smtp import SmtpSender
from workers.drafting import Drafter

HEADS = Path(__file__).parent.parent / "inference" / "models"
RULES = Path(__file__).parent.parent / "desk" / "rules.toml"


def review_with(allowed: Sequence[str]) -> Review:
    """The checks of a draft; ``allowed`` needs no source: our addresses and signatures."""

    def review(
        text: str,
        citations: tuple[Citation, ...],
        email: ParsedEmail,
        recipients: tuple[Address, ...],
    ) -> tuple[tuple[Finding, ...], int]:
        found = check(text, citations, email, recipients, allowed)
        return found.findings, found.score

    return review


def own_words(settings: Settings) -> tuple[str, ...]:
    """Our addresses and signatures."""
    given = mailbox_settings(settings)
    return tuple(word for one in given for word in (one.address, one.signature) if word)


def urgency_rules(settings: Settings) -> tuple[Rule, ...]:
    file = settings.rules or RULES
    try:
        return read_rules(file.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"The rules {file} cannot be read: {error.strerror}") from error


@asynccontextmanager
async def opened_mailboxes(
    mailboxes: Sequence[tuple[Mailbox, MailboxSettings]],
) -> AsyncIterator[Mapping[MailboxId, Provider]]:
    async with AsyncExitStack() as stack:
        yield {
            record.id: await stack.enter_async_context(_provider(given))
            for record, given in mailboxes
        }


def _provider(given: MailboxSettings) -> MaildirProvider | ImapProvider:
    if given.kind == "maildir":
        if given.folder is None:
            raise Misconfigured(f"The mailbox {given.name} needs its folder in the settings")
        backfill = timedelta(days=given.backfill_days)
        return MaildirProvider(_maildir(given.name, given.folder), backfill=backfill)
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


def _maildir(mailbox: str, folder: Path) -> Path:
    """What is there keeps its rights: another program may deliver to it."""
    try:
        for name in ("tmp", "new", "cur"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"The folder of the mailbox {mailbox} cannot be used: {folder}: {error.strerror}"
        ) from error
    return folder


async def opened_encoder(settings: Settings) -> Encoder:
    return await asyncio.to_thread(Encoder.open, settings.encoder)


async def opened_classifier(settings: Settings, encoder: Encoder) -> HeadsClassifier:
    heads = await asyncio.to_thread(Heads.open, HEADS, encoder)
    if not settings.sentiment_model:
        return HeadsClassifier(encoder, heads)
    from inference.roberta import Checkpoint

    checkpoint = await asyncio.to_thread(Checkpoint.open, settings.sentiment_model)
    return HeadsClassifier(encoder, heads, {"sentiment": checkpoint})


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge base: what it holds, and the search in it."""

    index: Index
    search: Search


@asynccontextmanager
async def opened_knowledge(settings: Settings, encoder: Encoder) -> AsyncIterator[Knowledge]:
    """On a Milvus server, or on Milvus Lite in the data folder when none is configured."""
    location = settings.kb.uri or make_private(settings.data / "kb")
    token = settings.kb.token.get_secret_value()
    async with Index(location, token, encoder.dimension) as index:
        yield Knowledge(index, Search(index, encoder))


async def add_articles(store: Store, knowledge: Knowledge, path: Path) -> int:
    """Add what is new or changed below ``path``; how many articles were."""
    known = {entry.name: entry.sha256 for entry in await knowledge.index.articles()}
    articles = await asyncio.to_thread(load, path)
    fresh = [one for one in articles if known.get(one.name) != one.sha256]
    for one in fresh:
        passages = await knowledge.search.add(one)
        async with store.change() as change:
            await change.save_article(one.name, one.title, one.sha256, passages)
    return len(fresh)


def redactor(settings: Settings) -> Redactor:
    return Redactor(settings.privacy.patterns, settings.privacy.ner)


@asynccontextmanager
async def opened_ladder(settings: Settings) -> AsyncIterator[Ladder]:
    """TGI, the second server, and the writer that needs no model."""
    letters = Letters()
    async with AsyncExitStack() as stack:
        servers = [("tgi", settings.tgi), ("second", settings.second_writer)]
        rungs: list[Writer] = [
            await stack.enter_async_context(Tgi(_server(name, given), letters))
            for name, given in servers
            if given.url
        ]
        yield Ladder([*rungs, Extractive(letters)], SystemClock())


def _server(name: str, given: WriterSettings) -> Server:
    return Server(
        url=given.url,
        name=name,
        model=given.model,
        api_key=given.api_key.get_secret_value(),
        dialect=Dialect(given.dialect),
        timeout=given.timeout,
        tokens=given.max_total_tokens,
    )


def drafter(
    settings: Settings, knowledge: Knowledge, redactor: Redactor, ladder: Ladder
) -> Drafter:
    return Drafter(
        search=knowledge.search,
        redactor=redactor,
        ladder=ladder,
        review=review_with(own_words(settings)),
        own=[given.address for given in mailbox_settings(settings)],
        passages=settings.kb.passages,
    )


@dataclass(frozen=True, slots=True)
class Grave:
    """Dead letters go to the database."""

    store: Store

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        async with self.store.change() as change:
            await dead_letters.remember(change, step, id, failure)

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        async with self.store.change() as change:
            await dead_letters.bury(change, step, id, failure, tries)


async def listen(provider: Provider, mailbox: MailboxId, queue: Queue) -> None:
    """Ring for intake as soon as a mailbox has news; the schedule fetches now and then anyway."""
    while True:
        try:
            if await provider.wait(60):
                await queue.put(Step.INTAKE, mailbox, 0.0)
                await asyncio.sleep(0.2)  # mails come in flocks
        except DeskError:
            await asyncio.sleep(5)  # what is wrong, intake writes into the mailbox's record
