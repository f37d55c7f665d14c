"""Opening the parts of a worker and of a bot from the settings: each is joined here, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from cli.records import mailbox_settings, make_folder
from desk.action import Review
from desk.email import Address, ParsedEmail
from desk.errors import DeskError, Misconfigured
from desk.faults import caught, kind, trace
from desk.ids import MailboxId
from desk.ports import Limits, Queue, SystemClock
from desk.response import Citation, Finding
from desk.rules import Job, Rule, read_rules
from desk.settings import Settings, WriterSettings
from desk.steps import Step
from desk.store import Store
from inference.checks import check
from inference.classify import HeadsClassifier
from inference.encoder import Encoder
from inference.extractive import Extractive
from inference.heads import Heads
from inference.ladder import Ladder, Writer
from inference.letter import Letters
from inference.limited import Limited
from inference.redact import Redactor
from inference.tgi import Dialect, Server, Tgi
from kb.articles import Article, Entry, load
from kb.index import Index
from kb.search import Embedded, Search
from mail.provider import Provider
from workers.drafting import Drafter

log = structlog.get_logger()

HEADS = Path(__file__).parent.parent / "inference" / "models"
RULES = Path(__file__).parent.parent / "desk" / "rules.toml"
BATCH = 32
"""Articles that are embedded and stored together."""


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
    return tuple(word for one in given for word in (*one.addresses, one.signed.drafted) if word)


def urgency_rules(settings: Settings) -> tuple[Rule, ...]:
    file = settings.rules or RULES
    try:
        return read_rules(file.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"The rules {file} cannot be read: {error.strerror}") from error


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
    location = settings.kb.uri or make_folder(settings.data / "kb")
    token = settings.kb.token.get_secret_value()
    async with Index(location, token, encoder.dimension) as index:
        yield Knowledge(index, Search(index, encoder))


async def add_articles(store: Store, knowledge: Knowledge, path: Path) -> int:
    """Add what is new or changed below ``path``; how many articles were. The first of those that
    the records do not know are embedded while the index opens."""
    articles, noted = await asyncio.to_thread(load, path), await store.article_hashes()
    likely = [one for one in articles if noted.get(one.name) != one.sha256][:BATCH]
    entries, ready = await asyncio.gather(
        knowledge.index.articles(), knowledge.search.embedded(*likely)
    )
    known = {entry.name: entry for entry in entries}
    fresh = [one for one in articles if not _is_same(known.get(one.name), one)]
    await _note_articles(store, [known[one.name] for one in likely if one not in fresh])
    batch = [one for one in ready if one.article in fresh]
    rest = [one for one in fresh if one not in likely]
    await _store_articles(store, knowledge, batch)
    for at in range(0, len(rest), BATCH):
        batch = await knowledge.search.embedded(*rest[at : at + BATCH])
        await _store_articles(store, knowledge, batch)
    return len(fresh)


async def remove_article(store: Store, knowledge: Knowledge, name: str) -> bool:
    """From the index and the records; False when there is none."""
    is_there = await knowledge.index.remove(name)
    is_noted = name in await store.article_hashes()
    if is_noted:  # also what the index lost
        async with store.change() as change:
            await change.forget_article(name)
    return is_there or is_noted


async def _store_articles(store: Store, knowledge: Knowledge, batch: Sequence[Embedded]) -> None:
    if not batch:
        return
    await knowledge.index.add(batch)
    said = [(one.article, len(one.passages)) for one in batch]
    await _note_articles(store, [Entry(a.name, a.title, a.sha256, n) for a, n in said])


def _is_same(known: Entry | None, article: Article) -> bool:
    return known is not None and known.sha256 == article.sha256


async def _note_articles(store: Store, entries: Sequence[Entry]) -> None:
    """In the records, which say before the index does what may be new."""
    if not entries:
        return
    async with store.change() as change:
        for one in entries:
            await change.save_article(one.name, one.title, one.sha256, one.passages)


def redactor(settings: Settings) -> Redactor:
    return Redactor(settings.privacy.patterns, settings.privacy.ner)


@asynccontextmanager
async def opened_ladder(settings: Settings, limits: Limits | None = None) -> AsyncIterator[Ladder]:
    """TGI, the second server, and the writer that needs no model; ``limits`` count the calls."""
    letters = Letters()
    async with AsyncExitStack() as stack:
        servers = [("tgi", settings.tgi), ("second", settings.second_writer)]
        rungs: list[Writer] = [
            _limited(
                await stack.enter_async_context(Tgi(_server(name, given), letters)), given, limits
            )
            for name, given in servers
            if given.url
        ]
        yield Ladder([*rungs, Extractive(letters)], SystemClock())


def _limited(writer: Writer, given: WriterSettings, limits: Limits | None) -> Writer:
    """A place is held as long as one question may take: two answers, and the server's /info."""
    seconds = 2 * given.timeout + 15
    return writer if limits is None else Limited(writer, limits, given.calls, seconds)


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
        own=[one for given in mailbox_settings(settings) for one in given.addresses],
        passages=settings.kb.passages,
    )


async def listen(provider: Provider, mailbox: MailboxId, queue: Queue) -> None:
    """Ring for intake as soon as a mailbox has news; the schedule fetches now and then anyway."""
    while True:
        rung = await caught(_rung(provider, mailbox, queue))
        if isinstance(rung, DeskError):
            await asyncio.sleep(5)  # what is wrong, intake writes into the mailbox's record
        elif isinstance(rung, Exception):  # one mailbox must not end the process of the others
            log.error("mailbox not listened to", mailbox=mailbox, error=kind(rung), at=trace(rung))
            await asyncio.sleep(5)


async def _rung(provider: Provider, mailbox: MailboxId, queue: Queue) -> None:
    if await provider.wait(60):
        await queue.put(Job(Step.INTAKE, mailbox, 0.0, is_urgent=False))
        await asyncio.sleep(0.2)  # mails come in flocks
