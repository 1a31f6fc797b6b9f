"""Comparison of retrained families with the bundled accuracies."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from csvcore.analysis.metrics import mean_squared_error
from csvcore.formats import csv_tables
from zoo_build.runs import accuracies


@dataclass(frozen=True, slots=True)
class Agreement:
    """Result for one task: mean squared difference of two trainings, and its value by chance.

    floor: two measurements of p on n items each differ by 2 p (1 - p) / n in mean square.
    """

    task: str
    n_models: int
    difference: float
    floor: float

    @property
    def holds(self) -> bool:
        """True if the difference is at most the floor."""
        return self.difference <= self.floor


def agreements(checkpoints: Sequence[Path], bundled: Path) -> Iterator[Agreement]:
    """Compare evaluated checkpoints with `accuracies.csv`, task by task.

    Raises:
        SystemExit: a checkpoint is not among the bundled ones, or there is none.
    """
    bundled_entries = {(e.model, e.task): e for e in csv_tables.read_accuracies([bundled])}
    pairs: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for folder in checkpoints:
        for task, accuracy in accuracies(folder).items():
            if (folder.name, task) not in bundled_entries:
                raise SystemExit(f"{bundled} has no {task} of {folder.name}; publish made another")
            before = bundled_entries[folder.name, task]
            pairs[task].append((accuracy, before.accuracy, before.n_items or 1))
    if not pairs:
        raise SystemExit("no checkpoint is evaluated; run the step `train` first")
    for task, rows in pairs.items():
        again, before, n_items = np.array(rows, dtype=np.float64).T
        middle = (again + before) / 2
        yield Agreement(
            task=task,
            n_models=len(rows),
            difference=mean_squared_error(again, before),
            floor=float(np.mean(2 * middle * (1 - middle) / n_items)),
        )
