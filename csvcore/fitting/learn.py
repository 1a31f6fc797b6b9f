"""The weights of a CSV fit, by Algorithm 2 or by the second-order fit."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from csvcore.fitting.baselines import baseline_notes, fixed_weight, pulls
from csvcore.fitting.config import FitConfig, _settings, _steps, fast_config
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.diagnostics import choice_notes
from csvcore.fitting.identity import fit_id
from csvcore.fitting.outcome import Learnt, Made, finish, task_groups
from csvcore.optimise import (
    HeadProblem,
    HeadResult,
    Look,
    OptimiseConfig,
    TokenTable,
    choose_heads,
    optimise_heads,
    standardise,
    token_features,
)
from csvcore.records import SPLITS, Ints, Mask, Method

Report = Callable[[int, int, str], None]


Watch = Callable[[Look], None]


def learn(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    watch: Watch = lambda look: None,
) -> list[Made]:
    """Fit (task, method) pairs without storing them."""
    heads = _optimise(data, chosen, [t for t, m in wanted if m == "csv"], config, report, watch)
    results = []
    for task, method in wanted:
        started = time.perf_counter()
        learnt = heads.get(task) if method == "csv" else None
        if learnt is None:
            weight = fixed_weight(data, method, chosen[task], config.label, config.label_spans)
            notes = baseline_notes(data, method, chosen[task], weight, config.label_spans)
            learnt = Learnt(weight, notes=notes)
        settings = _settings(method, config, data)
        name = fit_id(data, chosen[task], method, settings)
        made = finish(data, chosen[task], method, learnt, settings, name)
        seconds = learnt.seconds + time.perf_counter() - started
        results.append(replace(made, fit=replace(made.fit, seconds=seconds)))
    return results


def _optimise(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Report,
    watch: Watch,
) -> dict[str, Learnt]:
    """What is learnt for each of these tasks, with its share of the seconds."""
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
        result.task: Learnt(
            weight=result.weight,
            seconds=seconds,
            step=result.step,
            trace=result.trace,
            stages=result.stages,
            spread=result.spread,
            choice=result.choice,
            fold_weight=result.fold_weight,
            trained=True,
            notes=_notes(data, chosen[result.task], result),
        )
        for result in results
    }


def _notes(data: Dataset, chosen: TaskModels, result: HeadResult) -> tuple[str, ...]:
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
) -> list[HeadResult]:
    """Algorithm 2."""
    problems = [_problem(data, chosen[task], np.arange(len(data.models))) for task in tasks]
    return optimise_heads(
        standardise(data.units.hidden),
        data.nll,
        data.n_chars,
        problems,
        OptimiseConfig(_steps(config), config.learning_rate, config.seed),
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
) -> list[HeadResult]:
    """The fast fit; the losses of test models are not handed to it."""
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
    """Tokens and problems of the models that train or validate, and these models' rows."""
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
    """The problem of one task over these rows of the losses."""
    accuracy = np.full(len(data.models), np.nan)
    accuracy[models.rows] = models.accuracy
    sides: dict[str, Mask] = {side: np.zeros(len(data.models), dtype=bool) for side in SPLITS}
    for row, side in zip(models.rows, models.sides, strict=True):
        sides[side][row] = True
    return HeadProblem(
        models.task.task,
        models.task.chance,
        accuracy[rows],
        sides["train"][rows],
        sides["validation"][rows],
    )
