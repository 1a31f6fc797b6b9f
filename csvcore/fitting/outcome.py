"""From weights to a finished fit: the law, predictions with their intervals, the notes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from csvcore import salience
from csvcore.analysis.intervals import left_out_interval
from csvcore.analysis.metrics import mean_squared_error, noise_floor
from csvcore.errors import FitError
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.diagnostics import beyond_notes, coarse_notes, law_notes
from csvcore.optimise import Singles
from csvcore.records import (
    SPLITS,
    Fit,
    Floats,
    Mask,
    Method,
    PenaltyChoice,
    Prediction,
    Replay,
    TraceStep,
)
from csvcore.scaling import fit_sigmoid_law, fit_sigmoid_laws, sigmoid_law


@dataclass(frozen=True, slots=True)
class Learnt:
    """Weights before scaling and how they came about; the defaults are those of fixed weights.

    fold_weight: (n_tokens,) weights fitted without a group of train models, by the group's name;
    without them the fit's own weights stand in, and the law alone is fitted anew. stages: as
    `HeadResult.stages`.
    """

    weight: Floats
    seconds: float = 0.0
    step: int = 0
    trace: tuple[TraceStep, ...] = ()
    spread: Floats | None = None
    choice: PenaltyChoice | None = None
    fold_weight: Mapping[str, Floats] = field(default_factory=dict)
    trained: bool = False
    notes: tuple[str, ...] = ()
    stages: Mapping[float, Singles] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A finished fit, its scaled weights (n_tokens,) and their spread, and how it came about."""

    fit: Fit
    weight: Floats
    spread: Floats | None
    replay: Replay | None


def finish(
    data: Dataset,
    chosen: TaskModels,
    method: Method,
    learnt: Learnt,
    settings: dict[str, object],
    name: str,
) -> Made:
    """The record of a fit, with what is stored beside it.

    Raises:
        FitError: no law can be fitted to the train models.
    """
    scale = salience.mean_absolute((learnt.weight * data.counts)[data.counts])
    weight = learnt.weight * data.counts / scale
    nll = data.nll[chosen.rows]
    score = salience.capability_score(weight, nll, data.n_chars)
    train, gamma = chosen.on("train"), chosen.task.chance
    try:
        law = fit_sigmoid_law(score[train], chosen.accuracy[train], gamma)
    except FitError as error:
        raise FitError(f"{chosen.task.task}, {method}: {error}") from error
    predicted = sigmoid_law(score, law.alpha, law.beta, gamma)
    centre, residual = _left_out(data, chosen, learnt, score, predicted)
    low, high = left_out_interval(centre, residual)
    record = Fit(
        fit=name,
        corpus=data.corpus,
        split=data.split_name,
        task=chosen.task.task,
        method=method,
        alpha=law.alpha,
        beta=law.beta,
        gamma=gamma,
        steps=learnt.step,
        seconds=learnt.seconds,
        n_models={side: int(chosen.on(side).sum()) for side in SPLITS},
        mse=_by_side(chosen, lambda on: mean_squared_error(chosen.accuracy[on], predicted[on])),
        noise_floor=_noise_floors(chosen),
        predictions=_predictions(chosen, score, predicted, low, high),
        left_out=chosen.left_out,
        config=settings | {"scorer_sha256": data.units.scorer_sha256},
        trace=learnt.trace,
        notes=(
            *law_notes(law, score[train], predicted[train]),
            *beyond_notes(score, train, chosen.on("test")),
            *coarse_notes(data, chosen, method),
            *learnt.notes,
        ),
        choice=learnt.choice,
        n_chars=data.n_chars,
        residuals=tuple(residual.tolist()),
    )
    spread = None if learnt.spread is None else learnt.spread * data.counts / scale
    return Made(record, weight, spread, _replay(data, chosen, learnt, record))


def _replay(data: Dataset, chosen: TaskModels, learnt: Learnt, record: Fit) -> Replay | None:
    """Scores and law at every stage; None where there is but one, so that nothing moves."""
    if len(learnt.stages) < 2:
        return None
    at = np.array(list(learnt.stages))
    kept = float(learnt.step)
    if record.choice is not None:
        kept = record.choice.chosen.strength or np.inf
    weight = np.array(list(learnt.stages.values()), dtype=np.float64) * data.counts
    scale = np.abs(weight).sum(axis=1) / data.counts.sum()  # (n_stages,)
    score = salience.capability_score(weight, data.nll[chosen.rows], data.n_chars)
    score /= scale[:, None]
    train = chosen.on("train")
    laws = fit_sigmoid_laws(
        score,
        np.tile(chosen.accuracy, (at.size, 1)),
        np.full(at.size, record.gamma),
        np.tile(train / train.sum(), (at.size, 1)),
    )
    own = int(np.flatnonzero(at == kept)[0])
    laws.alpha[own], laws.beta[own] = record.alpha, record.beta
    models = tuple(chosen.names)
    return Replay(at, own, laws.alpha, laws.beta, models, score.astype(np.float32))


def _left_out(
    data: Dataset, chosen: TaskModels, learnt: Learnt, score: Floats, predicted: Floats
) -> tuple[Floats, Floats]:
    """What fits without their groups say of all models, and how far they are from the left out.

    The validation models are left out of the fit itself; where test models are of an unseen family,
    families left out say more, and the validation models are not asked. Learnt weights that were
    not fitted anew without a group have seen it, so there the validation models speak alone.

    Returns:
        centre (n_residuals, n_models) and residual (n_residuals,), as `left_out_interval` asks.
    """
    train, validation = chosen.on("train"), chosen.on("validation")
    wrong = chosen.accuracy - predicted
    centres: list[Floats] = []
    residuals: list[Floats] = []
    groups = {name: mask[chosen.rows] for name, mask in data.interval_groups().items()}
    if learnt.trained and not learnt.fold_weight:
        groups = {}
    if learnt.fold_weight:
        groups = {name: mask for name, mask in groups.items() if name in learnt.fold_weight}
    fits = {
        name: mask
        for name, mask in groups.items()
        if (train & mask).any() and (train & ~mask).sum() >= 3
    }
    if fits:
        if learnt.fold_weight:
            weights = np.stack([learnt.fold_weight[name] * data.counts for name in fits])
            scores = salience.capability_score(weights, data.nll[chosen.rows], data.n_chars)
        else:
            scores = np.tile(score, (len(fits), 1))
        share = np.stack([train & ~mask for mask in fits.values()]).astype(np.float64)
        share /= share.sum(axis=1, keepdims=True)
        gamma = np.full(len(fits), chosen.task.chance)
        accuracy = np.tile(chosen.accuracy, (len(fits), 1))
        without = fit_sigmoid_laws(scores, accuracy, gamma, share).predict(scores, gamma)
        for row, mask in zip(without, fits.values(), strict=True):
            out = train & mask
            centres.append(np.tile(row, (int(out.sum()), 1)))
            residuals.append((chosen.accuracy - row)[out])
    if validation.any() and not (fits and data.unseen_families()):
        centres.append(np.tile(predicted, (int(validation.sum()), 1)))
        residuals.append(wrong[validation])
    if not residuals:
        return np.tile(predicted, (int(train.sum()), 1)), wrong[train]
    return np.concatenate(centres), np.concatenate(residuals)


def task_groups(data: Dataset, chosen: TaskModels) -> dict[str, Mask]:
    """The groups left out in turn, (n_models,) masks over the models of one task."""
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


def _by_side(chosen: TaskModels, figure: Callable[[Mask], float]) -> dict[str, float]:
    return {side: figure(chosen.on(side)) for side in SPLITS if chosen.on(side).any()}


def _noise_floors(chosen: TaskModels) -> dict[str, float]:
    floors: dict[str, float] = {}
    for side in SPLITS:
        on = chosen.on(side)
        counts = [n for n, own in zip(chosen.n_items, on, strict=True) if own]
        known = [n for n in counts if n is not None]
        if known and len(known) == len(counts):
            floors[side] = noise_floor(chosen.accuracy[on], np.array(known, dtype=np.float64))
    return floors
