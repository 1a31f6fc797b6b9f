"""From weights to a finished fit: the law, predictions with their intervals, the notes."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from csvcore import salience
from csvcore.analysis.intervals import left_out_interval
from csvcore.analysis.metrics import mean_squared_error, noise_floor
from csvcore.errors import FitError
from csvcore.laws import STEEPEST, fit_sigmoid_laws
from csvcore.optimise import Singles
from csvcore.pipeline.dataset import Dataset, Mask, TaskModels
from csvcore.records import (
    SPLITS,
    Fit,
    Floats,
    Method,
    PenaltyChoice,
    Prediction,
    Replay,
    ScalingFit,
    TraceStep,
)
from csvcore.scaling import fit_sigmoid_law, sigmoid_law

# A model nearer than this to the ends of its curve says nothing of where the curve rises.
FLAT = 0.02
COARSE = 4.0  # times a unit's bytes; words are one or two of a scorer's tokens, sentences are more
STRAY = 0.05  # share of test models beyond the train models' scores that goes without saying


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


def law_notes(law: ScalingFit, score: Floats, predicted: Floats) -> list[str]:
    """What is wrong with a law, by name; score and predicted are the train models'."""
    notes = []
    if law.alpha > 0:
        notes.append("wrong sign: accuracy rises with the weighted loss on the train models")
    share = (predicted - law.gamma) / (1.0 - law.gamma)
    on_slope = int(((share > FLAT) & (share < 1.0 - FLAT)).sum())
    if abs(law.alpha) * float(score.std()) >= STEEPEST or on_slope == 0:
        notes.append("step-like: no train model stands where the curve rises; alpha has no meaning")
    elif on_slope < 3:
        notes.append(
            f"saturated: only {on_slope} of {score.size} train models stand where the curve rises"
        )
    return notes


def beyond_notes(score: Floats, train: Mask, test: Mask) -> list[str]:
    """Whether test models score where no train model does, so that the law is extrapolated."""
    beyond = (score < score[train].min()) | (score > score[train].max())
    count, n_test = int((beyond & test).sum()), int(test.sum())
    if count <= STRAY * n_test:
        return []
    return [
        f"extrapolated: {count} of {n_test} test models score outside the range of the train "
        "models; their intervals may be too narrow"
    ]


def coarse_notes(data: Dataset, chosen: TaskModels, method: Method) -> list[str]:
    """Whether losses stand for far more text than the units that are weighed."""
    unit = sum(int(cuts[-1]) for cuts in data.units.edges) / data.units.hidden.shape[0]
    span = data.span[chosen.rows]
    coarse = int((span > COARSE * unit).sum())
    if coarse == 0 or method not in ("csv", "label-token"):
        return []
    return [
        f"coarse: losses of {coarse} of {span.size} models stand for {span.max():.0f} bytes each "
        f"and are spread evenly over units of {unit:.1f}; weigh the losses' own units (--own-units)"
    ]


def choice_notes(choice: PenaltyChoice, nothing: Mapping[str, float], converged: bool) -> list[str]:
    """What is unsure about a penalty's choice.

    Args:
        choice: the penalties tried.
        nothing: for each group left out, the error of the other train models' mean accuracy.
        converged: whether the optimisation's stopping rule held.
    """
    notes = [] if converged else ["not converged: the last step still lowered the error"]
    worse = [name for name, mse in nothing.items() if choice.chosen.errors.get(name, 0.0) >= mse]
    if len(worse) * 2 > len(nothing):
        notes.append(
            f"cannot be known from these models: for {', '.join(worse)} left out of train, "
            "the fit does no better than the mean accuracy of the others"
        )
    return notes


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


def fit_id(data: Dataset, chosen: TaskModels, method: Method, settings: dict[str, object]) -> str:
    """Name of a fit made of its content: the same data and settings give the same id."""
    known: dict[str, object] = {
        "corpus": [data.corpus, data.corpus_sha256, [doc.answers for doc in data.docs]],
        "units": data.units.scorer_sha256,
        "split": data.split_name,
        "task": [chosen.task.task, chosen.task.chance, chosen.task.title, chosen.task.sources],
        "method": method,
        "models": [chosen.names, chosen.sides, chosen.accuracy.tolist(), chosen.n_items],
        "cards": [[str(part) for part in _key(data, row)] for row in chosen.rows],
        "groups": [
            {name: np.flatnonzero(mask[chosen.rows]).tolist() for name, mask in groups.items()}
            for groups in (data.groups(), data.interval_groups())
        ],
        "settings": {key: value for key, value in settings.items() if key != "scorer"},
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(data.nll[chosen.rows]).tobytes())
    return f"{chosen.task.task}-{method}-{digest.hexdigest()[:8]}"


def _key(data: Dataset, row: int) -> Sequence[object]:
    """What of a model's card bears on a fit: whose family and run it is."""
    card = data.cards[row]
    return card.family, card.n_params, card.stage, card.step is None
