"""Stacks of a dataset: the simple scores of every task, and their mix (see `analysis.stack`)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore import salience
from csvcore.analysis.scores import COMPUTE, COUNTS, Text, compute_score, source_scores, task_scores
from csvcore.analysis.stack import VALIDATION, Judge, Stack, fit_stack, judges, laws_on
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.ranked import rank_tokens
from csvcore.optimise import WeightResult
from csvcore.records import Floats, Ints, Mask, Task
from csvcore.scaling import Laws


@dataclass(frozen=True, slots=True)
class StackResult:
    """A fitted stack of one task.

    score: (n_scores, n_models) of all the task's models, in the end. train_score, train_laws: the
    scores and their laws made from the train models alone. unit_weight: (n_units,) weights of the
    scores that the text alone does not tell, by their name. seconds: the task's share of the time.
    """

    stack: Stack
    score: Floats
    train_score: Floats
    train_laws: Laws
    unit_weight: Mapping[str, Floats]
    seconds: float


def text_of(data: Dataset) -> Text:
    """Return the text of a dataset."""
    return Text(data.docs, data.units.edges, data.counts, data.n_chars)


def fit_stacks(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    learnt: Mapping[str, WeightResult],
    tasks: Sequence[str],
    config: FitConfig,
) -> dict[str, StackResult]:
    """Fit the stack of each task; tasks of the same models share the ranks of the losses.

    Args:
        data: losses of all models.
        chosen: the models of each task.
        learnt: the CSV weights of each task.
        tasks: those to fit.
        config: settings; `refit` tells which models the laws are fitted to in the end.

    Raises:
        InputError: there is nothing to choose the mix on, see `analysis.stack.judges`.
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for task in tasks:
        alike.setdefault(tuple(chosen[task].rows), []).append(task)
    results: dict[str, StackResult] = {}
    for members in alike.values():
        results |= _fit_alike(data, {task: chosen[task] for task in members}, learnt, config)
    return results


def panel_of(data: Dataset, models: TaskModels, config: FitConfig) -> tuple[Mask, list[Judge]]:
    """Return the models that laws are fitted to in the end, (n_models,), and the judges.

    Raises:
        InputError: there is no judge, see `analysis.stack.judges`.
    """
    train, validation = models.on("train"), models.on("validation")
    groups = {name: mask[models.rows] for name, mask in data.interval_groups().items()}
    known = train | validation if config.refit == "all" else train
    return known, judges(known, train, validation, groups, data.like_test()[models.rows])


def _fit_alike(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    learnt: Mapping[str, WeightResult],
    config: FitConfig,
) -> dict[str, StackResult]:
    """Fit the stacks of tasks whose accuracies are known of the same models."""
    started = time.perf_counter()
    models = next(iter(chosen.values()))
    rows, train = np.array(models.rows), models.on("train")
    known, panel = panel_of(data, models, config)
    ranks = _rank_scores(data, rows, chosen, [*(one.fitted for one in panel), train, known])
    shared = _SharedScores(data, rows)
    seconds = (time.perf_counter() - started) / len(chosen)
    return {
        task: _fit_one(of_task, learnt[task], panel, ranks[task], shared, known, seconds)
        for task, of_task in chosen.items()
    }


@dataclass(frozen=True, slots=True)
class _Ranks:
    """The rank-token scores of a task: (n_models,) by what was seen, and the last one's units."""

    score: list[Floats]
    kept: Mask


def _rank_scores(
    data: Dataset, rows: Ints, chosen: Mapping[str, TaskModels], seen: Sequence[Mask]
) -> dict[str, _Ranks]:
    """Return every task's rank-token scores by each mask of models that may be learnt from."""
    nll = data.nll[rows]
    scores = []
    for mask in seen:
        kept = rank_tokens(data, list(chosen.values()), mask)  # (n_tasks, n_units)
        scores.append(salience.capability_score(kept.astype(np.float64), nll, data.n_chars))
    return {
        task: _Ranks([of_mask[number] for of_mask in scores], kept[number])
        for number, task in enumerate(chosen)
    }


def _fit_one(
    models: TaskModels,
    learnt: WeightResult,
    panel: Sequence[Judge],
    ranks: _Ranks,
    shared: "_SharedScores",
    known: Mask,
    seconds: float,
) -> StackResult:
    """Fit the stack of one task. seconds: its share of the time spent before."""
    started = time.perf_counter()
    names, fixed = shared.of_task(models.task)
    weights: dict[str, Floats] = {"rank-token": ranks.kept.astype(np.float64)}
    moving = [ranks.score]
    folds = [one.name for one in panel if one.name != VALIDATION]
    if not learnt.learnt or all(name in learnt.fold_weight for name in folds):
        weights["csv"] = learnt.weight * shared.data.counts
        moving.append(shared.csv_scores(learnt, panel))
    parts = [np.vstack([fixed, *(scores[at] for scores in moving)]) for at in range(len(panel) + 2)]
    stack = fit_stack(
        (*names, *weights),
        panel,
        parts[:-2],
        parts[-1],
        models.accuracy,
        models.task.chance,
        known,
    )
    return StackResult(
        stack,
        score=parts[-1],
        train_score=parts[-2],
        train_laws=laws_on(models.on("train"), parts[-2], models.accuracy, models.task.chance),
        unit_weight=weights | {COUNTS: shared.data.counts.astype(np.float64)},
        seconds=learnt.seconds + seconds + time.perf_counter() - started,
    )


class _SharedScores:
    """Scores that the text alone tells; those of single sources are made once for all tasks."""

    def __init__(self, data: Dataset, rows: Ints) -> None:
        """Score every source for the models of these rows."""
        self.data, self.nll, self.text = data, data.nll[rows], text_of(data)
        self.by_source = source_scores(self.nll, self.text)
        self.compute = compute_score([data.cards[row] for row in rows])

    def of_task(self, task: Task) -> tuple[tuple[str, ...], Floats]:
        """Return the names of the scores and the scores (n_scores, n_models) of a task."""
        scores = task_scores(self.nll, self.text, task) | self.by_source
        if self.compute is not None:
            scores[COMPUTE] = self.compute
        return tuple(scores), np.array(list(scores.values()))

    def csv_scores(self, learnt: WeightResult, panel: Sequence[Judge]) -> list[Floats]:
        """Return the CSV scores for each judge, by weights without the group that it holds out.

        Twice more at the end those of the fit's weights, which are learnt from train models alone.
        """
        at = [learnt.fold_weight.get(one.name, learnt.weight) for one in panel]
        weights = np.array([*at, learnt.weight]) * self.data.counts
        scores = salience.capability_score(weights, self.nll, self.data.n_chars)
        return [*scores, scores[-1]]
