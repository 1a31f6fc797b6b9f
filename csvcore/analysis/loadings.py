"""Loadings of tasks on shared factors: how much of each factor a task needs.

Factors have scores z_km, a number for every factor k and model m with mean 0 and variance 1 over
the models that are fitted to, lower is better. A task j then follows the sigmoid law of one
non-negative mix of them,

    predicted_jm = gamma_j + (1 - gamma_j) * sigmoid(offset_j - sum_k loading_jk * z_km).

Loadings minimise sum_m share_jm * (predicted_jm - accuracy_jm)^2 + tie * |loading_j - prior_j|^2
over loading_jk >= 0. The prior is what the task's own scoring head says: its score is written as a
non-negative mix of the factors' scores (`mix_of`), and the law of that mix gives the slope. An
infinite tie keeps the mix and fits slope and offset alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls
from scipy.special import expit, logit

from csvcore.records import Floats, Ints, Mask

RIDGE = 1e-5  # on a slope and an offset that few models tell, in units of squared accuracy
LEAST, MOST = 0.02, 0.98  # share of the way from chance to 1 at which an offset may start


@dataclass(frozen=True, slots=True)
class Loadings:
    """Loadings (n_tasks, n_factors) >= 0 and offsets (n_tasks,) of tasks of these chance levels.

    prior: (n_tasks, n_factors) the loadings that the tasks' own heads give.
    """

    loading: Floats
    offset: Floats
    gamma: Floats
    prior: Floats

    def predict(self, z: Floats) -> Floats:
        """Return accuracies (n_tasks, n_models) at standardised scores (n_factors, n_models)."""
        share = expit(self.offset[:, None] - self.loading @ z)
        return np.asarray(self.gamma[:, None] + (1.0 - self.gamma[:, None]) * share)

    def slope(self, z: Floats) -> Floats:
        """Return derivatives of `predict` by the logits, (n_tasks, n_models)."""
        share = expit(self.offset[:, None] - self.loading @ z)
        return np.asarray((1.0 - self.gamma[:, None]) * share * (1.0 - share))


@dataclass(frozen=True, slots=True)
class Scale:
    """Centre and spread of the factors' scores, (n_factors,) each, nats per character."""

    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, score: Floats, used: Mask) -> "Scale":
        """Return the scale of scores (n_factors, n_models) over the used models."""
        spread = score[:, used].std(axis=1)
        return cls(score[:, used].mean(axis=1), np.where(spread > 0, spread, 1.0))

    def standardised(self, score: Floats) -> Floats:
        """Return scores (n_factors, n_models) in units of their spread."""
        return np.asarray((score - self.centre[:, None]) / self.spread[:, None])


def anchor_tasks(score: Floats, n_chosen: int) -> Ints:
    """Return the tasks whose own scores make up those of all others, in order.

    From all tasks, the one is dropped whose absence leaves the smallest squared distance of all
    scores to non-negative mixes of the rest, until n_chosen are left. A mix of two abilities is
    dropped before either of them, since no non-negative mix gives one from the other two.

    Args:
        score: (n_tasks, n_models) by the tasks' own heads.
        n_chosen: 1 to n_tasks.
    """
    centred = score - score.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    kept = list(range(len(score)))
    while len(kept) > n_chosen:
        rest = [[task for task in kept if task != left_out] for left_out in kept]
        lost = [sum(nnls(unit[tasks].T, row)[1] ** 2 for row in unit) for tasks in rest]
        kept = rest[int(np.argmin(lost))]
    return np.array(kept)


def mix_of(z: Floats, own: Floats, share: Floats) -> Floats:
    """Return the non-negative mix of factors that comes nearest to a task's own score.

    Args:
        z: (n_factors, n_models) standardised.
        own: (n_models,) the task's own score.
        share: (n_models,) how much each model counts.

    Returns:
        (n_factors,) that add up to 1; equal parts where no mix follows the score.
    """
    used = share > 0
    root = np.sqrt(share[used])
    centred = own[used] - np.average(own[used], weights=share[used])
    inputs = z[:, used] - np.average(z[:, used], axis=1, weights=share[used])[:, None]
    mix, _ = nnls((inputs * root).T, centred * root)
    total = float(mix.sum())
    return np.asarray(mix / total if total > 0 else np.full(len(z), 1.0 / len(z)))


def fit_loadings(
    z: Floats, accuracy: Floats, gamma: Floats, share: Floats, mix: Floats, tie: float
) -> Loadings:
    """Fit loadings and offsets of tasks to the factors' standardised scores.

    Args:
        z: (n_factors, n_models).
        accuracy: (n_tasks, n_models), read only where share is positive.
        gamma: (n_tasks,) chance levels.
        share: (n_tasks, n_models) how much each model counts; rows sum to 1.
        mix: (n_tasks, n_factors) prior mixes, rows sum to 1; see `mix_of`.
        tie: strength of the pull towards them, in units of squared accuracy; may be infinite.
    """
    rows = [
        _fit_one(z, *of_task, tie) for of_task in zip(accuracy, gamma, share, mix, strict=True)
    ]
    return Loadings(
        loading=np.array([row.loading for row in rows]),
        offset=np.array([row.offset for row in rows]),
        gamma=gamma,
        prior=np.array([row.prior for row in rows]),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    loading: Floats
    offset: float
    prior: Floats


def _fit_one(
    z: Floats, accuracy: Floats, gamma: float, share: Floats, mix: Floats, tie: float
) -> _Row:
    """Fit one task: the slope of its prior mix, then the loadings around it."""
    used = share > 0
    inputs, root, target = z[:, used], np.sqrt(share[used]), accuracy[used]
    level = np.clip((root**2 @ target - gamma) / (1.0 - gamma), LEAST, MOST)
    offset, slope = _law(
        (mix @ inputs)[None], root, target, gamma, np.array([logit(level), 1.0]), np.zeros(1)
    )
    prior = np.asarray(slope * mix)
    if np.isinf(tie):
        return _Row(prior, float(offset), prior)
    found = _law(inputs, root, target, gamma, np.array([offset, *prior]), prior, tie)
    return _Row(found[1:], float(found[0]), prior)


def _law(
    inputs: Floats,
    root: Floats,
    target: Floats,
    gamma: float,
    start: Floats,
    prior: Floats,
    tie: float = RIDGE,
) -> Floats:
    """Return offset and loadings (1 + n_inputs,), by bounded least squares from start.

    inputs: (n_inputs, n_models). root: (n_models,) roots of the shares. prior: (n_inputs,).
    """
    pull = np.sqrt(np.array([0.01 * RIDGE, *np.full(len(inputs), max(tie, 1e-12))]))
    centre = np.array([0.0, *prior])

    def wrong(x: Floats) -> Floats:
        predicted = gamma + (1.0 - gamma) * expit(x[0] - x[1:] @ inputs)
        return np.concatenate([root * (predicted - target), pull * (x - centre)])

    def derivatives(x: Floats) -> Floats:
        passed = expit(x[0] - x[1:] @ inputs)
        slope = root * (1.0 - gamma) * passed * (1.0 - passed)
        return np.vstack([np.stack([slope, *(-slope * row for row in inputs)], 1), np.diag(pull)])

    low = np.array([-np.inf, *np.zeros(len(inputs))])
    inside = np.maximum(start, np.array([-np.inf, *np.full(len(inputs), 1e-6)]))
    return np.asarray(least_squares(wrong, inside, derivatives, bounds=(low, np.inf)).x)


def left_out_error(
    errors: Sequence[Floats], shares: Sequence[float]
) -> Floats:
    """Return each task's root mean squared error over judges, (n_tasks,).

    Args:
        errors: of each judge (n_tasks, n_held); tasks without an accuracy there are NaN.
        shares: of each judge.
    """
    squares = np.array([np.nanmean(np.square(error), axis=1) for error in errors])
    return np.asarray(np.sqrt(np.average(squares, axis=0, weights=shares)))
