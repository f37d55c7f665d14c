"""How good a classifier is on labelled mails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from desk.errors import Misconfigured
from inference.calibration import calibration_error
from inference.classify import Classifier
from inference.heads import TASKS

BATCH = 32


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled mail: what it is, what was said of it, and whether that was sure."""

    truth: str
    label: str
    confidence: float
    is_sure: bool

    @property
    def is_right(self) -> bool:
        return self.truth == self.label


async def evaluate(
    task: str,
    rows: Sequence[Mapping[str, object]],
    classifier: Classifier,
    advance: Callable[[int], object] = lambda rows: None,
) -> dict[str, object]:
    """Classify rows of ``text`` and ``label`` and measure; ``advance`` hears of rows done.

    Raises Misconfigured for an unknown task or a row that has no text or another label.
    """
    texts, truths = _read(task, rows)
    judged: list[Judged] = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        for truth, told in zip(
            truths[start : start + BATCH], await classifier.classify(batch), strict=True
        ):
            label = getattr(told, task)
            judged.append(
                Judged(truth, str(label.label), label.confidence, task not in told.unsure)
            )
        advance(len(batch))
    return measure(judged)


def measure(judged: Sequence[Judged]) -> dict[str, object]:
    """The measures of DESIGN's ``evaluate``; shares are 0..1, averages over labels that occur."""
    covered = [one for one in judged if one.is_sure]
    per_label = {
        label: _per_label(label, judged)
        for label in sorted({one.truth for one in judged} | {one.label for one in judged})
    }
    present = [scores for scores in per_label.values() if scores["n"]]
    return {
        "n": len(judged),
        "accuracy": _share([one.is_right for one in judged]),
        "macro_f1": _mean([scores["f1"] for scores in per_label.values()]),
        "macro_recall": _mean([scores["recall"] for scores in present]),
        "ece": round(
            calibration_error([one.confidence for one in judged], [one.is_right for one in judged]),
            4,
        ),
        "coverage": _share([one.is_sure for one in judged]),
        "accuracy_covered": _share([one.is_right for one in covered]) if covered else None,
        "per_label": per_label,
    }


def _per_label(label: str, judged: Sequence[Judged]) -> dict[str, float]:
    hits = sum(one.is_right for one in judged if one.truth == label)
    n = sum(one.truth == label for one in judged)
    said = sum(one.label == label for one in judged)
    return {
        "n": n,
        "precision": round(hits / said, 4) if said else 0.0,
        "recall": round(hits / n, 4) if n else 0.0,
        "f1": round(2 * hits / (n + said), 4) if n + said else 0.0,
    }


def _share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / len(flags), 4) if flags else 0.0


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def _read(task: str, rows: Sequence[Mapping[str, object]]) -> tuple[list[str], list[str]]:
    if task not in TASKS:
        raise Misconfigured(f"There is no task {task!r}: use {', '.join(TASKS)}.")
    labels = [str(label) for label in TASKS[task]]
    texts, truths = [], []
    for number, row in enumerate(rows, start=1):
        text, label = row.get("text"), row.get("label")
        if not isinstance(text, str):
            raise Misconfigured(f"Row {number} has no text.")
        if label not in labels:
            raise Misconfigured(
                f"Row {number} has the {task} label {label!r}: use {', '.join(labels)}."
            )
        texts.append(text)
        truths.append(str(label))
    return texts, truths
