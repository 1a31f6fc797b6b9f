"""Comparison of every method on the same split, after making missing fits."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from csvcore import methods, store
from csvcore.analysis.comparison import Comparison, judge_fits
from csvcore.errors import FitError, InputError
from csvcore.fitting.config import FitConfig, fast_config
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.learn import Report, can_fit, fast_problems
from csvcore.optimise import permutation_control
from csvcore.pipeline.dataset import load_for
from csvcore.pipeline.fit import fit_dataset
from csvcore.records import Control, Fit

log = logging.getLogger(__name__)


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
    """Compare every method on every task; missing fits are made and stored.

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
        raise InputError(
            f"the split {split} has no test models to compare methods on; name some with --test, "
            "or take another split"
        )
    report(0, 1, "reading losses")
    data = load_for(database, corpus, split, config)
    chosen = usable_tasks(data, tasks, lenient)
    wanted = pairs(data, chosen, config)
    fits = fit_dataset(database, data, chosen, wanted, config, report, only_missing=True)
    controls = _controls(database, data, chosen, fits, config, permutations, report)
    return judged(data, fits, controls)


def pairs(
    data: Dataset, chosen: Mapping[str, TaskModels], config: FitConfig
) -> list[tuple[str, str]]:
    """Return each task with each method that can be fitted to it."""
    return [
        (task, method)
        for task, models in chosen.items()
        for method in methods.fitted()
        if can_fit(method, data, models, config)
    ]


def judged(data: Dataset, fits: Sequence[Fit], controls: Mapping[str, Control]) -> list[Comparison]:
    """Return the rows of a comparison, by task and error; controls: permutation tests by task."""
    cards = {card.model: card for card in data.cards}
    rows: list[Comparison] = []
    for task in dict.fromkeys(fit.task for fit in fits):
        rows += judge_fits([fit for fit in fits if fit.task == task], cards, controls.get(task))
    return sorted(rows, key=lambda row: (row.task, row.mse))


def usable_tasks(
    data: Dataset, tasks: Sequence[str], lenient: bool = False
) -> dict[str, TaskModels]:
    """Return the models of each named task; without names or if lenient, of all comparable ones.

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


def _controls(
    database: Path,
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    fits: Sequence[Fit],
    config: FitConfig,
    permutations: int,
    report: Report,
) -> dict[str, Control]:
    """Return the permutation test of each task; reuse a stored one of as many permutations."""
    csv = {fit.task: fit.fit for fit in fits if fit.method == "csv"}
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
