"""Predictability of the stored tasks from a corpus's losses."""

from pathlib import Path

from csvcore import store
from csvcore.analysis.predictability import Assessment, assess
from csvcore.errors import InputError


def predictability(database: Path, corpus: str, split: str | None = None) -> Assessment:
    """Assess every task from the train and validation models of a split, or from all models.

    Raises:
        InputError: there is no such corpus or split, or no task.
    """
    with store.connect(database, read_only=True) as db:
        evidence = store.evidence(db, corpus, split)
    if not evidence.tasks:
        raise InputError("there are no tasks; csvcore import tasks FILE")
    return assess(evidence)
