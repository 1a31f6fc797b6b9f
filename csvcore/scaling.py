"""The sigmoid law between capability score and accuracy: equation 2 and its fit (equation 4)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit

from csvcore.errors import FitError, InputError
from csvcore.records import ScalingFit

Floats = NDArray[np.float64]

# Slopes at which the fit starts, in units of 1 / standard deviation of the scores.
START_SLOPES = (-0.5, -2.0, -6.0, -20.0, 2.0)


def sigmoid_law(score: Floats, alpha: float, beta: float, gamma: float) -> Floats:
    """Accuracy at a capability score: gamma + (1 - gamma) * sigmoid(alpha * (score - beta)).

    Args:
        score: (n_models,) capability scores, nats per character.
        alpha: slope, characters per nat; negative while the score is a loss.
        beta: midpoint, nats per character; accuracy there is (1 + gamma) / 2.
        gamma: chance level in [0, 1), 0.25 for four-way multiple choice.

    Returns:
        (n_models,) accuracies between gamma and 1.
    """
    return np.asarray(gamma + (1.0 - gamma) * expit(alpha * (score - beta)), dtype=np.float64)


def fit_sigmoid_law(
    score: Floats,
    accuracy: Floats,
    gamma: float,
    start: tuple[float, float] | None = None,
) -> ScalingFit:
    """Least-squares (alpha, beta) of equation 4 by Levenberg-Marquardt, gamma given.

    The scores are centred and scaled first, so that their unit does not matter, and the fit runs
    from several slopes; the best end wins. With `start` it runs from there alone.

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
    if score.size < 3:
        raise InputError(f"two parameters need at least 3 models, got {score.size}")
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
