"""How many evaluated items of a task a prediction from losses alone is worth."""

import numpy as np

from csvcore.errors import InputError
from csvcore.records import Floats


def items_worth(mse: float, accuracy: Floats, floor: float) -> float | None:
    """Return the number of random items whose mean is as far from the accuracies as a prediction.

    The mean of N of the M items of a task, drawn without replacement, has the error

        p (1 - p) / N * (M - N) / (M - 1)

    against the mean p of all M. Averaged over models, v = mean p (1 - p), it equals mse at
    N = v M / (mse (M - 1) + v): 0 for a useless prediction, M for an exact one.

    Args:
        mse: of the prediction, against the measured accuracies.
        accuracy: (n_models,) measured on M items each.
        floor: `metrics.noise_floor` of these accuracies, v / M, which tells M.

    Returns:
        N, not rounded; None where no model's accuracy varies over items.

    Raises:
        InputError: an error or a floor below 0.
    """
    if mse < 0 or floor < 0:
        raise InputError(f"squared errors are not negative, got mse {mse:g} and floor {floor:g}")
    spread = float(np.mean(accuracy * (1.0 - accuracy)))
    if spread == 0.0 or floor == 0.0:
        return None
    n_items = spread / floor
    return spread * n_items / (mse * (n_items - 1.0) + spread)
