"""Cached judgements of stored fits: every method against the nulls, and forecasts of models."""

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import streamlit as st

from csvcore import frames, store
from csvcore.analysis.comparison import (
    Comparison,
    Verdict,
    judge_fits,
    verdict,
    verdict_label,
)
from csvcore.analysis.forecast import aligned, forecasts
from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.methods import METHODS, trivial, weighted
from csvcore.records import Ints, Mix, ModelLosses, Side
from csvcore.splits import WITHOUT
from dashboard.queries import test_set
from dashboard.queries.database import Database, command

UPLOAD_MB = 20
UPLOAD_VALUES = 50_000_000  # of all columns; a small file can unfold to any number


@dataclass(frozen=True, slots=True)
class Judgement:
    """All methods of one task and the nulls, on the models of one side; None: nobody can judge.

    left_out: MSE on models left out of a fit in turn, by method, where it is known. verdict: of
    `comparison.verdict` on these rows.
    """

    side: Side | None
    rows: list[Comparison]
    left_out: dict[str, float]
    verdict: Verdict | None


@st.cache_data(max_entries=32, show_spinner=False)
def judgement(db: Database, fits: tuple[str, ...]) -> Judgement:
    """Judge fits of one task on the same models: on test or, while that is hidden, validation."""
    with store.connect(db.path, read_only=True) as con:
        found = [test_set.fit(con, name) for name in fits]
        cards = {card.model: card for card in store.models(con)}
        control = next((store.control(con, one.fit) for one in found if one.method == "csv"), None)
    sides: tuple[Side, ...] = ("test", "validation")
    side = next((one for one in sides if all(one in fit.mse for fit in found)), None)
    rows = [] if side is None else judge_fits(found, cards, control, side)
    errors: dict[str, float] = {
        one.method: float(np.mean(np.square(one.residuals))) for one in found if one.residuals
    }
    said = None if side is None else verdict(rows, side)
    return Judgement(side, sorted(rows, key=lambda row: row.mse), errors, said)


def comparison(db: Database, fits: tuple[str, ...]) -> pd.DataFrame:
    """A judgement as a table, best first.

    Columns: those of `Comparison`, and left_out.
    """
    found = judgement(db, fits)
    table = frames.comparison_table(found.rows)
    return table.assign(left_out=table["method"].map(found.left_out))


def verdicts(db: Database, fits: pd.DataFrame) -> pd.DataFrame:
    """Tell how CSV stands on every task, from the newest fits; a row a task.

    Columns: task, side (test, validation or missing), verdict (word of `comparison.verdict`), told
    (the verdict in words), rival (the one that decides), significant (the difference to it); these
    are missing where it cannot be said; left_out (methods that are no rivals), an MSE for each
    method, nulls (the best of them), ratio (all-token to CSV), floor, fitted.

    Args:
        db: the database.
        fits: from `data.newest_fits`.
    """
    rows = []
    for task, own in fits.groupby("task"):
        found = judgement(db, tuple(own["fit"]))
        errors: dict[str, float] = {row.method: row.mse for row in found.rows}
        nulls = [errors[name] for name in trivial() if name in errors and not METHODS[name].oracle]
        said = found.verdict
        both = {"csv", "all-token"} <= errors.keys()
        rows.append(
            {
                "task": task,
                "side": found.side,
                "verdict": said.word if said else None,
                "told": verdict_label(said) if said else None,
                "rival": said.rival if said else None,
                "significant": said.significant if said else None,
                "left_out": said.left_out if said else (),
                **{method: errors.get(method) for method in weighted()},
                "nulls": min(nulls) if nulls else None,
                "ratio": errors["all-token"] / errors["csv"] if both else None,
                "floor": found.rows[0].noise_floor if found.rows else None,
                "fitted": own["created"].max(),
            }
        )
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


@st.cache_data(max_entries=8, show_spinner=False)
def left_out(db: Database, corpus: str) -> pd.DataFrame:
    """Test MSE where a family was left out, of the newest fits.

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


@st.cache_data(max_entries=16, show_spinner=False)
def mixes(db: Database, corpora: tuple[str, ...], split: str, task: str) -> list[Mix]:
    """The mixes last tried, the recommended one first; see `hidden.mixes`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.mixes(con, corpora, split, task)


@st.cache_data(max_entries=16, show_spinner=False)
def mixes_are_hidden(db: Database, corpora: tuple[str, ...], split: str, task: str) -> bool:
    """See `hidden.mixes_are`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.mixes_are(con, corpora, split, task)


def forecasts_of(
    db: Database,
    fits: tuple[str, ...],
    models: tuple[str, ...],
    pack: tuple[str, bytes] | None = None,
) -> pd.DataFrame:
    """Forecasts of fits on one corpus, for stored models and those of a pack (its name and bytes).

    Columns: those of `tables.forecast_table`, fit and task; of each fit the best score first. A
    model of the pack that is called like one of the stored ones has the pack's name behind it.

    Raises:
        InputError, OffsetsError: the pack is too large, cannot be read or does not fit the corpus,
            or a model has no losses.
    """
    parts = [_stored_forecasts(db, fits, models)] if models else []
    if pack is not None:
        name = PurePath(pack[0]).name
        brought = _pack_forecasts(db, fits, name, pack[1])
        own = brought["model"]
        named = own.mask(own.isin(models), own + f" ({name})")
        parts.append(brought.assign(model=named))
    order = {fit: number for number, fit in enumerate(fits)}
    return pd.concat(parts).sort_values(
        ["fit", "score"],
        key=lambda column: column.map(order) if column.name == "fit" else column,
        ignore_index=True,
    )


@st.cache_data(max_entries=16, show_spinner="Weighing the losses")
def _stored_forecasts(db: Database, fits: tuple[str, ...], models: tuple[str, ...]) -> pd.DataFrame:
    with store.connect(db.path, read_only=True) as con:
        losses = store.losses(con, store.fit(con, fits[0]).corpus, models)
    return _tables(db, fits, losses)


@st.cache_data(max_entries=4, show_spinner="Weighing the losses")
def _pack_forecasts(db: Database, fits: tuple[str, ...], name: str, content: bytes) -> pd.DataFrame:
    _check_size(db, name, content)
    with store.connect(db.path, read_only=True) as con:
        corpus = store.corpus(con, store.fit(con, fits[0]).corpus)
    return _tables(db, fits, loss_packs.losses_on(name, content, corpus))


def _check_size(db: Database, name: str, content: bytes) -> None:
    """Refuse what would take too much memory; what is no Parquet file is left to the reader."""
    if len(content) > UPLOAD_MB * 2**20:
        held = f"{len(content) / 2**20:.0f} MB, at most {UPLOAD_MB} MB are"
    else:
        try:
            footer = pq.read_metadata(pa.BufferReader(content))
        except (pa.ArrowException, OSError):
            return
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        n_values = sum(g.column(i).num_values for g in groups for i in range(g.num_columns))
        if n_values <= UPLOAD_VALUES:
            return
        held = f"{n_values:,} values, at most {UPLOAD_VALUES:,} are"
    raise InputError(
        f"{name} has {held} taken here; store it with {command(db, 'import losses FILE')}"
    )


def _tables(db: Database, fits: tuple[str, ...], losses: list[ModelLosses]) -> pd.DataFrame:
    """Forecasts with what is known of the models, not the accuracy of hidden test models."""
    if not losses:
        raise InputError("none of these models has losses on the corpus of the fit")
    names = [entry.model for entry in losses]
    parts = []
    with store.connect(db.path, read_only=True) as con:
        docs = store.documents(con, store.fit(con, fits[0]).corpus)
        cards, known = store.models(con), store.accuracies(con)
        tokens: list[Ints] = []
        for fit in fits:
            record, unseen = test_set.fit(con, fit), test_set.models_of_fit(con, fit)
            edges, weight = store.weight_vector(con, fit)
            if not _same(tokens, edges):  # fits by one scorer share their tokens
                tokens, nll = edges, aligned(docs, edges, losses)
            found = forecasts(record, weight, names, nll)
            seen = {
                e.model: e.accuracy
                for e in known
                if e.task == record.task and e.model not in unseen
            }
            table = frames.forecast_table(found, cards, seen)
            parts.append(table.assign(fit=fit, task=record.task))
    return pd.concat(parts, ignore_index=True)


def _same(one: list[Ints], two: list[Ints]) -> bool:
    return len(one) == len(two) and all(map(np.array_equal, one, two))
