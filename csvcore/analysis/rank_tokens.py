"""The units of text whose losses rank models as their accuracies do.

After Thrush, Potts and Hashimoto (2024), perplexity correlations: few numbers of many models tell
which text matters by ranks, without a law.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from csvcore.records import Floats, Mask
from csvcore.salience import BLOCK

TOP = 0.2  # share of the units that is kept; fixed beforehand, other shares did no better


def rank_correlations(nll: NDArray[np.floating], accuracy: Floats, seen: Mask) -> Floats:
    """Return Spearman's rho of each unit's loss and each task's accuracy, (n_tasks, n_units).

    Ties have average ranks; a unit or a task that does not vary has 0. Units are taken in blocks,
    so that memory does not grow with the text.

    Args:
        nll: (n_models, n_units) nats.
        accuracy: (n_tasks, n_models), read of the masked models only.
        seen: (n_models,) mask.
    """
    target = _unit_ranks(accuracy[:, seen].T).T  # (n_tasks, n_seen)
    rho = np.empty((accuracy.shape[0], nll.shape[1]))
    for at in range(0, nll.shape[1], BLOCK):
        rho[:, at : at + BLOCK] = target @ _unit_ranks(nll[seen, at : at + BLOCK])
    return rho


def _unit_ranks(values: NDArray[np.floating]) -> Floats:
    """Return ranks along the first axis, centred and of length 1; zeros where nothing varies."""
    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    size = np.sqrt(np.square(ranks).sum(axis=0))
    scaled: Floats = np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 0)
    return scaled


def best_ranking(
    nll: NDArray[np.floating], accuracy: Floats, seen: Mask, counts: Mask, top: float = TOP
) -> Mask:
    """Return for each task the units with the smallest rank correlation, (n_tasks, n_units).

    Losses fall as accuracies rise, so the smallest correlations, near -1, are the best. The share
    `top` of the units that count is kept, at least one.

    Args:
        nll: (n_models, n_units) nats.
        accuracy: (n_tasks, n_models), read of the masked models only.
        seen: (n_models,) mask.
        counts: (n_units,) mask of the units that may be kept.
        top: share.
    """
    rho = np.where(counts, rank_correlations(nll, accuracy, seen), np.inf)
    n_kept = max(1, round(top * int(counts.sum())))
    order = np.argsort(rho, axis=1, kind="stable")[:, :n_kept]
    kept = np.zeros(rho.shape, dtype=bool)
    np.put_along_axis(kept, order, values=True, axis=1)
    return kept
