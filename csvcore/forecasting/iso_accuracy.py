"""Iso-accuracy: the training tokens that models of each size need for an accuracy."""

from dataclasses import dataclass

import numpy as np

from csvcore.analysis.trivial_baselines import FLOPS
from csvcore.forecasting.ladder import sizes
from csvcore.forecasting.outlook import Outlook
from csvcore.records import Floats

LARGER, LONGER = 10.0, 100.0  # times the ladder's largest size, and its most tokens
N_SIZES, N_TOKENS = 25, 80


@dataclass(frozen=True, slots=True)
class IsoPoint:
    """Tokens that a model of n_params needs for an accuracy, and the training FLOPs of them.

    least_tokens, most_tokens: with the upper and the lower end of the 90 % interval in place of the
    forecast; None where LONGER times the ladder's tokens do not suffice.
    """

    n_params: int
    train_tokens: int
    flops: float
    least_tokens: int | None
    most_tokens: int | None


def iso_accuracy(outlook: Outlook, task: str, accuracy: float) -> list[IsoPoint]:
    """Return what an accuracy takes, for sizes from the ladder's smallest to LARGER its largest.

    Sizes that do not come to it with LONGER times the ladder's tokens are left out, so an empty
    list says that nothing within reach does.

    Args:
        outlook: of the task.
        task: its name.
        accuracy: to reach, 0 to 1.
    """
    ladders = [one.ladder for one in outlook.forecasters]
    known = sizes(np.concatenate([ladder.n_params for ladder in ladders]))
    tokens = np.concatenate([ladder.train_tokens for ladder in ladders])
    n = np.geomspace(known[0], known[-1] * LARGER, N_SIZES)
    d = np.geomspace(tokens.min(), tokens.max() * LONGER, N_TOKENS)
    band = outlook.predict(np.repeat(n, d.size), np.tile(d, n.size))
    number = outlook.tasks.index(task)
    needs = [
        _first_tokens(part[number].reshape(n.size, d.size), d, accuracy)
        for part in (band.predicted, band.high, band.low)
    ]
    return [
        IsoPoint(round(size), round(middle), FLOPS * size * middle, _whole(least), _whole(most))
        for size, middle, least, most in np.stack([n, *needs], axis=1).tolist()
        if np.isfinite(middle)
    ]


def _whole(tokens: float) -> int | None:
    return round(tokens) if np.isfinite(tokens) else None


def _first_tokens(curve: Floats, tokens: Floats, accuracy: float) -> Floats:
    """Return the tokens at which each row of (n_sizes, n_tokens) first comes to an accuracy.

    Interpolated in log tokens; infinite where it never does, the fewest where it does at once.
    """
    reached = curve >= accuracy
    first = reached.argmax(axis=1)
    rows = np.arange(len(curve))
    before = np.maximum(first - 1, 0)
    low, high = curve[rows, before], curve[rows, first]
    way = np.where(high > low, (accuracy - low) / np.where(high > low, high - low, 1.0), 0.0)
    log_d = np.log(tokens)
    found = np.exp(log_d[before] + np.clip(way, 0.0, 1.0) * (log_d[first] - log_d[before]))
    return np.asarray(np.where(reached.any(axis=1), found, np.inf))
