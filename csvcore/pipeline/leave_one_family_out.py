"""Leave-one-family-out comparison of every method."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from csvcore import splits, store
from csvcore.analysis.comparison import Comparison
from csvcore.errors import CsvcoreError, FitError, InputError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.identity import FitRequest, fit_requests
from csvcore.fitting.learn import Report, learn
from csvcore.fitting.outcome import FitResult
from csvcore.parallel import each
from csvcore.pipeline.compare import judged, pairs, usable_tasks
from csvcore.pipeline.dataset import load_for
from csvcore.pipeline.fit import fits_by_pair, store_results, stored_fits
from csvcore.records import Fit, Side

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FamilyComparison:
    """One method on one task, tested on this family; the split is named after it."""

    family: str
    split: str
    row: Comparison


def leave_one_family_out(
    database: Path,
    corpus: str,
    tasks: Sequence[str],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
) -> list[FamilyComparison]:
    """Compare every method on the split `without-FAMILY` of each family; store the splits.

    A task that cannot be fitted without a family is left out there and named in the log.

    Raises:
        InputError: fewer than two families have losses on the corpus, or nothing can be fitted.
    """
    with store.connect(database, read_only=True) as db:
        store.corpus_sha256(db, corpus)  # refuses an unknown corpus
        complete = set(store.complete_models(db, corpus))
        cards = [card for card in store.models(db) if card.model in complete]
        stored = {
            name: store.split(db, name)
            for name in set(store.splits(db))
            if name.startswith(splits.WITHOUT)
        }
    families = list(dict.fromkeys(card.family for card in cards))
    if len(families) < 2:
        raise InputError(
            f"leaving out a family needs 2 families with losses on every document of {corpus}, "
            f"got {len(families)}"
        )
    named = {family: splits.leave_one_family_out(cards, family) for family in families}
    for family, split in named.items():
        if stored.get(splits.WITHOUT + family) != split:
            with store.connect(database) as db:
                store.add_split(db, splits.WITHOUT + family, split)
    comparisons = _comparisons(database, corpus, tasks, named, config, report)
    if not comparisons:
        raise InputError(f"no task can be fitted on {corpus} without one of its families")
    return comparisons


def _comparisons(
    database: Path,
    corpus: str,
    tasks: Sequence[str],
    named: Mapping[str, dict[str, Side]],
    config: FitConfig,
    report: Report,
) -> list[FamilyComparison]:
    """Compare on the stored splits of these families; name in the log what cannot be fitted."""
    name = splits.WITHOUT + next(iter(named))
    data = load_for(database, corpus, name, config)
    jobs: list[_Job] = []
    for number, (family, split) in enumerate(named.items()):
        report(number, len(named), f"without {family}: looking for what is stored")
        here = replace(data, split_name=splits.WITHOUT + family, split=split)
        try:
            jobs.append(_job(database, family, here, tasks, config))
        except (InputError, FitError) as error:
            log.warning("without %s: %s", family, error)
    comparisons: list[FamilyComparison] = []
    for job, results in zip(jobs, each(_learnt, data, jobs, report), strict=True):
        if isinstance(results, CsvcoreError):
            log.warning("without %s: %s", job.family, results)
            continue
        here = replace(data, split_name=job.split_name, split=job.split)
        store_results(database, here, results)
        fits = fits_by_pair(job.requests, job.stored, results, job.chosen)
        rows = judged(here, list(fits.values()), {})
        comparisons += [FamilyComparison(job.family, job.split_name, row) for row in rows]
    return comparisons


@dataclass(frozen=True, slots=True)
class _Job:
    """The fits of one split, which leaves out a family; stored: those that are there, by id."""

    family: str
    split: dict[str, Side]
    chosen: Mapping[str, TaskModels]
    requests: list[FitRequest]
    stored: Mapping[str, Fit]
    config: FitConfig

    @property
    def split_name(self) -> str:
        return splits.WITHOUT + self.family


def _job(
    database: Path, family: str, data: Dataset, tasks: Sequence[str], config: FitConfig
) -> _Job:
    chosen = usable_tasks(data, tasks, lenient=True)
    requests = fit_requests(data, chosen, pairs(data, chosen, config), config)
    stored = stored_fits(database, requests)
    return _Job(family, data.split, chosen, requests, stored, config)


def _learnt(data: Dataset, job: _Job, report: Report) -> list[FitResult] | CsvcoreError:
    """Make the fits of a job that are not stored; return why where they cannot be made."""

    def step(done: int, total: int, message: str) -> None:
        report(done, total, f"without {job.family}: {message}")

    here = replace(data, split_name=job.split_name, split=job.split)
    missing = [request for request in job.requests if request.fit not in job.stored]
    try:
        results = learn(here, job.chosen, missing, job.config, step)
    except (InputError, FitError) as error:
        return error
    step(1, 1, "done")
    return results


def medians(rows: Sequence[FamilyComparison]) -> list[tuple[str, str, float, float | None, int]]:
    """Return per task and method: median test MSE over families, worst ratio to all-token, count.

    The ratio is None for a method without an all-token result in any family.
    """
    by_family = {(entry.family, entry.row.task, entry.row.method): entry.row.mse for entry in rows}
    pairs = dict.fromkeys((entry.row.task, entry.row.method) for entry in rows)
    table = []
    for task, method in pairs:
        errors = {
            family: mse for (family, t, m), mse in by_family.items() if (t, m) == (task, method)
        }
        ratios = [
            mse / by_family[family, task, "all-token"]
            for family, mse in errors.items()
            if by_family.get((family, task, "all-token"))
        ]
        median = float(np.median(list(errors.values())))
        table.append((task, method, median, max(ratios) if ratios else None, len(errors)))
    return sorted(table, key=lambda row: (row[0], row[2]))
