"""Fits the heads on labelled mails: ``python -m inference.train``.

The same mails, encoder and packages give the same heads. Needs scikit-learn; reading them does not.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from desk.errors import Misconfigured
from inference.calibration import calibrate
from inference.classify import judge_logits, shaped
from inference.encoder import Encoder, Reader, Vectors, sha256
from inference.evaluate import Judged, measure
from inference.fitting import (
    FOLDS,
    NOISE,
    PENALTIES,
    SEED,
    Sample,
    best_penalty,
    crossed,
    folded,
    macro_f1,
    regression,
    split,
)
from inference.heads import CARD, SHIPPED, TASKS, Head, Heads, Numbers, Rows, select

MAILS = Path(__file__).parent / "data" / "mails.jsonl"
READ: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"sentiment": (3, 4, 5), "urgency": (2, 3, 4, 5, 6), "category": (2, 3, 4, 5, 6)}
)
"""The encoder's layers that each head reads, chosen by cross-validation: tone is clearest in the
middle ones, what a mail is about also in the last. (2, 3, 4) tell the sentiment of these mails one
point better, and of short public messages four points worse."""
PROBES = (
    "Hello",
    "Your service has been down since this morning and we cannot work!",
    "Thank you so much for the quick help with invoice 20391 last week.",
    "Dear team,\n\nwould you please send us a quote for 25 seats? "
    "We would like to start in March and pay yearly. Kind regards, Jo",
)


@dataclass(frozen=True, slots=True)
class Mail:
    """A labelled mail; ``labels`` by task, and a task may be missing."""

    text: str
    language: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Extra:
    """More rows to fit on, each counting ``weight``. A task takes them only when its macro-F1 on
    the mails changes by more than ``gain`` (negative: may fall that much)."""

    mails: Sequence[Mail] = ()
    weight: float = 0.3
    gain: float = NOISE


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fit: the extra rows, and the candidates for C by task."""

    extra: Extra = Extra()
    penalties: Mapping[str, Sequence[float]] = field(
        default_factory=lambda: dict.fromkeys(TASKS, PENALTIES)
    )


@dataclass(frozen=True, slots=True)
class Trained:
    """Fitted heads, and what ``card.json`` says of each."""

    heads: Heads
    cards: Mapping[str, Mapping[str, object]]


def read_mails(file: Path) -> list[Mail]:
    """Rows of ``text``, ``language`` ("en" when missing) and labels by task."""
    mails = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        row = json.loads(line)
        labels = {task: row[task] for task in TASKS if task in row}
        for task, label in labels.items():
            if label not in list(TASKS[task]):
                raise Misconfigured(f"{file}, line {number}: {label!r} is no {task}.")
        mails.append(Mail(row["text"], row.get("language", "en"), labels))
    return mails


def fit(mails: Sequence[Mail], encoder: Reader, name: str, plan: Plan | None = None) -> Trained:
    """Fit, cross-validate and calibrate a head a task on fully labelled mails."""
    plan = plan or Plan()
    read = encoder.layers([shaped(mail.text) for mail in mails])
    read_extra = encoder.layers([shaped(mail.text) for mail in plan.extra.mails])
    fitted = {task: _fit_task(task, mails, read, read_extra, plan) for task in TASKS}
    probes = dict(zip(PROBES, encoder.layers(PROBES), strict=True))
    heads = Heads(name, {task: head for task, (head, _) in fitted.items()}, probes)
    return Trained(heads, {task: card for task, (_, card) in fitted.items()})


def refit(
    corrections: Sequence[Mail],
    encoder: Reader,
    mails: Sequence[Mail] | None = None,
    folder: Path = SHIPPED,
) -> Trained:
    """The heads of ``folder`` with people's corrections learnt; about half a minute of one core.

    A head whose cross-validation on the mails gets worse by them stays without them: then its
    card says ``extra_rows`` 0.
    """
    card = json.loads((folder / CARD).read_text("utf-8"))
    plan = Plan(
        Extra(corrections, weight=1.0, gain=-NOISE),
        {task: (float(card["heads"][task]["C"]),) for task in TASKS},
    )
    name = f"{str(card['name']).partition('+')[0]}+{len(corrections)}"
    return fit(mails or read_mails(MAILS), encoder, name, plan)


def _fit_task(
    task: str, mails: Sequence[Mail], read: Vectors, read_extra: Vectors, plan: Plan
) -> tuple[Head, dict[str, object]]:
    sample, penalties = _sample(task, mails, read, 1.0), plan.penalties[task]
    folds = folded(sample.truth, [_alike(mail.text) for mail in mails])
    logits, added = _with_or_without(
        sample, folds, _sample(task, plan.extra.mails, read_extra, plan.extra.weight), plan, task
    )
    penalty = best_penalty(sample, folds, added, penalties)
    model = regression(sample.plus(added), penalty)
    english = np.array([mail.language == "en" for mail in mails])
    head = Head(
        task,
        _labels(task),
        READ[task],
        model.coef_,
        model.intercept_,
        calibrate(task, logits[english], sample.truth[english]),
        calibrate(task, logits[~english], sample.truth[~english]),
    )
    card = {
        "labels": list(head.labels),
        "layers": list(head.layers),
        "C": penalty,
        "n_iter": int(model.n_iter_[0]),
        "extra_rows": len(added.truth),
        "english": asdict(head.english),
        "foreign": asdict(head.foreign),
        "cross_validation": _report(head, logits, sample.truth, english, folds),
    }
    return head, card


def _with_or_without(
    sample: Sample, folds: Sequence[Rows], extra: Sample, plan: Plan, task: str
) -> tuple[Numbers, Sample]:
    """Out-of-fold logits, and the extra rows if they do what the plan asks of them."""
    penalties, none = plan.penalties[task], extra.at(np.arange(0))
    without = crossed(sample, folds, none, penalties)
    if len(extra.truth) == 0:
        return without, none
    among = crossed(sample, folds, extra, penalties)
    gain = macro_f1(among, sample.truth) - macro_f1(without, sample.truth)
    return (among, extra) if gain > plan.extra.gain else (without, none)


def _labels(task: str) -> tuple[str, ...]:
    return tuple(str(label) for label in TASKS[task])


def _sample(task: str, mails: Sequence[Mail], read: Vectors, weight: float) -> Sample:
    rows = [row for row, mail in enumerate(mails) if task in mail.labels]
    labels = _labels(task)
    truth = np.array([labels.index(mails[row].labels[task]) for row in rows], dtype=np.int64)
    return Sample(select(read[rows], READ[task]), truth, np.full(len(rows), weight))


def _alike(text: str) -> str:
    """Equal for mails that differ only in digits, signs, case or spaces: they share a fold."""
    return re.sub(r"[\W\d_]+", " ", text.lower()).strip()


def _report(
    head: Head, logits: Numbers, truth: Rows, english: NDArray[np.bool_], folds: Sequence[Rows]
) -> dict[str, object]:
    """Measures on rows that neither the weights nor the calibration used to judge them saw."""
    judged: list[Judged] = [Judged("", "", 0.0, False)] * len(truth)
    for rest, test in split(folds):
        known, strange = rest[english[rest]], rest[~english[rest]]
        fair = replace(
            head,
            english=calibrate(head.task, logits[known], truth[known]),
            foreign=calibrate(head.task, logits[strange], truth[strange]),
        )
        opinions = judge_logits(fair, logits[test], english[test].tolist())
        for row, told in zip(test, opinions, strict=True):
            label = head.labels[truth[row]]
            judged[row] = Judged(label, told.label, told.confidence, told.is_sure)
    report = measure(judged)
    for part, chosen in (("english", english), ("foreign", ~english)):
        measures = measure([judged[row] for row in np.flatnonzero(chosen)])
        report[part] = {key: value for key, value in measures.items() if key != "per_label"}
    if head.task == "urgency":
        said = [one.label for one in judged if one.truth == "critical"]
        report["critical_said_low"] = round(said.count("low") / len(said), 4) if said else 0.0
    return report


def describe(
    trained: Trained, origin: str, files: Sequence[Path], today: date
) -> dict[str, object]:
    """What ``card.json`` says: ``origin`` of the encoder, the files fitted on, and the measures."""
    return {
        "trained": today.isoformat(),
        "encoder": origin,
        "licence": "Apache-2.0",
        "data": [
            {"file": file.name, "rows": len(read_mails(file)), "sha256": sha256(file)}
            for file in files
        ],
        "folds": FOLDS,
        "seed": SEED,
        "heads": trained.cards,
    }


def _print(trained: Trained) -> None:
    columns = ("n", "accuracy", "macro_f1", "macro_recall", "ece", "coverage", "accuracy_covered")
    print(f"{'':20}" + "".join(f"{column:>18}" for column in columns))
    for task, told in trained.cards.items():
        measures = told["cross_validation"]
        if not isinstance(measures, dict):
            continue
        for part, values in (("", measures), *((p, measures[p]) for p in ("english", "foreign"))):
            cells = "".join(f"{values[column]!s:>18}" for column in columns)
            print(f"{task + ' ' + part:20}{cells}")
        if "critical_said_low" in measures:
            print(f"critical mails said to be low: {measures['critical_said_low']:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the heads on labelled mails.")
    parser.add_argument("--mails", type=Path, default=MAILS)
    parser.add_argument("--extra", type=Path, nargs="*", default=[], help="more rows, weighed low")
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    today = datetime.now(UTC).date()
    encoder = Encoder.open(options.encoder)
    extra = Extra([mail for file in options.extra for mail in read_mails(file)])
    name = f"minilm-heads-{today:%Y.%m}"
    trained = fit(read_mails(options.mails), encoder, name, Plan(extra))
    _print(trained)
    files = [options.mails, *options.extra]
    trained.heads.save(options.out, describe(trained, encoder.origin, files, today))
    print(f"saved in {options.out}")


if __name__ == "__main__":
    main()
