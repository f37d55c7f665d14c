"""A RoBERTa (or any other) text classification checkpoint in place of one head.

The only module of a running process that imports torch and transformers, and only when configured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from desk.errors import Misconfigured
from inference.classify import Opinion
from inference.heads import TASKS, Numbers, softmax

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 8
MAX_TOKENS = 512
# Checkpoints saved without names for their labels, in the order of TweetEval's sentiment task
# (cardiffnlp/twitter-roberta-base-sentiment, model card).
NAMELESS: Mapping[str, str] = MappingProxyType(
    {"label_0": "negative", "label_1": "neutral", "label_2": "positive"}
)


class Checkpoint:
    """A checkpoint's opinion on one task; ``threshold`` is the confidence it must reach."""

    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        labels: Sequence[str],
        threshold: float,
    ) -> None:
        self.name = name
        self._model = model
        self._tokenizer = tokenizer
        self._labels = labels
        self._threshold = threshold

    @classmethod
    def open(cls, source: str, task: str = "sentiment", threshold: float = 0.7) -> Checkpoint:
        """Load ``source``, a local folder or a hub id.

        Raises Misconfigured when it cannot be loaded or its labels are not the task's.
        """
        try:
            model, tokenizer = _load(source)
        except (OSError, ValueError, KeyError) as error:
            way = (
                "save a checkpoint and its tokenizer there"
                if Path(source).exists()
                else f"name a folder, or download it with `hf download {source}`"
            )
            raise Misconfigured(
                f"The {task} model {source!r} cannot be loaded: {way} ({_first(error)})."
            ) from error
        names = {int(number): name for number, name in (model.config.id2label or {}).items()}
        labels = _named(source, task, [names[number] for number in sorted(names)])
        return cls(source.rstrip("/").rpartition("/")[2], model, tokenizer, labels, threshold)

    def judge(self, texts: Sequence[str]) -> list[Opinion]:
        opinions: dict[int, Opinion] = {}
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(texts), BATCH):
            rows = by_length[start : start + BATCH]
            for row, shares in zip(rows, self._shares([texts[row] for row in rows]), strict=True):
                best = int(shares.argmax())
                confidence = round(float(shares[best]), 4)
                is_sure = confidence >= self._threshold
                opinions[row] = Opinion(self._labels[best], confidence, is_sure)
        return [opinions[row] for row in range(len(texts))]

    def _shares(self, texts: Sequence[str]) -> Numbers:
        import torch

        batch = self._tokenizer(
            [_masked(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=min(MAX_TOKENS, self._tokenizer.model_max_length),
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = self._model(**batch).logits
        return softmax(np.asarray(logits, dtype=np.float64))


def _load(source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """What is on this machine first: asking a hub that is away takes most of a minute."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    def load(local: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
        model = AutoModelForSequenceClassification.from_pretrained(source, local_files_only=local)
        return model.eval(), tokenizer

    try:
        return load(local=True)
    except OSError:
        if Path(source).exists():
            raise
        return load(local=False)


def _masked(text: str) -> str:
    """Links and mentions as the cardiffnlp checkpoints were trained to see them (model card)."""
    return re.sub(r"(?<!\S)@\w\S*", "@user", re.sub(r"https?://\S+", "http", text))


def _named(source: str, task: str, labels: Sequence[str]) -> list[str]:
    """The task's labels in the checkpoint's order."""
    names = [label.lower() for label in labels]
    if task == "sentiment":
        names = [NAMELESS.get(name, name) for name in names]
    wanted = sorted(TASKS[task])
    if sorted(names) != wanted:
        raise Misconfigured(
            f"The {task} model {source!r} has the labels {', '.join(names)}: "
            f"it needs {', '.join(wanted)}."
        )
    return names


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
