"""Fits one linear head and judges it on rows it did not see. Needs scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from desk.errors import Permanent
from inference.heads import Numbers, Rows

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

PENALTIES = (0.3, 1.0, 3.0, 10.0)
"""Candidates for C, the inverse of the penalty on large weights, strongest penalty first."""
NOISE = 0.01
"""A difference of macro-F1 that says nothing."""
FOLDS = 5
SEED = 20261122


@dataclass(frozen=True, slots=True)
class Sample:
    """What one head is fitted on: features (n, d), truth as label numbers, and a weight a row."""

    features: Numbers
    truth: Rows
    weights: Numbers

    def at(self, rows: Rows) -> Sample:
        return Sample(self.features[rows], self.truth[rows], self.weights[rows])

    def plus(self, other: Sample) -> Sample:
        return Sample(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.truth, other.truth]),
            np.concatenate([self.weights, other.weights]),
        )


def regression(sample: Sample, penalty: float) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = LogisticRegression(C=penalty, tol=1e-4, max_iter=1000, class_weight="balanced")
    with threadpool_limits(1):  # the matrices are small: more threads only wait for each other
        model.fit(sample.features, sample.truth, sample.weights)
    if model.n_iter_[0] <= 5:  # lbfgs stops at once, without a word, when tol is too loose
        raise Permanent(f"The fit stopped after {model.n_iter_[0]} steps: its tolerance is wrong.")
    return model


def folded(truth: Rows, groups: Sequence[str]) -> list[Rows]:
    """The rows of each test fold: labels evenly spread, a group never in two folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    return [test for _, test in splits.split(truth, truth, groups)]


def split(folds: Sequence[Rows]) -> Iterator[tuple[Rows, Rows]]:
    """Each fold in turn as test rows, after all the others' rows."""
    for test in folds:
        yield np.concatenate([fold for fold in folds if fold is not test]), test


def crossed(
    sample: Sample,
    folds: Sequence[Rows],
    added: Sample,
    penalties: Sequence[float],
) -> Numbers:
    """Logits of every row from a model that did not see it, nor was its C chosen with it.

    The rows ``added`` are in every model and in no fold.
    """
    logits = np.zeros((len(sample.truth), int(sample.truth.max()) + 1))
    for train, test in split(folds):
        inner = [fold for fold in folds if fold is not test]
        penalty = best_penalty(sample, inner, added, penalties)
        logits[test] = _unseen(sample, train, test, added, penalty)
    return logits


def best_penalty(
    sample: Sample, folds: Sequence[Rows], added: Sample, penalties: Sequence[float]
) -> float:
    """The strongest penalty whose macro-F1 over the folds is as good as the best.

    A weaker one learns more of how these mails are written, and does worse on other people's.
    """
    if len(penalties) == 1:
        return penalties[0]
    truth = sample.truth[np.concatenate(folds)]

    def score(penalty: float) -> float:
        parts = [_unseen(sample, *rows, added, penalty) for rows in split(folds)]
        return macro_f1(np.concatenate(parts), truth)

    scores = {penalty: score(penalty) for penalty in penalties}
    enough = max(scores.values()) - NOISE
    return min(penalty for penalty in penalties if scores[penalty] >= enough)


def macro_f1(logits: Numbers, truth: Rows) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, logits.argmax(axis=1), average="macro"))


def _unseen(sample: Sample, train: Rows, test: Rows, added: Sample, penalty: float) -> Numbers:
    model = regression(sample.at(train).plus(added), penalty)
    logits: Numbers = model.decision_function(sample.features[test])
    return logits
