"""The knowledge base at work: articles go in, questions find the passages that answer them; and in
trouble: each has a sentence that says what to do, and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from pymilvus.decorators import retry_on_rpc_failure
from pymilvus.exceptions import MilvusException
from structlog.testing import capture_logs

from cli.knowledge import add_samples, counted, tell_trouble
from cli.parts import BATCH, Knowledge, add_articles, remove_article
from desk.child import ROOT
from desk.errors import DeskError, Misconfigured, Transient
from desk.response import Passage
from desk.store import Store
from inference.encoder import Encoder
from kb.articles import article, load
from kb.evaluate import Evaluation, Row, evaluate, rank, summarise
from kb.index import Index, translated
from kb.search import Search
from tests.doubles.embedder import TrigramEmbedder
from tests.doubles.exact_index import ExactIndex
from tests.services import need_file

ARTICLES = ROOT / "samples" / "articles"

EMBEDDER = TrigramEmbedder()
REFUNDS = article("refunds.md", "# Refunds\n\nA refund goes back to the card within five days.")
MANY = [article(f"{n}.md", f"# Part {n}\n\nWhat there is to say of {n}.") for n in range(20)]

QUESTIONS = [
    Row("You took the money twice from my card, give it back", "refunds-and-double-charges.md"),
    Row("I forgot my password and cannot get a new one", "reset-your-password.md"),
    Row("How do I cancel my subscription and close the account?", "cancel-your-account.md"),
    Row("The app on the scanner closes by itself", "scanner-app-crashes.md"),
    Row("we get HTTP 429 too many requests from your API", "api-rate-limits.md"),
    Row("Please send me all personal data you hold about me (GDPR)", "personal-data-requests.md"),
    Row("our SAML certificate expires next week", "renew-the-sso-certificate.md"),
    Row("Labels come out of the printer empty", "label-printing.md"),
    Row("CSV upload says row 12 is invalid", "csv-import-errors.md"),
    Row("Where do I download the invoice of last month?", "invoices.md"),
]


async def test_questions_find_their_articles_in_milvus(tmp_path: Path) -> None:
    folder = need_file(ROOT / "build" / "encoder", "run `make setup`")
    encoder = Encoder.open(folder)
    async with Index(tmp_path / "kb.db") as index:
        search = Search(index, encoder)
        await search.add(*load(need_file(ARTICLES, "it is part of the repository")))
        found = await evaluate(QUESTIONS, search)
    assert found.n == len(QUESTIONS)
    assert found.recall_at_1 >= 0.8
    assert found.recall_at_5 == 1


async def test_both_indexes_give_the_same_answers(tmp_path: Path) -> None:
    embedder = TrigramEmbedder()
    lite = Index(tmp_path / "kb.db", dimension=embedder.dimension)
    exact = ExactIndex(tmp_path / "kb", dimension=embedder.dimension)
    async with lite, exact:
        answers = []
        for index in (lite, exact):
            search = Search(index, embedder)
            await search.add(*load(ARTICLES))
            found = await search("refund of a double charge", 5)
            answers.append([(one.article, one.text, round(one.score, 3)) for one in found])
    assert answers[0] == answers[1]
    assert len(answers[0]) == 5


async def test_passages_below_the_least_score_are_left_out(tmp_path: Path) -> None:
    embedder = TrigramEmbedder()
    async with ExactIndex(tmp_path, embedder.dimension) as index:
        await Search(index, embedder).add(article("a.md", "refund of a charge"))
        await Search(index, embedder).add(article("b.md", "xyzzy plugh"))
        everything = await Search(index, embedder)("refund of a charge")
        found = await Search(index, embedder, min_score=0.5)("refund of a charge")
    assert [one.article for one in everything] == ["a.md", "b.md"]
    assert [one.article for one in found] == ["a.md"]


@pytest.mark.parametrize("question", ["", "  \n"])
async def test_an_empty_question_finds_nothing(tmp_path: Path, question: str) -> None:
    embedder = TrigramEmbedder()
    async with ExactIndex(tmp_path, embedder.dimension) as index:
        await Search(index, embedder).add(article("a.md", "text"))
        assert await Search(index, embedder)(question) == []


async def test_headings_help_to_find_a_passage(tmp_path: Path) -> None:
    embedder = TrigramEmbedder()
    async with ExactIndex(tmp_path, embedder.dimension) as index:
        search = Search(index, embedder)
        await search.add(article("a.md", "# Refunds\n\nSee the table of days below."))
        await search.add(article("b.md", "# Scanner\n\nSee the table of days below."))
        assert (await search("refunds"))[0].article == "a.md"
        assert (await search("scanner"))[0].article == "b.md"


async def test_evaluation_counts_articles_not_passages() -> None:
    passages = [Passage(name, "", "", "") for name in ("b", "b", "b", "a", "c")]

    async def ask(question: str, k: int) -> list[Passage]:
        return passages

    rows = [Row("q", "b"), Row("q", "a"), Row("q", "z"), Row("q", "c")]
    found = await evaluate(rows, ask)
    assert (found.n, found.recall_at_1, found.recall_at_5) == (4, 0.25, 0.75)
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 3) / 4)
    assert rank("a", passages) == 2
    assert rank("k", [Passage(name, "", "", "") for name in "abcdefghijk"]) == 0


def test_an_evaluation_of_nothing_is_all_zeros() -> None:
    assert summarise([]) == Evaluation(0, 0, 0, 0)
    assert summarise([6]).recall_at_5 == 0


def test_importing_the_knowledge_base_is_cheap() -> None:
    probe = (
        "import sys, kb.index, kb.evaluate;"
        "print([m for m in ('pymilvus', 'milvus_lite', 'pandas', 'grpc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


async def test_only_what_is_new_or_changed_is_added(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    for number in range(BATCH + 3):
        (folder / f"{number}.md").write_text(f"# Part {number}\n\nThe part {number} costs money.")
    embedder = TrigramEmbedder()
    async with Index(tmp_path / "kb.db", dimension=embedder.dimension) as index:
        knowledge = Knowledge(index, Search(index, embedder))
        assert await add_articles(store, knowledge, folder) == BATCH + 3
        assert await add_articles(store, knowledge, folder) == 0
        listed = {one.name: one.sha256 for one in await index.articles()}
        assert listed == await store.article_hashes()
        (folder / "1.md").write_text("# Part 1\n\nIt is free now.")
        assert await add_articles(store, knowledge, folder) == 1
        assert (await knowledge.search("Part 1 It is free now."))[0].text == "It is free now."
        await index.remove("2.md")  # and the records do not know
        assert await add_articles(store, knowledge, folder) == 1
        assert len(await index.articles()) == BATCH + 3


async def test_records_that_do_not_know_an_article_add_it_once(
    tmp_path: Path, store: Store
) -> None:
    (tmp_path / "a.md").write_text("# Refunds\n\nFive days.")
    embedder = TrigramEmbedder()
    async with Index(tmp_path / "kb.db", dimension=embedder.dimension) as index:
        knowledge = Knowledge(index, Search(index, embedder))
        assert await add_articles(store, knowledge, tmp_path / "a.md") == 1
        async with store.change() as change:
            await change.forget_article("a.md")
        assert await store.article_hashes() == {}
        assert await add_articles(store, knowledge, tmp_path / "a.md") == 0
        # or it would be embedded in vain with every start
        assert await store.article_hashes() == {one.name: one.sha256 for one in load(tmp_path)}
        assert [await remove_article(store, knowledge, "a.md") for _ in range(2)] == [True, False]
        assert (await store.article_hashes(), await index.articles()) == ({}, [])


async def test_what_was_added_and_is_no_longer_there_is_missed(
    tmp_path: Path, store: Store
) -> None:
    (tmp_path / "a.md").write_text("# Refunds\n\nFive days.")
    (tmp_path / "b.md").write_text("# Scanner\n\nHold the button.")
    embedder = TrigramEmbedder()
    async with Index(tmp_path / "kb.db", dimension=embedder.dimension) as index:
        knowledge = Knowledge(index, Search(index, embedder))
        await add_articles(store, knowledge, tmp_path)
        assert await counted(store, knowledge) == "2 articles"
        await index.remove("b.md")
        with pytest.raises(Misconfigured, match=r"1 of the 2 .* b\.md for example: add them again"):
            await counted(store, knowledge)


async def test_samples_that_cannot_be_added_hold_up_nothing(folder: Path, store: Store) -> None:
    async with opened(folder) as (index, _):
        await index.articles()
        async with opened(folder) as (second, search):
            with capture_logs() as logs:
                await add_samples(store, Knowledge(second, search))
                await tell_trouble(store, Knowledge(second, search))
    assert ["open in another process" in log["error"] for log in logs] == [True, True]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Index, Search]]:
    async with Index(folder, dimension=EMBEDDER.dimension) as index:
        yield index, Search(index, EMBEDDER)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a knowledge base with one article."""

    async def fill() -> None:
        async with opened(made) as (_, search):
            await search.add(REFUNDS)

    made = tmp_path_factory.mktemp("template") / "kb"
    with ThreadPoolExecutor(1) as thread:  # beside the event loop of the test that asks first
        thread.submit(asyncio.run, fill()).result()
    return made


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "kb")


def cut(folder: Path, pattern: str) -> None:
    for file in folder.rglob(pattern):
        file.write_bytes(file.read_bytes()[:-100])


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be longer than this; the system refuses it as it does when the disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def names(index: Index) -> list[str]:
    return [entry.name for entry in await index.articles()]


@pytest.mark.parametrize("damaged", ["*.parquet", "schema.json", "*.idx"])
async def test_a_damaged_folder_is_told_and_works_once_it_is_moved_away(
    folder: Path, damaged: str
) -> None:
    cut(folder, damaged)
    async with opened(folder) as (index, search):
        with pytest.raises(Misconfigured, match=r"is damaged .*: move it away and add") as told:
            await search("refund")
        assert str(folder) in str(told.value)
        shutil.move(folder, folder.with_name("away"))
        await search.add(REFUNDS)
        assert await names(index) == ["refunds.md"]


async def test_silence_is_not_taken_for_damage(folder: Path) -> None:
    class Slow:
        """Answers later than its caller waits: the error is pymilvus's own."""

        @retry_on_rpc_failure()  # type: ignore[untyped-decorator]
        async def search(self, timeout: float) -> None:  # noqa: ASYNC109 - pymilvus looks for it
            await asyncio.sleep(10)

    async with opened(folder) as (index, _):
        await index.articles()
        with pytest.raises(MilvusException) as silent:
            await Slow().search(timeout=0.05)
        told = index.told(silent.value)
        assert (type(told), "is damaged" in str(told)) == (Transient, False)


async def test_what_the_index_lost_can_be_removed(folder: Path, store: Store) -> None:
    async with opened(folder) as (index, search):
        knowledge = Knowledge(index, search)
        async with store.change() as change:
            await change.save_article("lost.md", "Lost", "f" * 64, 1)
        assert [await remove_article(store, knowledge, "lost.md") for _ in range(2)] == [
            True,
            False,
        ]
        assert await store.article_hashes() == {}


async def test_a_full_disk_costs_what_was_to_be_added_alone(folder: Path) -> None:
    async with opened(folder) as (index, search):
        await index.articles()
        with full_disk():
            with pytest.raises(Transient, match="cannot be read or written: File too large"):
                await search.add(*MANY)
            assert [one.article for one in await search("refund", 1)] == ["refunds.md"]
        assert await names(index) == ["refunds.md"]
        await search.add(*MANY)
        assert len(await names(index)) == 21


# the file that Milvus Lite leaves open cannot be written by the collector either
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_what_was_added_is_there_also_when_the_disk_is_full_at_the_end(folder: Path) -> None:
    index = Index(folder, dimension=EMBEDDER.dimension)
    async with index:
        await Search(index, EMBEDDER).add(*MANY)
        with full_disk():
            await index.__aexit__(None, None, None)
            gc.collect()
    async with opened(folder) as (again, _):
        assert len(await names(again)) == 21


async def test_a_folder_that_is_open_elsewhere_is_found_once_it_is_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sockets = tmp_path_factory.mktemp("sockets")
    async with opened(folder) as (index, _):
        await index.articles()
        monkeypatch.setattr(tempfile, "tempdir", str(sockets))
        async with opened(folder) as (second, _):
            for _ in range(3):
                with pytest.raises(Misconfigured, match="open in another process: stop that one"):
                    await second.articles()
            assert os.listdir(sockets) == []
            monkeypatch.undo()
            await index.__aexit__(None, None, None)
            assert await names(second) == ["refunds.md"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("auth check failure, please check api key is correct", Misconfigured),
        ("field author not exist", Transient),
    ],
)
def test_a_word_in_an_error_is_not_taken_for_one_about_the_token(
    said: str, kind: type[DeskError]
) -> None:
    assert type(translated(MilvusException(1, said))) is kind
