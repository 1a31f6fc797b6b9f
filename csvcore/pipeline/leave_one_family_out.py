"""Leave-one-family-out comparison of every method."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from csvcore import splits, store
from csvcore.analysis.comparison import Comparison
from csvcore.errors import FitError, InputError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.learn import Report
from csvcore.pipeline.compare import compare

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
    comparisons = []
    for number, family in enumerate(families):
        name, split = splits.WITHOUT + family, splits.leave_one_family_out(cards, family)
        if stored.get(name) != split:
            with store.connect(database) as db:
                store.add_split(db, name, split)

        def step(done: int, total: int, message: str, at: int = number) -> None:
            report(at * total + done, len(families) * total, f"without {families[at]}: {message}")

        try:
            rows = compare(database, corpus, name, tasks, config, step, lenient=True)
        except (InputError, FitError) as error:
            log.warning("without %s: %s", family, error)
            continue
        comparisons += [FamilyComparison(family, name, row) for row in rows]
    if not comparisons:
        raise InputError(f"no task can be fitted on {corpus} without one of its families")
    return comparisons


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
