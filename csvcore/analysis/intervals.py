"""Uncertainty: bootstrap over training runs, prediction intervals, permutation p-values."""

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
    """Return a percentile interval of a mean of clustered values, such as checkpoints of a run.

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


def bootstrap_difference(
    values: Floats,
    others: Floats,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    level: float = 0.9,
    n_draws: int = 2000,
) -> tuple[float, float]:
    """Return a paired interval of mean(values) - mean(others) by resampling whole clusters.

    See `bootstrap_mean`; below 0 throughout, values are significantly smaller than others.
    """
    return bootstrap_mean(values - others, clusters, rng, level, n_draws)


def left_out_interval(
    centre: Floats, residual: Floats, level: float = 0.9
) -> tuple[Floats, Floats]:
    """Return prediction intervals from errors on models that a fit did not see: jackknife+ / CV+.

    Barber, Candes, Ramdas and Tibshirani (2021): the ceil((n + 1) * level)-th smallest of
    centre + residual, and likewise from below; the outermost where n is too small for the level.
    It covers at least 2 * level - 1 of new models where models are exchangeable, and usually about
    level. Checkpoints of one run are not exchangeable, so measure the coverage.

    Args:
        centre: (n_residuals, n_models) what the fit without model i's group predicts for each
            model.
        residual: (n_residuals,) how far that fit is from model i's accuracy.
        level: share of new models to cover.

    Returns:
        low and high, (n_models,) each, within [0, 1].

    Raises:
        InputError: no residual.
    """
    if residual.size == 0:
        raise InputError("an interval needs residuals of at least one model")
    size = np.abs(residual)[:, None]
    rounding = 1e-9  # 100 * 0.55 is 55.00000000000001
    rank = min(int(np.ceil((residual.size + 1) * level - rounding)), residual.size) - 1
    high = np.sort(centre + size, axis=0)[rank]
    low = np.sort(centre - size, axis=0)[::-1][rank]
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def residual_interval(
    predicted: Floats, residuals: Floats, level: float = 0.9
) -> tuple[Floats, Floats]:
    """Return prediction intervals of new models, from a fit's errors on left-out models.

    As `left_out_interval` with the fit itself in the place of those without a group, which is what
    is known once a fit is stored.

    Args:
        predicted: (n_models,) what the fit predicts.
        residuals: (n_residuals,) its errors on models left out in turn.
        level: share of new models to cover.

    Returns:
        low and high, (n_models,) each, within [0, 1].

    Raises:
        InputError: no residual.
    """
    centre = np.tile(predicted, (residuals.size, 1))
    return left_out_interval(centre, residuals, level)


def permutation_p(observed: float, permuted: Floats) -> float:
    """Return the p-value: the share of errors at or below the observed one, itself included.

    (1 + how many are <= observed) / (1 + n): uniform where accuracies are exchangeable among
    models, and never 0 (Phipson and Smyth 2010).
    """
    return float((1 + np.sum(permuted <= observed)) / (1 + permuted.size))
