"""One set measured: stored, compared on every split, with squared errors from the stored fits."""

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from csvcore import store
from csvcore.analysis.comparison import Comparison, contract_row, null_predictions
from csvcore.cli.compare import comparison_notes, comparison_text, family_text
from csvcore.pipeline.compare import compare
from csvcore.pipeline.leave_one_family_out import leave_one_family_out, medians
from csvcore.records import Fit, Floats, ModelCard
from csvcore.splits import run_of
from public_data import sources
from public_data.summary import Case, standings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SetResult:
    """A set's tables as text, its rows for JSON, its cases, and the seconds that it took.

    medians: over the families left out, by task and method.
    """

    name: str
    n_models: int
    n_docs: int
    text: str
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    medians: list[dict[str, Any]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)


def measure(name: str, folder: Path, zoo: Path) -> SetResult:
    """Store one of `sources.SETS` in a new database and compare all methods on it."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        database = Path(place) / "public.duckdb"
        plan = sources.store_set(name, folder, zoo, database)
        with store.connect(database, read_only=True) as db:
            n_models = len(store.complete_models(db, sources.CORPUS))
            n_docs = len(store.documents(db, sources.CORPUS))
        title = f"\n== {name}: {n_models} models, {n_docs} documents"
        result = SetResult(name, n_models, n_docs, title)
        for split in plan.splits:
            _add_split(result, database, plan, split)
        if plan.families:
            _add_families(result, database, plan)
    result.seconds = time.perf_counter() - started
    return result


def _add_split(result: SetResult, database: Path, plan: sources.Plan, split: str) -> None:
    started = time.perf_counter()
    rows = compare(database, sources.CORPUS, split, [], plan.config)
    _add_text(
        result,
        f"compare --split {split}",
        started,
        "\n".join([comparison_text(rows), *comparison_notes(rows)]),
    )
    _add_rows(result, database, split, None, rows)


def _add_families(result: SetResult, database: Path, plan: sources.Plan) -> None:
    started = time.perf_counter()
    entries = leave_one_family_out(database, sources.CORPUS, [], plan.config)
    _add_text(result, "leave-one-family-out", started, family_text(entries))
    result.medians = [
        {"set": result.name, "task": task, "method": method, "median_mse": mse, "n_families": n}
        for task, method, mse, _, n in medians(entries)
    ]
    for split, family in dict.fromkeys((entry.split, entry.family) for entry in entries):
        rows = [entry.row for entry in entries if entry.split == split]
        _add_rows(result, database, split, family, rows)


def _add_text(result: SetResult, command: str, started: float, table: str) -> None:
    title = f"csvcore {command} ({time.perf_counter() - started:.0f} s)"
    log.info("%s: %s", result.name, title)
    result.text += f"\n\n{title}\n{table}"


def _add_rows(
    result: SetResult, database: Path, split: str, family: str | None, rows: Sequence[Comparison]
) -> None:
    """Add the rows of a split and its cases; each row says how it stands in its case."""
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        case = read_case(database, (result.name, split, family), own)
        result.cases.append(case)
        standing = {each.method: each for each in standings(case)}
        place = {"set": result.name, "split": split, "family": family}
        for row in own:
            record = place | contract_row(row)
            if row.method in standing:
                record |= {"hindsight": asdict(standing[row.method])}
            result.rows.append(record)


def read_case(
    database: Path, place: tuple[str, str, str | None], rows: Sequence[Comparison]
) -> Case:
    """Return a case with squared errors from the stored fits.

    Args:
        database: where `compare` stored the fits.
        place: names of the set, the split and the family left out.
        rows: of one task, from `compare`; those without a fit are trivial baselines.

    Raises:
        ValueError: squared errors from the database do not have the mean that a row says.
    """
    with store.connect(database, read_only=True) as db:
        cards = {card.model: card for card in store.models(db)}
        fits = {row.method: store.fit(db, row.fit) for row in rows if row.fit is not None}
    models, squared = squared_errors(fits, cards)
    for row in rows:
        if row.method in squared and not np.isclose(squared[row.method].mean(), row.mse):
            raise ValueError(
                f"{row.task}, {row.method}: the table has a test MSE of {row.mse:g}, the database "
                f"one of {squared[row.method].mean():g}"
            )
    return Case(
        *place,
        task=rows[0].task,
        runs=tuple(run_of(cards[model]) for model in models),
        mse={row.method: row.mse for row in rows},
        squared={row.method: squared[row.method] for row in rows if row.method in squared},
        covered={row.method: row.covered for row in rows if row.covered is not None},
    )


def squared_errors(
    fits: Mapping[str, Fit], cards: Mapping[str, ModelCard]
) -> tuple[list[str], dict[str, Floats]]:
    """Return the test models, and by method the squared error on each of them, (n_models,).

    Args:
        fits: of one task by method, all with the same test models.
        cards: of these models by name.
    """
    by_method = {
        method: {p.model: p for p in fit.predictions if p.side == "test"}
        for method, fit in fits.items()
    }
    first = next(iter(fits))
    models = sorted(by_method[first])
    accuracy = np.array([by_method[first][model].accuracy for model in models])
    predicted = {
        method: np.array([found[model].predicted for model in models])
        for method, found in by_method.items()
    } | null_predictions(fits[first], cards)
    return models, {method: np.square(accuracy - values) for method, values in predicted.items()}
