"""Item results of a task: the accuracy and noise of each model, and paired tests of two models."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from csvcore import frames, store
from csvcore.analysis.paired import PairedTest
from csvcore.errors import InputError


def results_by_item(database: Path, task: str, models: Sequence[str] = ()) -> pd.DataFrame:
    """Return `store.results_by_item`, of all models without names.

    Raises:
        InputError: the task has no item results, or a model has none on it.
    """
    with store.connect(database, read_only=True) as db:
        results = store.results_by_item(db, task, models or None)
        itemised = sorted({name for _, name in store.has_item_results(db)})
    lacking = [model for model in models if model not in results]
    if results.empty or lacking:
        raise InputError(
            f"there are no item results of {', '.join(lacking) or 'any model'} on {task}; tasks "
            f"with item results: {', '.join(itemised) or 'none, `csvcore import items` first'}"
        )
    return results


def compare_models(database: Path, task: str, a: str, b: str) -> PairedTest:
    """Compare two models on the items of a task that both have; see `analysis.paired`.

    Raises:
        InputError: as `results_by_item`, or they have fewer than 2 items in common.
    """
    if a == b:
        raise InputError(f"a paired test is of two models, got {a} twice")
    return frames.paired_models(results_by_item(database, task, [a, b]), a, b)
