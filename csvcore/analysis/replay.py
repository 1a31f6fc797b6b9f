"""Errors along the replay of a fit."""

from collections.abc import Mapping

import numpy as np

from csvcore.records import SIDES, Floats, Replay, Side
from csvcore.scaling import sigmoid_law


def side_errors(
    replay: Replay, gamma: float, accuracy: Mapping[str, float], sides: Mapping[str, Side]
) -> dict[Side, Floats]:
    """Return the mean squared error at every stage, (n_stages,) for each side with models.

    Args:
        replay: of a fit.
        gamma: its chance level.
        accuracy: of the models to judge on; the others are left out.
        sides: their splits.
    """
    at = [k for k, model in enumerate(replay.models) if model in accuracy]
    known = np.array([accuracy[replay.models[k]] for k in at])
    own = [sides[replay.models[k]] for k in at]
    predicted = np.array(
        [
            sigmoid_law(score[at].astype(np.float64), alpha, beta, gamma)
            for score, alpha, beta in zip(replay.score, replay.alpha, replay.beta, strict=True)
        ]
    )
    wrong = np.square(predicted - known)  # (n_stages, n_models)
    return {
        side: wrong[:, [one == side for one in own]].mean(axis=1) for side in SIDES if side in own
    }
