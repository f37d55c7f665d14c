"""Every index of passages keeps the same promises: Milvus Lite, a Milvus server, one exact file."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from desk.errors import Misconfigured, Permanent, Transient
from desk.response import Passage
from kb.articles import Article, article, split
from kb.index import Index
from kb.search import Embedded, PassageIndex, Search
from tests.doubles.embedder import TrigramEmbedder
from tests.doubles.exact_index import ExactIndex
from tests.services import free_port

EMBEDDER = TrigramEmbedder()


class Opener(Protocol):
    """Opens the same, at first empty, index again and again."""

    def __call__(
        self, dimension: int = EMBEDDER.dimension
    ) -> AbstractAsyncContextManager[PassageIndex]: ...


REFUNDS = article("refunds.md", "# Refunds\n\nA refund goes back to the card within five days.")
SCANNER = article("scanner.md", "# Scanner\n\nHold the scanner button to pair it with a phone.")


class MilvusServer:
    """A Milvus Lite server in a process of its own: the wire of a Milvus server."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port

    def __enter__(self) -> str:
        arguments = ["--data-dir", str(self._folder), "--host", "127.0.0.1"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "milvus_lite", "server", *arguments, "--port", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                break
            time.sleep(0.1)
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with MilvusServer(tmp_path_factory.mktemp("server"), free_port()) as url:
        yield url


@pytest.fixture(params=["exact", "lite", "server"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    folder = tmp_path / "kb"

    def exact(dimension: int = EMBEDDER.dimension) -> ExactIndex:
        return ExactIndex(folder, dimension)

    def lite(dimension: int = EMBEDDER.dimension) -> Index:
        return Index(folder / "kb.db", dimension=dimension)

    if request.param != "server":
        return exact if request.param == "exact" else lite
    url = request.getfixturevalue("server")
    collection = f"c{time.time_ns()}"

    def remote(dimension: int = EMBEDDER.dimension) -> Index:
        return Index(url, dimension=dimension, collection=collection)

    return remote


@pytest.fixture
async def index(opener: Opener) -> AsyncIterator[PassageIndex]:
    async with opener() as opened:
        yield opened


async def add(index: PassageIndex, *articles: Article) -> None:
    await Search(index, EMBEDDER).add(*articles)


async def ask(index: PassageIndex, question: str, k: int = 4) -> list[Passage]:
    return await Search(index, EMBEDDER)(question, k)


async def test_the_nearest_passage_comes_first_with_its_cosine(index: PassageIndex) -> None:
    await add(index, REFUNDS, SCANNER)
    found = await ask(index, "when does the refund reach my card")
    assert [passage.article for passage in found] == ["refunds.md", "scanner.md"]
    assert found[0] == replace(split(REFUNDS)[0], score=found[0].score)
    assert 1 >= found[0].score > found[1].score


async def test_a_passage_has_score_one_for_its_own_vector(index: PassageIndex) -> None:
    vector = EMBEDDER.embed(["exactly this"])[0]
    passages = [Passage("a.md", "A", "", "exactly this")]
    await index.add([Embedded(article("a.md", "exactly this"), passages, np.array([vector]))])
    [found] = await index.search(vector, 1)
    assert found.score == pytest.approx(1, abs=1e-4)


async def test_an_empty_index_finds_nothing(index: PassageIndex) -> None:
    assert await ask(index, "anything") == []
    assert await index.articles() == []


async def test_asking_for_more_than_there_is_gives_all(index: PassageIndex) -> None:
    await add(index, REFUNDS, SCANNER)
    assert len(await ask(index, "refund", k=1000)) == 2


async def test_k_is_a_limit(index: PassageIndex) -> None:
    await add(index, REFUNDS, SCANNER)
    assert len(await ask(index, "refund", k=1)) == 1


async def test_articles_are_listed_by_name_with_their_hash(index: PassageIndex) -> None:
    await add(index, SCANNER, REFUNDS)
    entries = await index.articles()
    assert [entry.name for entry in entries] == ["refunds.md", "scanner.md"]
    assert entries[0].sha256 == REFUNDS.sha256
    assert entries[0].title == "Refunds"
    assert entries[0].passages == 1


async def test_adding_a_name_again_replaces_the_article(index: PassageIndex) -> None:
    await add(index, REFUNDS, SCANNER)
    changed = article("refunds.md", "# Refunds\n\nNow a refund takes ten days.")
    await add(index, changed)
    found = await ask(index, "refund days", k=10)
    assert [passage.text for passage in found if passage.article == "refunds.md"] == [
        "Now a refund takes ten days."
    ]
    assert [entry.sha256 for entry in await index.articles()] == [changed.sha256, SCANNER.sha256]


async def test_of_several_at_once_each_replaces_its_own(index: PassageIndex) -> None:
    await add(index, REFUNDS, SCANNER)
    changed = article("refunds.md", "# Refunds\n\n" + "Now a refund takes ten days. " * 60)
    new = article("labels.md", "# Labels\n\nA label that is empty is printed again.")
    await add(index, changed, new)
    entries = await index.articles()
    assert [entry.sha256 for entry in entries] == [new.sha256, changed.sha256, SCANNER.sha256]
    assert [entry.passages for entry in entries] == [1, len(split(changed)), 1]
    assert len(split(changed)) > 1
    assert len(await ask(index, "refund", k=20)) == len(split(changed)) + 2
    assert (await ask(index, "a label that is empty", k=1))[0].article == "labels.md"


async def test_fewer_passages_leave_none_of_the_old_ones(index: PassageIndex) -> None:
    sections = [f"## Part {n}\n\n" + f"word{n} " * 60 for n in range(6)]
    await add(index, article("long.md", "# Long\n\n" + "\n\n".join(sections)))
    assert (await index.articles())[0].passages == 6
    await add(index, article("long.md", "# Long\n\nshort now"))
    assert [passage.text for passage in await ask(index, "word3", k=20)] == ["short now"]


async def test_adding_the_same_twice_changes_nothing(index: PassageIndex) -> None:
    await add(index, REFUNDS)
    await add(index, REFUNDS)
    assert len(await ask(index, "refund", k=10)) == 1


async def test_versions_that_were_replaced_take_no_place_among_the_found(
    index: PassageIndex,
) -> None:
    await add(index, SCANNER)
    for _ in range(8):
        await add(index, REFUNDS)
    found = await ask(index, "refund to the card", k=2)
    assert [passage.article for passage in found] == ["refunds.md", "scanner.md"]


async def test_a_removed_article_is_gone(index: PassageIndex) -> None:
    await add(index, REFUNDS, SCANNER)
    assert await index.remove("refunds.md")
    assert not await index.remove("refunds.md")
    assert [passage.article for passage in await ask(index, "refund", k=5)] == ["scanner.md"]
    assert [entry.name for entry in await index.articles()] == ["scanner.md"]


@pytest.mark.parametrize(
    "name",
    ["sub/\"quoted\" \\ 'and' {x}.md", "日本語/返金.md", "ümläut & 100%.md", "n" * 300 + ".md"],
)
async def test_names_and_texts_may_hold_any_sign(index: PassageIndex, name: str) -> None:
    text = f'# Ré "fund" 返金 {{0}}\n\nText of {name} with 🙂 and \\ and \'\n'
    await add(index, article(name, text), SCANNER)
    found = await ask(index, text, k=1)
    assert found[0].article == name
    assert "🙂" in found[0].text
    assert await index.remove(name)
    assert [entry.name for entry in await index.articles()] == ["scanner.md"]


async def test_what_was_added_is_there_after_reopening(opener: Opener) -> None:
    async with opener() as first:
        await add(first, REFUNDS, SCANNER)
        await first.remove("scanner.md")
    async with opener() as second:
        assert [entry.name for entry in await second.articles()] == ["refunds.md"]
        assert (await ask(second, "refund"))[0].text == split(REFUNDS)[0].text


async def test_searches_during_replacement_always_find_the_article(index: PassageIndex) -> None:
    await add(index, SCANNER, REFUNDS)
    seen: list[list[str]] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            found = await ask(index, "refund to the card", k=2)
            seen.append([passage.text for passage in found if passage.article == "refunds.md"])

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for n in range(8):
        text = f"# Refunds\n\nA refund goes back to the card within {n} days."
        await add(index, article("refunds.md", text))
    done.set()
    await asyncio.gather(*readers)
    assert len(seen) > 8
    assert [texts for texts in seen if len(texts) != 1] == []


async def test_many_articles_added_at_once_are_all_there(index: PassageIndex) -> None:
    many = [article(f"a{n}.md", f"# A{n}\n\nabout topic{n} only") for n in range(12)]
    await asyncio.gather(*(add(index, one) for one in many))
    assert len(await index.articles()) == 12


@pytest.mark.parametrize("bad", [3, 505])
async def test_a_version_that_was_stored_in_part_does_not_count_as_there(
    server: str, bad: int
) -> None:
    """Whoever adds what is missing goes by the list."""
    passages = [Passage("long.md", "Long", "", f"Part {n}.") for n in range(510)]
    vectors = [np.ones(8, np.float32) for _ in passages]
    vectors[bad] = np.ones(7, np.float32)  # is refused, and with it those it is handed over with
    torn = Embedded(article("long.md", "Long"), passages, vectors)  # type: ignore[arg-type]
    async with Index(server, dimension=8, collection=f"c{time.time_ns()}") as index:
        with pytest.raises((Permanent, Transient)):
            await index.add([torn])
        assert await index.articles() == []


async def test_an_index_of_another_encoder_is_refused(opener: Opener) -> None:
    async with opener() as index:
        await add(index, REFUNDS)
    with pytest.raises(Misconfigured, match="another encoder"):
        async with opener(dimension=8) as other:
            await other.articles()


async def test_a_folder_open_elsewhere_is_reported(tmp_path: Path) -> None:
    async with Index(tmp_path / "kb.db", dimension=8) as first:
        await first.articles()
        async with Index(tmp_path / "kb.db", dimension=8) as second:
            with pytest.raises(Misconfigured, match="open in another process"):
                await second.articles()


async def test_a_folder_is_free_again_after_closing(tmp_path: Path) -> None:
    for _ in range(3):
        async with Index(tmp_path / "kb.db", dimension=8) as index:
            assert await index.articles() == []


async def test_a_damaged_exact_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "passages.npz").write_bytes(b"no zip")
    with pytest.raises(Misconfigured, match=r"passages\.npz"):
        async with ExactIndex(tmp_path):
            pass


async def test_a_passage_beyond_the_limit_of_milvus_is_refused(tmp_path: Path) -> None:
    huge = Passage("a.md", "A", "", "x" * 70_000)
    async with Index(tmp_path / "kb.db", dimension=EMBEDDER.dimension) as index:
        with pytest.raises(Permanent, match="70000 bytes"):
            await index.add([Embedded(article("a.md", "x"), [huge], EMBEDDER.embed(["x"]))])


async def test_a_server_that_is_away_is_transient_and_found_again(tmp_path: Path) -> None:
    port = free_port()
    async with Index(f"http://127.0.0.1:{port}", dimension=EMBEDDER.dimension, timeout=2) as index:
        with pytest.raises(Transient, match="Milvus does not answer"):
            await index.articles()
        with MilvusServer(tmp_path, port):
            await until_answers(index)
            await add(index, REFUNDS)
        with pytest.raises(Transient):
            await ask(index, "refund")
        with MilvusServer(tmp_path, port):
            await until_answers(index)
            assert (await ask(index, "refund"))[0].article == "refunds.md"


async def until_answers(index: PassageIndex) -> None:
    for _ in range(20):
        try:
            await index.articles()
        except Transient:
            await asyncio.sleep(0.2)
        else:
            return
    pytest.fail("the index did not recover")
