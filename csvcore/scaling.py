"""The sigmoid law between capability score and accuracy: equation 2 and its fit (equation 4)."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit, logit

from csvcore.errors import FitError, InputError
from csvcore.records import Floats, Ints, ScalingFit

# Slopes at which the fit starts, in units of 1 / standard deviation of the scores.
START_SLOPES = (-0.5, -2.0, -6.0, -20.0, 2.0)
FEWEST = 3  # models that a law of two parameters needs
LEAST_SHARE = 1e-6  # of the way from chance to 1, where a prediction's log-odds are cut off


def sigmoid_law(score: Floats, alpha: float, beta: float, gamma: float) -> Floats:
    """Return accuracy at a capability score: gamma + (1 - gamma) * sigmoid(alpha * (score - beta)).

    Args:
        score: (n_models,) capability scores, nats per character.
        alpha: slope, characters per nat; negative while the score is a loss.
        beta: midpoint, nats per character; accuracy there is (1 + gamma) / 2.
        gamma: chance level in [0, 1), 0.25 for four-way multiple choice.

    Returns:
        (n_models,) accuracies between gamma and 1.
    """
    return np.asarray(gamma + (1.0 - gamma) * expit(alpha * (score - beta)), dtype=np.float64)


def log_odds(predicted: Floats, gamma: float) -> Floats:
    """Return minus the log-odds of predictions on the way from chance to 1; lower is better.

    With alpha -1 and beta 0 the law of equation 2 gives the prediction back, so predictions that
    do not come from one score can be stored and drawn as those that do.
    """
    share = np.clip((predicted - gamma) / (1.0 - gamma), LEAST_SHARE, 1.0 - LEAST_SHARE)
    return np.asarray(-logit(share), dtype=np.float64)


def fit_sigmoid_law(
    score: Floats,
    accuracy: Floats,
    gamma: float,
    start: tuple[float, float] | None = None,
) -> ScalingFit:
    """Fit least-squares (alpha, beta) of equation 4 by Levenberg-Marquardt, gamma given.

    The scores are centred and scaled first, so that their unit does not matter, and the fit runs
    from several slopes; the best end wins. With `start` it runs only from there.

    Args:
        score: (n_models,) capability scores, nats per character.
        accuracy: (n_models,) observed accuracies, 0 to 1.
        gamma: chance level of the task, in [0, 1).
        start: (alpha, beta) of an earlier fit to go on from.

    Raises:
        InputError: shapes differ, fewer than 3 models, a number is not finite, gamma not in [0, 1).
        FitError: all scores or all accuracies are one value, or no start converges.
    """
    _check(score, accuracy, gamma)
    centre, spread = float(score.mean()), float(score.std())
    unit = (score - centre) / spread

    def residuals(law: Floats) -> Floats:
        return np.asarray(_law(unit, law, gamma) - accuracy)

    def jacobian(law: Floats) -> Floats:
        share = expit(law[0] * unit + law[1])
        slope = (1.0 - gamma) * share * (1.0 - share)
        return np.stack([slope * unit, slope], axis=1)

    if start is None:
        level = np.clip((accuracy.mean() - gamma) / (1.0 - gamma), 0.02, 0.98)
        starts = [(slope, float(logit(level))) for slope in START_SLOPES]
    else:
        starts = [(start[0] * spread, start[0] * (centre - start[1]))]
    results = [least_squares(residuals, x0, jac=jacobian, method="lm") for x0 in starts]
    good = [result for result in results if result.success and result.x[0] != 0.0]
    if not good:
        raise FitError(
            f"no convergence after {results[0].nfev} evaluations: {results[0].message}; "
            "look at the scores of these models"
        )
    best = min(good, key=lambda result: float(result.cost))
    slope, offset = (float(value) for value in best.x)
    return ScalingFit(
        alpha=slope / spread,
        beta=centre - offset / slope * spread,
        gamma=gamma,
        mse=float(np.mean(np.square(best.fun))),
        n_models=score.size,
    )


def _law(unit: Floats, law: Floats, gamma: float) -> Floats:
    return np.asarray(gamma + (1.0 - gamma) * expit(law[0] * unit + law[1]))


def _check(score: Floats, accuracy: Floats, gamma: float) -> None:
    if score.shape != accuracy.shape or score.ndim != 1:
        raise InputError(
            f"score {score.shape} and accuracy {accuracy.shape} must be one (n_models,) each"
        )
    if score.size < FEWEST:
        raise InputError(f"two parameters need at least {FEWEST} models, got {score.size}")
    if not (np.isfinite(score).all() and np.isfinite(accuracy).all()):
        raise InputError("scores and accuracies must be finite; check the losses of these models")
    if not 0.0 <= gamma < 1.0:
        raise InputError(f"gamma is a chance level in [0, 1), got {gamma}")
    for name, values in (("capability score", score), ("accuracy", accuracy)):
        if np.ptp(values) == 0.0:
            raise FitError(
                f"all {score.size} models have the same {name} {values[0]:.4g}; "
                "a curve needs models that differ"
            )


def standard_errors(
    score: Floats, accuracy: Floats, gamma: float, alpha: float, beta: float
) -> tuple[float, float]:
    """Return the standard errors of a least-squares law's alpha and beta, for given scores.

    Of the usual kind: residual variance over n - 2, times the inverse of J'J; infinite where the
    law is a step and J'J singular.

    Args:
        score: (n_models,) of the models that the law was fitted to.
        accuracy: (n_models,).
        gamma: chance level.
        alpha: of the law.
        beta: of the law.
    """
    share = expit(alpha * (score - beta))
    steepness = (1.0 - gamma) * share * (1.0 - share)
    jacobian = np.stack([steepness * (score - beta), -steepness * alpha], axis=1)
    normal = jacobian.T @ jacobian
    wrong = gamma + (1.0 - gamma) * share - accuracy
    if score.size <= 2 or np.linalg.cond(normal) > 1e14:
        return float("inf"), float("inf")
    variance = wrong @ wrong / (score.size - 2) * np.linalg.inv(normal)
    return float(np.sqrt(variance[0, 0])), float(np.sqrt(variance[1, 1]))


STEEPEST = 30.0  # slope in units of 1 / standard deviation of the scores; beyond it is a step


FARTHEST = 60.0  # offset in the logit; beyond it the curve is flat


MAX_STEPS, SETTLED = 60, 1e-10


LONGEST_STEP = 3.0


@dataclass(slots=True)
class Laws:
    """Laws of many heads: alpha, beta, mse (n_heads,), as in `records.ScalingFit`.

    slope: (n_heads,) alpha in units of 1 / standard deviation of the head's scores; a slope of
    size STEEPEST marks a step function.
    """

    alpha: Floats
    beta: Floats
    slope: Floats
    mse: Floats

    def take(self, chosen: Ints) -> "Laws":
        """Return some of the laws."""
        return Laws(*(part[chosen] for part in self._parts()))

    def put(self, chosen: Ints, other: "Laws") -> None:
        """Replace the chosen laws by other's."""
        for mine, new in zip(self._parts(), other._parts(), strict=True):
            mine[chosen] = new

    def copy(self) -> "Laws":
        """Return a deep copy."""
        return Laws(*(part.copy() for part in self._parts()))

    def predict(self, score: Floats, gamma: Floats) -> Floats:
        """Return accuracies at scores (n_heads, n_models): equation 2."""
        share = expit(self.alpha[:, None] * (score - self.beta[:, None]))
        return np.asarray(gamma[:, None] + (1.0 - gamma[:, None]) * share)

    def derivatives(self, score: Floats, gamma: Floats) -> tuple[Floats, Floats, Floats]:
        """Return predicted accuracies and their derivatives by the score and by the law.

        The law's parameters are slope and offset of the logit, which have similar scales. Shapes:
        (n_heads, n_models), (n_heads, n_models), (n_heads, n_models, 2).
        """
        distance = score - self.beta[:, None]
        share = expit(self.alpha[:, None] * distance)
        steepness = (1.0 - gamma[:, None]) * share * (1.0 - share)
        predicted = gamma[:, None] + (1.0 - gamma[:, None]) * share
        by_law = np.stack([steepness * self.alpha[:, None] * distance, steepness], axis=2)
        return predicted, steepness * self.alpha[:, None], by_law

    def _parts(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.alpha, self.beta, self.slope, self.mse


def fit_sigmoid_laws(
    score: Floats, accuracy: Floats, gamma: Floats, share: Floats, start: Laws | None = None
) -> Laws:
    """Fit the least-squares law of every head; a step-like law is not an error, see `Laws.slope`.

    Args:
        score: (n_heads, n_models) nats per character.
        accuracy: (n_heads, n_models), read only where share is positive.
        gamma: (n_heads,) chance levels.
        share: (n_heads, n_models) how much each model counts; rows sum to 1.
        start: laws to go on from; the fit then runs from there alone.

    Returns:
        alpha and beta bounded by STEEPEST and FARTHEST; mse (n_heads,) weighted by share.
    """
    observed = np.where(share > 0, accuracy, 0.0)
    centre = (share * score).sum(axis=1)
    spread = np.sqrt((share * np.square(score - centre[:, None])).sum(axis=1))
    spread = np.where(spread > 0, spread, 1.0)
    unit = (score - centre[:, None]) / spread[:, None]
    if start is not None:
        moved = np.clip(start.alpha * (centre - start.beta), -FARTHEST, FARTHEST)
        starts = [np.stack([start.alpha * spread, moved])]
    else:
        starts = _starts(observed, gamma, share)
    best, lowest = _descend(starts[0], unit, observed, gamma, share)
    for law in starts[1:]:
        end, mse = _descend(law, unit, observed, gamma, share)
        better = mse < lowest
        best, lowest = np.where(better, end, best), np.where(better, mse, lowest)
    slope = np.where(best[0] == 0.0, -1e-12, best[0])
    return Laws(slope / spread, centre - best[1] / slope * spread, slope, lowest)


def _starts(observed: Floats, gamma: Floats, share: Floats) -> list[Floats]:
    level = ((share * observed).sum(axis=1) - gamma) / (1.0 - gamma)
    offset = logit(np.clip(level, 0.02, 0.98))
    return [np.stack([np.full_like(offset, slope), offset]) for slope in START_SLOPES]


def _descend(
    law: Floats, unit: Floats, accuracy: Floats, gamma: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """Run Levenberg-Marquardt from law (2, n_heads) = slope, offset; return the ends and mse.

    A head whose mse has settled takes no part in the further steps.
    """
    law = np.clip(law, [[-STEEPEST], [-FARTHEST]], [[STEEPEST], [FARTHEST]])
    passed, wrong, mse = _look(law, unit, accuracy, gamma, share)
    ends, lowest = law.copy(), mse.copy()
    damping = np.full_like(mse, 1e-2)
    going = np.arange(mse.size)
    for _ in range(MAX_STEPS):
        step = _law_steps(law, passed, wrong, unit, gamma, share, damping)
        moved = law + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
        moved = np.clip(moved, [[-STEEPEST], [-FARTHEST]], [[STEEPEST], [FARTHEST]])
        passed_moved, wrong_moved, mse_moved = _look(moved, unit, accuracy, gamma, share)
        better = mse_moved < mse
        settled = np.where(better, mse - mse_moved <= SETTLED * mse, damping > 2e2)
        law = np.where(better, moved, law)
        passed = np.where(better[:, None], passed_moved, passed)
        wrong = np.where(better[:, None], wrong_moved, wrong)
        mse = np.where(better, mse_moved, mse)
        damping = np.where(better, damping / 5.0, damping * 5.0)
        ends[:, going], lowest[going] = law, mse
        if settled.any():
            on = ~settled
            going, law, mse, damping = going[on], law[:, on], mse[on], damping[on]
            passed, wrong, unit, gamma = passed[on], wrong[on], unit[on], gamma[on]
            accuracy, share = accuracy[on], share[on]
        if going.size == 0:
            break
    return ends, lowest


def _look(
    law: Floats, unit: Floats, accuracy: Floats, gamma: Floats, share: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the sigmoids and residuals (n_heads, n_models) of laws (2, n_heads), and their mse."""
    passed = expit(law[0][:, None] * unit + law[1][:, None])
    wrong = gamma[:, None] + (1.0 - gamma[:, None]) * passed - accuracy
    return passed, wrong, np.einsum("km,km->k", share, wrong * wrong)


def _law_steps(
    law: Floats,
    passed: Floats,
    wrong: Floats,
    unit: Floats,
    gamma: Floats,
    share: Floats,
    damping: Floats,
) -> Floats:
    """Return Levenberg-Marquardt steps of slope and offset, (2, n_heads).

    A slope that would leave its bounds stays, and the offset takes the step that is best alone.
    """
    by_offset = (1.0 - gamma[:, None]) * passed * (1.0 - passed)
    by_slope = by_offset * unit
    shared = share * by_offset
    a = np.einsum("km,km->k", shared * unit, by_slope) * (1.0 + damping) + 1e-12
    b = np.einsum("km,km->k", shared, by_slope)
    c = np.einsum("km,km->k", shared, by_offset) * (1.0 + damping) + 1e-12
    u = np.einsum("km,km->k", shared * unit, wrong)
    v = np.einsum("km,km->k", shared, wrong)
    step: Floats = -np.stack([c * u - b * v, a * v - b * u]) / (a * c - b * b)
    bound = (np.abs(law[0]) >= STEEPEST) & (step[0] * law[0] > 0)
    return np.where(bound, np.stack([np.zeros_like(v), -v / c]), step)
