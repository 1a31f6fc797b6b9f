"""Completion of a fit from its weights: law, predictions with intervals, notes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from csvcore import salience
from csvcore.analysis.intervals import left_out_interval
from csvcore.analysis.metrics import mean_squared_error, noise_floor
from csvcore.errors import FitError
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.diagnostics import beyond_notes, coarse_notes, law_notes
from csvcore.fitting.identity import FitRequest
from csvcore.optimise import WeightResult
from csvcore.records import (
    SIDES,
    Fit,
    Floats,
    Mask,
    Prediction,
    Replay,
)
from csvcore.scaling import fit_sigmoid_law, fit_sigmoid_laws, sigmoid_law


@dataclass(frozen=True, slots=True)
class FitResult:
    """A finished fit, with its weights and replay.

    weight: (n_tokens,) scaled to a mean absolute value of 1 over the tokens that count. spread:
    (n_tokens,) its standard deviation over bootstrap draws, where there are any.
    """

    fit: Fit
    weight: Floats
    spread: Floats | None
    replay: Replay | None


def finish(
    data: Dataset, chosen: TaskModels, request: FitRequest, result: WeightResult
) -> FitResult:
    """Fit the law to the scores of these weights and assemble the fit.

    Raises:
        FitError: no law can be fitted to the train models.
    """
    weight = _scaled(result.weight, data.counts)
    score = salience.capability_score(weight, data.nll[chosen.rows], data.n_chars)
    train, gamma = chosen.on("train"), chosen.task.chance
    try:
        law = fit_sigmoid_law(score[train], chosen.accuracy[train], gamma)
    except FitError as error:
        raise FitError(f"{chosen.task.task}, {request.method}: {error}") from error
    predicted = sigmoid_law(score, law.alpha, law.beta, gamma)
    centre, residual = _left_out(data, chosen, result, score, predicted)
    low, high = left_out_interval(centre, residual)
    fit = Fit(
        fit=request.fit,
        corpus=data.corpus,
        split=data.split_name,
        task=chosen.task.task,
        method=request.method,
        alpha=law.alpha,
        beta=law.beta,
        gamma=gamma,
        steps=result.step,
        seconds=result.seconds,
        n_models={side: int(chosen.on(side).sum()) for side in SIDES},
        mse=_by_side(chosen, lambda on: mean_squared_error(chosen.accuracy[on], predicted[on])),
        noise_floor=_noise_floors(chosen),
        predictions=_predictions(chosen, score, predicted, low, high),
        left_out=chosen.left_out,
        config=request.settings | {"scorer_sha256": data.units.scorer_sha256},
        trace=result.trace,
        notes=(
            *law_notes(law, score[train], predicted[train]),
            *beyond_notes(score, train, chosen.on("test")),
            *coarse_notes(data, chosen, request.method),
            *result.notes,
        ),
        choice=result.choice,
        n_chars=data.n_chars,
        residuals=tuple(residual.tolist()),
    )
    spread = _spread(weight, result.draws, data.counts)
    return FitResult(fit, weight, spread, _replay(data, chosen, result, fit))


def _scaled(weight: Floats, counts: Mask) -> Floats:
    """Return weights (n_tokens,) whose mean absolute value is 1 over the tokens that count."""
    weight = weight * counts
    return weight / salience.mean_absolute(weight[counts])


def _spread(weight: Floats, draws: Floats | None, counts: Mask) -> Floats | None:
    """Return the standard deviation over the scaled weights and their bootstrap draws."""
    if draws is None:
        return None
    members = np.array([weight, *(_scaled(draw, counts) for draw in draws)])
    return np.asarray(members.std(axis=0))


def _replay(data: Dataset, chosen: TaskModels, result: WeightResult, fit: Fit) -> Replay | None:
    """Return scores and law at every stage, or None if there is only one stage."""
    if len(result.stages) < 2:
        return None
    at = np.array(list(result.stages))
    kept = float(result.step)
    if fit.choice is not None:
        kept = fit.choice.chosen.strength or np.inf
    weight = np.array(
        [_scaled(stage.astype(np.float64), data.counts) for stage in result.stages.values()]
    )
    score = salience.capability_score(weight, data.nll[chosen.rows], data.n_chars)
    train = chosen.on("train")
    laws = fit_sigmoid_laws(
        score,
        np.tile(chosen.accuracy, (at.size, 1)),
        np.full(at.size, fit.gamma),
        np.tile(train / train.sum(), (at.size, 1)),
    )
    own = int(np.flatnonzero(at == kept)[0])
    laws.alpha[own], laws.beta[own] = fit.alpha, fit.beta
    models = tuple(chosen.names)
    return Replay(at, own, laws.alpha, laws.beta, models, score.astype(np.float32))


def _left_out(
    data: Dataset, chosen: TaskModels, result: WeightResult, score: Floats, predicted: Floats
) -> tuple[Floats, Floats]:
    """Return predictions for all models by fits without a group, and the group's residuals.

    The validation models are left out of the fit itself. Where test models are of an unseen family,
    families left out stand for them alone.

    Returns:
        centre (n_residuals, n_models) and residual (n_residuals,), as `left_out_interval` takes.
    """
    train, validation = chosen.on("train"), chosen.on("validation")
    wrong = chosen.accuracy - predicted
    centres: list[Floats] = []
    residuals: list[Floats] = []
    groups = _groups_without(data, chosen, result)
    if groups:
        without = _predicted_without(data, chosen, result, score, groups)
        for row, mask in zip(without, groups.values(), strict=True):
            out = train & mask
            centres.append(np.tile(row, (int(out.sum()), 1)))
            residuals.append((chosen.accuracy - row)[out])
    if validation.any() and not (groups and data.unseen_families()):
        centres.append(np.tile(predicted, (int(validation.sum()), 1)))
        residuals.append(wrong[validation])
    if not residuals:
        return np.tile(predicted, (int(train.sum()), 1)), wrong[train]
    return np.concatenate(centres), np.concatenate(residuals)


def _groups_without(data: Dataset, chosen: TaskModels, result: WeightResult) -> dict[str, Mask]:
    """Return the groups, (n_models,) masks, without which the law can be fitted.

    A group is excluded if its models were used to learn the weights.
    """
    train = chosen.on("train")
    groups = {name: mask[chosen.rows] for name, mask in data.interval_groups().items()}
    return {
        name: mask
        for name, mask in groups.items()
        if (name in result.fold_weight or not result.learnt)
        and (train & mask).any()
        and (train & ~mask).sum() >= 3
    }


def _predicted_without(
    data: Dataset,
    chosen: TaskModels,
    result: WeightResult,
    score: Floats,
    groups: Mapping[str, Mask],
) -> Floats:
    """Fit the law without each group; predict all models, (n_groups, n_models).

    Learnt weights are those fitted without the group; a baseline's do not depend on it.
    """
    train, n_groups = chosen.on("train"), len(groups)
    scores = np.tile(score, (n_groups, 1))
    if result.fold_weight:
        weights = np.stack([result.fold_weight[name] * data.counts for name in groups])
        scores = salience.capability_score(weights, data.nll[chosen.rows], data.n_chars)
    share = np.stack([train & ~mask for mask in groups.values()]).astype(np.float64)
    share /= share.sum(axis=1, keepdims=True)
    gamma = np.full(n_groups, chosen.task.chance)
    accuracy = np.tile(chosen.accuracy, (n_groups, 1))
    return fit_sigmoid_laws(scores, accuracy, gamma, share).predict(scores, gamma)


def task_groups(data: Dataset, chosen: TaskModels) -> dict[str, Mask]:
    """Return the groups left out in turn, (n_models,) masks over the models of one task."""
    return {name: mask[chosen.rows] for name, mask in data.groups().items()}


def _predictions(
    chosen: TaskModels, score: Floats, predicted: Floats, low: Floats, high: Floats
) -> tuple[Prediction, ...]:
    columns = zip(
        chosen.names,
        chosen.sides,
        score.tolist(),
        chosen.accuracy.tolist(),
        predicted.tolist(),
        np.minimum(low, predicted).tolist(),
        np.maximum(high, predicted).tolist(),
        strict=True,
    )
    return tuple(Prediction(*row) for row in columns)


def _by_side(chosen: TaskModels, metric: Callable[[Mask], float]) -> dict[str, float]:
    return {side: metric(chosen.on(side)) for side in SIDES if chosen.on(side).any()}


def _noise_floors(chosen: TaskModels) -> dict[str, float]:
    floors: dict[str, float] = {}
    for side in SIDES:
        on = chosen.on(side)
        counts = [n for n, is_on in zip(chosen.n_items, on, strict=True) if is_on]
        sizes = [n for n in counts if n is not None]
        if sizes and len(sizes) == len(counts):
            floors[side] = noise_floor(chosen.accuracy[on], np.array(sizes, dtype=np.float64))
    return floors
