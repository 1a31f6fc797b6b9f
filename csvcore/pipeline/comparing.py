"""Every method on the same split, judged on the test models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from csvcore import store
from csvcore.errors import InputError
from csvcore.intervals import bootstrap_mean
from csvcore.metrics import (
    mean_absolute_error,
    mean_squared_error,
    pairwise_accuracy,
    r_squared,
    rank_correlation,
)
from csvcore.pipeline.fitting import WEIGHTED_METHODS, FitConfig, Report, fit
from csvcore.records import Document, Floats, Method, Task
from csvcore.splits import run_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method on one task's test models; low and high are the 90 % interval of test_mse.

    r2, spearman and pairwise are None where they are not defined, as for a constant prediction.
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
    fit: str | None


def compare(
    database: Path,
    corpus: str,
    split: str,
    tasks: Sequence[str],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
) -> list[Comparison]:
    """Every method on every task (all if none is named); missing fits are made and stored.

    Raises:
        InputError: the split has no test models, or see `fitting.task_models`.
    """
    with store.connect(database, read_only=True) as db:
        known = {task.task: task for task in store.tasks(db)}
        docs = store.documents(db, corpus)
        cards = {card.model: card for card in store.models(db)}
        sides = store.split(db, split)
    if "test" not in sides.values():
        raise InputError(f"the split {split} has no test models to compare methods on")
    wanted = [
        (task, method)
        for task in tasks or known
        for method in WEIGHTED_METHODS
        if task not in known or _possible(method, known[task], docs)
    ]
    fits = fit(database, corpus, split, wanted, config, report, only_missing=True)
    rows = []
    for found in fits:
        test = [p for p in found.predictions if p.split == "test"]
        if not test:
            raise InputError(f"{found.task} has no accuracy of a test model of the split {split}")
        accuracy = np.array([p.accuracy for p in test])
        runs = [run_of(cards[p.model]) for p in test]
        floor = found.noise_floor.get("test")
        predicted = np.array([p.predicted for p in test])
        rows.append(judge(found.task, found.method, accuracy, predicted, runs, floor, found.fit))
        if found.method == "csv":
            train = np.mean([p.accuracy for p in found.predictions if p.split == "train"])
            constant = np.full(len(test), train)
            rows.append(judge(found.task, "train-mean", accuracy, constant, runs, floor, None))
    return sorted(rows, key=lambda row: (row.task, row.test_mse))


def _possible(method: Method, task: Task, docs: Sequence[Document]) -> bool:
    """Whether the corpus has what a baseline needs for this task."""
    own = [doc for doc in docs if not task.sources or doc.source in task.sources]
    if method == "label-token":
        return any(doc.answers for doc in own)
    return method != "source-token" or bool(task.sources and own)


def judge(
    task: str,
    method: str,
    accuracy: Floats,
    predicted: Floats,
    runs: Sequence[tuple[str, ...]],
    floor: float | None,
    fit: str | None,
) -> Comparison:
    """All figures of one method's predictions for the test models, (n_models,) each.

    The interval draws whole training runs; it is missing where there is only one.
    """
    low, high = None, None
    if len(set(runs)) > 1:
        rng = np.random.default_rng(0)
        low, high = bootstrap_mean(np.square(accuracy - predicted), runs, rng)
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
        fit=fit,
    )
