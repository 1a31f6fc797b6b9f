"""The weights of a CSV fit, by Algorithm 2 or by the second-order fit."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from csvcore.analysis.scores import SCORES
from csvcore.errors import InputError
from csvcore.fitting.baselines import baseline_result, possible
from csvcore.fitting.comparators import COMPARATORS
from csvcore.fitting.config import FitConfig, fast_config
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.diagnostics import choice_notes
from csvcore.fitting.identity import FitRequest
from csvcore.fitting.outcome import (
    FitResult,
    finish,
    finish_predictions,
    finish_score,
    finish_stack,
    task_groups,
)
from csvcore.fitting.pulls import pulls
from csvcore.fitting.stacking import StackResult, fit_stacks, panel_of, text_of
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

log = logging.getLogger(__name__)
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
    stacked = [request.task for request in requests if METHODS[request.method].kind == "stack"]
    learning = [request.task for request in requests if METHODS[request.method].kind == "learnt"]
    tasks = list(dict.fromkeys([*learning, *stacked]))
    learnt = _optimise(data, chosen, tasks, config, report, watch)
    stacks = fit_stacks(data, chosen, learnt, stacked, config)
    return [
        _result(data, chosen[request.task], request, config, learnt, stacks) for request in requests
    ]


def can_fit(method: str, data: Dataset, models: TaskModels, config: FitConfig) -> bool:
    """Check if corpus, cards and accuracies have what a method needs for a task."""
    if not possible(method, models.task, data):
        return False
    kind = METHODS[method].kind
    try:
        if kind == "stack":
            panel_of(data, models, config)
        elif kind == "comparator":
            COMPARATORS[method](data, models)
    except InputError as error:
        log.info("%s: no %s: %s", models.task.task, method, error)
        return False
    return True


def _result(
    data: Dataset,
    models: TaskModels,
    request: FitRequest,
    config: FitConfig,
    learnt: Mapping[str, WeightResult],
    stacks: Mapping[str, StackResult],
) -> FitResult:
    """Complete the fit of one request."""
    kind, started = METHODS[request.method].kind, time.perf_counter()
    if kind == "stack":
        return finish_stack(data, models, request, stacks[request.task])
    if kind == "learnt":
        return finish(data, models, request, learnt[request.task])
    if kind == "weights":
        weights = baseline_result(data, request.method, models, config)
        return finish(data, models, request, weights)
    if kind == "comparator":
        predict = COMPARATORS[request.method](data, models)
        return finish_predictions(data, models, request, predict, started)
    score = SCORES[request.method](models.losses(data), text_of(data), models.task)
    return finish_score(data, models, request, score, time.perf_counter() - started)


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
    found = pulls(data, chosen, tasks)
    problems = [
        replace(
            _problem(data, chosen[task], fitted),
            pulls=found.names[task],
            pulls_without=found.without[task],
        )
        for task in tasks
    ]
    sources, source = data.sources()
    table = TokenTable(
        states=token_features(data.units.hidden),
        nll=data.nll[fitted],
        source=source,
        n_sources=len(sources),
        pulls=found.rows * data.counts,
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
