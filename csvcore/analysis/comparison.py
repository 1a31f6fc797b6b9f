"""Every method and every null of one task, judged on the same models, test models as a rule."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from csvcore import splits
from csvcore.analysis import nulls
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method on one task's test models, or on its validation models if these were asked for.

    low and high are the 90 % interval of test_mse; difference is test_mse less that of csv on the
    same models, with its 90 % interval: above 0 throughout, csv is significantly better. covered is
    the share of test models within their 90 % prediction interval. r2, spearman and pairwise are
    None where they are not defined, as for a constant prediction; intervals where there is one run
    only.
    p_value is that of the permutation control, where it was run, now or before.
    """

    task: str
    method: str
    test_mse: float
    test_mae: float
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
    n_test: int
    fit: str | None
    p_value: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How CSV stands against every other method and null.

    word: better (significantly better than each of them), unsure (the smallest error, but not
    significantly) or worse (another has a smaller error). rival: the one that decides it.
    significant: whether the difference to the rival is. left_out: methods that are no rivals, for
    they were chosen on the models that judge.
    """

    word: Literal["better", "unsure", "worse"]
    rival: str
    significant: bool
    left_out: tuple[str, ...] = ()


def verdict(rows: Sequence[Comparison], side: Side = "test") -> Verdict | None:
    """Decide whether CSV is better than all other methods and nulls of one task.

    A difference is significant if its 90 % interval excludes 0. The rival is the closest one (of
    those that CSV is not significantly better than, if there are any), or of those with a smaller
    error the best; one that is significantly better than CSV comes first. The best constant is no
    rival, for it knows the accuracies; nor is best-source on validation models, which chose it.

    Args:
        rows: of one task, from `judge_fits`.
        side: whose models judge in these rows.

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
        key=lambda row: row.test_mse,
    )
    if own is None or not others:
        return None
    if below := [row for row in others if row.test_mse < own.test_mse]:
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
    """All methods fitted to one task, and the nulls that can be had, on the models of one side.

    Args:
        fits: of one task on the same models, at least one, with models on this side.
        cards: of these models by name.
        control: the permutation control of the CSV fit, where it was run.
        side: whose models judge. Methods that learn have looked at validation to choose their
            penalty, so only test is beyond doubt.

    Raises:
        InputError: a fit lacks models of this side that the first one has.
    """
    first = fits[0]
    tested = _on(first, side)
    runs = [splits.run_of(cards[one.model]) for one in tested]
    accuracy = np.array([one.accuracy for one in tested])
    predicted: dict[str, Floats] = {}
    within: dict[str, float] = {}
    for found in fits:
        place = {one.model: one for one in found.predictions}
        if unknown := [one.model for one in tested if one.model not in place]:
            raise InputError(
                f"the fits {first.fit} and {found.fit} cannot be compared, only the first has "
                f"{unknown[0]}; fit every method of {first.task} again"
            )
        at = [place[one.model] for one in tested]
        predicted[found.method] = np.array([one.predicted for one in at])
        within[found.method] = float(np.mean([p.low <= p.accuracy <= p.high for p in at]))
    by_method = {found.method: found for found in fits}
    csv = predicted.get("csv")
    floor = first.noise_floor.get(side)
    rows = []
    for method, guess in (predicted | null_predictions(first, cards, side)).items():
        own = by_method.get(method)
        rows.append(
            replace(
                judge(first.task, method, accuracy, guess, runs, floor, csv),
                fit=own.fit if own else None,
                covered=within.get(method),
                notes=own.notes if own else (),
                p_value=control.p_value if control and method == "csv" else None,
            )
        )
    return rows


def null_predictions(
    fit: Fit, cards: Mapping[str, ModelCard], side: Side = "test"
) -> dict[str, Floats]:
    """Predict the models of one side of a fit by every trivial baseline that their cards allow.

    They know train, and for the test models validation too.
    """
    by_side = {side: _on(fit, side) for side in SIDES}
    accuracy = {side: np.array([one.accuracy for one in by_side[side]]) for side in by_side}
    own = {side: [cards[one.model] for one in by_side[side]] for side in by_side}
    sides: tuple[Side, ...] = ("train", "validation") if side == "test" else ("train",)
    seen = nulls.Observed(
        train=own["train"],
        train_accuracy=accuracy["train"],
        known=[card for one in sides for card in own[one]],
        known_accuracy=np.concatenate([accuracy[one] for one in sides]),
        cards=own[side],
        accuracy=accuracy[side],
        gamma=fit.gamma,
    )
    found: dict[str, Floats] = {}
    for name in trivial():
        try:
            found[name] = nulls.PREDICTORS[name](seen)
        except (InputError, FitError) as error:
            log.info("%s: no %s: %s", fit.task, name, error)
    return found


def _on(fit: Fit, side: Side) -> list[Prediction]:
    """The models of one side, in the same order for every fit of them."""
    return sorted((p for p in fit.predictions if p.side == side), key=lambda one: one.model)


def judge(
    task: str,
    method: str,
    accuracy: Floats,
    predicted: Floats,
    runs: Sequence[tuple[str, ...]],
    floor: float | None,
    csv: Floats | None = None,
) -> Comparison:
    """All figures of one method's predictions for the test models, (n_models,) each.

    Intervals draw whole training runs; they are missing where there is only one. csv: what CSV
    predicts for the same models.
    """
    wrong = np.square(accuracy - predicted)
    low = high = difference = difference_low = difference_high = None
    if len(set(runs)) > 1:
        low, high = bootstrap_mean(wrong, runs, np.random.default_rng(0))
    if csv is not None and method != "csv":
        own = np.square(accuracy - csv)
        difference = float(np.mean(wrong) - np.mean(own))
        if len(set(runs)) > 1:
            rng = np.random.default_rng(0)
            difference_low, difference_high = bootstrap_difference(wrong, own, runs, rng)
    return Comparison(
        task=task,
        method=method,
        test_mse=mean_squared_error(accuracy, predicted),
        test_mae=mean_absolute_error(accuracy, predicted),
        r2=r_squared(accuracy, predicted),
        spearman=rank_correlation(accuracy, predicted),
        pairwise=pairwise_accuracy(accuracy, predicted),
        noise_floor=floor,
        low=low,
        high=high,
        difference=difference,
        difference_low=difference_low,
        difference_high=difference_high,
        covered=None,
        n_test=accuracy.size,
        fit=None,
    )


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
