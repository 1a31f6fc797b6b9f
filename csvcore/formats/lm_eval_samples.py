"""Item results from lm-evaluation-harness: the `samples_*.jsonl` beside a `results*.json`.

One line is one item: its number `doc_id`, the filter of its answer, and the value of each metric.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from csvcore import values
from csvcore.errors import InputError
from csvcore.formats.item_results import SCHEMA
from csvcore.formats.lm_eval import NO_FILTER, Result
from csvcore.formats.outside import json_value, reading

PREFIX, SUFFIX = "samples_", ".jsonl"
ROUNDING = 1e-4  # between a result and the mean of its samples: files round


@dataclass(frozen=True, slots=True)
class Samples:
    """Item results of one result, with a hash of each item where the file has it.

    why_not: why they are no items of the result, such as a group whose accuracy is the mean of its
    tasks' accuracies; None where they are.
    """

    items: tuple[str, ...]
    correct: tuple[float, ...]
    hashes: dict[str, str] = field(default_factory=dict)
    why_not: str | None = None

    def table(self, model: str, task: str) -> pa.Table:
        """Return the item results under the names that model and task are stored by."""
        n_items = len(self.items)
        columns = [[model] * n_items, [task] * n_items, list(self.items), list(self.correct)]
        return pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA)


def read(result: Result) -> Samples | None:
    """Read the samples of a result by its metric; None where a task of it has no file of samples.

    An item is called by its number; in a group, by its task and its number, as `facts/17`.

    Raises:
        InputError: a file of samples that cannot be read, that has an item twice, or other items
            than the result counts.
    """
    files = [_file(result, task) for task in result.subtasks]
    found = [file for file in files if file is not None]
    if not files or len(found) < len(files):
        return None
    several = result.subtasks != (result.task,)
    correct: dict[str, float] = {}
    hashes: dict[str, str] = {}
    for task, file in zip(result.subtasks, found, strict=True):
        for number, value, hashed in _lines(file, result.metric):
            item = f"{task}/{number}" if several else number
            if value is None:
                metric = result.metric
                return Samples((), (), why_not=f"{file.name} has no {metric} of item {number}")
            if correct.setdefault(item, value) != value:
                raise InputError(f"{file} has item {number} twice with different results; keep one")
            if hashed is not None:
                hashes[item] = hashed
    if result.n_items is not None and len(correct) != result.n_items:
        raise InputError(
            f"{result.where} is of {result.n_items} items, the samples beside it have "
            f"{len(correct)}; copy the folder again, or move the samples away to import accuracies "
            "alone"
        )
    mean = sum(correct.values()) / len(correct) if correct else None
    if mean is None or abs(mean - result.value) > ROUNDING:
        why = f"{result.metric} is not the mean of its samples"
        return Samples((), (), why_not=why)
    return Samples(tuple(correct), tuple(correct.values()), hashes)


def _file(result: Result, task: str) -> Path | None:
    """Return the samples of a task made in the same run as a result, if they are there."""
    if result.file is None or "/" in task or "\\" in task:
        return None
    run = result.file.stem.removeprefix("results")
    file = result.file.with_name(f"{PREFIX}{task}{run}{SUFFIX}")
    return file if file.is_file() else None


def _lines(file: Path, metric: str) -> Iterator[tuple[str, float | None, str | None]]:
    """Yield number, value and hash of each item of a metric, such as `exact_match,strict-match`."""
    name, _, wanted = metric.partition(",")
    with reading(str(file)), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            where = f"{file} line {number}"
            row = json_value(line, where)
            if not isinstance(row, dict) or "doc_id" not in row:
                raise InputError(
                    f"{where} is no sample of lm-evaluation-harness, it has no doc_id; give the "
                    "files as they were written"
                )
            if row.get("filter", NO_FILTER) != (wanted or NO_FILTER):
                continue
            item = str(values.whole(row["doc_id"], "doc_id", where))
            hashed = row.get("doc_hash")
            yield item, _value(row.get(name)), hashed if isinstance(hashed, str) else None


def _value(value: Any) -> float | None:
    """Return a result in [0, 1], None for what is none."""
    if not isinstance(value, bool) and not values.is_number(value):
        return None
    return float(value) if 0.0 <= value <= 1.0 else None


class SampleSet:
    """Samples of several results, read one result at a time; what is told of them in a message."""

    def __init__(self, results: Sequence[tuple[str, str, Result]]) -> None:
        """Take stored model, stored task and result."""
        self._results = results
        self.n_items: dict[tuple[str, str], int] = {}
        self._left: dict[str, str] = {}
        self._hashes: dict[tuple[str, str], str] = {}
        self._other: dict[str, None] = {}

    def tables(self) -> Iterator[pa.Table]:
        """Yield the item results of one model and task after the other."""
        for model, task, result in self._results:
            samples = read(result)
            if samples is None:
                continue
            if samples.why_not is not None:
                self._left[task] = samples.why_not
                continue
            for item, hashed in samples.hashes.items():
                if self._hashes.setdefault((task, item), hashed) != hashed:
                    self._other[task] = None
            self.n_items[model, task] = len(samples.items)
            yield samples.table(model, task)

    def message(self) -> str:
        """Return what is told of the samples that were left aside or differ, once all are read."""
        told = [f"; no items of {task}: {why}" for task, why in self._left.items()]
        told += [
            f"; items of {task} with the same number differ between models" for task in self._other
        ]
        return "".join(told)
