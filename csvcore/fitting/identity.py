"""The identity of a fit: a hash of all that bears on its result."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.records import (
    Method,
)


def fit_id(data: Dataset, chosen: TaskModels, method: Method, settings: dict[str, object]) -> str:
    """Name of a fit made of its content: the same data and settings give the same id."""
    known: dict[str, object] = {
        "corpus": [data.corpus, data.corpus_sha256, [doc.answers for doc in data.docs]],
        "units": data.units.scorer_sha256,
        "split": data.split_name,
        "task": [chosen.task.task, chosen.task.chance, chosen.task.title, chosen.task.sources],
        "method": method,
        "models": [chosen.names, chosen.sides, chosen.accuracy.tolist(), chosen.n_items],
        "cards": [[str(part) for part in _key(data, row)] for row in chosen.rows],
        "groups": [
            {name: np.flatnonzero(mask[chosen.rows]).tolist() for name, mask in groups.items()}
            for groups in (data.groups(), data.interval_groups())
        ],
        "settings": {key: value for key, value in settings.items() if key != "scorer"},
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(data.nll[chosen.rows]).tobytes())
    return f"{chosen.task.task}-{method}-{digest.hexdigest()[:8]}"


def _key(data: Dataset, row: int) -> Sequence[object]:
    """What of a model's card bears on a fit: whose family and run it is."""
    card = data.cards[row]
    return card.family, card.n_params, card.stage, card.step is None
