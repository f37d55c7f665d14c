"""Heads: their arithmetic, their files, and their refusal of another encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from desk.errors import Misconfigured
from inference.classify import judge, shaped
from inference.encoder import LAYERS, Vectors
from inference.heads import (
    ARRAYS,
    CARD,
    TASKS,
    Calibration,
    Head,
    Heads,
    choose,
    select,
    softmax,
)
from tests.doubles.reader import Spelling, normalised

SURE = Calibration(1.0, 0.6)
NEVER = Calibration(2.0, None)


def head(task: str = "sentiment", layers: tuple[int, ...] = (2, 6)) -> Head:
    labels = tuple(str(label) for label in TASKS[task])
    weights = np.random.default_rng(1).normal(size=(len(labels), len(layers) * 384))
    return Head(task, labels, layers, weights, np.arange(len(labels)) / 10, SURE, NEVER)


def heads(reader: Spelling) -> Heads:
    texts = ["one probe", "Another Probe!"]
    return Heads(
        "test-heads",
        {task: head(task) for task in TASKS},
        dict(zip(texts, reader.layers(texts), strict=True)),
    )


def save(made: Heads, folder: Path) -> None:
    calibration = {"temperature": 1.0, "threshold": 0.6}
    cards = {
        task: {
            "labels": list(one.labels),
            "layers": list(one.layers),
            "english": calibration,
            "foreign": {"temperature": 2.0, "threshold": None},
        }
        for task, one in made.tasks.items()
    }
    made.save(folder, {"heads": cards})


def test_logits_are_weights_times_the_chosen_layers_plus_bias() -> None:
    read = Spelling().layers(["some text", "other"])
    one = head()

    expected = [
        one.weights @ np.concatenate([row[LAYERS.index(2)], row[LAYERS.index(6)]]) + one.bias
        for row in read
    ]

    assert one.logits(read) == pytest.approx(np.array(expected))
    assert select(read[:0], (2, 3)).shape == (0, 768)


def test_shares_sum_to_one_however_large_the_logits() -> None:
    shares = softmax(np.array([[1000.0, 999.0, -1000.0], [0.0, 0.0, 0.0]]))

    assert shares.sum(axis=1) == pytest.approx(1)
    assert shares[1] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("shares", "urgency", "category"),
    [
        ([0.1, 0.6, 0.2, 0.1], 1, 1),
        ([0.40, 0.05, 0.18, 0.37], 2, 0),  # low or critical: the card says high
        ([0.02, 0.08, 0.30, 0.60], 3, 3),
    ],
)
def test_of_urgencies_the_label_that_costs_least_is_chosen(
    shares: list[float], urgency: int, category: int
) -> None:
    assert choose("urgency", np.array([shares])).tolist() == [urgency]
    assert choose("category", np.array([shares])).tolist() == [category]


def test_a_foreign_text_is_calibrated_apart() -> None:
    read = Spelling().layers(["the same text"] * 2)

    english, foreign = judge(head(), read, [True, False])

    assert english.label == foreign.label
    assert english.confidence > foreign.confidence
    assert not foreign.is_sure


def test_a_label_is_sure_from_its_threshold_on() -> None:
    assert SURE.trusts(0.6)
    assert not SURE.trusts(0.5999)
    assert not NEVER.trusts(1.0)


def test_saved_heads_say_the_same_when_read_again(tmp_path: Path) -> None:
    reader = Spelling()
    made = heads(reader)
    save(made, tmp_path)

    again = Heads.open(tmp_path, reader)

    read = reader.layers(["some text", "other"])
    assert again.name == "test-heads"
    for task, one in made.tasks.items():
        assert again.tasks[task].logits(read) == pytest.approx(one.logits(read), abs=1e-4)
        assert again.tasks[task].english == SURE
        assert again.tasks[task].foreign == NEVER


def test_the_same_heads_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(heads(Spelling()), tmp_path / name)

    assert (tmp_path / "a" / ARRAYS).read_bytes() == (tmp_path / "b" / ARRAYS).read_bytes()
    assert (tmp_path / "a" / CARD).read_bytes() == (tmp_path / "b" / CARD).read_bytes()


def test_heads_refuse_another_encoder(tmp_path: Path) -> None:
    save(heads(Spelling(seed=0)), tmp_path)

    with pytest.raises(Misconfigured, match=r"fitted on another encoder.*make setup"):
        Heads.open(tmp_path, Spelling(seed=1))


def test_heads_accept_the_rounding_of_another_machine(tmp_path: Path) -> None:
    class Rounded(Spelling):
        def layers(self, texts: Sequence[str]) -> Vectors:
            return normalised(np.round(super().layers(texts), 2))

    save(heads(Spelling()), tmp_path)

    assert Heads.open(tmp_path, Rounded()).name == "test-heads"


@pytest.mark.parametrize("name", [ARRAYS, CARD])
def test_a_missing_file_says_what_to_do(tmp_path: Path, name: str) -> None:
    save(heads(Spelling()), tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(Misconfigured, match=f"{name} is missing: restore"):
        Heads.open(tmp_path, Spelling())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("heads", "urgency", "labels"), ["low", "high"]),
        (("heads", "urgency", "layers"), [2]),
        (("heads", "urgency", "layers"), [2, 17]),
        (("heads", "urgency", "english"), None),
        (("heads", "urgency", "english"), {"temperature": "warm", "threshold": 1}),
        (("heads",), {}),
        (("probes",), ["only one"]),
    ],
)
def test_a_damaged_card_is_refused(tmp_path: Path, path: tuple[str, ...], value: object) -> None:
    save(heads(Spelling()), tmp_path)
    card = json.loads((tmp_path / CARD).read_text("utf-8"))
    part = card
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    (tmp_path / CARD).write_text(json.dumps(card), "utf-8")

    with pytest.raises(Misconfigured, match="damaged"):
        Heads.open(tmp_path, Spelling())


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no arrays at all"])
def test_damaged_arrays_are_refused(tmp_path: Path, damage: bytes) -> None:
    save(heads(Spelling()), tmp_path)
    (tmp_path / ARRAYS).write_bytes(damage)

    with pytest.raises(Misconfigured, match="damaged"):
        Heads.open(tmp_path, Spelling())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Subject\n\nbody", "Subject\n\nbody"),
        ("just a line", "(no subject)\n\njust a line"),
        ("@acme @bob_1 it broke", "(no subject)\n\nit broke"),
        ("mail\n\nann@acme.example wrote, ask @bob", "mail\n\nann@acme.example wrote, ask"),
        ("", "(no subject)\n\n"),
    ],
)
def test_texts_are_read_as_mails_without_mentions(text: str, read: str) -> None:
    assert shaped(text) == read
