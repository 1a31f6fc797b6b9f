"""Completion of a fit from weights, a score or predictions: law, predictions, notes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from csvcore import salience
from csvcore.analysis.metrics import mean_squared_error, noise_floor
from csvcore.analysis.scores import COUNTS
from csvcore.errors import FitError
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.diagnostics import beyond_notes, coarse_notes, law_notes
from csvcore.fitting.identity import FitRequest
from csvcore.fitting.left_out import Judged, Predict, judge
from csvcore.fitting.stacking import StackResult
from csvcore.methods import METHODS
from csvcore.optimise import WeightResult
from csvcore.records import (
    SIDES,
    Candidate,
    Fit,
    Floats,
    Mask,
    Prediction,
    Replay,
    ScalingFit,
)
from csvcore.scaling import fit_sigmoid_law, fit_sigmoid_laws, log_odds, sigmoid_law


@dataclass(frozen=True, slots=True)
class FitResult:
    """A finished fit, with its weights and replay.

    weight: (n_tokens,) scaled to a mean absolute value of 1 over the tokens that count; None of a
    method without token weights. spread: (n_tokens,) its standard deviation over bootstrap draws,
    where there are any. unit_weight: (n_tokens,) weights of a stack's candidates, by name.
    """

    fit: Fit
    weight: Floats | None
    spread: Floats | None = None
    replay: Replay | None = None
    unit_weight: Mapping[str, Floats] | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A score of the models of a task: (n_models,), lower is better.

    without: the scores made without a group of train models, by its name; empty where the score
    does not depend on other models. groups: names of the groups without which there is a score;
    None means any.
    """

    score: Floats
    without: Mapping[str, Floats]
    groups: frozenset[str] | None = None


def finish(
    data: Dataset, chosen: TaskModels, request: FitRequest, result: WeightResult
) -> FitResult:
    """Fit the law to the scores of these weights and assemble the fit.

    Raises:
        FitError: no law can be fitted to the train models.
    """
    weight = _scaled(result.weight, data.counts)
    score = chosen.score(data, weight)
    without: dict[str, Floats] = {}
    if result.fold_weight:
        weights = np.stack([fold * data.counts for fold in result.fold_weight.values()])
        rows = chosen.score(data, weights)
        without = dict(zip(result.fold_weight, rows, strict=True))
    depends = result.learnt or METHODS[request.method].from_accuracies
    groups = frozenset(result.fold_weight) if depends else None
    fit = _with_law(data, chosen, request, Scored(score, without, groups))
    fit = replace(
        fit,
        steps=result.step,
        seconds=result.seconds,
        trace=result.trace,
        notes=(*fit.notes, *result.notes),
        choice=result.choice,
    )
    return FitResult(
        fit,
        weight,
        _spread(weight, result.draws, data.counts),
        _replay(data, chosen, result, fit),
    )


def finish_score(
    data: Dataset, chosen: TaskModels, request: FitRequest, score: Floats, seconds: float
) -> FitResult:
    """Fit the law to a score of the losses that is no weighted sum, (n_models,)."""
    fit = _with_law(data, chosen, request, Scored(score, {}))
    counts = {COUNTS: data.counts.astype(np.float64)}
    return FitResult(replace(fit, seconds=seconds), None, unit_weight=counts)


def finish_predictions(
    data: Dataset, chosen: TaskModels, request: FitRequest, predict: Predict, started: float
) -> FitResult:
    """Assemble the fit of a comparator, which predicts accuracies without a score.

    The log-odds of a prediction stand in the place of a score, see `scaling.log_odds`. started: of
    `time.perf_counter`.
    """
    refit = _refits(request)
    judged = judge(data, chosen, predict, lambda name: True, refit)
    seconds = time.perf_counter() - started
    return FitResult(_of_predictions(data, chosen, request, judged, seconds), None)


def finish_stack(
    data: Dataset, chosen: TaskModels, request: FitRequest, result: StackResult
) -> FitResult:
    """Assemble the fit of a stack. Validation models are predicted by laws of train models."""
    stack, validation = result.stack, chosen.on("validation")
    columns = np.array(stack.predict(result.score))  # prediction and interval, (3, n_models)
    if _refits(request) and validation.any():
        first = stack.predict(result.train_score, result.train_laws)
        columns = np.where(validation, first, columns)
    judged = Judged(columns[0], columns[1], columns[2], stack.residuals)
    fit = _of_predictions(data, chosen, request, judged, result.seconds)
    candidates = [
        Candidate(*row)
        for row in zip(
            stack.names,
            stack.weight.tolist(),
            stack.laws.alpha.tolist(),
            stack.laws.beta.tolist(),
            strict=True,
        )
    ]
    fit = replace(
        fit,
        candidates=tuple(sorted(candidates, key=lambda one: -one.weight)),
        interval_error=stack.error,
    )
    return FitResult(fit, None, unit_weight=result.unit_weight)


def _refits(request: FitRequest) -> bool:
    """Return whether laws are fitted anew to train and validation models."""
    return request.settings.get("refit", "train") == "all"


def _of_predictions(
    data: Dataset, chosen: TaskModels, request: FitRequest, judged: Judged, seconds: float
) -> Fit:
    gamma = chosen.task.chance
    law = ScalingFit(-1.0, 0.0, gamma, 0.0, int(chosen.on("train").sum()))
    fit = _assembled(data, chosen, request, law, log_odds(judged.predicted, gamma), judged)
    return replace(fit, seconds=seconds)


def _with_law(data: Dataset, chosen: TaskModels, request: FitRequest, scored: Scored) -> Fit:
    """Fit the law of a score and assemble the fit.

    Raises:
        FitError: no law can be fitted to the train models.
    """
    gamma, refit, score = chosen.task.chance, _refits(request), scored.score
    train = chosen.on("train")
    fitted = train | chosen.on("validation") if refit else train
    try:
        law = fit_sigmoid_law(score[fitted], chosen.accuracy[fitted], gamma)
    except FitError as error:
        raise FitError(f"{chosen.task.task}, {request.method}: {error}") from error

    def predict(masks: Mask, without: Sequence[str | None]) -> Floats:
        scores = np.array([scored.without.get(name or "", score) for name in without])
        share = masks / masks.sum(axis=1, keepdims=True)
        chance = np.full(len(masks), gamma)
        accuracy = np.tile(chosen.accuracy, (len(masks), 1))
        laws = fit_sigmoid_laws(scores, accuracy, chance, share)
        predicted = laws.predict(scores, chance)
        same = [np.array_equal(mask, fitted) for mask in masks]
        predicted[same] = sigmoid_law(score, law.alpha, law.beta, gamma)
        return predicted

    def can_leave_out(name: str) -> bool:
        return scored.groups is None or name in scored.groups

    judged = judge(data, chosen, predict, can_leave_out, refit)
    fit = _assembled(data, chosen, request, law, score, judged)
    notes = law_notes(law, score[train], judged.predicted[train])
    beyond = beyond_notes(score, fitted, chosen.on("test"))
    return replace(fit, notes=(*notes, *beyond, *fit.notes))


def _assembled(
    data: Dataset,
    chosen: TaskModels,
    request: FitRequest,
    law: ScalingFit,
    score: Floats,
    judged: Judged,
) -> Fit:
    """Return the fit of a law, scores and predictions."""
    accuracy, predicted = chosen.accuracy, judged.predicted
    return Fit(
        fit=request.fit,
        corpus=data.corpus,
        split=data.split_name,
        task=chosen.task.task,
        method=request.method,
        alpha=law.alpha,
        beta=law.beta,
        gamma=law.gamma,
        steps=0,
        seconds=0.0,
        n_models={side: int(chosen.on(side).sum()) for side in SIDES},
        mse=_by_side(chosen, lambda on: mean_squared_error(accuracy[on], predicted[on])),
        noise_floor=_noise_floors(chosen),
        predictions=_predictions(chosen, score, judged),
        left_out=chosen.left_out,
        config=request.settings | {"scorer_sha256": data.units.scorer_sha256},
        notes=tuple(coarse_notes(data, chosen, request.method)),
        n_chars=data.n_chars,
        residuals=tuple(judged.residual.tolist()),
    )


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
    """Return scores and law at every stage, or None if there is only one stage.

    The laws are fitted to train models alone, since the validation models choose the stage.
    """
    if len(result.stages) < 2:
        return None
    at = np.array(list(result.stages))
    kept = float(result.step)
    if fit.choice is not None:
        kept = fit.choice.chosen.strength or np.inf
    weight = np.array(
        [_scaled(stage.astype(np.float64), data.counts) for stage in result.stages.values()]
    )
    score = chosen.score(data, weight)
    train = chosen.on("train")
    laws = fit_sigmoid_laws(
        score,
        np.tile(chosen.accuracy, (at.size, 1)),
        np.full(at.size, fit.gamma),
        np.tile(train / train.sum(), (at.size, 1)),
    )
    own = int(np.flatnonzero(at == kept)[0])
    if fit.config.get("refit") != "all":
        laws.alpha[own], laws.beta[own] = fit.alpha, fit.beta
    models = tuple(chosen.names)
    return Replay(at, own, laws.alpha, laws.beta, models, score.astype(np.float32))


def task_groups(data: Dataset, chosen: TaskModels) -> dict[str, Mask]:
    """Return the groups left out in turn, (n_models,) masks over the models of one task."""
    return {name: mask[chosen.rows] for name, mask in data.groups().items()}


def _predictions(chosen: TaskModels, score: Floats, judged: Judged) -> tuple[Prediction, ...]:
    columns = zip(
        chosen.names,
        chosen.sides,
        score.tolist(),
        chosen.accuracy.tolist(),
        judged.predicted.tolist(),
        judged.low.tolist(),
        judged.high.tolist(),
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
