"""Contributions of tokens to a model's distance from the curve."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from csvcore.errors import InputError
from csvcore.records import Floats

# Accuracies this near to the ends of a curve are taken for the ends: no score tells them apart.
END = 0.05


def score_at(accuracy: float, alpha: float, beta: float, gamma: float) -> float:
    """Return the score at which the law gives this accuracy, END or more from its two ends.

    Args:
        accuracy: observed, 0 to 1.
        alpha: slope of the law, characters per nat, not 0.
        beta: its midpoint, nats per character.
        gamma: chance level.
    """
    share = np.clip((accuracy - gamma) / (1.0 - gamma), END, 1.0 - END)
    return float(beta + logit(share) / alpha)


def expected_losses(nll: NDArray[np.floating], score: Floats, at: float) -> Floats:
    """Return the expected loss of each token at a score: a line through the models.

    The weighted sum of these losses is the score itself, so what a model loses more or less than
    expected adds up to how far it is off, exactly.

    Args:
        nll: (n_models, n_tokens) nats of the models of the fit.
        score: (n_models,) their capability scores, nats per character.
        at: the score asked about.

    Returns:
        (n_tokens,) nats; a token may come out below 0 far outside the models' scores.

    Raises:
        InputError: fewer than 2 models, or all of one score.
    """
    if score.size < 2 or np.ptp(score) == 0.0:
        raise InputError("a loss to expect needs two models with different scores")
    centred = score - score.mean()
    slope = centred @ nll.astype(np.float64) / (centred @ centred)
    return np.asarray(nll.mean(axis=0, dtype=np.float64) + slope * (at - score.mean()))


def contributions(weight: Floats, nll: Floats, expected: Floats, n_chars: int) -> Floats:
    """Return each token's contribution to a model's score above expectation, nats per character.

    Args:
        weight: (n_tokens,) salience.
        nll: (n_tokens,) the model's losses.
        expected: (n_tokens,) from `expected_losses`.
        n_chars: N_c of equation 1.

    Returns:
        (n_tokens,); their sum is the model's score less the score asked about. Above 0 where the
        model does worse.
    """
    return np.asarray(weight * (nll - expected) / n_chars)
