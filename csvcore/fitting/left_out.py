"""Predictions with intervals, from what a method predicts for models it was not fitted to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.analysis.intervals import left_out_interval
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.records import Floats, Mask
from csvcore.scaling import FEWEST

# Fits a method to the models of each mask (n_fits, n_models), and predicts all models by each fit,
# (n_fits, n_models). The names tell which group of `Dataset.interval_groups` the mask lacks.
Predict = Callable[[Mask, Sequence[str | None]], Floats]


@dataclass(frozen=True, slots=True)
class Judged:
    """Predictions of a method, (n_models,) each, with its errors on models left out in turn.

    low, high: 90 % interval. residual: (n_residuals,) accuracy less prediction.
    """

    predicted: Floats
    low: Floats
    high: Floats
    residual: Floats


def judge(
    data: Dataset,
    chosen: TaskModels,
    predict: Predict,
    can_leave_out: Callable[[str], bool],
    refit: bool,
) -> Judged:
    """Predict all models of a task with intervals; test accuracies are not looked at.

    Without `refit` the method is fitted to train models. With it, train and test models are
    predicted by a fit to train and validation models, and validation models by the fit to train
    models, so that their errors are those on models that were not fitted.

    Args:
        data: for the groups that are left out.
        chosen: the models of one task.
        predict: the method.
        can_leave_out: tells of a group's name whether the method can be fitted without it.
        refit: whether to fit it anew to train and validation models.
    """
    train, validation = chosen.on("train"), chosen.on("validation")
    first = _judge_on(train, data, chosen, predict, can_leave_out)
    if not (refit and validation.any()):
        return first
    again = _judge_on(train | validation, data, chosen, predict, can_leave_out)
    return Judged(
        np.where(validation, first.predicted, again.predicted),
        np.where(validation, first.low, again.low),
        np.where(validation, first.high, again.high),
        again.residual,
    )


def _judge_on(
    fitted: Mask,
    data: Dataset,
    chosen: TaskModels,
    predict: Predict,
    can_leave_out: Callable[[str], bool],
) -> Judged:
    """Predict by a fit to these models; intervals follow its errors on models left out.

    These are the groups in turn, and the validation models, predicted by a fit to train models.
    Validation models unlike the test models (`Dataset.like_test`) count only without a group.
    """
    train, validation = chosen.on("train"), chosen.on("validation")
    groups = {
        name: mask[chosen.rows]
        for name, mask in data.interval_groups().items()
        if can_leave_out(name)
    }
    groups = {
        name: mask
        for name, mask in groups.items()
        if (fitted & mask).any() and (fitted & ~mask).sum() >= FEWEST
    }
    calibrates = data.like_test()[chosen.rows] if groups else validation
    masks = [fitted, *(fitted & ~mask for mask in groups.values()), train]
    rows = predict(np.array(masks), [None, *groups, None])
    held = [fitted & mask for mask in groups.values()]
    held += [calibrates]
    centre = np.concatenate(
        [np.tile(row, (int(out.sum()), 1)) for row, out in zip(rows[1:], held, strict=True)]
    )
    residual = np.concatenate(
        [(chosen.accuracy - row)[out] for row, out in zip(rows[1:], held, strict=True)]
    )
    predicted = rows[0]
    if not residual.size:
        centre = np.tile(predicted, (int(fitted.sum()), 1))
        residual = (chosen.accuracy - predicted)[fitted]
    low, high = left_out_interval(centre, residual)
    return Judged(predicted, np.minimum(low, predicted), np.maximum(high, predicted), residual)
