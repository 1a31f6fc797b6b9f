"""Comparators: predictions of accuracy by the literature's other forms.

Each is a function that fits the models of each mask and predicts all of them, so that the same
left-out groups judge it as every other method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit, logit

from csvcore.analysis import factorisation
from csvcore.analysis.scores import compute_score
from csvcore.analysis.stack import LEAST, MOST
from csvcore.errors import InputError
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.left_out import Predict
from csvcore.records import Floats, Mask

RIDGE = 1e-2  # on standardised features, in units of the number of models
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  # of a model's losses
N_COMPONENTS = 3  # of other tasks' accuracies; Ruan et al. (2024) find that three are enough

Comparator = Callable[[Dataset, TaskModels], Predict]
COMPARATORS: dict[str, Comparator] = {}  # by name of the method, as in `methods.METHODS`


def comparator(name: str) -> Callable[[Comparator], Comparator]:
    """Register the function that makes a comparator of a task."""

    def register(function: Comparator) -> Comparator:
        COMPARATORS[name] = function
        return function

    return register


@dataclass(frozen=True, slots=True)
class _Observed:
    """Accuracies of a task's models, read where a mask is true, and its chance level."""

    accuracy: Floats
    gamma: float

    def log_odds(self, mask: Mask) -> Floats:
        """Return the log-odds of the masked models' accuracies on the way from chance to 1."""
        share = (self.accuracy[mask] - self.gamma) / (1.0 - self.gamma)
        return np.asarray(logit(np.clip(share, LEAST, MOST)), dtype=np.float64)

    def table(self) -> Floats:
        """Return the log-odds of all models, (n_models,), NaN where an accuracy is."""
        measured = np.isfinite(self.accuracy)
        column = np.full(self.accuracy.shape, np.nan)
        column[measured] = self.log_odds(measured)
        return column

    def accuracies(self, log_odds: Floats) -> Floats:
        """Return the accuracies of log-odds."""
        return np.asarray(self.gamma + (1.0 - self.gamma) * expit(log_odds), dtype=np.float64)


@comparator("loss-compute")
def loss_compute(data: Dataset, chosen: TaskModels) -> Predict:
    """Return the sigmoid law in two numbers: mean loss and the logarithm of training compute.

    Raises:
        InputError: a model's parameters or training tokens are not known.
    """
    compute = compute_score([data.cards[row] for row in chosen.rows])
    if compute is None:
        raise InputError("loss-compute needs n_params and train_tokens of every model")
    features = np.stack([_mean_loss(data, chosen), compute], axis=1)
    observed = _Observed(chosen.accuracy, chosen.task.chance)
    return _by_mask(lambda mask: _sigmoid(features, observed, mask))


@comparator("loss-quantiles")
def loss_quantiles(data: Dataset, chosen: TaskModels) -> Predict:
    """Return a ridge regression of log-odds on quantiles of a model's losses.

    The shape of NeuNeu (arXiv 2601.19831), which reads the distribution of token losses.
    """
    observed = _Observed(chosen.accuracy, chosen.task.chance)

    @cache  # made on the first prediction, and not to learn whether the method can be fitted
    def features() -> Floats:
        nll = data.nll[chosen.rows][:, data.counts]
        return np.quantile(nll, QUANTILES, axis=1).T.astype(np.float64)  # (n_models, n_quantiles)

    return _by_mask(lambda mask: _ridge(features(), observed, mask))


@comparator("other-tasks")
def other_tasks(data: Dataset, chosen: TaskModels) -> Predict:
    """Return a regression of log-odds on principal components of the other tasks' accuracies.

    Ruan, Maddison and Hashimoto (2024), observational scaling laws. It needs measured accuracies
    of the models that it predicts, on all other tasks, so it predicts a benchmark from benchmarks.

    Raises:
        InputError: fewer than two other tasks are measured on every model.
    """
    names = [data.models[row] for row in chosen.rows]
    others = [
        [data.accuracies[name, task].accuracy for name in names]
        for task in data.tasks
        if task != chosen.task.task and all((name, task) in data.accuracies for name in names)
    ]
    if len(others) < 2:
        raise InputError(
            f"other-tasks needs two other tasks measured on every model of {chosen.task.task}, "
            f"got {len(others)}"
        )
    accuracies = np.array(others).T  # (n_models, n_others)
    observed = _Observed(chosen.accuracy, chosen.task.chance)

    def predict(mask: Mask) -> Floats:
        centre = accuracies[mask].mean(axis=0)
        _, _, axes = np.linalg.svd(accuracies[mask] - centre, full_matrices=False)
        return _ridge((accuracies - centre) @ axes[:N_COMPONENTS].T, observed, mask)

    return _by_mask(predict)


@comparator("collaborative")
def collaborative(data: Dataset, chosen: TaskModels) -> Predict:
    """Return a matrix factorisation of the log-odds of all tasks, with the cards as features.

    Zhang et al. (2024), collaborative performance prediction. Like `other_tasks` it predicts a
    benchmark from benchmarks, but a model may lack some of them.

    Raises:
        InputError: fewer than two other tasks are measured on these models, or none on one of them.
    """
    names = [data.models[row] for row in chosen.rows]
    others = [
        _Observed(accuracy, task.chance).table()
        for task in data.tasks.values()
        if task.task != chosen.task.task
        for accuracy in [_accuracies(data, names, task.task)]
        if np.isfinite(accuracy).sum() > N_COMPONENTS
    ]
    if len(others) < 2:
        raise InputError(
            f"collaborative needs two other tasks measured on more than {N_COMPONENTS} models of "
            f"{chosen.task.task}, got {len(others)}"
        )
    bare = np.isnan(others).all(axis=0)
    if bare.any():
        raise InputError(
            f"collaborative needs another task measured on every model of {chosen.task.task}; "
            f"{names[bare.argmax()]} has none"
        )
    cards = [data.cards[row] for row in chosen.rows]
    known = factorisation.card_features(cards)
    observed = _Observed(chosen.accuracy, chosen.task.chance)

    def predict(mask: Mask) -> Floats:
        own = np.full(len(names), np.nan)
        own[mask] = observed.log_odds(mask)
        table = np.column_stack([own, *others])
        return observed.accuracies(factorisation.completed(table, known, N_COMPONENTS)[:, 0])

    return _by_mask(predict)


@comparator("exponential")
def exponential(data: Dataset, chosen: TaskModels) -> Predict:
    """Return the exponential law of error in loss: error = top - scale * exp(-rate * loss).

    Gadre et al. (2024), on the mean loss of all text.
    """
    loss = _mean_loss(data, chosen)
    observed = _Observed(chosen.accuracy, chosen.task.chance)
    return _by_mask(lambda mask: _exponential(loss, observed, mask))


def _accuracies(data: Dataset, names: Sequence[str], task: str) -> Floats:
    """Return the models' accuracies on a task, (n_models,), NaN where none is stored."""
    stored = [data.accuracies.get((name, task)) for name in names]
    return np.array([np.nan if one is None else one.accuracy for one in stored])


def _mean_loss(data: Dataset, chosen: TaskModels) -> Floats:
    """Return the loss of all text, (n_models,) nats per character."""
    return np.asarray(chosen.losses(data).sum(axis=1, dtype=np.float64) / data.n_chars)


def _by_mask(predict: Callable[[Mask], Floats]) -> Predict:
    """Return a function that predicts once a mask."""

    def predict_all(masks: Mask, without: Sequence[str | None]) -> Floats:
        return np.array([predict(mask) for mask in masks])

    return predict_all


def _standardised(features: Floats, mask: Mask) -> Floats:
    """Return features (n_models, n_features) with mean 0 and spread 1 over the masked models."""
    spread = features[mask].std(axis=0)
    centred = features - features[mask].mean(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _ridge(features: Floats, observed: _Observed, mask: Mask) -> Floats:
    """Predict by a ridge regression of log-odds on features, (n_models,)."""
    x = _standardised(features, mask)
    y = observed.log_odds(mask)
    gram = x[mask].T @ x[mask] + RIDGE * mask.sum() * np.eye(x.shape[1])
    slope = np.linalg.solve(gram, x[mask].T @ (y - y.mean()))
    return observed.accuracies(y.mean() + x @ slope)


def _sigmoid(features: Floats, observed: _Observed, mask: Mask) -> Floats:
    """Predict by a sigmoid of a weighted sum of features, fitted by least squares, (n_models,)."""
    x = np.column_stack([_standardised(features, mask), np.ones(len(features))])
    y = observed.log_odds(mask)
    start = np.linalg.lstsq(x[mask], y, rcond=None)[0]

    def residuals(slope: Floats) -> Floats:
        return observed.accuracies(x[mask] @ slope) - observed.accuracy[mask]

    return observed.accuracies(x @ least_squares(residuals, start).x)


def _exponential(loss: Floats, observed: _Observed, mask: Mask) -> Floats:
    """Predict by the exponential law, within chance and 1, (n_models,)."""
    x = _standardised(loss[:, None], mask)[:, 0]
    y = observed.accuracy[mask]
    spread = max(float(np.ptp(y)), 1e-3)

    def law(parameters: Floats, at: Floats) -> Floats:
        level, log_scale, rate = parameters
        return np.asarray(level + np.exp(log_scale - np.exp(rate) * at))

    def residuals(parameters: Floats) -> Floats:
        return law(parameters, x[mask]) - y

    fits = [
        least_squares(
            residuals,
            [y.min(), np.log(spread), rate],
            bounds=([-1.0, -20.0, -5.0], [1.0, 5.0, 2.5]),
        )
        for rate in (-1.0, 0.5)
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    return np.clip(law(best.x, x), observed.gamma, 1.0)
