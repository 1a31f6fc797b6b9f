"""Results of lm-evaluation-harness: `results*.json`, and the samples beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csvcore import values
from csvcore.errors import InputError
from csvcore.formats import csv_tables
from csvcore.formats.outside import json_value

NO_FILTER = "none"
NAME_PARTS = ("revision", "delta", "peft", "subfolder")  # arguments that make another model
NOT_METRICS = ("sample_len", "sample_count")
LEAST_ERROR = 1e-6  # of 2.5e11 items at an accuracy of 0.5


@dataclass(frozen=True, slots=True)
class Result:
    """One number of a result file, under the file's own names.

    metric: with its filter where lm-evaluation-harness names one, as `exact_match,strict-match`.
    value: a fraction for accuracies; other metrics are kept unchanged until `chosen`.
    where: its place in the file, for messages. file: of lm-evaluation-harness; subtasks: the tasks
    of a group, the task itself otherwise.
    """

    model: str
    task: str
    metric: str
    value: float
    n_items: int | None
    where: str
    file: Path | None = None
    subtasks: tuple[str, ...] = ()


def read_results(path: Path) -> list[Result]:
    """Read all results of a `results*.json` of lm-evaluation-harness."""
    raw = json_value(csv_tables.text(path), str(path))
    try:
        results, config = raw["results"], raw.get("config") or {}
        model = values.name(_model(raw, config), "the model's name", str(path))
        sizes = _sizes(raw, str(path))
        groups = raw.get("group_subtasks") or {}
        members = {task: tuple(_members(task, groups)) for task in results}
        rows = [(task, key, value) for task, row in results.items() for key, value in row.items()]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"{path} is not a result file of lm-evaluation-harness (no `results` by task); "
            "give its results_*.json or the folder they are in"
        ) from error
    entries = []
    for task, key, value in rows:
        name, _, kind = key.partition(",")
        if name.endswith("_stderr") or name in NOT_METRICS or not values.is_number(value):
            continue
        where = f"{path}, {task}"
        accuracy = _float(value)
        n_items: int | None
        if all(member in sizes for member in members[task]):
            n_items = sum(sizes[member] for member in members[task])
        else:
            spread = results[task].get(f"{name}_stderr,{kind}" if kind else f"{name}_stderr")
            n_items = n_items_of(accuracy, spread)
        metric = name if kind in ("", NO_FILTER) else key
        entries.append(Result(model, task, metric, accuracy, n_items, where, path, members[task]))
    return entries


def _sizes(raw: Mapping[str, Any], where: str) -> dict[str, int]:
    """Return the number of items by task, where the harness tells it."""
    samples = (raw.get("n-samples") or {}).items()
    return {
        task: values.whole(row["effective"], "n-samples", f"{where}, {task}", least=1)
        for task, row in samples
        if "effective" in row
    }


def _members(task: str, groups: Mapping[str, Sequence[str]]) -> dict[str, None]:
    """Return the tasks of a group and of the groups in it, each once; a task has itself."""
    found: dict[str, None] = {}
    waiting, seen = [task], {task}
    while waiting:
        name = waiting.pop(0)
        inside = groups.get(name) or []
        if not inside:
            found[name] = None
        new = [str(member) for member in inside if member not in seen]
        seen.update(new)
        waiting += new
    return found


def _model(raw: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the model's name with the arguments that distinguish it: revision, adapter.

    Checkpoints of one run share the name, and so do a model and its fine-tuned adapters.
    """
    arguments = config.get("model_args") or ""
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    name = str(raw.get("model_name") or arguments.get("pretrained") or arguments["model"])
    parts = [str(arguments[key]) for key in NAME_PARTS if arguments.get(key)]
    return "@".join([name, *(part for part in parts if part not in ("main", name))])


def n_items_of(accuracy: float, error: Any) -> int | None:
    """Return the number of items implied by an accuracy's standard error; None if undefined.

    The harness reports the standard error of the mean, sqrt(p (1 - p) / (n - 1)). An error below
    LEAST_ERROR is rounding, and implies no number.
    """
    spread = _float(error) if values.is_number(error) else math.nan
    if not LEAST_ERROR <= spread < math.inf or not 0.0 < accuracy < 1.0:
        return None
    return round(accuracy * (1.0 - accuracy) / spread**2) + 1


def _float(value: float) -> float:
    """Return a number of JSON as a float; a whole number beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
