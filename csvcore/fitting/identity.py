"""The identity of a fit: a hash of everything that affects its result."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore import mapped
from csvcore.fitting.config import FitConfig, settings_of
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.methods import METHODS


@dataclass(frozen=True, slots=True)
class FitRequest:
    """A fit to be made: its id, task and method, and the settings that affect it."""

    fit: str
    task: str
    method: str
    settings: dict[str, object]


def fit_requests(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    wanted: Sequence[tuple[str, str]],
    config: FitConfig,
) -> list[FitRequest]:
    """Return the request of each (task, method) pair, in their order, each pair once.

    Raises:
        InputError: a method that cannot be fitted.
    """
    requests = []
    for task, method in dict.fromkeys(wanted):
        settings = settings_of(method, config)
        name = fit_id(data, chosen[task], method, settings)
        requests.append(FitRequest(name, task, method, settings))
    return requests


def fit_id(data: Dataset, chosen: TaskModels, method: str, settings: dict[str, object]) -> str:
    """Return a name made of a fit's content: the same data and settings give the same id."""
    content: dict[str, object] = {
        "corpus": [data.corpus, data.corpus_sha256, [doc.answers for doc in data.docs]],
        "units": data.units.scorer_sha256,
        "split": data.split_name,
        "task": [chosen.task.task, chosen.task.chance, chosen.task.title, chosen.task.sources],
        "method": method,
        "models": [chosen.names, chosen.sides, chosen.accuracy.tolist(), chosen.n_items],
        "cards": [[str(part) for part in _card_key(data, row)] for row in chosen.rows],
        "groups": [
            {name: np.flatnonzero(mask[chosen.rows]).tolist() for name, mask in groups.items()}
            for groups in (data.groups(), data.interval_groups())
        ],
        "settings": {key: value for key, value in settings.items() if key != "scorer"},
    }
    if "compute" in METHODS[method].reads:
        content["train_tokens"] = [data.cards[row].train_tokens for row in chosen.rows]
    if "other tasks" in METHODS[method].reads:
        content["other tasks"] = _other_tasks(data, chosen)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for pull, weight in data.pulls.items():
        digest.update(pull.encode() + np.ascontiguousarray(weight).tobytes())
    for row in chosen.rows:  # one at a time: together they may be as large as memory
        digest.update(np.ascontiguousarray(data.nll[row]).tobytes())
        mapped.release(data.nll)
    return f"{chosen.task.task}-{method}-{digest.hexdigest()[:8]}"


def _other_tasks(data: Dataset, chosen: TaskModels) -> list[object]:
    """Return the other tasks with the models' accuracies on them; None where one is not stored."""
    stored = [
        (task, [data.accuracies.get((name, task.task)) for name in chosen.names])
        for task in data.tasks.values()
        if task.task != chosen.task.task
    ]
    return [
        (task.task, task.chance, [None if one is None else one.accuracy for one in entries])
        for task, entries in stored
    ]


def _card_key(data: Dataset, row: int) -> Sequence[object]:
    """Return the part of a model's card that affects a fit: its family and run.

    A card without a named run has the key it had before runs could be named, so its fits keep
    their ids.
    """
    card = data.cards[row]
    named = () if card.run is None else (card.run,)
    return card.family, card.n_params, card.stage, card.step is None, *named
