"""How sure a figure is: bootstrap over training runs, and a band around predictions."""

from collections.abc import Hashable, Sequence

import numpy as np

from csvcore.errors import InputError
from csvcore.records import Floats


def bootstrap_mean(
    values: Floats,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    level: float = 0.9,
    n_draws: int = 2000,
) -> tuple[float, float]:
    """Percentile interval of a mean whose values come in clusters, such as checkpoints of a run.

    Whole clusters are drawn with replacement, since checkpoints of one run are not independent.

    Args:
        values: (n_models,) e.g. squared errors.
        clusters: (n_models,) what each value's cluster is called.
        rng: source of the draws.
        level: share of draws between the two ends.
        n_draws: bootstrap samples.

    Raises:
        InputError: fewer than 2 clusters, from which no spread can be known.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    if len(names) < 2:
        raise InputError(f"an interval needs at least 2 training runs, got {len(names)}")
    index = np.array([names[name] for name in clusters])
    total = np.bincount(index, weights=values)
    count = np.bincount(index)
    draws = rng.integers(len(names), size=(n_draws, len(names)))
    means = total[draws].sum(1) / count[draws].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def residual_band(residuals: Floats, level: float = 0.9) -> float:
    """Half width that covers this share of absolute residuals, with the split-conformal rank.

    With n residuals it is the ceil((n + 1) * level)-th smallest, the largest where n is too small.
    """
    if residuals.size == 0:
        raise InputError("a band needs residuals of at least one model")
    rank = min(int(np.ceil((residuals.size + 1) * level)), residuals.size)
    return float(np.sort(np.abs(residuals))[rank - 1])
