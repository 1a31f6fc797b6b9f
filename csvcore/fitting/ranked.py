"""Rank tokens of the tasks of a dataset, ranked once for all that ask for them."""

from collections.abc import Sequence

import numpy as np

from csvcore.analysis.rank_tokens import best_ranking
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.records import Mask


def rank_tokens(data: Dataset, chosen: Sequence[TaskModels], seen: Mask) -> Mask:
    """Return the units whose losses rank some models best for each task, (n_tasks, n_units).

    The dataset keeps them: ranking the losses takes the time, and the rank-token method, the pulls
    and the stack ask for the same ones.

    Args:
        data: the losses.
        chosen: tasks that were measured on the same models.
        seen: (n_models,) which of these models are ranked.
    """
    rows = np.array(chosen[0].rows)
    keys = [(rows[seen].tobytes(), models.accuracy[seen].tobytes()) for models in chosen]
    missing = [at for at, key in enumerate(keys) if key not in data.ranked]
    if missing:
        accuracy = np.array([chosen[at].accuracy for at in missing])
        kept = best_ranking(data.nll[rows], accuracy, seen, data.counts)
        for at, of_task in zip(missing, kept, strict=True):
            data.ranked[keys[at]] = of_task
    return np.array([data.ranked[key] for key in keys])
