"""A fit from stored losses and accuracies to a stored law, predictions and weights."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from csvcore import store
from csvcore.fitting.config import FitConfig, _settings
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.identity import fit_id
from csvcore.fitting.learn import Report, Watch, learn
from csvcore.pipeline.dataset import load_dataset
from csvcore.records import Fit, Method
from csvcore.store import replays


def fit(
    database: Path,
    corpus: str,
    split: str,
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    only_missing: bool = False,
    watch: Watch = lambda look: None,
) -> list[Fit]:
    """Fit (task, method) pairs and store them in one transaction; CSV heads share their passes.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split.
        wanted: (task, method) pairs, methods of WEIGHTED_METHODS.
        config: settings.
        report: called with (step, steps, message); may raise to stop, then nothing is stored.
        only_missing: take what is stored already with the same data and settings.
        watch: given what tells how far the CSV heads are, to be called during `report`.

    Returns:
        The fits, in the order of wanted.
    """
    report(0, 1, "reading losses")
    where = (database, corpus, split, config.scorer)
    data = load_dataset(*where, config.mask_first_token, config.own_units)
    chosen = {task: task_models(data, task) for task in dict.fromkeys(t for t, _ in wanted)}
    return fit_dataset(database, data, chosen, wanted, config, report, only_missing, watch)


def fit_dataset(
    database: Path,
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    only_missing: bool = False,
    watch: Watch = lambda look: None,
) -> list[Fit]:
    """As `fit`, on a dataset that is read already."""
    ids = {
        (task, method): fit_id(data, chosen[task], method, _settings(method, config, data))
        for task, method in wanted
    }
    stored = _stored(database, set(ids.values())) if only_missing else {}
    missing = [pair for pair in dict.fromkeys(wanted) if ids[pair] not in stored]
    results = learn(data, chosen, missing, config, report, watch)
    report(1, 1, "storing")
    for one in results:
        if one.replay is not None:
            replays.write(database, one.fit.fit, one.replay)
    with store.connect(database) as db:
        for one in results:
            doc_ids = [doc.doc_id for doc in data.docs]
            store.add_fit(db, one.fit, doc_ids, data.units.edges, one.weight, one.spread)
    made = stored | {one.fit.fit: one.fit for one in results}
    return [replace(made[ids[pair]], left_out=chosen[pair[0]].left_out) for pair in wanted]


def _stored(database: Path, ids: set[str]) -> dict[str, Fit]:
    with store.connect(database, read_only=True) as db:
        return {name: store.fit(db, name) for name in ids if store.has_fit(db, name)}
