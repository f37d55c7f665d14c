"""An index in one file, searched exactly: for a small knowledge base without Milvus.

All vectors are one matrix in memory (100,000 take about 40 ms a search). Every change writes the
file anew, and one process may write it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from desk.errors import Misconfigured
from desk.response import Passage
from kb.articles import Entry
from kb.search import Embedded, Vectors

FILE = "passages.npz"


@dataclass(frozen=True, slots=True)
class _Content:
    """Row ``i`` of ``vectors`` belongs to ``passages[i]``."""

    entries: dict[str, Entry]
    passages: tuple[Passage, ...]
    vectors: Vectors


class ExactIndex:
    """A PassageIndex on a folder. Searches see a change at once and whole."""

    def __init__(self, folder: Path, dimension: int = 384) -> None:
        self._file = folder / FILE
        self._dimension = dimension
        self._content = _Content({}, (), np.zeros((0, dimension), np.float32))
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if self._file.exists():
            self._content = await asyncio.to_thread(_read, self._file, self._dimension)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def add(self, batch: Sequence[Embedded]) -> None:
        async with self._lock:
            content = self._content
            for one in batch:
                content = _with(_without(content, one.article.name), one)
            await self._keep(content)

    async def remove(self, name: str) -> bool:
        async with self._lock:
            if name not in self._content.entries:
                return False
            await self._keep(_without(self._content, name))
            return True

    async def articles(self) -> list[Entry]:
        return sorted(self._content.entries.values(), key=lambda entry: entry.name)

    async def search(self, vector: Vectors, k: int) -> list[Passage]:
        return await asyncio.to_thread(_nearest, self._content, vector, k)

    async def _keep(self, content: _Content) -> None:
        await asyncio.to_thread(_write, self._file, content)
        self._content = content


def _with(content: _Content, new: Embedded) -> _Content:
    article = new.article
    entry = Entry(article.name, article.title, article.sha256, len(new.passages))
    lengths = np.linalg.norm(new.vectors, axis=1, keepdims=True)
    rows = new.vectors / np.where(lengths > 0, lengths, 1)
    return _Content(
        {**content.entries, article.name: entry},
        (*content.passages, *new.passages),
        np.vstack([content.vectors, rows]).astype(np.float32),
    )


def _without(content: _Content, name: str) -> _Content:
    kept = [at for at, passage in enumerate(content.passages) if passage.article != name]
    return _Content(
        {key: entry for key, entry in content.entries.items() if key != name},
        tuple(content.passages[at] for at in kept),
        content.vectors[kept],
    )


def _nearest(content: _Content, vector: Vectors, k: int) -> list[Passage]:
    scores = content.vectors @ (vector / (float(np.linalg.norm(vector)) or 1.0))
    best = np.argsort(-scores, kind="stable")[:k]
    return [replace(content.passages[at], score=float(scores[at])) for at in best]


def _write(file: Path, content: _Content) -> None:
    words = {
        "entries": [asdict(entry) for entry in content.entries.values()],
        "passages": [asdict(passage) for passage in content.passages],
    }
    text = np.frombuffer(json.dumps(words).encode(), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as stream:
        np.savez(stream, words=text, vectors=content.vectors)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def _read(file: Path, dimension: int) -> _Content:
    try:
        with np.load(file, allow_pickle=False) as stored:
            words = json.loads(stored["words"].tobytes())
            vectors = stored["vectors"]
        entries = [Entry(**entry) for entry in words["entries"]]
        passages = tuple(Passage(**passage) for passage in words["passages"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            f"{file} cannot be read: delete it and add the articles again."
        ) from error
    if vectors.shape != (len(passages), dimension):
        raise Misconfigured(
            f"{file} was made by another encoder: delete it and add the articles again."
        )
    return _Content({entry.name: entry for entry in entries}, passages, vectors)
