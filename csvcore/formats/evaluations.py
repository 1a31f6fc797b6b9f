"""Accuracies from result files: lm-evaluation-harness, OpenCompass, long and wide tables.

A reader returns all results under the file's own names; `chosen` picks tasks and metrics, and
`matched` renames models to their stored names. Everything left out is listed.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from csvcore import values
from csvcore.errors import InputError
from csvcore.formats import csv_tables, lm_eval
from csvcore.formats.lm_eval import Result
from csvcore.records import Accuracy

METRICS = {
    "lm-eval": ("acc_norm", "acc", "exact_match"),
    "opencompass": ("accuracy", "score", "exact_match", "naive_average", "weighted_average"),
}
OPENCOMPASS_COLUMNS = ("dataset", "version", "metric", "mode")
NAMELESS = "a column without a name"
LEFT_OUT = "-"  # in a names file: this model is not wanted


@dataclass(frozen=True, slots=True)
class Chosen:
    """Accuracies chosen from result files, with the metrics used and the tasks left out.

    metrics: by task, as the file calls them, one or more; none for CSV. left_aside: tasks that
    were not requested. results: of each accuracy; none for CSV.
    """

    accuracies: list[Accuracy]
    metrics: dict[str, list[str]]
    left_aside: list[str]
    results: tuple[Result, ...] = ()


# Readers -----------------------------------------------------------------------------------------


def read(paths: Sequence[Path], form: str) -> list[Result]:
    """Read all results of files of one format, `lm-eval` or `opencompass`.

    A folder stands for every `results*.json` (lm-eval) or `summary*.csv` (OpenCompass) in it or
    below it.
    """
    glob, reader = {
        "lm-eval": ("results*.json", lm_eval.read_results),
        "opencompass": ("summary*.csv", _opencompass),
    }[form]
    results: list[Result] = []
    for path in paths:
        files = sorted(path.rglob(glob)) if path.is_dir() else [path]
        if not files:
            raise InputError(f"there is no {glob} in {path}")
        for file in files:
            results += reader(file)
    return results


def _opencompass(path: Path) -> list[Result]:
    lines = csv_tables.csv_lines(path, csv_tables.text(path))
    _, header = next(lines, (0, []))
    if tuple(header[:4]) != OPENCOMPASS_COLUMNS:
        raise InputError(
            f"{path} is not a summary of OpenCompass; its columns must begin with "
            f"{','.join(OPENCOMPASS_COLUMNS)}"
        )
    results = []
    models = [values.name(name, "model", f"{path} line 1") for name in header[4:]]
    for number, row in lines:
        if not any(row):
            continue
        where = f"{path} line {number}"
        if len(row) != len(header):
            raise InputError(f"{where} does not have {len(header)} fields")
        for model, cell in zip(models, row[4:], strict=True):
            if cell.strip() not in ("", "-"):
                percent = values.number(cell, "a result", where)
                place = f"{path}, {row[0]}"
                results.append(Result(model, row[0], row[2], percent / 100.0, None, place))
    if results and max(result.value for result in results) <= 0.01:
        raise InputError(
            f"{path}: no value is above 1; OpenCompass writes percent, so these look like fractions"
        )
    return results


def read_tables(paths: Sequence[Path], tasks: Mapping[str, str], stored: Collection[str]) -> Chosen:
    """Read the accuracies of CSV files, long or wide.

    Args:
        paths: the files.
        tasks: stored name by the files' name of a task; others are left aside. Empty: all.
        stored: stored tasks; where `tasks` is empty, a wide file's columns must be among them.
    """
    seen: dict[tuple[str, str], Accuracy] = {}
    aside: dict[str, None] = {}
    for path in paths:
        if _is_wide(path):
            entries, left = _wide(path, tasks or {task: task for task in stored})
            if left and not tasks:
                _refuse_columns(path, left)
        else:
            entries, left = _long(path, tasks)
        for entry in entries:
            csv_tables.add_once(seen, entry, str(path))
        aside |= dict.fromkeys(left)
    return Chosen(list(seen.values()), {}, [name or NAMELESS for name in aside])


def _is_wide(path: Path) -> bool:
    """Return whether a CSV file is wide: `model` and one column per task."""
    _, first = next(csv_tables.csv_lines(path, csv_tables.text(path)), (0, []))
    header = [name.strip() for name in first]
    return "model" in header and not {"task", "accuracy"} & set(header) and len(header) > 1


def _wide(path: Path, tasks: Mapping[str, str]) -> tuple[list[Accuracy], list[str]]:
    """Return the accuracies in these columns, skipping empty cells, and the other columns."""
    seen: dict[tuple[str, str], Accuracy] = {}
    aside: dict[str, None] = {}
    for where, row in csv_tables.rows(path, ("model",)):
        for name, cell in row.items():
            if name == "model":
                continue
            if name not in tasks:
                aside[name] = None
            elif cell:
                value = csv_tables.fraction(values.number(cell, name, where), where)
                model = values.name(row["model"], "model", where)
                csv_tables.add_once(seen, Accuracy(model, tasks[name], value), where)
    return list(seen.values()), list(aside)


def _refuse_columns(path: Path, left: Sequence[str]) -> None:
    columns = [repr(name) for name in left if name]
    if columns:
        raise InputError(
            f"{path}: {', '.join(columns)} {'is' if len(columns) == 1 else 'are'} not stored as a "
            "task; say with --task which columns to read, or with --chance TASK=LEVEL how often "
            "guessing is right on a new task"
        )


def _long(path: Path, tasks: Mapping[str, str]) -> tuple[list[Accuracy], list[str]]:
    """Return the accuracies of these tasks (of all if none is named), and the other tasks."""
    entries = csv_tables.read_accuracies([path])
    if not tasks:
        return entries, []
    taken = [replace(e, task=tasks[e.task]) for e in entries if e.task in tasks]
    return taken, sorted({e.task for e in entries} - tasks.keys())


# Choices -----------------------------------------------------------------------------------------


def metrics_by_task(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return metrics for all tasks, and metrics by task, from `METRIC` or `TASK=METRIC`."""
    for_all: list[str] = []
    by_task: dict[str, list[str]] = {}
    for argument in arguments:
        task, equals, metric = argument.rpartition("=")
        if not metric or (equals and not task):
            raise InputError(f"a metric is given as METRIC or TASK=METRIC, got {argument!r}")
        (by_task.setdefault(task, []) if equals else for_all).append(metric)
    return for_all, by_task


def chosen(
    results: Sequence[Result],
    tasks: Mapping[str, str],
    metrics: Sequence[str],
    own_metrics: Mapping[str, Sequence[str]] | None = None,
) -> Chosen:
    """Return the accuracies of these tasks, each by the first metric it has.

    Args:
        results: of one format.
        tasks: stored name by the files' name of a task.
        metrics: names in order of preference, with a filter after a comma where it matters.
        own_metrics: the same by stored task name, in place of `metrics`.

    Raises:
        InputError: a task has none of the metrics, or one under several filters; a value is no
            fraction; a model has two different values on a task.
    """
    task_metrics = own_metrics or {}
    by_task: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.task in tasks:
            by_task.setdefault((result.model, result.task, result.where), []).append(result)
    accuracies: dict[tuple[str, str], Accuracy] = {}
    origins: dict[tuple[str, str], Result] = {}
    used: dict[str, dict[str, None]] = {}
    for (model, task, where), task_results in by_task.items():
        result = _preferred(
            task_results, task_metrics.get(tasks[task], metrics), where, tasks[task]
        )
        value = csv_tables.fraction(result.value, f"{where} by {result.metric}")
        csv_tables.add_once(accuracies, Accuracy(model, tasks[task], value, result.n_items), where)
        origins.setdefault((model, tasks[task]), result)
        used.setdefault(tasks[task], {})[result.metric] = None
    present = {result.task for result in results}
    return Chosen(
        accuracies=list(accuracies.values()),
        metrics={task: list(names) for task, names in used.items()},
        left_aside=sorted(present - tasks.keys()),
        results=tuple(origins[key] for key in accuracies),
    )


def _preferred(results: Sequence[Result], metrics: Sequence[str], where: str, task: str) -> Result:
    for metric in metrics:
        exact = [result for result in results if result.metric == metric]
        filtered = [result for result in results if result.metric.partition(",")[0] == metric]
        options = exact or filtered
        if len(options) > 1:
            names = " and ".join(result.metric for result in options)
            raise InputError(
                f"{where} has {names}; say which with --metric {task}={options[0].metric}, or the "
                "other"
            )
        if options:
            return options[0]
    raise InputError(
        f"{where} has {', '.join(result.metric for result in results)}, none of "
        f"{', '.join(metrics)}; choose one with --metric, as --metric {task}={results[0].metric}"
    )


def read_names(path: Path) -> dict[str, str]:
    """Read a names file: `name`, a model's name in result files, and `model`, its stored name."""
    pairs = [
        (values.name(row["name"], "name", where), values.name(row["model"], "model", where))
        for where, row in csv_tables.rows(path, ("name", "model"))
    ]
    names = dict(pairs)
    for name, model in pairs:
        if names[name] != model:
            raise InputError(f"{path}: {name!r} is both {model!r} and {names[name]!r}")
    return names


def matched(
    entries: Sequence[Accuracy], names: Mapping[str, str], stored: Collection[str]
) -> list[Accuracy]:
    """Return the accuracies under the models' stored names.

    The names file decides first, then the name itself, then its last part (a folder, or a hub
    name without its owner), as `csvcore collect` names models. Models mapped to `-` are left out.

    Raises:
        InputError: models without a stored name (all are listed); two models of one stored name
            with different values.
    """
    targets = {entry.model: stored_name(entry.model, names, stored) for entry in entries}
    lacking = [name for name, target in targets.items() if target is None]
    if lacking:
        called = [
            f"{name!r}" + (f" (as {names[name]!r})" if name in names else "") for name in lacking
        ]
        whom = (
            f"the model {called[0]}, which is"
            if len(called) == 1
            else (f"{len(called)} models that are")
        )
        listed = "" if len(called) == 1 else f": {', '.join(called)}"
        raise InputError(
            f"accuracies name {whom} not stored{listed}; `csvcore import models` first, or say "
            "with --names FILE (columns name,model) what they are stored as, - for not wanted"
        )
    seen: dict[tuple[str, str], Accuracy] = {}
    for entry in entries:
        target = targets[entry.model]
        if target is not None and target != LEFT_OUT:
            csv_tables.add_once(seen, replace(entry, model=target), f"{entry.model} as {target}")
    return list(seen.values())


def stored_name(name: str, names: Mapping[str, str], stored: Collection[str]) -> str | None:
    """Return what a model of a file is stored as, LEFT_OUT, or None; see `matched`."""
    if name in names:
        return names[name] if names[name] in stored or names[name] == LEFT_OUT else None
    stem, at, loaded = name.rstrip("/\\").partition("@")
    last = re.split(r"[/\\]", stem)[-1] + at + loaded
    return next((candidate for candidate in (name, last) if candidate in stored), None)
