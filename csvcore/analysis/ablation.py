"""A fit with some of its tokens left out or reweighted, their learnt weights unchanged.

The score is a sum over tokens, so only the law is fitted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csvcore.analysis.metrics import mean_squared_error
from csvcore.errors import InputError
from csvcore.records import SIDES, Floats, ScalingFit
from csvcore.salience import capability_score
from csvcore.scaling import fit_sigmoid_law, sigmoid_law


@dataclass(frozen=True, slots=True)
class Refit:
    """A law fitted to the train models at changed scores.

    score: (n_models,) nats per character. predicted: (n_models,) accuracy. mse: by side; a side
    without models is missing.
    """

    score: Floats
    law: ScalingFit
    predicted: Floats
    mse: dict[str, float]


def refit(score: Floats, accuracy: Floats, side: Sequence[str], gamma: float) -> Refit:
    """Fit alpha and beta to the train models and return the error on each side.

    Args:
        score: (n_models,) nats per character.
        accuracy: (n_models,) observed, 0 to 1.
        side: (n_models,) train, validation or test.
        gamma: chance level.

    Raises:
        FitError: no law fits these scores.
    """
    sides = np.asarray(side)
    train = sides == "train"
    law = fit_sigmoid_law(score[train], accuracy[train], gamma)
    predicted = sigmoid_law(score, law.alpha, law.beta, gamma)
    mse: dict[str, float] = {
        name: mean_squared_error(accuracy[on], predicted[on])
        for name in SIDES
        if (on := sides == name).any()
    }
    return Refit(score, law, predicted, mse)


def ablate(
    weight: Floats,
    nll: NDArray[np.floating],
    kept: NDArray[np.bool_],
    n_chars: int,
    accuracy: Floats,
    side: Sequence[str],
    gamma: float,
) -> Refit:
    """Score all models on the kept tokens and refit the law.

    Args:
        weight: (n_tokens,) salience.
        nll: (n_models, n_tokens) nats.
        kept: (n_tokens,) tokens that count.
        n_chars: N_c of equation 1, of the whole text.
        accuracy: (n_models,) observed, 0 to 1.
        side: (n_models,) train, validation or test.
        gamma: chance level.

    Raises:
        InputError: no weighted token is kept.
        FitError: no law fits these scores.
    """
    if not np.any(weight[kept]):
        raise InputError("no token with weight is left; a score needs at least one, drop fewer")
    score = capability_score(weight[kept], nll[:, kept], n_chars)
    return refit(score, accuracy, side, gamma)
