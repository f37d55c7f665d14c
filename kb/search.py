"""Questions to the knowledge base: passages by meaning. Holds the ports of both halves.

One Search adds articles and answers questions, so that both use the same embedder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from desk.response import Passage
from kb.articles import Article, Entry, split

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedded:
    """An article, its passages, and their vectors; shape (passages, dimension)."""

    article: Article
    passages: Sequence[Passage]
    vectors: Vectors


class Embedder(Protocol):
    """Turns texts into vectors. ``embed`` is synchronous work for the processor."""

    dimension: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 for each text; shape (texts, dimension)."""
        ...


class PassageIndex(Protocol):
    """Stores articles as passages with their vectors. Raises Transient when it is away."""

    async def add(self, batch: Sequence[Embedded]) -> None:
        """Store articles of different names, or replace the versions that have the same names."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget an article; False when there was none of that name."""
        ...

    async def articles(self) -> list[Entry]:
        """What is stored, by name."""
        ...

    async def search(self, vector: Vectors, k: int) -> list[Passage]:
        """The ``k`` passages nearest to a vector, the best first, with their cosine as score."""
        ...


class Search:
    """``await search("How do I get a refund?")`` gives the passages that may answer it."""

    def __init__(self, index: PassageIndex, embedder: Embedder, min_score: float = 0.0) -> None:
        self._index = index
        self._embedder = embedder
        self._min_score = min_score

    async def __call__(self, question: str, k: int = 4) -> list[Passage]:
        """The best ``k`` passages that score at least ``min_score``; none for an empty question."""
        if not question.strip() or k < 1:
            return []
        [vector] = await asyncio.to_thread(self._embedder.embed, [question])
        found = await self._index.search(vector, k)
        return [passage for passage in found if passage.score >= self._min_score]

    async def add(self, *articles: Article) -> None:
        """Split, embed and store articles."""
        await self._index.add(await self.embedded(*articles))

    async def embedded(self, *articles: Article) -> list[Embedded]:
        """Ready to be stored; the index is not asked."""
        return await asyncio.to_thread(
            lambda: [_embedded(article, self._embedder) for article in articles]
        )


def _embedded(article: Article, embedder: Embedder) -> Embedded:
    passages = split(article)
    return Embedded(article, passages, embedder.embed([_read(passage) for passage in passages]))


def _read(passage: Passage) -> str:
    """What is embedded: the headings say what a passage is about, often in the asker's words."""
    headings = [part for part in (passage.title, passage.heading) if part]
    return "\n".join([" > ".join(headings), passage.text])
