"""Whether confidences can be believed: their error, a temperature against it, a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.heads import Calibration, Numbers, choose, softmax

BINS = 10
WANTED = 0.9
"""The precision that a threshold should promise, as a Wilson lower bound."""
USEFUL = 0.75
"""When WANTED is out of reach, the best reachable bound counts down to this one."""
_Z = 1.96  # 95 %, two-sided


def calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017)."""
    if not confidences:
        return 0.0
    sure, hits = np.asarray(confidences), np.asarray(right, dtype=float)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float((sure - hits)[bins == k].sum())) for k in range(BINS)]
    return sum(gaps) / len(sure)


def wilson(hits: int, n: int) -> float:
    """The lower bound of a share at 95 % (Wilson 1927)."""
    if n == 0:
        return 0.0
    share, z2 = hits / n, _Z * _Z
    spread = _Z * float(np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)))
    return (share + z2 / (2 * n) - spread) / (1 + z2 / n)


def temperature(logits: Numbers, truth: NDArray[np.int64]) -> float:
    """What to divide the logits by, so that the truth becomes most likely."""
    grid = np.geomspace(0.2, 8.0, 149)
    rows = np.arange(len(truth))
    losses = [-np.log(softmax(logits / t)[rows, truth] + 1e-12).mean() for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 4)


def threshold(confidences: Numbers, right: NDArray[np.bool_]) -> float | None:
    """The lowest confidence above which labels are right often enough.

    Often enough: the Wilson bound reaches WANTED; failing that, its highest value, if that is
    USEFUL at all; otherwise None: never.
    """
    order = np.argsort(-confidences, kind="stable")
    hits = np.cumsum(right[order])
    bounds = np.array([wilson(int(hit), n) for n, hit in enumerate(hits, start=1)])
    if len(bounds) == 0 or bounds.max() < USEFUL:
        return None
    reaching = np.flatnonzero(bounds >= WANTED)
    last = int(reaching[-1]) if len(reaching) else int(bounds.argmax())
    return float(np.floor(confidences[order[last]] * 1e4) / 1e4)


def calibrate(task: str, logits: Numbers, truth: NDArray[np.int64]) -> Calibration:
    """Fitted on logits of rows that the head was not fitted on."""
    if len(truth) == 0:
        return Calibration(1.0, None)
    heat = temperature(logits, truth)
    shares = softmax(logits / heat)
    chosen = choose(task, shares)
    confidences = shares[np.arange(len(truth)), chosen]
    return Calibration(heat, threshold(confidences, chosen == truth))
