"""Storage of fits with their predictions, traces and weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from csvcore.errors import InputError
from csvcore.methods import GIVEN
from csvcore.records import (
    Candidate,
    Control,
    Fit,
    FitUnits,
    Floats,
    Ints,
    Penalty,
    PenaltyChoice,
    Prediction,
    TraceStep,
)
from csvcore.store.rows import Connection, first, insert, intact, stored_object


def add_fit(
    db: Connection,
    fit: Fit,
    doc_ids: Sequence[str],
    edges: Sequence[Ints],
    weight: Floats | None,
    spread: Floats | None = None,
    unit_weight: Mapping[str, Floats] | None = None,
) -> None:
    """Store a fit with its predictions, trace and weights, replacing one of the same id.

    Args:
        db: an open database.
        fit: the record.
        doc_ids: (n_docs,) documents in corpus order.
        edges: for each document its (n_tokens + 1,) byte boundaries.
        weight: (sum of n_tokens,) salience; None of a method without token weights.
        spread: (sum of n_tokens,) its standard deviation over bootstrap draws, or None.
        unit_weight: (sum of n_tokens,) further weights, by name.
    """
    stored = first(db, "SELECT control FROM fits WHERE fit = ?", [fit.fit])
    for table in ("fits", "predictions", "traces", "weights", "unit_weights"):
        db.execute(f"DELETE FROM {table} WHERE fit = ?", [fit.fit])
    row = _fit_row(fit) | {"control": None if stored is None else stored[0]}
    marks = ", ".join("?" for _ in row)
    db.execute(f"INSERT INTO fits ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    insert(db, "predictions", _with_fit(fit, fit.predictions))
    if fit.trace:
        insert(db, "traces", _with_fit(fit, fit.trace))
    insert(db, "weights", _weight_table(fit, doc_ids, edges, weight, spread))
    for name, values in (unit_weight or {}).items():
        row = {"fit": [fit.fit], "name": [name], "weight": [values.astype(np.float32)]}
        insert(db, "unit_weights", pa.table(row))


def _fit_row(fit: Fit) -> dict[str, Any]:
    """Return the row of `fits` without its control."""
    return {
        "fit": fit.fit,
        "created": datetime.now(UTC).replace(tzinfo=None),
        **{key: getattr(fit, key) for key in ("corpus", "split", "task", "method")},
        **{key: getattr(fit, key) for key in ("alpha", "beta", "gamma", "steps", "seconds")},
        **{key: json.dumps(getattr(fit, key)) for key in ("n_models", "mse", "noise_floor")},
        "left_out": list(fit.left_out),
        "config": json.dumps(fit.config),
        "notes": list(fit.notes),
        "choice": _choice_to_json(fit.choice),
        "n_chars": fit.n_chars,
        "residuals": list(fit.residuals),
        "candidates": json.dumps([asdict(one) for one in fit.candidates]),
        "interval_error": fit.interval_error,
    }


def _with_fit(fit: Fit, rows: Sequence[Prediction | TraceStep]) -> pa.Table:
    """Return records as rows, their fields as columns after the fit's id."""
    return pa.Table.from_pylist([{"fit": fit.fit, **asdict(row)} for row in rows])


def _weight_table(
    fit: Fit,
    doc_ids: Sequence[str],
    edges: Sequence[Ints],
    weight: Floats | None,
    spread: Floats | None,
) -> pa.Table:
    """Return the rows of `weights`, one a document."""
    cuts = np.cumsum([0, *(e.size - 1 for e in edges)])
    return pa.table(
        {
            "fit": [fit.fit] * len(doc_ids),
            "doc_id": list(doc_ids),
            "byte_end": pa.array([e[1:].astype(np.int32) for e in edges]),
            "weight": _lists(weight, cuts),
            "spread": _lists(spread, cuts),
        }
    )


def _lists(values: Floats | None, cuts: Ints) -> pa.Array:
    """Return one list a document; nulls where there are no values."""
    kind = pa.list_(pa.float32())
    if values is None:
        return pa.nulls(cuts.size - 1, kind)
    return pa.array([values[a:b].astype(np.float32) for a, b in pairwise(cuts)], kind)


def fits(db: Connection) -> pd.DataFrame:
    """Return all fits, newest first.

    Columns: fit, created, corpus, split, task, method, alpha, beta, gamma, steps, seconds,
    left_out, notes, config (a dict), stale (a model's side in the stored split has changed since),
    name, note, pinned (see `labels`) and, by side where known, mse_train, mse_validation, mse_test,
    floor_test, n_train, n_validation, n_test.
    """
    table = db.execute(
        """
        SELECT f.*, EXISTS (
            SELECT 1 FROM predictions p
            LEFT JOIN splits s ON s.split = f.split AND s.model = p.model
            WHERE p.fit = f.fit AND p.side IS DISTINCT FROM s.side
        ) AS stale, name, note, coalesce(pinned, false) AS pinned
        FROM fits f LEFT JOIN fit_labels USING (fit) ORDER BY created DESC, f.fit
        """
    ).df()
    records = {key: _objects(table, key, True) for key in ("mse", "noise_floor", "n_models")}
    configs = _objects(table, "config")
    for column, prefix in (("mse", "mse"), ("noise_floor", "floor"), ("n_models", "n")):
        for side in ("train", "validation", "test"):
            known = [record.get(side) for record in records[column]]
            table[f"{prefix}_{side}"] = pd.array(known, dtype="Float64")
        table = table.drop(columns=column)
    table["config"] = pd.Series(configs, dtype=object)
    return table.drop(
        columns=["choice", "control", "n_chars", "residuals", "candidates", "interval_error"]
    )


def _objects(table: pd.DataFrame, column: str, numbers: bool = False) -> list[dict[str, Any]]:
    """Return the objects of a column of JSON; raise StoreError with the fit of a damaged one.

    numbers: their values are numbers or null.
    """
    found = []
    for name, text in zip(table["fit"], table[column], strict=True):
        with intact(f"the fit {name}"):
            record = stored_object(text)
            sound = (isinstance(value, float | int | None) for value in record.values())
            if numbers and not all(sound):
                raise ValueError(f"numbers were expected in {column}, got {text[:40]}")
            found.append(record)
    return found


def newest(table: pd.DataFrame, corpus: str, split: str) -> pd.DataFrame:
    """Return the newest non-stale fit per task and method, of the rows of `fits`.

    Weights that the caller brings are no method to compare others with, so they are left out.
    """
    chosen = table[(table["corpus"] == corpus) & (table["split"] == split) & ~table["stale"]]
    chosen = chosen[chosen["method"] != GIVEN]
    return chosen.drop_duplicates(["task", "method"])


def timings(db: Connection) -> pd.DataFrame:
    """Return the durations of fits, newest first.

    Columns: method, algorithm, scorer, steps (allowed; the last three missing where a method has
    none), penalty (a fixed one), n_models (that train or validate), n_chars, seconds.
    """
    table = db.execute(
        "SELECT fit, method, config, n_models, n_chars, seconds FROM fits "
        "ORDER BY created DESC, fit"
    ).df()
    settings = ("algorithm", "scorer", "steps", "penalty")
    columns = [_objects(table, "config"), _objects(table, "n_models")]
    rows = zip(table.itertuples(), *columns, strict=True)
    return pd.DataFrame(
        [
            [
                one.method,
                *map(config.get, settings),
                sides.get("train", 0) + sides.get("validation", 0),
                one.n_chars,
                one.seconds,
            ]
            for one, config, sides in rows
        ],
        columns=["method", *settings, "n_models", "n_chars", "seconds"],
    )


def fit(db: Connection, name: str) -> Fit:
    """Return a stored fit with predictions and trace.

    Raises:
        InputError: the id is unknown.
    """
    rows = db.execute(
        "SELECT * EXCLUDE (created, control) FROM fits WHERE fit = ?", [name]
    ).fetchall()
    if not rows:
        raise InputError(f"there is no fit {name!r}; `csvcore fits` lists them")
    fields = dict(zip([column[0] for column in db.description or ()], rows[0], strict=True))
    prediction_rows = db.execute(
        """
        SELECT model, side, score, accuracy, predicted, low, high
        FROM predictions WHERE fit = ? ORDER BY score, model
        """,
        [name],
    ).fetchall()
    steps = db.execute(
        """
        SELECT step, alpha, beta, train_mse, validation_mse FROM traces WHERE fit = ? ORDER BY step
        """,
        [name],
    ).fetchall()
    with intact(f"the fit {name}"):
        for key in ("n_models", "mse", "noise_floor", "config"):
            fields[key] = stored_object(fields[key])
        fields |= {key: tuple(fields[key]) for key in ("left_out", "notes", "residuals")}
        fields["choice"] = _choice_from_json(fields["choice"])
        fields["candidates"] = tuple(
            Candidate(**stored) for stored in json.loads(fields["candidates"] or "[]")
        )
    return Fit(
        **fields,
        predictions=tuple(Prediction(*row) for row in prediction_rows),
        trace=tuple(TraceStep(*row) for row in steps),
    )


def _choice_to_json(choice: PenaltyChoice | None) -> str | None:
    """Return a choice as it is stored, where cv_error is called "figure"."""
    if choice is None:
        return None
    return json.dumps(
        {
            "chosen": _penalty_to_dict(choice.chosen),
            "tried": [_penalty_to_dict(penalty) for penalty in choice.tried],
        }
    )


def _choice_from_json(stored: str | None) -> PenaltyChoice | None:
    if stored is None:
        return None
    fields = json.loads(stored)
    return PenaltyChoice(
        chosen=_penalty_from_dict(fields["chosen"]),
        tried=tuple(_penalty_from_dict(penalty) for penalty in fields["tried"]),
    )


def _penalty_to_dict(penalty: Penalty) -> dict[str, Any]:
    return {
        "pull": penalty.pull,
        "strength": penalty.strength,
        "figure": penalty.cv_error,
        "errors": penalty.errors,
    }


def _penalty_from_dict(stored: dict[str, Any]) -> Penalty:
    return Penalty(stored["pull"], stored["strength"], stored["figure"], stored["errors"])


def control(db: Connection, fit: str) -> Control | None:
    """Return the permutation control of a fit, None if it was not run."""
    row = first(db, "SELECT control FROM fits WHERE fit = ?", [fit])
    if row is None:
        raise InputError(f"there is no fit {fit!r}; `csvcore fits` lists them")
    with intact(f"the permutation test of {fit}"):
        return None if row[0] is None else Control(**stored_object(row[0]))


def set_control(db: Connection, fit: str, control: Control) -> None:
    """Store the permutation control of a fit."""
    db.execute("UPDATE fits SET control = ? WHERE fit = ?", [json.dumps(asdict(control)), fit])


def has_fit(db: Connection, fit: str) -> bool:
    """Return whether a fit of this id is stored."""
    return first(db, "SELECT 1 FROM fits WHERE fit = ?", [fit]) is not None


def predictions(db: Connection, fit: str) -> pd.DataFrame:
    """Return observed and predicted accuracy of each model in a fit, best score first.

    Columns: model, family, n_params, train_tokens, stage, step, split, score (nats per character),
    accuracy, predicted, low, high.
    """
    return db.execute(
        """
        SELECT model, family, n_params, train_tokens, stage, step, side AS split,
               score, accuracy, predicted, low, high
        FROM predictions JOIN models USING (model)
        WHERE fit = $fit
        ORDER BY score, model
        """,
        {"fit": fit},
    ).df()


def weights(db: Connection, fit: str, doc_id: str | None = None) -> pa.Table:
    """Return the salience of a fit, all documents in corpus order or one.

    Columns: doc_id, byte_end, weight, spread, the last three as lists with one entry a token;
    spread is null where it is not known.
    """
    method = first(db, "SELECT method FROM fits WHERE fit = ?", [fit])
    if method is None:
        raise InputError(f"there is no fit {fit!r}; `csvcore fits` lists them")
    table = db.sql(
        """
        SELECT w.doc_id, w.byte_end, w.weight, w.spread
        FROM weights w
        JOIN fits USING (fit)
        JOIN documents d ON d.corpus = fits.corpus AND d.doc_id = w.doc_id
        WHERE w.fit = $fit AND ($doc_id IS NULL OR w.doc_id = $doc_id)
        ORDER BY d.doc_index
        """,
        params={"fit": fit, "doc_id": doc_id},
    ).to_arrow_table()
    if table["weight"].null_count:
        raise InputError(
            f"{method[0]} gives no token a weight, so {fit} has none to show; take a fit of csv"
        )
    return table


def weight_vector(db: Connection, fit: str) -> tuple[list[Ints], Floats]:
    """Return the salience of a fit over the corpus: byte boundaries by document, a weight a token.

    Returns:
        edges, for each document (n_tokens + 1,); weight, (sum of n_tokens,).
    """
    table = weights(db, fit)
    edges = [np.array([0, *ends]) for ends in table["byte_end"].to_pylist()]
    return edges, np.concatenate(table["weight"].to_pylist()).astype(np.float64)


def fit_units(db: Connection, fit: str) -> FitUnits:
    """Return the units of a fit with all its weights of them.

    Raises:
        InputError: the id is unknown.
    """
    if not has_fit(db, fit):
        raise InputError(f"there is no fit {fit!r}; `csvcore fits` lists them")
    rows = db.execute(
        """
        SELECT w.byte_end, w.weight FROM weights w JOIN fits USING (fit)
        JOIN documents d ON d.corpus = fits.corpus AND d.doc_id = w.doc_id
        WHERE w.fit = ? ORDER BY d.doc_index
        """,
        [fit],
    ).fetchall()
    named = db.execute("SELECT name, weight FROM unit_weights WHERE fit = ?", [fit]).fetchall()
    weights = [weight for _, weight in rows if weight is not None]
    return FitUnits(
        edges=[np.array([0, *ends]) for ends, _ in rows],
        weight=np.concatenate(weights).astype(np.float64) if weights else None,
        unit_weight={name: np.array(weight, dtype=np.float64) for name, weight in named},
    )


def spread_vector(db: Connection, fit: str) -> Floats | None:
    """Return the spread of every weight of a fit, as `weight_vector`; None if not known."""
    lists = weights(db, fit)["spread"]
    if lists.null_count:
        return None
    return np.concatenate(lists.to_pylist()).astype(np.float64)
