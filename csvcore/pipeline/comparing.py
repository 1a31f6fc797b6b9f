"""Every method and every null on the same split, judged on the test models."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from csvcore import nulls, splits, store
from csvcore.errors import FitError, InputError
from csvcore.intervals import bootstrap_difference, bootstrap_mean
from csvcore.metrics import (
    mean_absolute_error,
    mean_squared_error,
    pairwise_accuracy,
    r_squared,
    rank_correlation,
)
from csvcore.optimise import permutation_control
from csvcore.pipeline.dataset import Dataset, TaskModels, load_dataset, task_models
from csvcore.pipeline.fitting import (
    WEIGHTED_METHODS,
    FitConfig,
    Report,
    fast_config,
    fast_problems,
    fit_dataset,
    possible,
)
from csvcore.records import Control, Fit, Floats, Null

log = logging.getLogger(__name__)
NULLS: tuple[Null, ...] = ("train-mean", "sibling", "compute", "best-constant")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method on one task's test models.

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


def compare(
    database: Path,
    corpus: str,
    split: str,
    tasks: Sequence[str],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    permutations: int = 0,
    lenient: bool = False,
) -> list[Comparison]:
    """Every method on every task; missing fits are made and stored.

    Without tasks, all that can be fitted are; the others are named in the log.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split, with test models.
        tasks: names of tasks, or none.
        config: settings of the fits.
        report: called with (step, steps, message); may raise to stop.
        permutations: shuffles of the permutation control, 0 for none; the result is stored.
        lenient: leave out tasks that cannot be fitted even where they are named.

    Raises:
        InputError: the split has no test models, or see `dataset.task_models`.
    """
    with store.connect(database, read_only=True) as db:
        sides = store.split(db, split)
    if "test" not in sides.values():
        raise InputError(f"the split {split} has no test models to compare methods on")
    report(0, 1, "reading losses")
    data = load_dataset(database, corpus, split, config.scorer, config.mask_first_token)
    chosen = usable_tasks(data, tasks, lenient)
    wanted = [
        (task, method)
        for task, models in chosen.items()
        for method in WEIGHTED_METHODS
        if possible(method, models.task, data)
    ]
    fits = fit_dataset(database, data, chosen, wanted, config, report, only_missing=True)
    controls = _controls(database, data, chosen, fits, config, permutations, report)
    rows = []
    for task, models in chosen.items():
        own = [found for found in fits if found.task == task]
        rows += judge_task(data, models, own, controls.get(task))
    return sorted(rows, key=lambda row: (row.task, row.test_mse))


def usable_tasks(
    data: Dataset, tasks: Sequence[str], lenient: bool = False
) -> dict[str, TaskModels]:
    """Models of each task named; without names or if lenient, of those that can be compared.

    Raises:
        InputError: as `task_models` or for want of a test model, for a task that was named, or
            where no task is left.
        FitError: likewise.
    """
    if tasks and not lenient:
        return {task: _comparable(data, task) for task in dict.fromkeys(tasks)}
    chosen, reasons = {}, []
    for task in dict.fromkeys(tasks or data.tasks):
        try:
            chosen[task] = _comparable(data, task)
        except (InputError, FitError) as error:
            reasons.append(str(error))
    if not chosen:
        raise InputError("; ".join(reasons) or "there are no tasks; csvcore import tasks FILE")
    for reason in reasons:
        log.warning("left out: %s", reason)
    return chosen


def _comparable(data: Dataset, task: str) -> TaskModels:
    models = task_models(data, task)
    if not models.on("test").any():
        raise InputError(f"{task} has no accuracy of a test model of the split {data.split_name}")
    return models


def judge_task(
    data: Dataset, models: TaskModels, fits: Sequence[Fit], control: Control | None
) -> list[Comparison]:
    """All methods of one task on its test models, and the nulls that can be had."""
    test = models.on("test")
    names = [name for name, own in zip(models.names, test, strict=True) if own]
    cards = [data.cards[row] for row in models.rows]
    runs = [splits.run_of(card) for card, own in zip(cards, test, strict=True) if own]
    accuracy = models.accuracy[test]
    predicted: dict[str, Floats] = {}
    within: dict[str, float] = {}
    for found in fits:
        place = {p.model: p for p in found.predictions}
        at = [place[name] for name in names]
        predicted[found.method] = np.array([p.predicted for p in at])
        within[found.method] = float(np.mean([p.low <= p.accuracy <= p.high for p in at]))
    by_method = {found.method: found for found in fits}
    csv = predicted.get("csv")
    floor = fits[0].noise_floor.get("test") if fits else None
    rows = []
    for method, guess in (predicted | null_predictions(data, models)).items():
        found_fit = by_method.get(method)  # type: ignore[call-overload]
        rows.append(
            replace(
                judge(models.task.task, method, accuracy, guess, runs, floor, csv),
                fit=found_fit.fit if found_fit else None,
                covered=within.get(method),
                notes=found_fit.notes if found_fit else (),
                p_value=control.p_value if control and method == "csv" else None,
            )
        )
    return rows


def null_predictions(data: Dataset, models: TaskModels) -> dict[str, Floats]:
    """Predictions of every null that these models' cards allow, for the test models."""
    cards = [data.cards[row] for row in models.rows]
    train, test = models.on("train"), models.on("test")
    tested = [card for card, own in zip(cards, test, strict=True) if own]
    known = [card for card, own in zip(cards, test, strict=True) if not own]
    trained = [card for card, own in zip(cards, train, strict=True) if own]
    accuracy, gamma = models.accuracy, models.task.chance
    found = {
        "train-mean": nulls.constant(accuracy[train], len(tested)),
        "best-constant": nulls.constant(accuracy[test], len(tested)),
    }
    asks: dict[str, Callable[[], Floats]] = {
        "sibling": lambda: nulls.sibling(tested, known, accuracy[~test]),
        "compute": lambda: nulls.compute(trained, accuracy[train], gamma, tested),
    }
    for name, ask in asks.items():
        try:
            found[name] = ask()
        except (InputError, FitError) as error:
            log.info("%s: no %s: %s", models.task.task, name, error)
    return found


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


def _controls(
    database: Path,
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    fits: Sequence[Fit],
    config: FitConfig,
    permutations: int,
    report: Report,
) -> dict[str, Control]:
    """The permutation control of each task, from the database where it was run as often before."""
    csv = {found.task: found.fit for found in fits if found.method == "csv"}
    with store.connect(database, read_only=True) as db:
        stored = {task: store.control(db, name) for task, name in csv.items()}
    done = {
        task: control
        for task, control in stored.items()
        if control and control.n_permutations >= permutations
    }
    missing = [task for task in csv if task not in done] if permutations else []
    if missing:
        table, problems, _ = fast_problems(data, chosen, missing, config)
        for problem in problems:

            def step(at: int, total: int, task: str = problem.task) -> None:
                report(at, total, f"permutations of {task}")

            done[problem.task] = permutation_control(
                table, problem, fast_config(config), permutations, step
            )
            with store.connect(database) as db:
                store.set_control(db, csv[problem.task], done[problem.task])
    return done
