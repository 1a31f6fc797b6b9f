"""Baselines that the learnt weights of a task may be pulled towards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.fitting.baselines import WEIGHTS, possible
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.ranked import rank_tokens
from csvcore.optimise import Singles
from csvcore.records import Floats, Mask
from csvcore.scaling import FEWEST

FROM_TEXT = ("source-token", "label-token")  # beside all-token and rank-token
# The weight that a pull gives to tokens its baseline does not count: a head can raise them again.
REST = 0.05


@dataclass(frozen=True, slots=True)
class Pulls:
    """Baselines that the weights of some tasks may be pulled towards.

    rows: (n_pulls, n_tokens) weights of mean 1. names: row by baseline, for each task. without:
    row by (baseline, group left out), for each task, where a baseline depends on accuracies.
    """

    rows: Singles
    names: Mapping[str, Mapping[str, int]]
    without: Mapping[str, Mapping[tuple[str, str], int]]


def pulls(data: Dataset, chosen: Mapping[str, TaskModels], tasks: Sequence[str]) -> Pulls:
    """Return the pulls of each task's weights.

    Tokens outside a baseline keep the weight REST before each row is scaled to mean 1. The rank
    tokens of a head are ranked without the models that it leaves out. Pulls of the caller are
    taken as they are, at mean 1.
    """
    rows = [np.ones(data.nll.shape[1]), *(row / row.mean() for row in data.pulls.values())]
    common = {"all-token": 0} | {name: 1 + number for number, name in enumerate(data.pulls)}
    names: dict[str, dict[str, int]] = {task: dict(common) for task in tasks}
    without: dict[str, dict[tuple[str, str], int]] = {task: {} for task in tasks}
    for task in tasks:
        for method in FROM_TEXT:
            if not possible(method, chosen[task].task, data):
                continue
            models = chosen[task]
            row = _softened(WEIGHTS[method](data, models, FitConfig(), models.on("train")) > 0)
            if not any(np.array_equal(row, rows[number]) for number in names[task].values()):
                names[task][method] = len(rows)
                rows.append(row)
    for task, ranked in _rank_pulls(data, chosen, tasks).items():
        for group, counted in ranked.items():
            if group is None:
                names[task]["rank-token"] = len(rows)
            else:
                without[task]["rank-token", group] = len(rows)
            rows.append(_softened(counted))
    return Pulls(np.array(rows, dtype=np.float32), names, without)


def _softened(counted: Mask) -> Floats:
    """Return weights (n_tokens,) of mean 1, REST of the others' outside the mask."""
    row = np.where(counted, 1.0, REST)
    return np.asarray(row / row.mean())


def _rank_pulls(
    data: Dataset, chosen: Mapping[str, TaskModels], tasks: Sequence[str]
) -> dict[str, dict[str | None, Mask]]:
    """Return each task's rank tokens (n_tokens,) by the group left out, None for nobody.

    Tasks of the same train models share the ranks of the losses.
    """
    groups = data.groups() | data.interval_groups()
    alike: dict[tuple[bytes, bytes], list[str]] = {}
    for task in tasks:
        models = chosen[task]
        key = np.array(models.rows).tobytes(), models.on("train").tobytes()
        alike.setdefault(key, []).append(task)
    kept: dict[str, dict[str | None, Mask]] = {task: {} for task in tasks}
    for members in alike.values():
        models = chosen[members[0]]
        train = models.on("train")
        masks: dict[str | None, Mask] = {None: train}
        masks |= {name: train & ~mask[models.rows] for name, mask in groups.items()}
        for group, seen in masks.items():
            if seen.sum() < FEWEST or (group is not None and np.array_equal(seen, train)):
                continue
            ranked = rank_tokens(data, [chosen[task] for task in members], seen)
            for task, mask in zip(members, ranked, strict=True):
                kept[task][group] = mask
    return kept
