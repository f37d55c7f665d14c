"""How well the knowledge base answers: recall and mean reciprocal rank over asked questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from desk.response import Passage

PASSAGES = 40  # asked for, so that ten different articles are among them
DEPTH = 10

Ask = Callable[[str, int], Awaitable[list[Passage]]]


@dataclass(frozen=True, slots=True)
class Row:
    """A question, and the article (its name as added) that answers it."""

    question: str
    article: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``recall_at_k`` is the share of questions whose article is among the first ``k`` articles;
    ``mrr`` the mean of 1 / rank, 0 beyond the tenth."""

    n: int
    recall_at_1: float
    recall_at_5: float
    mrr: float


async def evaluate(rows: Iterable[Row], search: Ask) -> Evaluation:
    """Ask every question. All zeros when there are none."""
    return summarise([rank(row.article, await search(row.question, PASSAGES)) for row in rows])


def rank(article: str, passages: Iterable[Passage]) -> int:
    """The article's place among the articles found, from 1; 0 beyond the tenth."""
    names = list(dict.fromkeys(passage.article for passage in passages))[:DEPTH]
    return names.index(article) + 1 if article in names else 0


def summarise(ranks: list[int]) -> Evaluation:
    """The measures over ranks, where 0 means not found."""
    n = len(ranks)
    share = 1 / n if n else 0.0
    return Evaluation(
        n=n,
        recall_at_1=share * sum(rank == 1 for rank in ranks),
        recall_at_5=share * sum(1 <= rank <= 5 for rank in ranks),
        mrr=share * sum(1 / rank for rank in ranks if rank),
    )
