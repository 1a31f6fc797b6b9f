"""Prediction errors, and the noise floor of measured accuracies."""

import numpy as np
from scipy.stats import spearmanr

from csvcore.errors import InputError
from csvcore.records import Floats


def mean_squared_error(accuracy: Floats, predicted: Floats) -> float:
    """Return the mean squared difference of two (n_models,) arrays, not empty, of accuracies."""
    _check(accuracy, predicted)
    return float(np.mean(np.square(accuracy - predicted)))


def mean_absolute_error(accuracy: Floats, predicted: Floats) -> float:
    """Return the mean absolute difference, as a fraction: 0.01 is one point."""
    _check(accuracy, predicted)
    return float(np.mean(np.abs(accuracy - predicted)))


def r_squared(accuracy: Floats, predicted: Floats) -> float | None:
    """Return 1 - squared error / variance; None if all accuracies are equal."""
    _check(accuracy, predicted)
    if np.ptp(accuracy) == 0.0:
        return None
    return 1.0 - mean_squared_error(accuracy, predicted) / float(np.var(accuracy))


def rank_correlation(accuracy: Floats, predicted: Floats) -> float | None:
    """Return Spearman's rho; None where one side does not vary."""
    _check(accuracy, predicted)
    if accuracy.size < 2 or np.ptp(accuracy) == 0.0 or np.ptp(predicted) == 0.0:
        return None
    return float(spearmanr(accuracy, predicted).statistic)


def pairwise_accuracy(accuracy: Floats, predicted: Floats) -> float | None:
    """Return the share of model pairs in the right order; pairs of equal accuracy do not count.

    A tie in the prediction is half right. None where no pair differs.
    """
    _check(accuracy, predicted)
    one, two = np.triu_indices(accuracy.size, k=1)
    truth = np.sign(accuracy[one] - accuracy[two])
    guess = np.sign(predicted[one] - predicted[two])
    differs = truth != 0.0
    if not differs.any():
        return None
    return float(np.mean(0.5 + 0.5 * truth[differs] * guess[differs]))


def noise_floor(accuracy: Floats, n_items: Floats) -> float:
    """Return the mean squared error of a perfect predictor of true accuracies.

    The binomial variance p (1 - p) / n of each measured accuracy, averaged over models; an
    estimate, since the measured p stands for the true one.
    """
    _check(accuracy, n_items)
    if np.any(n_items < 1):
        raise InputError(f"n_items counts the items of a task, got {n_items.min():.0f}")
    return float(np.mean(accuracy * (1.0 - accuracy) / n_items))


def _check(one: Floats, two: Floats) -> None:
    if one.shape != two.shape or one.ndim != 1 or one.size == 0:
        raise InputError(f"need two arrays of the same models, got {one.shape} and {two.shape}")
