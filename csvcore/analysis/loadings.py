"""Loadings of tasks on shared factors: how much of each factor a task needs.

Factors have scores z_km, a number for every factor k and model m with mean 0 and variance 1 over
the models that are fitted to, lower is better. A task j then follows the sigmoid law of one
non-negative mix of them,

    predicted_jm = gamma_j + (1 - gamma_j) * sigmoid(offset_j - sum_k loading_jk * z_km).

Loadings minimise

    sum_m share_jm * (predicted_jm - accuracy_jm)^2 + tie * |loading_j - prior_j|^2 / |prior_j|_1^2

over loading_jk >= 0. The prior is what the task's own scoring head says: its score is written as a
non-negative mix of the factors' scores (`mix_of`), and the law of that mix gives the slope. An
infinite tie keeps the mix and fits slope and offset alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls
from scipy.special import expit, logit

from csvcore.records import Floats, Ints, Mask
from csvcore.scaling import fit_sigmoid_laws

FLATTEST = 0.1  # slope that the pull is scaled by where the law of the mix is flatter
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
    known = np.where(share > 0, accuracy, 0.0)
    laws = fit_sigmoid_laws(mix @ z, known, gamma, share)
    slope = np.maximum(-laws.alpha, 0.0)
    level = (share * known).sum(axis=1)
    flat = logit(np.clip((level - gamma) / (1.0 - gamma), LEAST, MOST))
    offset = np.where(laws.alpha < 0, -laws.alpha * laws.beta, flat)
    prior = slope[:, None] * mix
    if np.isinf(tie):
        return Loadings(prior, offset, gamma, prior)
    rows = [
        _freed(z, *of_task, tie) for of_task in zip(known, gamma, share, offset, prior, strict=True)
    ]
    return Loadings(
        np.array([row[1:] for row in rows]), np.array([row[0] for row in rows]), gamma, prior
    )


def _freed(
    z: Floats, known: Floats, gamma: float, share: Floats, offset: float, prior: Floats, tie: float
) -> Floats:
    """Return offset and loadings (1 + n_factors,) of one task, by bounded least squares."""
    used = share > 0
    inputs, root, target = z[:, used], np.sqrt(share[used]), known[used]
    pull = np.sqrt(tie) / max(float(prior.sum()), FLATTEST)

    def wrong(x: Floats) -> Floats:
        predicted = gamma + (1.0 - gamma) * expit(x[0] - x[1:] @ inputs)
        return np.concatenate([root * (predicted - target), pull * (x[1:] - prior)])

    def derivatives(x: Floats) -> Floats:
        passed = expit(x[0] - x[1:] @ inputs)
        slope = root * (1.0 - gamma) * passed * (1.0 - passed)
        first = np.stack([slope, *(-slope * row for row in inputs)], axis=1)
        rest = np.column_stack([np.zeros(prior.size), pull * np.eye(prior.size)])
        return np.vstack([first, rest])

    low = np.array([-np.inf, *np.zeros(prior.size)])
    start = np.array([offset, *np.maximum(prior, 1e-6)])
    return np.asarray(least_squares(wrong, start, derivatives, bounds=(low, np.inf)).x)
