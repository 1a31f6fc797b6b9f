"""Contributions to a model's score: by source, document and token."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from csvcore import salience
from csvcore.analysis import ablation
from csvcore.analysis.attribution import contributions, expected_losses, score_at
from csvcore.errors import InputError
from csvcore.figures import tokens
from csvcore.records import Document, Floats, Ints, Mask
from dashboard.queries import database, fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import FitTokens

CONTEXT = 30  # characters shown before and after a token


@st.cache_data(max_entries=4, show_spinner=False)
def partial_scores(db: Database, fit: str) -> pd.DataFrame:
    """Return each source's part of every model's score: a row per model, a column per source."""
    texts, nll = fit_tokens.read(db, fit), fit_tokens.fitted_losses(db, fit)
    sources, token_source = texts.sources, texts.token_source()
    parts = salience.partial_scores(texts.weight, nll, token_source, len(sources), texts.n_chars)
    names = [entry.model for entry in texts.fit.predictions]
    return pd.DataFrame(parts, index=names, columns=sources)


def mixed_law(db: Database, fit: str, factors: dict[str, float]) -> ablation.Refit:
    """Fit the law anew with each source's part of the score multiplied by its factor.

    Raises:
        FitError: no law fits these scores.
    """
    score = partial_scores(db, fit).to_numpy() @ np.array(list(factors.values()))
    record = fit_tokens.read(db, fit).fit
    accuracy = np.array([entry.accuracy for entry in record.predictions])
    sides = [entry.side for entry in record.predictions]
    return ablation.refit(score, accuracy, sides, record.gamma)


def mixed_predictions(db: Database, fit: str, refitted: ablation.Refit) -> pd.DataFrame:
    """Return the table of predictions with score, predicted, low and high of a refitted law."""
    names = [entry.model for entry in fit_tokens.read(db, fit).fit.predictions]
    table = database.predictions(db, fit).set_index("model").loc[names].reset_index()
    predicted = refitted.predicted
    return table.assign(score=refitted.score, predicted=predicted, low=predicted, high=predicted)


def ablate(db: Database, fit: str, kept: Mask) -> ablation.Refit:
    """Return the law of a fit on some of its tokens alone; see `ablation.ablate`."""
    texts = fit_tokens.read(db, fit)
    models = texts.fit.predictions
    return ablation.ablate(
        texts.weight,
        fit_tokens.fitted_losses(db, fit),
        kept,
        texts.n_chars,
        np.array([entry.accuracy for entry in models]),
        [entry.side for entry in models],
        texts.fit.gamma,
    )


def selection_losses(db: Database, texts: FitTokens, cells: Ints) -> pd.DataFrame:
    """Return every model's nll on some cells, lowest first. Columns: model, family, nll (nats)."""
    ranges = [(texts.cells.token_start[i], texts.cells.token_end[i]) for i in cells.tolist()]
    chosen = np.concatenate([np.arange(start, end) for start, end in ranges])
    fitted = fit_tokens.fitted_losses(db, texts.fit.fit)
    names = [entry.model for entry in texts.fit.predictions]
    nll = [fitted[:, chosen].sum(axis=1, dtype=np.float64)]
    complete = database.complete_models(db, texts.fit.corpus)
    others = tuple(name for name in complete if name not in set(names))
    if others:  # collected, but without an accuracy on the task
        rows = fit_tokens.losses(db, texts.fit.fit, others)
        nll.append(rows[:, chosen].sum(axis=1, dtype=np.float64))
    table = pd.DataFrame({"model": [*names, *others], "nll": np.concatenate(nll)})
    table["family"] = table["model"].map(database.family_of(db))
    return table[["model", "family", "nll"]].sort_values("nll")


@dataclass(frozen=True, slots=True)
class OffCurve:
    """Contributions to a model's distance from the curve, nats per character, above 0: worse.

    score: of the model. on_curve: the curve's score at its accuracy. by_source: source, added.
    by_document: doc_id, source, added. by_token: doc_id, token, text, before, after, weight, nll,
    expected, added; the tokens of the largest contributions.
    """

    score: float
    on_curve: float
    by_source: pd.DataFrame
    by_document: pd.DataFrame
    by_token: pd.DataFrame


@st.cache_data(max_entries=16, show_spinner=False)
def off_curve(db: Database, fit: str, model: str, n_tokens: int = 30) -> OffCurve:
    """Return the contributions to the distance of a model from the curve.

    Expected is a line through all models of the fit, at the score where the law has the model's
    accuracy. The contributions sum to the distance exactly.

    Raises:
        InputError: the fit has no such model.
    """
    texts = fit_tokens.read(db, fit)
    law = texts.fit
    rows = {entry.model: k for k, entry in enumerate(law.predictions)}
    if model not in rows:
        raise InputError(f"the fit {fit} has no model {model!r}; choose one of its {len(rows)}")
    losses = fit_tokens.fitted_losses(db, fit)
    score = np.array([entry.score for entry in law.predictions])
    accuracy = law.predictions[rows[model]].accuracy
    on_curve = score_at(accuracy, law.alpha, law.beta, law.gamma)
    expected = expected_losses(losses, score, on_curve)
    nll = losses[rows[model]].astype(np.float64)
    added = contributions(texts.weight, nll, expected, texts.n_chars)
    return OffCurve(
        float(score[rows[model]]),
        on_curve,
        _by_source(texts, added),
        _by_document(texts, added),
        _by_token(texts, nll, expected, added, n_tokens),
    )


def _by_source(texts: FitTokens, added: Floats) -> pd.DataFrame:
    sums = np.bincount(texts.token_source(), weights=added, minlength=len(texts.sources))
    return pd.DataFrame({"source": texts.sources, "added": sums})


def _by_document(texts: FitTokens, added: Floats) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "doc_id": [doc.doc_id for doc in texts.docs],
            "source": [doc.source for doc in texts.docs],
            "added": np.add.reduceat(added, texts.first_token[:-1]),
        }
    )


def _by_token(
    texts: FitTokens, nll: Floats, expected: Floats, added: Floats, n_tokens: int
) -> pd.DataFrame:
    """Return the tokens of the largest contributions, of either sign."""
    size = np.abs(added)
    largest = np.argpartition(-size, min(n_tokens, size.size - 1))[:n_tokens]
    largest = largest[np.lexsort((largest, -size[largest]))]
    document = np.searchsorted(texts.first_token, largest, side="right") - 1
    return pd.DataFrame(
        [
            _in_context(texts.docs[i], texts.edges[i], token - int(texts.first_token[i]))
            | {
                "weight": float(texts.weight[token]),
                "nll": float(nll[token]),
                "expected": float(expected[token]),
                "added": float(added[token]),
            }
            for token, i in zip(largest.tolist(), document.tolist(), strict=True)
        ]
    )


def _in_context(doc: Document, edges: Ints, token: int) -> dict[str, object]:
    """Return a token's cell of the heatmap with the text around it."""
    cells = tokens.cells(doc.text, edges[1:].tolist())
    cell = int(np.searchsorted(cells.token_end, token, side="right"))
    before, after = "".join(cells.text[:cell]), "".join(cells.text[cell + 1 :])
    return {
        "doc_id": doc.doc_id,
        "token": cell,
        "before": before[-CONTEXT:],
        "text": cells.text[cell],
        "after": after[:CONTEXT],
    }
