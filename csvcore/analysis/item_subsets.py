"""Accuracy of a benchmark from a subset of its items: anchors, after tinyBenchmarks.

Items that the known models answer alike form a cluster; the item nearest to each centre is
evaluated and stands for its cluster (Polo et al. 2024, arXiv 2402.14992, anchors on correctness).
A straight line from that weighted mean to the accuracy, fitted to the known models, removes its
bias. Unlike losses, it needs answers of the model that is predicted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import vq

from csvcore.errors import InputError
from csvcore.records import Floats, Ints

ROUNDS = 50  # of the clustering at most
STARTS = 3  # of the clustering; the tightest is kept


@dataclass(frozen=True, slots=True)
class Anchors:
    """Items (n_anchors,) that stand for a benchmark, their weights, and the line to its accuracy.

    weight: (n_anchors,) share of the items in each cluster, 1 in all. slope, level: accuracy is
    level + slope * weighted mean.
    """

    item: Ints
    weight: Floats
    slope: float
    level: float

    def predict(self, correct: Floats) -> Floats:
        """Return accuracies (n_models,) from results on all items (n_models, n_items).

        Only the anchors are read.
        """
        mean = correct[:, self.item] @ self.weight
        return np.clip(self.level + self.slope * mean, 0.0, 1.0)


def choose_anchors(correct: Floats, n_anchors: int, rng: np.random.Generator) -> Anchors:
    """Choose the items that stand for a benchmark, from models whose results are all known.

    Args:
        correct: (n_models, n_items) results of known models, 0 to 1.
        n_anchors: items to evaluate.
        rng: source of the starts.

    Raises:
        InputError: more anchors than items, or fewer than one.
    """
    n_items = correct.shape[1]
    if not 1 <= n_anchors <= n_items:
        raise InputError(f"anchors are 1 to {n_items} of the items, got {n_anchors}")
    points = np.asarray(correct.T, dtype=np.float64)  # (n_items, n_models)
    best: tuple[float, Floats, Ints] | None = None
    for _ in range(STARTS):
        start = points[rng.choice(n_items, n_anchors, replace=False)]
        loss, centre, owner = _clusters(points, start)
        if best is None or loss < best[0]:
            best = loss, centre, owner
    assert best is not None
    _, centre, owner = best
    used = np.unique(owner)
    distance = np.square(points - centre[owner]).sum(axis=1)
    item = np.array([min(np.flatnonzero(owner == k), key=distance.__getitem__) for k in used])
    weight = np.bincount(owner, minlength=n_anchors)[used] / n_items
    mean, accuracy = correct[:, item] @ weight, correct.mean(axis=1)
    spread = float(np.var(mean))
    slope = float(np.cov(mean, accuracy, bias=True)[0, 1] / spread) if spread > 0 else 0.0
    return Anchors(item, weight, slope, float(accuracy.mean() - slope * mean.mean()))


def _clusters(points: Floats, centre: Floats) -> tuple[float, Floats, Ints]:
    """Return squared loss, centres and each point's cluster by Lloyd's algorithm.

    A cluster that loses all of its points keeps its centre.
    """
    owner, distance = vq(points, centre)
    for _ in range(ROUNDS):
        sums = np.zeros_like(centre)
        np.add.at(sums, owner, points)
        count = np.bincount(owner, minlength=len(centre))[:, None]
        centre = np.where(count > 0, sums / np.maximum(count, 1), centre)
        before = owner
        owner, distance = vq(points, centre)
        if np.array_equal(owner, before):
            break
    return float(np.square(distance).sum()), centre, owner.astype(np.int64)
