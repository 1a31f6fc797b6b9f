"""The weights of a CSV fit, by Algorithm 2 or by the second-order fit."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from csvcore.fitting.baselines import baseline_result, pulls
from csvcore.fitting.config import FitConfig, fast_config
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.diagnostics import choice_notes
from csvcore.fitting.identity import FitRequest
from csvcore.fitting.outcome import FitResult, finish, task_groups
from csvcore.methods import METHODS
from csvcore.optimise import (
    HeadProblem,
    Look,
    OptimiseConfig,
    TokenTable,
    WeightResult,
    choose_heads,
    optimise_heads,
    standardise,
    token_features,
)
from csvcore.records import SIDES, Ints, Mask

Report = Callable[[int, int, str], None]


Watch = Callable[[Look], None]


def learn(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    requests: Sequence[FitRequest],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    watch: Watch = lambda look: None,
) -> list[FitResult]:
    """Make the fits of these requests without storing them."""
    tasks = [request.task for request in requests if METHODS[request.method].kind == "learnt"]
    learnt = _optimise(data, chosen, tasks, config, report, watch)
    results = []
    for request in requests:
        models = chosen[request.task]
        if METHODS[request.method].kind == "learnt":
            result = learnt[request.task]
        else:
            result = baseline_result(data, request.method, models, config)
        results.append(finish(data, models, request, result))
    return results


def _optimise(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Report,
    watch: Watch,
) -> dict[str, WeightResult]:
    """Optimise the heads of these tasks together; each takes an equal share of the seconds."""
    if not tasks:
        return {}
    started = time.perf_counter()

    def step(done: int, total: int) -> None:
        report(done, total, f"optimising {len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}")

    if config.algorithm == "paper":
        results = _paper(data, chosen, tasks, config, step, watch)
    else:
        results = fast_heads(data, chosen, tasks, config, step, watch)
    seconds = (time.perf_counter() - started) / len(tasks)
    return {
        result.task: replace(
            result, seconds=seconds, notes=_notes(data, chosen[result.task], result)
        )
        for result in results
    }


def _notes(data: Dataset, chosen: TaskModels, result: WeightResult) -> tuple[str, ...]:
    """Return notes on the choice of a penalty; the paper's loop has no penalty."""
    if result.choice is None:
        return ()
    train, accuracy = chosen.on("train"), chosen.accuracy
    nothing = {
        name: float(np.mean(np.square(accuracy[train & out] - accuracy[train & ~out].mean())))
        for name, out in task_groups(data, chosen).items()
        if (train & out).any() and (train & ~out).any()
    }
    return tuple(choice_notes(result.choice, nothing, result.converged))


def _paper(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Callable[[int, int], None],
    watch: Watch,
) -> list[WeightResult]:
    """Optimise by Algorithm 2."""
    problems = [_problem(data, chosen[task], np.arange(len(data.models))) for task in tasks]
    return optimise_heads(
        standardise(data.units.hidden),
        data.nll,
        data.n_chars,
        problems,
        OptimiseConfig(config.n_steps, config.learning_rate, config.seed),
        report,
        watch,
    )


def fast_heads(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Callable[[int, int], None],
    watch: Watch,
) -> list[WeightResult]:
    """Optimise by the fast fit, without the losses of test models."""
    table, problems, fitted = fast_problems(data, chosen, tasks, config)
    groups = {name: mask[fitted] for name, mask in data.groups().items()}
    intervals = {name: mask[fitted] for name, mask in data.interval_groups().items()}
    return choose_heads(
        table,
        problems,
        groups,
        data.runs()[fitted],
        fast_config(config),
        report,
        {name: mask for name, mask in intervals.items() if name not in groups},
        watch,
    )


def fast_problems(
    data: Dataset, chosen: Mapping[str, TaskModels], tasks: Sequence[str], config: FitConfig
) -> tuple[TokenTable, list[HeadProblem], Ints]:
    """Return tokens and problems of the train and validation models, and these models' rows."""
    fitted = np.array([k for k, model in enumerate(data.models) if data.split[model] != "test"])
    names, rows = pulls(data, chosen, tasks)
    problems = [replace(_problem(data, chosen[task], fitted), pulls=names[task]) for task in tasks]
    sources, source = data.sources()
    table = TokenTable(
        states=token_features(data.units.hidden),
        nll=data.nll[fitted],
        source=source,
        n_sources=len(sources),
        pulls=rows * data.counts,
        n_chars=data.n_chars,
    )
    return table, problems, fitted


def _problem(data: Dataset, models: TaskModels, rows: Ints) -> HeadProblem:
    """Return the problem of one task over these rows of the losses."""
    accuracy = np.full(len(data.models), np.nan)
    accuracy[models.rows] = models.accuracy
    sides: dict[str, Mask] = {side: np.zeros(len(data.models), dtype=bool) for side in SIDES}
    for row, side in zip(models.rows, models.sides, strict=True):
        sides[side][row] = True
    return HeadProblem(
        models.task.task,
        models.task.chance,
        accuracy[rows],
        sides["train"][rows],
        sides["validation"][rows],
    )
