"""Backtests: what forms fitted to a part of a ladder forecast for the rest of it.

For a model that is not trained yet, a fold fits the smaller sizes and forecasts the larger, or fits
the models below a part of the compute and forecasts those above. For the end of a run, a fold is
another run: its first checkpoints are known, its last ones forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.analysis.stack import mix, mixing_weights
from csvcore.forecasting.forms import fit_forms, used
from csvcore.forecasting.from_losses import from_losses
from csvcore.forecasting.ladder import SAME_SIZE, Ladder, sizes
from csvcore.records import Floats, Ints

FARTHEST = 16.0  # horizon of a fold's models
HALVINGS = 6  # of the compute
MOST_RUNS = 8


@dataclass(frozen=True, slots=True)
class Fold:
    """Models to fit forms to and models to forecast, as places in a ladder.

    own: among the fitted, the first checkpoints of the run that is forecast.
    """

    fitted: Ints
    held: Ints
    own: Ints | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """Forecasts of a fold: by_form (n_tasks, n_forms, n_held), accuracy (n_tasks, n_held).

    horizon: (n_held,) as in `Ladder.horizon`, or for a run the factor of its tokens. carried:
    (n_tasks, n_held) what carrying an accuracy forward says. beneath: likewise, the accuracy that
    it should not fall much below; NaN where there is none.
    """

    by_form: Floats
    accuracy: Floats
    horizon: Floats
    carried: Floats
    beneath: Floats


@dataclass(frozen=True, slots=True)
class Backtest:
    """Errors of mixes on models that neither their forms nor their weights saw.

    fold, horizon: (n_held,) of every held-out model of every fold. share: (n_held,) its weight, 1
    in all, each fold alike. error, carried: (n_tasks, n_held) predicted less observed accuracy of
    the mix, and of carrying forward. spread: (n_tasks, n_held) of the forms about the mix. fallen:
    (n_tasks, n_held) by how much the observed accuracy is below `Trial.beneath`, NaN without one.
    """

    fold: Ints
    horizon: Floats
    share: Floats
    error: Floats
    carried: Floats
    spread: Floats
    fallen: Floats


def folds(ladder: Ladder) -> list[Fold]:
    """Return the folds of a ladder: by size, and by compute at halves of the most."""
    size, compute = ladder.n_params, ladder.compute
    parts = [np.flatnonzero(size <= limit * (1 + SAME_SIZE)) for limit in sizes(size)[:-1]]
    parts += [np.flatnonzero(compute <= compute.max() / 2**k) for k in range(1, HALVINGS + 1)]
    made: list[Fold] = []
    for fitted in parts:
        part = ladder.take(fitted)
        if not part.long_enough:
            continue
        rest = np.setdiff1d(np.arange(len(ladder.names)), fitted)
        horizon = part.horizon(size[rest], ladder.train_tokens[rest])
        held = rest[(horizon > 1.0) & (horizon <= FARTHEST)]
        if held.size:
            made.append(Fold(fitted, held))
    return made


def run_folds(ladder: Ladder, own: Ints, share: float) -> list[Fold]:
    """Return the folds of a run: other runs of at most its size, the largest first.

    Args:
        ladder: all known models, the run's first checkpoints among them.
        own: places of these checkpoints.
        share: of the tokens at the end of the run that the last of them has seen.
    """
    size = ladder.n_params[own[0]] * (1 + SAME_SIZE)
    others = [name for name in dict.fromkeys(ladder.run) if name != ladder.run[own[0]]]
    places = {name: ladder.of_run(name) for name in others}
    small = [name for name in others if ladder.n_params[places[name][0]] <= size]
    small.sort(key=lambda name: -ladder.n_params[places[name][0]])
    made: list[Fold] = []
    for name in small:
        run = places[name]
        known = run[ladder.train_tokens[run] <= share * ladder.train_tokens[run].max()]
        n_params = ladder.n_params[run[0]]
        base = [
            at
            for other in small
            if other != name and ladder.n_params[places[other][0]] <= n_params * (1 + SAME_SIZE)
            for at in places[other].tolist()
        ]
        fitted = np.array([*base, *known.tolist()], dtype=np.int64)
        held = run[~np.isin(run, known)]
        if known.size >= 2 and held.size and ladder.take(fitted).long_enough:
            made.append(Fold(fitted, held, fitted[len(base) :]))
        if len(made) == MOST_RUNS:
            break
    return made


def run_fold(ladder: Ladder, fold: Fold, unmeasured: bool = False) -> Trial:
    """Fit the forms of a fold and forecast its models.

    Args:
        ladder: all known models.
        fold: a part of them.
        unmeasured: whether the accuracies of the fold's run are taken from its losses.
    """
    fitted = ladder.take(fold.fitted)
    own = None
    if fold.own is not None:
        own = np.flatnonzero(np.isin(fold.fitted, fold.own))
        fitted = from_losses(fitted, own) if unmeasured else fitted
    forms = fit_forms(fitted, own)
    n, d = ladder.n_params[fold.held], ladder.train_tokens[fold.held]
    horizon = fitted.horizon(n, d) if own is None else d / fitted.train_tokens[own].max()
    carried = np.broadcast_to(forms.carried[:, None], (len(ladder.tasks), fold.held.size))
    beneath = fitted.beneath(n, d) if own is None else carried
    return Trial(forms.predict(n, d), ladder.accuracy[:, fold.held], horizon, carried, beneath)


def mixed_weights(trials: Sequence[Trial], ladder: Ladder, of_run: bool) -> Floats:
    """Return the weights of the forms by their errors in the trials, (n_tasks, n_forms).

    Correlated forms share a weight and one that fails has none, as in `analysis.stack`; without
    trials all forms of a task weigh alike.
    """
    uses = used(ladder, of_run)
    weight = uses / uses.sum(axis=1, keepdims=True)
    if not trials:
        return np.asarray(weight)
    shares = [1.0 / len(trials)] * len(trials)
    for task, own in enumerate(uses):
        errors = [trial.by_form[task][own] - trial.accuracy[task] for trial in trials]
        weight[task, own] = mixing_weights(errors, shares)
    return np.asarray(weight)


def backtest(trials: Sequence[Trial], ladder: Ladder, of_run: bool) -> Backtest:
    """Return the errors on every fold of mixes whose weights come from the other folds."""
    n_tasks = len(ladder.tasks)
    errors, spreads = [], []
    for number, trial in enumerate(trials):
        others = [other for at, other in enumerate(trials) if at != number]
        predicted, spread = mixed(trial.by_form, mixed_weights(others, ladder, of_run))
        errors.append(predicted - trial.accuracy)
        spreads.append(spread)
    sizes_of = [trial.horizon.size for trial in trials]
    empty = np.zeros((n_tasks, 0))
    return Backtest(
        fold=np.repeat(np.arange(len(trials)), sizes_of),
        horizon=np.concatenate([np.zeros(0), *(trial.horizon for trial in trials)]),
        share=np.repeat([1.0 / (len(trials) * size) for size in sizes_of], sizes_of),
        error=np.concatenate([empty, *errors], axis=1),
        carried=np.concatenate(
            [empty, *(trial.carried - trial.accuracy for trial in trials)], axis=1
        ),
        spread=np.concatenate([empty, *spreads], axis=1),
        fallen=np.concatenate(
            [empty, *(trial.beneath - trial.accuracy for trial in trials)], axis=1
        ),
    )


def mixed(by_form: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the mix of forms in the logit and their spread about it, (n_tasks, n_targets) each.

    Args:
        by_form: (n_tasks, n_forms, n_targets).
        weight: (n_tasks, n_forms).
    """
    predicted = np.stack([mix(p, w) for p, w in zip(by_form, weight, strict=True)])
    squares = np.square(by_form - predicted[:, None])
    return predicted, np.sqrt(np.einsum("tf,tfm->tm", weight, squares))
