"""Cached looks inside a stored fit: what its sources add, and why a model is off the curve."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from csvcore import salience, store
from csvcore.alignment import Aligner
from csvcore.analysis.attribution import contributions, expected_losses, score_at
from csvcore.errors import InputError
from csvcore.figures import tokens
from csvcore.records import Document, Fit, Floats, Ints
from dashboard.queries import test_set
from dashboard.queries.database import Database

CONTEXT = 30  # characters shown before and after a token


@dataclass(frozen=True, slots=True)
class Inside:
    """A fit on its tokens: nll is (n_models, n_tokens) of the models of its predictions, in order.

    edges: byte boundaries by document. source: (n_tokens,) index into sources.
    """

    fit: Fit
    docs: list[Document]
    edges: list[Ints]
    weight: Floats
    nll: NDArray[np.float32]
    sources: list[str]
    source: Ints

    @property
    def n_chars(self) -> int:
        """Characters that count."""
        return self.fit.n_chars or sum(len(doc.text) for doc in self.docs)


@st.cache_resource(max_entries=2, show_spinner="Reading losses")
def inside(db: Database, fit: str) -> Inside:
    """The losses of all models of a fit on its own tokens."""
    with store.connect(db.path, read_only=True) as con:
        record = test_set.fit(con, fit)
        docs = store.documents(con, record.corpus)
        edges, weight = store.weight_vector(con, fit)
        names = [one.model for one in record.predictions]
        found = {entry.model: entry for entry in store.losses(con, record.corpus, names)}
    if not names:
        raise InputError(f"no model of fit {fit} may be shown; reveal its test set first")
    aligner = Aligner([doc.text for doc in docs], edges)
    nll = np.stack([aligner.map(found[name]) for name in names]).astype(np.float32)
    sources = list(dict.fromkeys(doc.source for doc in docs))
    sizes = [cuts.size - 1 for cuts in edges]
    return Inside(
        fit=record,
        docs=docs,
        edges=edges,
        weight=weight,
        nll=nll,
        sources=sources,
        source=np.repeat([sources.index(doc.source) for doc in docs], sizes),
    )


@st.cache_data(max_entries=4, show_spinner=False)
def partial_scores(db: Database, fit: str) -> pd.DataFrame:
    """What each source adds to every model's score: a row a model, a column a source."""
    own = inside(db, fit)
    parts = salience.partial_scores(own.weight, own.nll, own.source, len(own.sources), own.n_chars)
    names = [one.model for one in own.fit.predictions]
    return pd.DataFrame(parts, index=names, columns=own.sources)


@dataclass(frozen=True, slots=True)
class OffCurve:
    """Why a model is off the curve; added is nats per character, above 0 where it does worse.

    score: the model's. on_curve: the score its accuracy has on the curve. by_source: source, added.
    by_document: doc_id, source, added. by_token: doc_id, token, text, before, after, weight, nll,
    expected, added; the tokens that add or take most.
    """

    score: float
    on_curve: float
    by_source: pd.DataFrame
    by_document: pd.DataFrame
    by_token: pd.DataFrame


@st.cache_data(max_entries=16, show_spinner=False)
def off_curve(db: Database, fit: str, model: str, n_tokens: int = 30) -> OffCurve:
    """Take the difference between a model's score and its place on the curve apart.

    Expected is what models of its accuracy usually lose on a token: a line through the models of
    the fit, at the score where the law gives that accuracy. The parts add up exactly.

    Raises:
        InputError: the fit has no such model.
    """
    own = inside(db, fit)
    at = {one.model: k for k, one in enumerate(own.fit.predictions)}
    if model not in at:
        raise InputError(f"the fit {fit} has no model {model!r}; choose one of its {len(at)}")
    law, row = own.fit, at[model]
    score = np.array([one.score for one in law.predictions])
    known = law.predictions[row].accuracy
    on_curve = score_at(known, law.alpha, law.beta, law.gamma)
    expected = expected_losses(own.nll, score, on_curve)
    nll = own.nll[row].astype(np.float64)
    added = contributions(own.weight, nll, expected, own.n_chars)
    starts = np.cumsum([0, *(cuts.size - 1 for cuts in own.edges)])
    by_source = pd.DataFrame(
        {
            "source": own.sources,
            "added": np.bincount(own.source, weights=added, minlength=len(own.sources)),
        }
    )
    by_document = pd.DataFrame(
        {
            "doc_id": [doc.doc_id for doc in own.docs],
            "source": [doc.source for doc in own.docs],
            "added": np.add.reduceat(added, starts[:-1]),
        }
    )
    strongest = np.argsort(-np.abs(added))[:n_tokens]
    document = np.searchsorted(starts, strongest, side="right") - 1
    rows = []
    for token, number in zip(strongest.tolist(), document.tolist(), strict=True):
        place = token - int(starts[number])
        rows.append(
            _place(own.docs[number], own.edges[number], place)
            | {
                "weight": float(own.weight[token]),
                "nll": float(nll[token]),
                "expected": float(expected[token]),
                "added": float(added[token]),
            }
        )
    return OffCurve(float(score[row]), on_curve, by_source, by_document, pd.DataFrame(rows))


def _place(doc: Document, edges: Ints, token: int) -> dict[str, object]:
    """A token with the text around it, and the cell of the heatmap it lies in."""
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
