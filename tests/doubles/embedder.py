"""An embedder without a model: letter trigrams hashed into a short vector. Same text, same vector;
texts that share words lie near each other."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class TrigramEmbedder:
    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self._vector(text) for text in texts], np.float32).reshape(
            len(texts), self.dimension
        )

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(self.dimension, np.float32)
        for word in text.lower().split():
            padded = f"  {word} "
            for at in range(len(padded) - 2):
                trigram = padded[at : at + 3].encode("utf-8", "replace")
                vector[zlib.crc32(trigram) % self.dimension] += 1
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector
