"""Reads what a mail is: its sentiment, urgency and category, each with a confidence."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from inference.encoder import Reader, Vectors
from inference.heads import Head, Heads, Numbers, choose, softmax
from inference.language import detect

_MENTION = re.compile(r"(?<!\S)@\w+\s*")


class Classifier(Protocol):
    """``emails``: each mail's subject, an empty line, and the part its writer wrote now."""

    async def classify(self, emails: Sequence[str]) -> list[Classification]: ...


@dataclass(frozen=True, slots=True)
class Opinion:
    """A label with its confidence, and whether that is enough to act on it."""

    label: str
    confidence: float
    is_sure: bool


class Judge(Protocol):
    """Another model for one of the three parts."""

    name: str

    def judge(self, texts: Sequence[str]) -> list[Opinion]: ...


class HeadsClassifier:
    """The heads over one pass of the encoder; ``overrides`` replace them by part.

    Computes in a thread, one batch at a time, so that the loop goes on and cores are not overrun.
    """

    def __init__(
        self,
        encoder: Reader,
        heads: Heads,
        overrides: Mapping[str, Judge] = MappingProxyType({}),
    ) -> None:
        self._encoder = encoder
        self._heads = heads
        self._overrides = overrides
        self._turn = asyncio.Lock()
        self.model = "+".join([heads.name, *(judge.name for judge in overrides.values())])

    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        if not emails:
            return []
        async with self._turn:
            return await asyncio.to_thread(self._classify, emails)

    def _classify(self, texts: Sequence[str]) -> list[Classification]:
        read = self._encoder.layers([shaped(text) for text in texts])
        english = [detect(text) == "en" for text in texts]
        opinions = {
            task: self._overrides[task].judge(texts)
            if task in self._overrides
            else judge(head, read, english)
            for task, head in self._heads.tasks.items()
        }
        return [
            self._join(text, {task: told[row] for task, told in opinions.items()})
            for row, text in enumerate(texts)
        ]

    def _join(self, text: str, opinions: Mapping[str, Opinion]) -> Classification:
        says_something = any(sign.isalpha() for sign in text)
        sentiment, urgency, category = (
            opinions[task] for task in ("sentiment", "urgency", "category")
        )
        return Classification(
            sentiment=Label(Sentiment(sentiment.label), sentiment.confidence),
            urgency=Label(Urgency(urgency.label), urgency.confidence),
            category=Label(Category(category.label), category.confidence),
            unsure=tuple(
                task
                for task, opinion in opinions.items()
                if not (opinion.is_sure and says_something)
            ),
            model=self.model,
        )


def shaped(text: str) -> str:
    """The text as the heads know mails: with a subject, and without @mentions, which on other
    channels stand before everything and say nothing."""
    text = _MENTION.sub("", text).strip()
    return text if "\n\n" in text else f"(no subject)\n\n{text}"


def judge(head: Head, read: Vectors, english: Sequence[bool]) -> list[Opinion]:
    """What a head makes of the layers of some texts; ``english`` says which are in English."""
    return judge_logits(head, head.logits(read), english)


def judge_logits(head: Head, logits: Numbers, english: Sequence[bool]) -> list[Opinion]:
    calibrations = [head.calibration(is_english) for is_english in english]
    heats = np.array([[one.temperature] for one in calibrations])
    shares = softmax(logits / heats)
    opinions = []
    for row, best, calibration in zip(shares, choose(head.task, shares), calibrations, strict=True):
        confidence = round(float(row[best]), 4)
        opinions.append(Opinion(head.labels[best], confidence, calibration.trusts(confidence)))
    return opinions
