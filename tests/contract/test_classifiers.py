"""What everything that classifies mail must keep to: the heads, and a checkpoint in their place."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from desk.classification import Category, Sentiment, Urgency
from inference.classify import Classifier, HeadsClassifier, Opinion
from inference.encoder import Encoder
from inference.evaluate import evaluate
from inference.heads import SHIPPED, Heads
from tests.doubles.roberta import TEXTS
from tests.services import need_file

ROOT = Path(__file__).parents[2]
MAILS = [
    "Production down\n\nSince 9:12 nobody in our company can log in, all 300 of us. Please hurry!",
    "Thank you\n\nI just wanted to say how happy we are with your service. Wonderful team!",
    "Invoice 2231\n\nCould you send me a copy of the invoice for March? Thanks in advance.",
    "Win now\n\nCongratulations! You were selected for a free cruise, click here to claim it.",
]


class Gloomy:
    """Stands in for a checkpoint that says negative to everything, in order of arrival."""

    name = "gloomy"

    def __init__(self, is_sure: bool = False) -> None:
        self._is_sure = is_sure

    def judge(self, texts: Sequence[str]) -> list[Opinion]:
        return [
            Opinion("negative", 0.5 + number / 100, self._is_sure) for number in range(len(texts))
        ]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    manifest = need_file(ROOT / "build/encoder/manifest.json", "make setup")
    return Encoder.open(manifest.parent)


@pytest.fixture(params=["heads", "overridden"])
def classifier(request: pytest.FixtureRequest, encoder: Encoder) -> Classifier:
    heads = Heads.open(SHIPPED, encoder)
    overrides = {"sentiment": Gloomy()} if request.param == "overridden" else {}
    return HeadsClassifier(encoder, heads, overrides)


async def test_every_mail_gets_an_answer_in_order_with_confidences(classifier: Classifier) -> None:
    told = await classifier.classify(MAILS)

    assert len(told) == len(MAILS)
    assert [one.urgency.label for one in told[:2]] == [Urgency.CRITICAL, Urgency.LOW]
    assert [one.category.label for one in told[1:]] == [
        Category.FEEDBACK,
        Category.BILLING,
        Category.SPAM,
    ]
    for one in told:
        assert isinstance(one.sentiment.label, Sentiment)
        parts = (one.sentiment, one.urgency, one.category)
        assert all(0 < part.confidence <= 1 for part in parts)
        assert {*one.unsure} <= {"sentiment", "urgency", "category"}
        assert one.reasons == ()
        assert one.model.startswith("minilm-heads-")


async def test_a_mail_is_told_the_same_alone_and_in_any_company(classifier: Classifier) -> None:
    together = await classifier.classify([*MAILS, "word " * 2000, ""])
    alone = [(await classifier.classify([mail]))[0] for mail in MAILS]

    assert [one.urgency for one in together[:4]] == [one.urgency for one in alone]
    assert [one.category for one in together[:4]] == [one.category for one in alone]


async def test_no_mail_and_mails_without_words(classifier: Classifier) -> None:
    assert await classifier.classify([]) == []
    for one in await classifier.classify(["", " \n\n ", "12345 !!!", "👍👍"]):
        assert one.unsure == ("sentiment", "urgency", "category")


async def test_nobody_is_sure_about_a_mail_without_words(encoder: Encoder) -> None:
    heads = Heads.open(SHIPPED, encoder)
    classifier = HeadsClassifier(encoder, heads, {"sentiment": Gloomy(is_sure=True)})

    words, none = await classifier.classify(["Where is my parcel?", "12345"])

    assert "sentiment" not in words.unsure
    assert "sentiment" in none.unsure


async def test_the_loop_goes_on_while_mails_are_read(classifier: Classifier) -> None:
    job = asyncio.create_task(classifier.classify(["Some words about an invoice. " * 60] * 12))
    turns = 0
    while not job.done():
        turns += 1
        await asyncio.sleep(0.005)

    assert turns > 5
    assert len(job.result()) == 12


async def test_an_override_answers_for_its_part_only(encoder: Encoder) -> None:
    heads = Heads.open(SHIPPED, encoder)
    plain = await HeadsClassifier(encoder, heads).classify(MAILS)
    other = await HeadsClassifier(encoder, heads, {"sentiment": Gloomy()}).classify(MAILS)

    assert [one.sentiment.label for one in other] == [Sentiment.NEGATIVE] * 4
    assert [one.sentiment.confidence for one in other] == [0.5, 0.51, 0.52, 0.53]
    assert all("sentiment" in one.unsure for one in other)
    assert [one.urgency for one in other] == [one.urgency for one in plain]
    assert other[0].model.endswith("+gloomy")


async def test_evaluating_a_real_classifier_measures_it(classifier: Classifier) -> None:
    labels = ["support", "feedback", "billing", "spam"]
    rows = [{"text": text, "label": label} for text, label in zip(MAILS, labels, strict=True)]
    done: list[int] = []

    measures = await evaluate("category", rows * 10, classifier, done.append)

    assert measures["n"] == 40
    assert float(str(measures["accuracy"])) >= 0.75
    assert sum(done) == 40


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What checkpoints say in a process of their own: torch takes seconds to import."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.doubles.roberta", str(tmp_path_factory.mktemp("roberta"))],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.mark.slow
def test_a_checkpoint_answers_with_its_own_labels_in_our_words(told: dict[str, Any]) -> None:
    assert told["name"] == "named"
    assert len(told["together"]) == len(TEXTS)
    assert {label for label, _, _ in told["together"]} <= {*Sentiment}
    # the same weights and texts, but other names for the labels: positive, negative, neutral
    names = {"positive": "negative", "negative": "neutral", "neutral": "positive"}
    assert [names[label] for label, _, _ in told["together"]] == [
        label for label, _, _ in told["nameless"]
    ]


@pytest.mark.slow
def test_a_checkpoint_says_the_same_of_a_text_alone_and_in_company(told: dict[str, Any]) -> None:
    for (label, confidence, _), (alone, confident, _) in zip(
        told["together"], told["alone"], strict=True
    ):
        assert label == alone
        assert confidence == pytest.approx(confident, abs=0.001)


@pytest.mark.slow
def test_a_checkpoint_is_unsure_below_its_threshold(told: dict[str, Any]) -> None:
    assert not any(sure for _, _, sure in told["strict"])
    assert all(sure == (confidence >= 0.7) for _, confidence, sure in told["together"])


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("strange", "has the labels joy, anger, sadness: it needs negative, neutral, positive"),
        ("absent", "hf download nobody/has-this-model"),
        ("empty", "save a checkpoint and its tokenizer there"),
    ],
)
@pytest.mark.slow
def test_a_checkpoint_that_cannot_serve_says_what_to_do(
    told: dict[str, Any], case: str, words: str
) -> None:
    assert words in told[case]
