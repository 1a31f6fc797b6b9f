"""Cached comparisons of stored fits with trivial baselines, and forecasts of models."""

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
import streamlit as st

from csvcore import frames, store
from csvcore.analysis.comparison import (
    Comparison,
    Verdict,
    judge_fits,
    verdict,
    verdict_label,
)
from csvcore.analysis.model_predictions import aligned, cards_of, model_predictions
from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.formats.parquet import UPLOAD
from csvcore.methods import METHODS, fitted, trivial
from csvcore.records import Ints, Mix, ModelLosses, Side
from csvcore.splits import WITHOUT
from dashboard.queries import test_set
from dashboard.queries.database import Database, command

UPLOAD_MB = 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """All methods and trivial baselines of one task, evaluated on one side; None: on no models.

    left_out: cross-validated MSE by method, where it is stored. verdicts: of
    `comparison.verdict` on these rows, on the stack and on CSV where these are fitted.
    """

    side: Side | None
    rows: list[Comparison]
    left_out: dict[str, float]
    verdicts: dict[str, Verdict]


@st.cache_data(max_entries=32, show_spinner=False)
def judgement(db: Database, fits: tuple[str, ...]) -> Judgement:
    """Return the judgement of fits of one task on test or, while hidden, validation models."""
    with store.connect(db.path, read_only=True) as con:
        records = [test_set.fit(con, name) for name in fits]
        cards = {card.model: card for card in store.models(con)}
        csv = next((fit.fit for fit in records if fit.method == "csv"), None)
        control = None if csv is None else test_set.control(con, csv)
    sides: tuple[Side, ...] = ("test", "validation")
    side = next((name for name in sides if all(name in fit.mse for fit in records)), None)
    rows = [] if side is None else judge_fits(records, cards, control, side)
    errors: dict[str, float] = {
        fit.method: float(np.mean(np.square(fit.residuals))) for fit in records if fit.residuals
    }
    decisions = {method: verdict(rows, side or "test", method) for method in ("stack", "csv")}
    return Judgement(
        side,
        sorted(rows, key=lambda row: row.mse),
        errors,
        {method: decision for method, decision in decisions.items() if decision},
    )


def comparison(db: Database, fits: tuple[str, ...]) -> pd.DataFrame:
    """Return a judgement as a table, best first.

    Columns: those of `Comparison`, where test_* are of the side of the judgement, and left_out.
    """
    judged = judgement(db, fits)
    table = frames.comparison_table(judged.rows)
    return table.assign(left_out=table["method"].map(judged.left_out))


def verdicts(db: Database, fits: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict on each task from the newest fits, a row per task.

    Columns: task, side (test, validation or missing); word (of `comparison.verdict`) and told (the
    verdict in words) on the stack, csv_word and csv_told on CSV, missing where there is none;
    left_out (methods that are no rivals), an MSE for each method, nulls (the best of them), ratio
    (all-token to CSV), floor, fitted.

    Args:
        db: the database.
        fits: from `database.newest_fits`.
    """
    rows = []
    for task, rows_of_task in fits.groupby("task"):
        judged = judgement(db, tuple(rows_of_task["fit"]))
        errors: dict[str, float] = {row.method: row.mse for row in judged.rows}
        nulls = [errors[name] for name in trivial() if name in errors and not METHODS[name].oracle]
        own, csv = judged.verdicts.get("stack"), judged.verdicts.get("csv")
        both = {"csv", "all-token"} <= errors.keys()
        rows.append(
            {
                "task": task,
                "side": judged.side,
                "word": own.word if own else None,
                "told": verdict_label(own) if own else None,
                "csv_word": csv.word if csv else None,
                "csv_told": verdict_label(csv) if csv else None,
                "left_out": csv.left_out if csv else (),
                **{method: errors.get(method) for method in fitted()},
                "nulls": min(nulls) if nulls else None,
                "ratio": errors["all-token"] / errors["csv"] if both else None,
                "floor": judged.rows[0].noise_floor if judged.rows else None,
                "fitted": rows_of_task["created"].max(),
            }
        )
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


@st.cache_data(max_entries=8, show_spinner=False)
def left_out(db: Database, corpus: str) -> pd.DataFrame:
    """Return the test MSE of the newest leave-one-family-out fits.

    Columns: family, split, task, method, revealed, mse_test (missing while hidden).
    """
    with store.connect(db.path, read_only=True) as con:
        table = test_set.fits(con)
    table = table[(table["corpus"] == corpus) & table["split"].str.startswith(WITHOUT)]
    newest = table.drop_duplicates(["split", "task", "method"])
    families = newest["split"].str.removeprefix(WITHOUT)
    return newest.assign(family=families)[
        ["family", "split", "task", "method", "revealed", "mse_test"]
    ]


def left_out_by_family(table: pd.DataFrame) -> pd.DataFrame:
    """Return test MSE with a row per method and a column per family, after their median.

    Args:
        table: from `left_out`, of one task; hidden errors are missing.
    """
    wide = table.pivot(index="method", columns="family", values="mse_test").astype(float)
    if not wide.notna().any(axis=None):
        return wide.iloc[:0]
    wide.insert(0, "median", wide.median(axis=1))
    return wide.sort_values("median")


@st.cache_data(max_entries=16, show_spinner=False)
def mixes(db: Database, corpora: tuple[str, ...], split: str, task: str) -> list[Mix]:
    """Return the mixes of the last search, the recommended one first; see `test_set.mixes`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.mixes(con, corpora, split, task)


@st.cache_data(max_entries=16, show_spinner=False)
def mixes_are_hidden(db: Database, corpora: tuple[str, ...], split: str, task: str) -> bool:
    """Return `test_set.mixes_are_hidden`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.mixes_are_hidden(con, corpora, split, task)


def predictions_of(
    db: Database,
    fits: tuple[str, ...],
    models: tuple[str, ...],
    pack: tuple[str, bytes] | None = None,
) -> pd.DataFrame:
    """Return predictions of fits on one corpus, for stored models and a pack's (name and bytes).

    Columns: those of `frames.prediction_table`, fit and task; of each fit the best score first. A
    model of the pack with the name of a stored one has the pack's name after its own.

    Raises:
        InputError, OffsetsError: the pack is too large, cannot be read or does not fit the corpus,
            or a model has no losses.
    """
    parts = [_stored_predictions(db, fits, models)] if models else []
    if pack is not None:
        name = PurePath(pack[0]).name
        uploaded = _pack_predictions(db, fits, name, pack[1])
        model = uploaded["model"]
        labels = model.mask(model.isin(models), model + f" ({name})")
        parts.append(uploaded.assign(model=labels))
    order = {fit: number for number, fit in enumerate(fits)}
    return pd.concat(parts).sort_values(
        ["fit", "score"],
        key=lambda column: column.map(order) if column.name == "fit" else column,
        ignore_index=True,
    )


@st.cache_data(max_entries=16, show_spinner="Weighing the losses")
def _stored_predictions(
    db: Database, fits: tuple[str, ...], models: tuple[str, ...]
) -> pd.DataFrame:
    with store.connect(db.path, read_only=True) as con:
        losses = store.losses(con, test_set.fit(con, fits[0]).corpus, models)
    return _tables(db, fits, losses)


@st.cache_data(max_entries=4, show_spinner="Weighing the losses")
def _pack_predictions(
    db: Database, fits: tuple[str, ...], name: str, content: bytes
) -> pd.DataFrame:
    if len(content) > UPLOAD_MB * 2**20:
        raise InputError(
            f"{name} has {len(content) / 2**20:.0f} MB, at most {UPLOAD_MB} MB are taken here; "
            f"store it with {command(db, 'import losses FILE')}"
        )
    with store.connect(db.path, read_only=True) as con:
        corpus = store.corpus(con, test_set.fit(con, fits[0]).corpus)
    return _tables(db, fits, loss_packs.losses_on(name, content, corpus, UPLOAD))


def _tables(db: Database, fits: tuple[str, ...], losses: list[ModelLosses]) -> pd.DataFrame:
    """Return forecasts with the models' cards and accuracies, except those of hidden models."""
    if not losses:
        raise InputError("none of these models has losses on the corpus of the fit")
    names = [entry.model for entry in losses]
    parts = []
    with store.connect(db.path, read_only=True) as con:
        docs = store.documents(con, test_set.fit(con, fits[0]).corpus)
        cards = store.models(con)
        of_models = cards_of(names, {card.model: card for card in cards})
        tasks = {task.task: task for task in store.tasks(con)}
        tokens: list[Ints] = []
        for fit in fits:
            record, hidden = test_set.fit(con, fit), test_set.models_of_fit(con, fit)
            units = store.fit_units(con, fit)
            if not _same(tokens, units.edges):  # fits by one scorer share their tokens
                tokens, nll = units.edges, aligned(docs, units.edges, losses)
            rows = model_predictions(record, units, docs, tasks[record.task], of_models, nll)
            entries = test_set.accuracies(con, hidden)
            accuracy = {e.model: e.accuracy for e in entries if e.task == record.task}
            table = frames.prediction_table(rows, cards, accuracy)
            parts.append(table.assign(fit=fit, task=record.task))
    return pd.concat(parts, ignore_index=True)


def _same(edges: list[Ints], others: list[Ints]) -> bool:
    return len(edges) == len(others) and all(map(np.array_equal, edges, others))
