"""Errors of all methods and trivial baselines on the same models of one task, and the verdict."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from csvcore import splits
from csvcore.analysis import trivial_baselines
from csvcore.analysis.intervals import bootstrap_difference, bootstrap_mean
from csvcore.analysis.items_worth import items_worth
from csvcore.analysis.metrics import (
    mean_absolute_error,
    mean_squared_error,
    pairwise_accuracy,
    r_squared,
    rank_correlation,
)
from csvcore.errors import FitError, InputError
from csvcore.methods import METHODS, label, trivial
from csvcore.records import SIDES, Control, Fit, Floats, ModelCard, Prediction, Side

log = logging.getLogger(__name__)
CONTRACT_KEYS = {"mse": "test_mse", "mae": "test_mae", "n_models": "n_test"}


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two methods' errors, with its 90 % interval where it is known."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method's errors on one task's models of one side, test models as a rule.

    mse and mae: mean squared and mean absolute error of n_models models. low and high: 90 %
    interval of mse. difference: mse less that of csv on the same models, with its 90 % interval; an
    interval above 0 means that csv is significantly better. to_stack: likewise mse less that of the
    stack. covered: share of the models within
    their 90 % prediction intervals. r2, spearman and pairwise are None where they are not defined,
    as for a constant prediction; intervals are None for models of a single run. p_value: of the
    permutation test of a CSV fit, if there is one. items_worth: evaluated items whose mean errs as
    much, see `items_worth.items_worth`; None where the number of items is not known.
    """

    task: str
    method: str
    side: Side
    mse: float
    mae: float
    r2: float | None
    spearman: float | None
    pairwise: float | None
    noise_floor: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    covered: float | None
    n_models: int
    fit: str | None
    p_value: float | None = None
    notes: tuple[str, ...] = ()
    to_stack: float | None = None
    to_stack_low: float | None = None
    to_stack_high: float | None = None
    items_worth: float | None = None

    def against(self, method: str) -> Difference | None:
        """Return mse less that of the stack or of csv, None where it is not known."""
        if method == "stack":
            value, low, high = self.to_stack, self.to_stack_low, self.to_stack_high
        else:
            value, low, high = self.difference, self.difference_low, self.difference_high
        return None if value is None else Difference(value, low, high)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The standing of one method against all other methods and trivial baselines.

    of: the method, the stack or CSV. word: better (significantly better than each other one), worse
    (another is significantly better), level, or not judged where no difference has an interval.
    rival: the method that decides it, or that has the smallest error. left_out: methods that were
    chosen on the models of this side, and so are no rivals.
    """

    of: str
    word: Literal["better", "level", "worse", "not judged"]
    rival: str
    left_out: tuple[str, ...] = ()


def verdict(
    rows: Sequence[Comparison], side: Side = "test", of: str | None = None
) -> Verdict | None:
    """Decide whether the stack or CSV is better than all other methods and trivial baselines.

    A difference is significant if its 90 % interval excludes 0. The rival is the best of the
    methods that are significantly better; else the best of those that differ by less than is
    significant; else the best of all others. The best constant is no rival, since it knows the
    accuracies; nor is the stack one of CSV, which is a part of it; nor on validation models what
    they chose.

    Args:
        rows: of one task, from `judge_fits`.
        side: of the models in these rows.
        of: "stack" or "csv"; by default the stack where it was fitted.

    Returns:
        None without a row of the method or without any rival.
    """
    by_method = {row.method: row for row in rows}
    of = of or ("stack" if "stack" in by_method else "csv")
    excluded = {of, "stack"} | {name for name in by_method if METHODS[name].oracle}
    left_out = tuple(
        name
        for name in by_method
        if side == "validation" and METHODS[name].chosen_on_validation and name not in excluded
    )
    others = sorted(
        (row for row in rows if row.method not in {*excluded, *left_out}), key=lambda row: row.mse
    )
    if of not in by_method or not others:
        return None
    paired = {row.method: row.against(of) for row in others}
    if all(one is None or one.low is None for one in paired.values()):
        return Verdict(of, "not judged", others[0].method, left_out)
    surely = [row.method for row in others if _excludes_0(paired[row.method], below=True)]
    if surely:
        return Verdict(of, "worse", surely[0], left_out)
    near = [row.method for row in others if not _excludes_0(paired[row.method], below=False)]
    if near:
        return Verdict(of, "level", near[0], left_out)
    return Verdict(of, "better", others[0].method, left_out)


def _excludes_0(difference: Difference | None, below: bool) -> bool:
    """Return whether an interval of a difference lies below 0, or above it."""
    if difference is None or difference.low is None or difference.high is None:
        return False
    return difference.high < 0 if below else difference.low > 0


def judge_fits(
    fits: Sequence[Fit],
    cards: Mapping[str, ModelCard],
    control: Control | None = None,
    side: Side = "test",
) -> list[Comparison]:
    """Compare all fitted methods and possible trivial baselines on the models of one side.

    Args:
        fits: of one task on the same models, at least one, with models on this side.
        cards: of these models by name.
        control: the permutation test of the CSV fit, if there is one.
        side: of the models that are predicted. Methods chose their penalty on validation models,
            so only test errors are unbiased.

    Raises:
        InputError: a fit lacks models of this side that the first one has.
    """
    first = fits[0]
    models = _on(first, side)
    runs = [splits.run_of(cards[prediction.model]) for prediction in models]
    accuracy = np.array([prediction.accuracy for prediction in models])
    by_method: dict[str, Fit] = {fit.method: fit for fit in fits}
    predictions = {method: _same_models(fit, first, models) for method, fit in by_method.items()}
    predicted: dict[str, Floats] = {
        method: np.array([prediction.predicted for prediction in of_fit])
        for method, of_fit in predictions.items()
    }
    rows = []
    for method, values in (predicted | null_predictions(first, cards, side)).items():
        row = judge(
            Target(first.task, side, accuracy, runs, first.noise_floor.get(side)),
            method,
            values,
            predicted.get("csv"),
            predicted.get("stack"),
        )
        if method in by_method:
            row = replace(
                row,
                fit=by_method[method].fit,
                covered=_coverage(predictions[method]),
                notes=by_method[method].notes,
                p_value=control.p_value if control and method == "csv" else None,
            )
        rows.append(row)
    return rows


def _same_models(fit: Fit, first: Fit, models: Sequence[Prediction]) -> list[Prediction]:
    """Return a fit's predictions for the models of the first fit, in their order."""
    by_model = {prediction.model: prediction for prediction in fit.predictions}
    if missing := [other.model for other in models if other.model not in by_model]:
        raise InputError(
            f"the fits {first.fit} and {fit.fit} cannot be compared, only the first has "
            f"{missing[0]}; fit every method of {first.task} again"
        )
    return [by_model[other.model] for other in models]


def _coverage(predictions: Sequence[Prediction]) -> float:
    """Return the share of accuracies within their prediction intervals."""
    return float(np.mean([p.low <= p.accuracy <= p.high for p in predictions]))


def null_predictions(
    fit: Fit, cards: Mapping[str, ModelCard], side: Side = "test"
) -> dict[str, Floats]:
    """Predict the models of one side of a fit by every trivial baseline that their cards allow.

    The baselines know the accuracies of train models, and for test models those of validation too.
    """
    by_side = {name: _on(fit, name) for name in SIDES}
    accuracy = {name: np.array([p.accuracy for p in by_side[name]]) for name in SIDES}
    cards_of = {name: [cards[p.model] for p in by_side[name]] for name in SIDES}
    sides: tuple[Side, ...] = ("train", "validation") if side == "test" else ("train",)
    observed = trivial_baselines.Observed(
        train=cards_of["train"],
        train_accuracy=accuracy["train"],
        known=[card for name in sides for card in cards_of[name]],
        known_accuracy=np.concatenate([accuracy[name] for name in sides]),
        cards=cards_of[side],
        accuracy=accuracy[side],
        gamma=fit.gamma,
    )
    predicted: dict[str, Floats] = {}
    for name in trivial():
        try:
            predicted[name] = trivial_baselines.PREDICTORS[name](observed)
        except (InputError, FitError) as error:
            log.info("%s: no %s: %s", fit.task, name, error)
    return predicted


def _on(fit: Fit, side: Side) -> list[Prediction]:
    """Return the models of one side, in the same order for every fit of them."""
    return sorted((p for p in fit.predictions if p.side == side), key=lambda one: one.model)


@dataclass(frozen=True, slots=True)
class Target:
    """The models of one side of a task, whose accuracies are predicted.

    accuracy: (n_models,). runs: the training run of each model. floor: noise floor of their
    accuracies, a squared error.
    """

    task: str
    side: Side
    accuracy: Floats
    runs: Sequence[tuple[str, ...]]
    floor: float | None


def judge(
    target: Target,
    method: str,
    predicted: Floats,
    csv: Floats | None = None,
    stack: Floats | None = None,
) -> Comparison:
    """Compute all errors of one method's predictions, (n_models,).

    Intervals resample whole training runs; they are None for a single run. csv, stack: what these
    predict for the same models.
    """
    accuracy = target.accuracy
    squared = np.square(accuracy - predicted)
    low = high = None
    if len(set(target.runs)) > 1:
        low, high = bootstrap_mean(squared, target.runs, np.random.default_rng(0))
    to_csv = _difference(target, squared, csv) if method != "csv" else None
    to_stack = _difference(target, squared, stack) if method != "stack" else None
    return Comparison(
        task=target.task,
        method=method,
        side=target.side,
        mse=mean_squared_error(accuracy, predicted),
        mae=mean_absolute_error(accuracy, predicted),
        r2=r_squared(accuracy, predicted),
        spearman=rank_correlation(accuracy, predicted),
        pairwise=pairwise_accuracy(accuracy, predicted),
        noise_floor=target.floor,
        low=low,
        high=high,
        difference=to_csv.value if to_csv else None,
        difference_low=to_csv.low if to_csv else None,
        difference_high=to_csv.high if to_csv else None,
        covered=None,
        n_models=accuracy.size,
        fit=None,
        to_stack=to_stack.value if to_stack else None,
        to_stack_low=to_stack.low if to_stack else None,
        to_stack_high=to_stack.high if to_stack else None,
        items_worth=items_worth(float(squared.mean()), accuracy, target.floor or 0.0),
    )


def _difference(target: Target, squared: Floats, other: Floats | None) -> Difference | None:
    """Return squared errors (n_models,) less those of another's predictions, in the mean."""
    if other is None:
        return None
    theirs = np.square(target.accuracy - other)
    value = float(np.mean(squared) - np.mean(theirs))
    if len(set(target.runs)) < 2:
        return Difference(value, None, None)
    rng = np.random.default_rng(0)
    return Difference(value, *bootstrap_difference(squared, theirs, target.runs, rng))


def contract_row(row: Comparison) -> dict[str, object]:
    """Return a comparison on test models with the keys of `csvcore compare --json`."""
    record = asdict(row)
    del record["side"]
    return {CONTRACT_KEYS.get(key, key): value for key, value in record.items()}


def verdict_label(said: Verdict) -> str:
    """Return a verdict in a few words, as a table has room for."""
    return {
        "better": "significantly better than all",
        "level": f"level with {label(said.rival)}",
        "worse": f"{label(said.rival)}: significantly better",
        "not judged": "not judged: models of one run",
    }[said.word]


def verdict_sentence(said: Verdict) -> str:
    """Return a verdict as a sentence that names the rival, and as another what was left out."""
    everything, rival, own = "all other methods and trivial baselines", label(said.rival), said.of
    told = {
        "better": f"{label(own)} is significantly better than {everything}; the closest is "
        f"{rival}.",
        "level": f"{label(own)} is level with {rival}: their errors differ by less than is "
        "significant, and no other method is significantly better.",
        "worse": f"{label(own)} is not the best: {rival} is significantly better.",
        "not judged": f"{label(own)} is not judged, because these models are of one run and a "
        f"difference has no interval; {rival} has the smallest error of the others. Add models of "
        "another run.",
    }[said.word]
    return " ".join([told, *map(left_out_sentence, said.left_out)])


def left_out_sentence(method: str) -> str:
    """Return why a method is no rival on validation models."""
    return f"{label(method)} is left out: it was chosen on the validation models."
