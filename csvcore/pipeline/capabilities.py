"""Factors that the tasks of a corpus and a split share, found and stored."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from csvcore import store
from csvcore.analysis.carriers import carriers
from csvcore.capability_records import Capabilities
from csvcore.errors import FitError, InputError, StoreError
from csvcore.fitting.capabilities import CapabilityConfig, find
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.learn import Report
from csvcore.pipeline.dataset import load_for

log = logging.getLogger(__name__)


def capabilities(
    database: Path,
    corpus: str,
    split: str,
    tasks: Sequence[str],
    config: FitConfig,
    settings: CapabilityConfig,
    report: Report = lambda step, total, message: None,
) -> Capabilities:
    """Find the factors that tasks share and store them, replacing earlier ones.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split.
        tasks: names; none stands for all that can be fitted.
        config: settings of the fits.
        settings: of the factors.
        report: called with (step, steps, message); may raise to stop, then nothing is stored.

    Raises:
        InputError: fewer than two tasks can be fitted, or see `fitting.capabilities.find`.
        StoreError: corpus or split was removed meanwhile.
    """
    report(0, 1, "reading losses")
    data = load_for(database, corpus, split, config)
    found = find(data, _usable(data, tasks), config, settings, report)
    report(1, 1, "storing")
    doc_ids = [doc.doc_id for doc in data.docs]
    with store.connect(database) as db:
        store.corpus_sha256(db, corpus)  # refuses what was removed meanwhile
        if split not in store.splits(db):
            raise StoreError(f"the split {split} was removed meanwhile; find the factors again")
        store.set_capabilities(db, found.record, doc_ids, data.units.edges, found.weight)
    return found.record


def contract(database: Path, found: Capabilities) -> dict[str, Any]:
    """Return the JSON of stored factors, each with the sources, kinds and types that carry it."""
    record = found.to_json()
    with store.connect(database, read_only=True) as db:
        docs = store.documents(db, found.corpus)
        units = [
            store.factor_units(db, found.corpus, found.split, factor.number)
            for factor in found.factors
        ]
    for entry, factor, unit in zip(record["factors"], found.factors, units, strict=True):
        if unit.weight is not None:
            entry |= asdict(carriers(docs, unit.edges, unit.weight))
        entry["shown"] = factor.shown
    return record


def _usable(data: Dataset, tasks: Sequence[str]) -> Mapping[str, TaskModels]:
    """Return the models of the named tasks, or of all that can be fitted.

    Raises:
        InputError: a named task cannot be fitted, or fewer than two can.
        FitError: likewise, for a task that was named.
    """
    chosen, reasons = {}, []
    for task in dict.fromkeys(tasks or data.tasks):
        try:
            chosen[task] = task_models(data, task)
        except (InputError, FitError) as error:
            if tasks:
                raise
            reasons.append(str(error))
    if len(chosen) < 2:
        why = f" ({'; '.join(reasons)})" if reasons else ""
        raise InputError(
            f"shared factors need two tasks or more, but only {', '.join(chosen) or 'none'} can be "
            f"fitted{why}; name another task, or import accuracies on one"
        )
    for reason in reasons:
        log.warning("left out: %s", reason)
    return chosen
