"""Every method and every null of one task, judged on the same models, test models as a rule."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from csvcore import nulls, splits
from csvcore.errors import FitError, InputError
from csvcore.intervals import bootstrap_difference, bootstrap_mean
from csvcore.metrics import (
    mean_absolute_error,
    mean_squared_error,
    pairwise_accuracy,
    r_squared,
    rank_correlation,
)
from csvcore.records import SPLITS, Control, Fit, Floats, ModelCard, Null, Prediction, Split

log = logging.getLogger(__name__)
NULLS: tuple[Null, ...] = ("train-mean", "sibling", "compute", "best-constant")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method on one task's test models, or on its validation models if these were asked for.

    low and high are the 90 % interval of test_mse; difference is test_mse less that of csv on the
    same models, with its 90 % interval: above 0 throughout, csv is surely better. covered is the
    share of test models within their 90 % prediction interval. r2, spearman and pairwise are None
    where they are not defined, as for a constant prediction; intervals where there is one run only.
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
    """How CSV stands against its rivals.

    word: better (than each of them, surely), unsure (better, but rival may be as good) or worse
    (rival is as good or better). rival: the method that decides it, the best of those.
    """

    word: Literal["better", "unsure", "worse"]
    rival: str


def verdict(rows: Sequence[Comparison], rivals: Collection[str]) -> Verdict | None:
    """Whether CSV is better than every one of some rivals; None without CSV or without any of them.

    Surely means that the 90 % interval of the difference lies above 0.
    """
    by_method = {row.method: row for row in rows}
    own = by_method.get("csv")
    others = sorted(
        (by_method[name] for name in rivals if name in by_method), key=lambda row: row.test_mse
    )
    if own is None or not others:
        return None
    if others[0].test_mse <= own.test_mse:
        return Verdict("worse", others[0].method)
    near = [row for row in others if row.difference_low is None or row.difference_low <= 0]
    return Verdict("unsure", near[0].method) if near else Verdict("better", others[0].method)


def judge_fits(
    fits: Sequence[Fit],
    cards: Mapping[str, ModelCard],
    control: Control | None = None,
    side: Split = "test",
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
        own = by_method.get(method)  # type: ignore[call-overload]
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
    fit: Fit, cards: Mapping[str, ModelCard], side: Split = "test"
) -> dict[str, Floats]:
    """What every null that these models' cards allow predicts for the models of one side of a fit.

    They know train, and for the test models validation too.
    """
    by_side = {side: _on(fit, side) for side in SPLITS}
    accuracy = {side: np.array([one.accuracy for one in by_side[side]]) for side in by_side}
    own = {side: [cards[one.model] for one in by_side[side]] for side in by_side}
    sides: tuple[Split, ...] = ("train", "validation") if side == "test" else ("train",)
    known = [card for one in sides for card in own[one]]
    seen = np.concatenate([accuracy[one] for one in sides])
    found = {
        "train-mean": nulls.constant(accuracy["train"], len(own[side])),
        "best-constant": nulls.constant(accuracy[side], len(own[side])),
    }
    asks: dict[str, Callable[[], Floats]] = {
        "sibling": lambda: nulls.sibling(own[side], known, seen),
        "compute": lambda: nulls.compute(own["train"], accuracy["train"], fit.gamma, own[side]),
    }
    for name, ask in asks.items():
        try:
            found[name] = ask()
        except (InputError, FitError) as error:
            log.info("%s: no %s: %s", fit.task, name, error)
    return found


def _on(fit: Fit, side: Split) -> list[Prediction]:
    """The models of one side, in the same order for every fit of them."""
    return sorted((p for p in fit.predictions if p.split == side), key=lambda one: one.model)


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
