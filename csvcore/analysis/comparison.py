"""Errors of all methods and trivial baselines on the same models of one task, and the verdict."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from csvcore import splits
from csvcore.analysis import trivial_baselines
from csvcore.analysis.intervals import bootstrap_difference, bootstrap_mean
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
class Comparison:
    """One method's errors on one task's models of one side, test models as a rule.

    mse and mae: mean squared and mean absolute error of n_models models. low and high: 90 %
    interval of mse. difference: mse less that of csv on the same models, with its 90 % interval; an
    interval above 0 means that csv is significantly better. covered: share of the models within
    their 90 % prediction intervals. r2, spearman and pairwise are None where they are not defined,
    as for a constant prediction; intervals are None for models of a single run. p_value: of the
    permutation test of a CSV fit, if there is one.
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """CSV's standing against all other methods and trivial baselines.

    word: better (significantly better than each of them), unsure (the smallest error, but not
    significantly) or worse (another has a smaller error). rival: the method that decides it.
    significant: the difference to the rival is significant. left_out: methods that were chosen on
    the models of this side, and so are no rivals.
    """

    word: Literal["better", "unsure", "worse"]
    rival: str
    significant: bool
    left_out: tuple[str, ...] = ()


def verdict(rows: Sequence[Comparison], side: Side = "test") -> Verdict | None:
    """Decide whether CSV is better than all other methods and trivial baselines of one task.

    A difference is significant if its 90 % interval excludes 0. The rival is the closest method (of
    those that CSV is not significantly better than, if there are any), or the best of those with a
    smaller error; a method that is significantly better than CSV comes first. The best constant is
    no rival, since it knows the accuracies; nor is best-source on validation models, which chose
    it.

    Args:
        rows: of one task, from `judge_fits`.
        side: of the models in these rows.

    Returns:
        None without CSV or without any rival.
    """
    left_out = tuple(
        row.method
        for row in rows
        if side == "validation" and METHODS[row.method].chosen_on_validation
    )
    own = next((row for row in rows if row.method == "csv"), None)
    others = sorted(
        (
            row
            for row in rows
            if row.method not in ("csv", *left_out) and not METHODS[row.method].oracle
        ),
        key=lambda row: row.mse,
    )
    if own is None or not others:
        return None
    if below := [row for row in others if row.mse < own.mse]:
        surely = [row for row in below if _below(row.difference_high)]
        return Verdict("worse", (surely or below)[0].method, bool(surely), left_out)
    near = [row for row in others if not _above(row.difference_low)]
    if near:
        return Verdict("unsure", near[0].method, False, left_out)
    return Verdict("better", others[0].method, True, left_out)


def _above(low: float | None) -> bool:
    return low is not None and low > 0


def _below(high: float | None) -> bool:
    return high is not None and high < 0


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


def judge(target: Target, method: str, predicted: Floats, csv: Floats | None = None) -> Comparison:
    """Compute all errors of one method's predictions, (n_models,).

    Intervals resample whole training runs; they are None for a single run. csv: CSV's predictions
    for the same models.
    """
    accuracy = target.accuracy
    squared = np.square(accuracy - predicted)
    several_runs = len(set(target.runs)) > 1
    low = high = difference = difference_low = difference_high = None
    if several_runs:
        low, high = bootstrap_mean(squared, target.runs, np.random.default_rng(0))
    if csv is not None and method != "csv":
        squared_csv = np.square(accuracy - csv)
        difference = float(np.mean(squared) - np.mean(squared_csv))
        if several_runs:
            difference_low, difference_high = bootstrap_difference(
                squared, squared_csv, target.runs, np.random.default_rng(0)
            )
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
        difference=difference,
        difference_low=difference_low,
        difference_high=difference_high,
        covered=None,
        n_models=accuracy.size,
        fit=None,
    )


def contract_row(row: Comparison) -> dict[str, object]:
    """Return a comparison on test models with the keys of `csvcore compare --json`."""
    record = asdict(row)
    del record["side"]
    return {CONTRACT_KEYS.get(key, key): value for key, value in record.items()}


def verdict_label(said: Verdict) -> str:
    """Return a verdict in a few words, as a table has room for."""
    if said.word == "worse":
        how = "significantly better" if said.significant else "better, not significant"
        return f"{label(said.rival)} {how}"
    return "significantly better" if said.word == "better" else "better, not significant"


def verdict_sentence(said: Verdict) -> str:
    """Return a verdict as a sentence that names the rival, and as another what was left out."""
    everything, rival = "all other methods and trivial baselines", label(said.rival)
    told = {
        "better": f"CSV is significantly better than {everything}; the closest is {rival}.",
        "unsure": f"CSV is better than {everything}, but not significantly better than {rival}.",
        "worse": f"CSV is not the best: {verdict_label(said)}.",
    }[said.word]
    return " ".join([told, *map(left_out_sentence, said.left_out)])


def left_out_sentence(method: str) -> str:
    """Return why a method is no rival on validation models."""
    return f"{label(method)} is left out: it was chosen on the validation models."
