"""Fits of stored losses and accuracies, stored with law, predictions and weights."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from csvcore import store
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.identity import FitRequest, fit_requests
from csvcore.fitting.learn import Report, Watch, learn
from csvcore.fitting.outcome import FitResult
from csvcore.pipeline.dataset import load_for
from csvcore.records import Fit
from csvcore.store import replays


def fit(
    database: Path,
    corpus: str,
    split: str,
    wanted: Sequence[tuple[str, str]],
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
        wanted: (task, method) pairs, methods of `methods.fitted`.
        config: settings.
        report: called with (step, steps, message); may raise to stop, then nothing is stored.
        only_missing: take what is stored already with the same data and settings.
        watch: given a function that returns the CSV heads' progress, to be called during `report`.

    Returns:
        The fits, in the order of wanted.
    """
    report(0, 1, "reading losses")
    data = load_for(database, corpus, split, config)
    chosen = {task: task_models(data, task) for task in dict.fromkeys(t for t, _ in wanted)}
    return fit_dataset(database, data, chosen, wanted, config, report, only_missing, watch)


def fit_dataset(
    database: Path,
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    wanted: Sequence[tuple[str, str]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    only_missing: bool = False,
    watch: Watch = lambda look: None,
) -> list[Fit]:
    """Fit and store as `fit` does, on a loaded dataset."""
    requests = fit_requests(data, chosen, wanted, config)
    stored = stored_fits(database, requests) if only_missing else {}
    missing = [request for request in requests if request.fit not in stored]
    results = learn(data, chosen, missing, config, report, watch)
    report(1, 1, "storing")
    store_results(database, data, results)
    by_pair = fits_by_pair(requests, stored, results, chosen)
    return [by_pair[pair] for pair in wanted]


def fits_by_pair(
    requests: Sequence[FitRequest],
    stored: Mapping[str, Fit],
    results: Sequence[FitResult],
    chosen: Mapping[str, TaskModels],
) -> dict[tuple[str, str], Fit]:
    """Return the fit of each request by task and method, be it stored by its id or just made."""
    made = {**stored, **{result.fit.fit: result.fit for result in results}}
    return {
        (request.task, request.method): replace(
            made[request.fit], left_out=chosen[request.task].left_out
        )
        for request in requests
    }


def store_results(database: Path, data: Dataset, results: Sequence[FitResult]) -> None:
    """Store finished fits in one transaction; refuse them if what they are made of has changed."""
    doc_ids = [doc.doc_id for doc in data.docs]
    with store.connect(database) as db:
        for result in results:
            store.refuse_stale(db, result.fit)
        for result in results:
            if result.replay is not None:
                replays.write(database, result.fit.fit, result.replay)
            store.add_fit(
                db,
                result.fit,
                doc_ids,
                data.units.edges,
                result.weight,
                result.spread,
                result.unit_weight,
            )


def stored_fits(database: Path, requests: Sequence[FitRequest]) -> dict[str, Fit]:
    """Return the fits of these requests that are stored, by id."""
    ids = [request.fit for request in requests]
    with store.connect(database, read_only=True) as db:
        return {name: store.fit(db, name) for name in ids if store.has_fit(db, name)}
