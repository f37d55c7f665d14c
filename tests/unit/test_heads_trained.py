"""Fitting heads: folds, corrections that help or harm, and the heads that ship."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from desk.errors import Misconfigured, Permanent
from inference.classify import shaped
from inference.encoder import Encoder, sha256
from inference.fitting import Sample, folded, regression, split
from inference.heads import ARRAYS, CARD, SHIPPED, TASKS, Heads
from inference.train import MAILS, Extra, Mail, Plan, Trained, fit, read_mails, refit
from tests.doubles.reader import Spelling
from tests.services import need_file

ROOT = Path(__file__).parents[2]
QUICK = {task: (10.0,) for task in TASKS}


def mails(n: int = 160, seed: int = 0, mislabelled: bool = False) -> list[Mail]:
    """Texts whose letters tell their labels, with some noise."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        kinds = {task: number * prime % len(TASKS[task]) for task, prime in PRIMES.items()}
        text = "".join(
            chr(ord(start) + kind) * 6 for start, kind in zip("aAм", kinds.values(), strict=True)
        )
        noise = "".join(map(chr, random.integers(33, 64, 30)))
        shift = 1 if mislabelled else 0
        labels = {
            task: str(list(TASKS[task])[(kind + shift) % len(TASKS[task])])
            for task, kind in kinds.items()
        }
        rows.append(Mail(f"{text} {noise} {number}x{seed}", "en" if number % 4 else "de", labels))
    return rows


PRIMES = {"sentiment": 1, "urgency": 3, "category": 5}


def accuracy(trained: Trained, task: str) -> float:
    measures = trained.cards[task]["cross_validation"]
    assert isinstance(measures, dict)
    return float(measures["accuracy"])


def extra_rows(trained: Trained) -> list[object]:
    return [trained.cards[task]["extra_rows"] for task in TASKS]


def test_heads_learn_what_can_be_learnt() -> None:
    trained = fit(mails(), Spelling(), "t", Plan(penalties=QUICK))

    assert min(accuracy(trained, task) for task in TASKS) > 0.6
    assert extra_rows(trained) == [0, 0, 0]


def test_fitting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trained = fit(mails(), Spelling(), "t", Plan(penalties=QUICK))
        trained.heads.save(tmp_path / name, {"heads": trained.cards})

    assert (tmp_path / "a" / ARRAYS).read_bytes() == (tmp_path / "b" / ARRAYS).read_bytes()
    assert (tmp_path / "a" / CARD).read_bytes() == (tmp_path / "b" / CARD).read_bytes()


@pytest.mark.slow
def test_corrections_are_learnt_unless_they_harm(tmp_path: Path) -> None:
    reader = Spelling()
    first = fit(mails(), reader, "t-heads", Plan(penalties=QUICK))
    first.heads.save(tmp_path, {"heads": first.cards})

    good = refit(mails(seed=1), reader, mails(), tmp_path)
    bad = refit(mails(n=400, seed=1, mislabelled=True), reader, mails(), tmp_path)

    assert extra_rows(good) == [160, 160, 160]
    assert extra_rows(bad) == [0, 0, 0]
    assert good.heads.name == "t-heads+160"
    assert np.allclose(bad.heads.tasks["urgency"].weights, first.heads.tasks["urgency"].weights)


def test_a_correction_of_one_part_teaches_that_part_only() -> None:
    partial = [
        Mail(mail.text, mail.language, {"urgency": mail.labels["urgency"]})
        for mail in mails(seed=1)
    ]

    trained = fit(mails(), Spelling(), "t", Plan(Extra(partial, 1.0, -1.0), QUICK))

    assert extra_rows(trained) == [0, 160, 0]


def test_folds_keep_groups_together_and_cover_every_row_once() -> None:
    truth = np.array([0, 1] * 50)
    groups = [str(number // 4) for number in range(100)]

    folds = folded(truth, groups)

    assert sorted(np.concatenate(folds).tolist()) == list(range(100))
    for train, test in split(folds):
        assert not {groups[row] for row in train} & {groups[row] for row in test}


def test_a_fit_that_stops_at_once_is_an_error() -> None:
    nothing = Sample(np.zeros((20, 4)), np.array([0, 1] * 10), np.ones(20))

    with pytest.raises(Permanent, match="tolerance"):
        regression(nothing, 1.0)


def test_a_label_that_does_not_exist_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text('{"text": "a", "urgency": "low"}\n{"text": "b", "urgency": "now"}\n', "utf-8")

    with pytest.raises(Misconfigured, match="line 2: 'now' is no urgency"):
        read_mails(file)


def test_the_shipped_card_speaks_of_the_shipped_mails_and_meets_its_goals() -> None:
    card = json.loads((SHIPPED / CARD).read_text("utf-8"))

    assert card["data"][0]["sha256"] == sha256(MAILS), "run `python -m inference.train`"
    goals = {"sentiment": (0.8, 0.58), "urgency": (0.75, 0.5), "category": (0.74, 0.4)}
    for task, (english, foreign) in goals.items():
        measures = card["heads"][task]["cross_validation"]
        assert measures["english"]["accuracy"] >= english
        assert measures["foreign"]["accuracy"] >= foreign
        assert measures["ece"] <= 0.08
        assert card["heads"][task]["n_iter"] > 5
    assert card["heads"]["urgency"]["cross_validation"]["critical_said_low"] <= 0.05


def test_the_model_card_names_the_figures_of_the_heads() -> None:
    card = json.loads((SHIPPED / CARD).read_text("utf-8"))
    text = (SHIPPED / "README.md").read_text("utf-8")

    for task, head in card["heads"].items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {task} |"))
        measures = head["cross_validation"]
        for part in (measures, measures["english"], measures["foreign"]):
            assert f"{part['accuracy']:.3f}" in row
        assert f"{measures['ece']:.3f}" in row


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_shipped_heads_come_from_the_shipped_mails() -> None:
    """Fitted again they are the same, up to the rounding of another processor."""
    folder = need_file(ROOT / "build/encoder/manifest.json", "make setup").parent
    encoder = Encoder.open(folder, threads=os.cpu_count() or 1)
    shipped = Heads.open(SHIPPED, encoder)

    again = refit((), encoder).heads

    read = encoder.layers([shaped(mail.text) for mail in read_mails(MAILS)[:60]])
    for task, head in shipped.tasks.items():
        same: Sequence[bool] = (
            head.logits(read).argmax(axis=1) == again.tasks[task].logits(read).argmax(axis=1)
        ).tolist()
        assert sum(same) >= 58
        ours, theirs = head.weights, again.tasks[task].weights
        assert float((ours * theirs).sum()) > 0.98 * float((ours * ours).sum())
