"""Linear heads over the encoder's layers: a small matrix for sentiment, urgency and category each.

``inference.train`` makes them; reading and using them takes numpy alone.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from desk.classification import Category, Sentiment, Urgency
from desk.errors import Misconfigured
from inference.encoder import LAYERS, Reader, Vectors

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]

TASKS: Mapping[str, type[StrEnum]] = MappingProxyType(
    {"sentiment": Sentiment, "urgency": Urgency, "category": Category}
)
SHIPPED = Path(__file__).parent / "models"
ARRAYS = "heads.npz"
CARD = "card.json"
KINSHIP = 0.995
"""Least cosine between a probe as it was read in training and as it is read now. The same weights
and recipe give 1.000 up to rounding; unquantised, the same weights give 0.99."""
STEP = 0.7
"""Being n steps of urgency off costs n to this power. In cross-validation 0.7 says low of 3.5 % of
the critical mails, against 4.8 % by the likeliest label, at the same accuracy; 1 says it of 1.8 %
and costs about one point of accuracy."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """``temperature`` divides the logits; below ``threshold`` a label is unsure, None: always."""

    temperature: float
    threshold: float | None

    def trusts(self, confidence: float) -> bool:
        return self.threshold is not None and confidence >= self.threshold


@dataclass(frozen=True, slots=True)
class Head:
    """Weights (labels, layers x 384) and bias of one task, for the ``layers`` that it reads.

    It is less right about languages that the encoder was not trained on, and calibrated apart.
    """

    task: str
    labels: tuple[str, ...]
    layers: tuple[int, ...]
    weights: Numbers
    bias: Numbers
    english: Calibration
    foreign: Calibration

    def logits(self, read: Vectors) -> Numbers:
        logits: Numbers = select(read, self.layers) @ self.weights.T + self.bias
        return logits

    def calibration(self, is_english: bool) -> Calibration:
        return self.english if is_english else self.foreign


def select(read: Vectors, layers: Sequence[int]) -> Numbers:
    """The chosen layers of (n, 5, 384) beside each other, shape (n, len(layers) x 384)."""
    chosen = read[:, [LAYERS.index(layer) for layer in layers]].astype(np.float64)
    beside: Numbers = chosen.reshape(len(read), len(layers) * read.shape[2])
    return beside


def softmax(logits: Numbers) -> Numbers:
    powers: Numbers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Numbers = powers / powers.sum(axis=1, keepdims=True)
    return shares


def choose(task: str, shares: Numbers) -> Rows:
    """The label of each row: the most likely one, but of urgencies the one that costs least.

    To say low of a critical mail costs more than to say high; ``STEP`` below 1 keeps a label that
    is likely before one that merely lies in the middle.
    """
    chosen: Rows = shares.argmax(axis=1)
    if task == "urgency":
        ranks = np.arange(shares.shape[1])
        costs = np.abs(ranks[:, None] - ranks) ** STEP
        chosen = (shares @ costs).argmin(axis=1)
    return chosen


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads by task. ``probes`` are sentences with the layers they had in training."""

    name: str
    tasks: Mapping[str, Head]
    probes: Mapping[str, Vectors]

    @classmethod
    def open(cls, folder: Path, encoder: Reader) -> Heads:
        """Read the heads in ``folder`` for use with ``encoder``.

        Raises Misconfigured when a file is missing or damaged, or when the heads were fitted on
        another encoder's vectors.
        """
        heads = _load(folder)
        heads.verify(encoder)
        return heads

    def verify(self, encoder: Reader) -> None:
        texts = list(self.probes)
        kinship = float((encoder.layers(texts) * np.stack(list(self.probes.values()))).sum(2).min())
        if kinship < KINSHIP:
            raise Misconfigured(
                f"The heads {self.name} were fitted on another encoder (likeness {kinship:.3f}, "
                f"needed {KINSHIP}): run `make setup`, or fit them by `python -m inference.train`."
            )

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write the arrays, and the card with what ``open`` needs added to it."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[np.float32]] = {
            "probes": np.stack(list(self.probes.values())).astype(np.float32)
        }
        for task, head in self.tasks.items():
            arrays[f"{task}.weights"] = head.weights.astype(np.float32)
            arrays[f"{task}.bias"] = head.bias.astype(np.float32)
        with (folder / ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        text = json.dumps({**card, "name": self.name, "probes": list(self.probes)}, indent=2)
        (folder / CARD).write_text(text + "\n", "utf-8")


def _load(folder: Path) -> Heads:
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        with (
            (folder / ARRAYS).open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            probes = dict(zip(card["probes"], arrays["probes"], strict=True))
            tasks = {task: _head(task, card["heads"][task], arrays) for task in TASKS}
    except FileNotFoundError as error:
        raise Misconfigured(
            f"{error.filename} is missing: restore {folder}, or run `python -m inference.train`."
        ) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise Misconfigured(
            f"The heads in {folder} are damaged ({error}): restore them, or run "
            f"`python -m inference.train`."
        ) from None
    return Heads(str(card["name"]), tasks, probes)


def _head(task: str, card: Mapping[str, object], arrays: Mapping[str, Vectors]) -> Head:
    labels, layers = card["labels"], card["layers"]
    if labels != list(TASKS[task]):
        raise ValueError(f"{task} has the labels {labels}")
    if not isinstance(layers, list) or not {*layers} <= {*LAYERS}:
        raise ValueError(f"{task} has the layers {layers}")
    weights, bias = arrays[f"{task}.weights"], arrays[f"{task}.bias"]
    if weights.shape != (len(labels), len(layers) * 384) or bias.shape != (len(labels),):
        raise ValueError(f"{task} has weights of shape {weights.shape}")
    return Head(
        task,
        tuple(str(label) for label in TASKS[task]),
        tuple(layers),
        weights.astype(np.float64),
        bias.astype(np.float64),
        _calibration(card["english"]),
        _calibration(card["foreign"]),
    )


def _calibration(card: object) -> Calibration:
    if not isinstance(card, dict):
        raise ValueError(f"{card!r} is no calibration")
    threshold = card["threshold"]
    return Calibration(float(card["temperature"]), None if threshold is None else float(threshold))
