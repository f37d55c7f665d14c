"""Commands on the knowledge base: add, search, list, remove, evaluate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import structlog

from cli import output, parts
from cli.output import Record
from cli.parts import Knowledge
from cli.records import SAMPLES, make_folder, opened_store
from desk.errors import DeskError, Misconfigured, Permanent
from desk.settings import Settings
from desk.store import Store
from kb.evaluate import Row, evaluate

log = structlog.get_logger()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Knowledge]:
    make_folder(settings.data)
    encoder = await parts.opened_encoder(settings)
    async with parts.opened_knowledge(settings, encoder) as knowledge:
        yield knowledge


async def add_samples(store: Store, knowledge: Knowledge) -> None:
    """A knowledge base in trouble makes weaker drafts, and they say so."""
    try:
        await parts.add_articles(store, knowledge, SAMPLES / "articles")
    except DeskError as error:
        log.warning("sample articles not added", error=str(error))


async def counted(store: Store, knowledge: Knowledge) -> str:
    """How many articles there are. Raises Misconfigured when some that were added are not."""
    there = {entry.name for entry in await knowledge.index.articles()}
    noted = await store.article_hashes()
    if missing := sorted(noted.keys() - there):
        raise Misconfigured(
            f"{len(missing)} of the {len(noted)} articles that were added are not in the knowledge "
            f"base, {missing[0]} for example: add them again (kb add)."
        )
    return f"{len(there)} articles"


async def tell_trouble(store: Store, knowledge: Knowledge) -> None:
    """To the log, what ``check`` would say: mails are drafted meanwhile."""
    try:
        await counted(store, knowledge)
    except DeskError as error:
        log.warning("knowledge base in trouble", error=str(error))


async def add(settings: Settings, paths: list[Path]) -> Record:
    async with opened_store(settings) as store, opened(settings) as knowledge:
        added = 0
        for path in paths:
            added += await parts.add_articles(store, knowledge, path)
        return {"added": added, "articles": len(await knowledge.index.articles())}


async def search(settings: Settings, query: str, k: int) -> list[Record]:
    async with opened(settings) as knowledge:
        return [
            {
                "article": passage.article,
                "heading": passage.heading,
                "text": passage.text,
                "score": round(passage.score, 4),
            }
            for passage in await knowledge.search(query, k)
        ]


async def listed(settings: Settings) -> list[Record]:
    async with opened(settings) as knowledge:
        return [asdict(entry) for entry in await knowledge.index.articles()]


async def remove(settings: Settings, name: str) -> Record:
    async with opened_store(settings) as store, opened(settings) as knowledge:
        if not await parts.remove_article(store, knowledge, name):
            raise Permanent(f"There is no article {name} in the knowledge base: see kb list")
        return {"removed": name}


async def evaluated(settings: Settings, file: str) -> Record:
    """Rows of question and article, as JSON lines."""
    rows = []
    for number, given in enumerate(output.json_lines(file), 1):
        try:
            rows.append(Row(str(given["question"]), str(given["article"])))
        except (KeyError, TypeError):
            raise Misconfigured(
                f"{file}, line {number}: write an object with question and article"
            ) from None
    async with opened(settings) as knowledge:
        return asdict(await evaluate(rows, knowledge.search))
