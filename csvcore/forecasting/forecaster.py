"""A forecaster: forms fitted to a ladder, mixed by their backtest, with intervals that widen.

Half of an interval is sqrt((q log2(1 + h))^2 + (1.645 s)^2): h is the horizon, s the spread of the
forms about their mix, and q the 90 % quantile of |error| / log2(1 + h) in the backtest, raised for
the number of folds.

Tasks rise at very different times, so q is wide even for one that has risen; but accuracies seldom
fall. The lower end is therefore at least a known accuracy, the last of a run or that of the largest
model with no more parameters and no more tokens, less the same quantile of how far the backtest's
models fell below theirs.
"""

from dataclasses import dataclass

import numpy as np

from csvcore.analysis.stack import NORMAL_90, weighted_quantile
from csvcore.errors import InputError
from csvcore.forecasting.backtest import (
    Backtest,
    Fold,
    Trial,
    backtest,
    folds,
    mixed,
    mixed_weights,
    run_fold,
    run_folds,
)
from csvcore.forecasting.forms import Forms, fit_forms, form_names
from csvcore.forecasting.from_losses import from_losses
from csvcore.forecasting.ladder import Ladder, refuse_short
from csvcore.parallel import Report, each
from csvcore.records import Floats, Mask

LEVEL = 0.9
UNTESTED = 0.1  # q of a ladder too short for a backtest, an error of ten points at horizon 1
LEAST_FALL = 0.05  # that an accuracy is taken to be able to fall, since few falls are known


@dataclass(frozen=True, slots=True)
class Band:
    """A forecast: predicted, low, high (n_tasks, n_targets), horizon (n_targets,)."""

    predicted: Floats
    low: Floats
    high: Floats
    horizon: Floats


@dataclass(frozen=True, slots=True)
class Forecaster:
    """Forms fitted to all models of a ladder.

    weight: (n_tasks, n_forms) of the mix. quantile: (n_tasks,) q of the module's head. tested: the
    backtest. fall: (n_tasks,) how far an accuracy may fall below the one it stands on. end_of: the
    run that is forecast, or None.
    """

    forms: Forms
    weight: Floats
    quantile: Floats
    tested: Backtest
    fall: Floats
    end_of: str | None = None

    @property
    def ladder(self) -> Ladder:
        """Return the ladder."""
        return self.forms.ladder

    @property
    def reach(self) -> float:
        """Return the farthest horizon that the backtest covers; 1 without one."""
        return float(self.tested.horizon.max(initial=1.0))

    def form_names(self) -> tuple[str, ...]:
        """Return the names of the forms, in the order of the weights."""
        return form_names(self.ladder, self.end_of is not None)

    def predict(self, n_params: Floats, train_tokens: Floats) -> Band:
        """Forecast the accuracies of models with 90 % intervals.

        Args:
            n_params: (n_targets,), positive.
            train_tokens: likewise.
        """
        by_form = self.forms.predict(n_params, train_tokens)
        predicted, spread = mixed(by_form, self.weight)
        horizon = self.horizon(n_params, train_tokens)
        half = half_width(self.quantile[:, None], spread, horizon)
        low, high = np.maximum(predicted - half, 0.0), np.minimum(predicted + half, 1.0)
        if self.end_of is None:
            beneath = self.ladder.beneath(n_params, train_tokens)
        else:
            beneath = self.forms.carried[:, None]
        low = np.fmax(low, np.minimum(beneath - self.fall[:, None], predicted))
        return Band(predicted, low, high, horizon)

    def horizon(self, n_params: Floats, train_tokens: Floats) -> Floats:
        """Return how far models lie beyond what is known, (n_targets,) as a factor."""
        if self.end_of is None:
            return self.ladder.horizon(n_params, train_tokens)
        own = self.ladder.of_run(self.end_of)
        return np.asarray(train_tokens / self.ladder.train_tokens[own].max())


def forecaster(ladder: Ladder) -> Forecaster:
    """Fit a forecaster of models that are not trained yet.

    Raises:
        InputError: the ladder has too few models or sizes.
    """
    refuse_short(ladder)
    trials = list(each(_trial, (ladder, False), folds(ladder)))
    tested = backtest(trials, ladder, of_run=False)
    weight = mixed_weights(trials, ladder, of_run=False)
    return Forecaster(fit_forms(ladder), weight, quantiles(tested), tested, falls(tested))


def run_forecaster(ladder: Ladder, run: str, end: float) -> Forecaster:
    """Fit a forecaster of the rest of a run from its first checkpoints and the other runs.

    Where an accuracy of its checkpoints is not known (NaN), all are taken from its losses, and so
    they are in the backtest.

    Args:
        ladder: all known models, the run's first checkpoints among them.
        run: its name in the ladder.
        end: tokens at the end of the run.

    Raises:
        InputError: the run has fewer than two checkpoints, or the ladder is too short.
    """
    own = ladder.of_run(run)
    if own.size < 2:
        raise InputError(
            f"the run {run} has {own.size} checkpoints with losses on every document; its course "
            "needs two"
        )
    refuse_short(ladder)
    share = float(ladder.train_tokens[own].max() / end)
    unmeasured = bool(np.isnan(ladder.accuracy[:, own]).any())
    if unmeasured:
        ladder = from_losses(ladder, own)
    trials = list(each(_trial, (ladder, unmeasured), run_folds(ladder, own, share)))
    tested = backtest(trials, ladder, of_run=True)
    weight = mixed_weights(trials, ladder, of_run=True)
    forms = fit_forms(ladder, own)
    return Forecaster(forms, weight, quantiles(tested), tested, falls(tested), run)


def _trial(shared: tuple[Ladder, bool], fold: Fold, report: Report) -> Trial:
    ladder, unmeasured = shared
    return run_fold(ladder, fold, unmeasured)


def quantiles(tested: Backtest, left_out: int | None = None) -> Floats:
    """Return q of every task, (n_tasks,), from all folds but the one left out."""
    by_octave = np.abs(tested.error) / np.log2(1.0 + tested.horizon)
    return _quantiles(tested, by_octave, left_out, UNTESTED)


def falls(tested: Backtest, left_out: int | None = None) -> Floats:
    """Return how far accuracies may fall below those they stand on, (n_tasks,), as `quantiles`.

    Folds are few and falls are noise, so the largest of all tasks is that of each. 1 where nothing
    was tested.
    """
    by_task = _quantiles(tested, np.maximum(tested.fallen, 0.0), left_out, 1.0)
    return np.full(by_task.shape, max(float(by_task.max()), LEAST_FALL))


def held(tested: Backtest) -> Mask:
    """Return which intervals of a backtest held, (n_tasks, n_held), each made without its fold."""
    n_folds = tested.fold.max(initial=-1) + 1
    by_fold = np.stack([quantiles(tested, fold) for fold in range(n_folds)], axis=1)
    half = half_width(by_fold[:, tested.fold], tested.spread, tested.horizon)
    kept = np.abs(tested.error) <= half
    fall = np.stack([falls(tested, fold) for fold in range(n_folds)], axis=1)
    above = np.isnan(tested.fallen) | (tested.fallen <= fall[:, tested.fold])
    return np.asarray(kept & (above | (tested.error <= 0.0)))


def _quantiles(tested: Backtest, values: Floats, left_out: int | None, untested: float) -> Floats:
    """Return a quantile of values (n_tasks, n_held) for every task, `untested` without any.

    Models whose value is not known, NaN, are left out.
    """
    others = tested.fold != (-1 if left_out is None else left_out)
    others &= np.isfinite(values).all(axis=0)
    if not others.any():
        return np.full(len(values), untested)
    share = tested.share[others]
    # Errors of one fold go together, so the new model is one more beside as many as there are
    # folds: split conformal prediction's level, the largest error of nine folds or fewer.
    level = min(1.0, LEVEL * (1.0 + 1.0 / len(np.unique(tested.fold[others]))))
    return np.array([weighted_quantile(row, share, level) for row in values[:, others]])


def half_width(quantile: Floats, spread: Floats, horizon: Floats) -> Floats:
    """Return half of the intervals of the module's head, (n_tasks, n_targets).

    Args:
        quantile: (n_tasks, 1) or (n_tasks, n_targets).
        spread: (n_tasks, n_targets).
        horizon: (n_targets,).
    """
    error = quantile * np.log2(1.0 + horizon)
    return np.asarray(np.sqrt(np.square(error) + np.square(NORMAL_90 * spread)))
