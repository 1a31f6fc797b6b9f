"""Fits with some tokens left out and the other weights unchanged.

The score is a sum over tokens, so only the law is fitted anew: no weight is learnt here.
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
class Brushed:
    """A law fitted to the train models on some of the tokens.

    score: (n_models,) nats per character. mse: by side; a side without models is missing.
    """

    score: Floats
    law: ScalingFit
    mse: dict[str, float]


def brushed(
    weight: Floats,
    nll: NDArray[np.floating],
    kept: NDArray[np.bool_],
    n_chars: int,
    accuracy: Floats,
    side: Sequence[str],
    gamma: float,
) -> Brushed:
    """Score all models on the kept tokens, fit the law to train models, and evaluate all sides.

    Args:
        weight: (n_tokens,) salience.
        nll: (n_models, n_tokens) nats.
        kept: (n_tokens,) the tokens that still count.
        n_chars: N_c of equation 1; it stays that of the whole text.
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
    sides = np.asarray(side)
    train = sides == "train"
    law = fit_sigmoid_law(score[train], accuracy[train], gamma)
    predicted = sigmoid_law(score, law.alpha, law.beta, gamma)
    mse: dict[str, float] = {
        name: mean_squared_error(accuracy[on], predicted[on])
        for name in SIDES
        if (on := sides == name).any()
    }
    return Brushed(score, law, mse)
