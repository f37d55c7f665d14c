"""The measures: accuracy, F1 and calibration by label, thresholds, and their odd cases."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.errors import Misconfigured
from inference.calibration import (
    calibrate,
    calibration_error,
    temperature,
    threshold,
    wilson,
)
from inference.evaluate import Judged, evaluate, measure
from inference.heads import softmax


class Loud:
    """Says negative of what shouts and neutral of the rest, and doubts what is short."""

    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        return [
            Classification(
                Label(Sentiment.NEGATIVE if "!" in email else Sentiment.NEUTRAL, 0.8),
                Label(Urgency.NORMAL, 0.5),
                Label(Category.OTHER, 0.5),
                unsure=("sentiment",) if len(email) < 3 else (),
            )
            for email in emails
        ]


def rows(*pairs: tuple[str, str]) -> list[dict[str, object]]:
    return [{"text": text, "label": label} for text, label in pairs]


async def test_the_measures_are_those_of_the_textbook() -> None:
    done: list[int] = []
    told = await evaluate(
        "sentiment",
        rows(("no!", "negative"), ("oh!", "positive"), ("fine", "neutral"), ("a!", "neutral")) * 20,
        Loud(),
        done.append,
    )

    # negative: precision 1/3, recall 1; neutral: 1, 1/2; positive: never said
    assert told["n"] == 80
    assert told["accuracy"] == 0.5
    assert told["macro_f1"] == pytest.approx((0.5 + 2 / 3 + 0) / 3, abs=1e-4)
    assert told["macro_recall"] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-4)
    assert told["ece"] == pytest.approx(0.3)
    assert told["coverage"] == 0.75
    assert told["accuracy_covered"] == pytest.approx(2 / 3, abs=1e-4)
    assert told["per_label"] == {
        "negative": {"n": 20, "precision": 0.3333, "recall": 1.0, "f1": 0.5},
        "neutral": {"n": 40, "precision": 1.0, "recall": 0.5, "f1": 0.6667},
        "positive": {"n": 20, "precision": 0.0, "recall": 0.0, "f1": 0.0},
    }
    assert done == [32, 32, 16]


def test_the_measures_agree_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    random = np.random.default_rng(3)
    truths = random.choice(["a", "b", "c", "d"], 200).tolist()
    labels = random.choice(["a", "b", "c"], 200).tolist()

    told = measure([Judged(t, said, 0.5, True) for t, said in zip(truths, labels, strict=True)])

    assert told["accuracy"] == pytest.approx(accuracy_score(truths, labels), abs=1e-4)
    assert told["macro_f1"] == pytest.approx(f1_score(truths, labels, average="macro"), abs=1e-4)
    expected = recall_score(truths, labels, average="macro", zero_division=0)
    assert told["macro_recall"] == pytest.approx(expected, abs=1e-4)


async def test_nothing_to_measure_is_no_error() -> None:
    told = await evaluate("urgency", [], Loud())

    assert told["n"] == 0
    assert told["accuracy_covered"] is None


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        ("mood", {"text": "a", "label": "negative"}, "use sentiment, urgency, category"),
        ("sentiment", {"text": "a", "label": "angry"}, "Row 2 has the sentiment label 'angry'"),
        ("sentiment", {"text": "a"}, "use negative, neutral, positive"),
        ("sentiment", {"label": "negative"}, "Row 2 has no text"),
    ],
)
async def test_a_row_that_cannot_be_measured_is_named(
    task: str, row: dict[str, object], words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        await evaluate(task, [*rows(("a", "neutral")), row], Loud())


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    assert calibration_error([], []) == 0
    assert calibration_error([1.0, 1.0], [True, True]) == 0
    assert calibration_error([0.9] * 10, [True] * 9 + [False]) == pytest.approx(0)
    assert calibration_error([0.9] * 10 + [0.6] * 10, [True] * 15 + [False] * 5) == pytest.approx(
        (0.1 + 0.1) / 2
    )


def test_wilson_bounds_match_published_values() -> None:
    # 81 of 263: 0.2553 (Newcombe 1998, table I); nothing known: 0
    assert wilson(81, 263) == pytest.approx(0.2553, abs=1e-4)
    assert wilson(0, 0) == 0
    assert wilson(10, 10) < 0.9 < wilson(40, 40)


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_the_temperature_that_distorted_the_logits_is_found(heat: float) -> None:
    random = np.random.default_rng(0)
    honest = random.normal(size=(4000, 3)) * 2
    truth = np.array([random.choice(3, p=shares) for shares in softmax(honest)])

    assert temperature(honest * heat, truth) == pytest.approx(heat, rel=0.15)


def test_the_threshold_is_the_lowest_that_keeps_the_promise() -> None:
    confidences = np.linspace(1, 0, 400)
    right = np.arange(400) < 200

    found = threshold(confidences, right)

    # all right above 0.5; the Wilson bound of 200 of n passes below 0.9 soon after
    assert found is not None
    kept = confidences >= found
    assert wilson(int(right[kept].sum()), int(kept.sum())) >= 0.9
    assert found < 0.5


def test_a_threshold_out_of_reach_is_the_best_or_none() -> None:
    confidences = np.linspace(1, 0, 20)
    all_right = np.ones(20, dtype=bool)

    assert threshold(confidences, all_right) == 0  # 20 of 20 proves 0.84: the best there is
    assert threshold(confidences, ~all_right) is None
    assert threshold(confidences[:3], all_right[:3]) is None
    assert threshold(confidences[:0], all_right[:0]) is None


def test_calibrating_on_nothing_trusts_nothing() -> None:
    nothing = calibrate("urgency", np.zeros((0, 4)), np.zeros(0, dtype=np.int64))

    assert not nothing.trusts(1.0)
    assert math.isfinite(nothing.temperature)
