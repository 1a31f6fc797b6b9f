"""Factors that tasks share: token weights common to all, and how much of each a task needs.

A task's capability score is a mix of the scores of a few factors, each with a scoring head of its
own: w_jt = sum_k l_jk * f(theta_k . x_t) with loadings l_jk >= 0. The law's alpha and the
spreads of the factors' scores are folded into the loadings, so that

    predicted_jm = gamma_j + (1 - gamma_j) / (1 + exp(-(b_j - sum_k l_jk * z_km))),

where z are the factors' scores, each with mean 0 and variance 1 over the models. Loadings and
offsets are fitted at fixed heads, task by task; the heads take damped Gauss-Newton steps at fixed
loadings, all factors together. A task with few models needs its loadings alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr
from scipy.optimize import least_squares
from scipy.special import expit, logit

from csvcore.optimise.features import TokenTable
from csvcore.optimise.gauss_newton import Heads, solve
from csvcore.optimise.passes import Passes, default_device, head_weights
from csvcore.optimise.problem import Singles
from csvcore.records import Floats, Ints

MAX_STEPS = 30
TOLERANCE = 1e-3  # a step that lowers the objective by less than this share ends the fit
FIRST_DAMPING, LEAST_DAMPING, TRIES = 1e-5, 1e-9, 8
RIDGE = 1e-4  # on loadings and offsets, in units of squared accuracy


@dataclass(frozen=True, slots=True)
class Loadings:
    """How tasks depend on factors: loading (n_tasks, n_factors) >= 0, offset and gamma (n_tasks,)."""

    loading: Floats
    offset: Floats
    gamma: Floats

    def predict(self, z: Floats) -> Floats:
        """Return accuracies (n_tasks, n_models) at standardised scores (n_factors, n_models)."""
        share = expit(self.offset[:, None] - self.loading @ z)
        return np.asarray(self.gamma[:, None] + (1.0 - self.gamma[:, None]) * share)

    def slope(self, z: Floats) -> Floats:
        """Return derivatives of `predict` by the logits, (n_tasks, n_models)."""
        share = expit(self.offset[:, None] - self.loading @ z)
        return np.asarray((1.0 - self.gamma[:, None]) * share * (1.0 - share))


@dataclass(frozen=True, slots=True)
class Factors:
    """Shared factors of several tasks.

    theta: (n_factors, n_features) heads. centre, spread: (n_factors,) of the scores of the models
    that were fitted to. score: (n_factors, n_models) nats per character. objective: its lowest.
    """

    theta: Floats
    centre: Floats
    spread: Floats
    score: Floats
    loadings: Loadings
    objective: float

    def standardised(self, score: Floats) -> Floats:
        """Return scores (n_factors, n_models) in units of their spread."""
        return np.asarray((score - self.centre[:, None]) / self.spread[:, None])

    def predict(self, score: Floats) -> Floats:
        """Return accuracies (n_tasks, n_models) at factors' scores (n_factors, n_models)."""
        return self.loadings.predict(self.standardised(score))

    def weights(self, table: TokenTable) -> Singles:
        """Return the weights of the tokens by each factor, (n_factors, n_tokens), mean 1."""
        weight = head_weights(table, self.theta, np.zeros(self.theta.shape[0], dtype=int))
        return np.asarray(weight / weight.mean(axis=1, keepdims=True))


def fit_loadings(z: Floats, accuracy: Floats, gamma: Floats, share: Floats) -> Loadings:
    """Fit loadings and offsets of tasks to the factors' standardised scores.

    Args:
        z: (n_factors, n_models).
        accuracy: (n_tasks, n_models), read only where share is positive.
        gamma: (n_tasks,) chance levels.
        share: (n_tasks, n_models) how much each model counts; rows sum to 1.
    """
    found = [_fit_one(z, *parts) for parts in zip(accuracy, gamma, share, strict=True)]
    return Loadings(np.array([one[1:] for one in found]), np.array([one[0] for one in found]), gamma)


def _fit_one(z: Floats, accuracy: Floats, gamma: float, share: Floats) -> Floats:
    """Return offset and loadings (1 + n_factors,) of one task, by scipy with bounds."""
    known = share > 0
    inputs, root, target = z[:, known], np.sqrt(share[known]), accuracy[known]
    level = np.clip((root**2 @ target - gamma) / (1.0 - gamma), 0.02, 0.98)
    start = np.concatenate([[logit(level)], np.full(len(z), 1.0 / len(z))])
    pull = np.sqrt(RIDGE) * np.ones(1 + len(z))
    pull[0] = 0.1 * pull[0]

    def wrong(x: Floats) -> Floats:
        predicted = gamma + (1.0 - gamma) * expit(x[0] - x[1:] @ inputs)
        return np.concatenate([root * (predicted - target), pull * x])

    def derivatives(x: Floats) -> Floats:
        passed = expit(x[0] - x[1:] @ inputs)
        slope = root * (1.0 - gamma) * passed * (1.0 - passed)
        return np.vstack([np.stack([slope, *(-slope * row for row in inputs)], 1), np.diag(pull)])

    low = np.concatenate([[-np.inf], np.zeros(len(z))])
    return np.asarray(least_squares(wrong, start, derivatives, bounds=(low, np.inf)).x)


def fit_factors(table: TokenTable, heads: Heads, n_factors: int) -> Factors:
    """Fit shared factors to several tasks.

    The factors begin at the tasks' own heads: those of the tasks whose scores differ most.

    Args:
        table: features and losses of the tokens.
        heads: a head for each task: accuracies, shares and chance levels. The strength of the first
            is the penalty on every factor's |theta|^2; pulls are not used.
        n_factors: at most the number of tasks.
    """
    own = Heads(heads.accuracy, heads.share, heads.gamma, heads.strength, np.zeros_like(heads.pull))
    alone = solve(table, own, np.zeros((heads.gamma.size, table.n_features)))
    chosen = most_distinct(alone.history[-1].score, n_factors)
    fit = _Fit(table, heads, Passes(table, "exp", default_device()))
    factors, damping = fit.at(alone.theta[chosen]), FIRST_DAMPING
    for _ in range(MAX_STEPS):
        before = factors.objective
        factors, damping = fit.step(factors, damping)
        if factors.objective > (1.0 - TOLERANCE) * before:
            break
    return factors


def most_distinct(score: Floats, n_chosen: int) -> Ints:
    """Return the rows of score (n_tasks, n_models) that differ most, by a pivoted QR."""
    centred = score - score.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    _, _, order = qr(unit.T, mode="economic", pivoting=True)
    return np.sort(order[:n_chosen])


@dataclass(frozen=True, slots=True)
class _Fit:
    """The objective of the factors: squared errors of all tasks, and a penalty on the heads."""

    table: TokenTable
    tasks: Heads
    passes: Passes

    def at(self, theta: Floats) -> Factors:
        """Return the factors with these heads, loadings fitted anew."""
        tasks = self.tasks
        score = self.passes.scores(theta, np.zeros(len(theta), dtype=int))
        used = (tasks.share > 0).any(axis=0)
        centre, spread = score[:, used].mean(axis=1), score[:, used].std(axis=1)
        spread = np.where(spread > 0, spread, 1.0)
        z = (score - centre[:, None]) / spread[:, None]
        loadings = fit_loadings(z, tasks.accuracy, tasks.gamma, tasks.share)
        wrong = loadings.predict(z) - np.where(tasks.share > 0, tasks.accuracy, 0.0)
        objective = float((tasks.share * wrong**2).sum() + tasks.strength[0] * (theta**2).sum())
        return Factors(theta, centre, spread, score, loadings, objective)

    def step(self, factors: Factors, damping: float) -> tuple[Factors, float]:
        """Return the factors after a step that lowers the objective, and the next damping."""
        jacobian, residual = self._linear(factors)
        strength = float(self.tasks.strength[0])
        gradient = jacobian.T @ residual + strength * factors.theta.ravel()
        gram, seen = jacobian @ jacobian.T, jacobian @ gradient
        for _ in range(TRIES):
            ridge = strength + damping
            inner = np.linalg.solve(gram + ridge * np.eye(len(gram)), seen)
            step = (jacobian.T @ inner - gradient) / ridge
            moved = self.at(factors.theta + step.reshape(factors.theta.shape))
            if moved.objective < factors.objective:
                return moved, max(damping / 10.0, LEAST_DAMPING)
            damping *= 10.0
        return factors, damping

    def _linear(self, factors: Factors) -> tuple[Floats, Floats]:
        """Return the Jacobian (n_rows, n_factors * n_features) and residuals of all tasks."""
        tasks, theta = self.tasks, factors.theta
        rows = np.flatnonzero((tasks.share > 0).any(axis=0))
        by_head = self.passes.jacobian(theta, np.zeros(len(theta), dtype=int), rows).numpy()
        z = factors.standardised(factors.score[:, rows])
        centred = by_head - by_head.mean(axis=1, keepdims=True)
        unit = centred / factors.spread[:, None, None]  # of z, but for its spread
        along = np.einsum("km,kmp->kp", z, unit) / rows.size
        unit = unit - z[:, :, None] * along[:, None, :]
        root = np.sqrt(tasks.share[:, rows])
        known = np.where(tasks.share[:, rows] > 0, tasks.accuracy[:, rows], 0.0)
        residual = root * (factors.loadings.predict(z) - known)
        slope = -root * factors.loadings.slope(z)  # (n_tasks, n_rows)
        parts = np.einsum("jm,jk,kmp->jmkp", slope, factors.loadings.loading, unit)
        return parts.reshape(residual.size, -1), residual.ravel()

