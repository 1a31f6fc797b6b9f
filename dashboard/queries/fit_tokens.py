"""A fit token by token: texts, cells, weights and losses, cached once for all views."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from csvcore import salience, store
from csvcore.alignment import Aligner, character_clock
from csvcore.analysis import token_kinds
from csvcore.errors import InputError
from csvcore.figures import tokens
from csvcore.figures.tokens import Cells
from csvcore.records import Document, Fit, Floats, Ints, Mask
from dashboard.queries import test_set
from dashboard.queries.database import Database


@dataclass(frozen=True, slots=True)
class FitTokens:
    """All documents of a fit, one after another, without hidden test results.

    edges: byte boundaries by document. cells: of all documents. first_cell, first_token: (n_docs +
    1,) first cell and token of each document. cell_at: (n_cells,) first character of each cell in
    its document. weight, spread: (n_tokens,); spread is None where the fit has none. chars:
    (n_tokens,) characters of each token, a part of one where tokens cut it. aligner: maps losses to
    these tokens.
    """

    fit: Fit
    docs: list[Document]
    edges: list[Ints]
    cells: Cells
    first_cell: Ints
    first_token: Ints
    cell_at: Ints
    weight: Floats
    spread: Floats | None
    chars: Floats
    aligner: Aligner

    @property
    def n_chars(self) -> int:
        """N_c of equation 1: characters of the texts."""
        return self.fit.n_chars or sum(len(doc.text) for doc in self.docs)

    @property
    def sources(self) -> list[str]:
        """The sources of the documents, in order."""
        return list(dict.fromkeys(doc.source for doc in self.docs))

    def token_source(self) -> Ints:
        """Return for each token the index of its source, (n_tokens,)."""
        names = self.sources
        return np.repeat([names.index(doc.source) for doc in self.docs], np.diff(self.first_token))

    def doc_of(self, cell: int) -> int:
        """Return the index of a cell's document."""
        return int(np.searchsorted(self.first_cell, cell, side="right")) - 1

    def strongest_source(self) -> str:
        """Return the source with the largest share of the fit's absolute weight in total."""
        return salience.strongest_source(self.docs, self.edges, self.weight)

    def index(self, doc_id: str) -> int | None:
        """Return the index of a document in the corpus, None if it has no such document."""
        return next((i for i, doc in enumerate(self.docs) if doc.doc_id == doc_id), None)

    def n_cells(self, doc: int) -> int:
        """Return the number of cells of a document."""
        return int(self.first_cell[doc + 1] - self.first_cell[doc])

    def token_text(self) -> list[str]:
        """Return the text of each token, (n_tokens,); tokens of one character show it whole."""
        width = np.subtract(self.cells.token_end, self.cells.token_start)
        return [t for t, n in zip(self.cells.text, width.tolist(), strict=True) for _ in range(n)]


@st.cache_resource(max_entries=4, show_spinner="Reading texts")
def read(db: Database, fit: str) -> FitTokens:
    """Return the documents of a fit with the weights of their tokens."""
    with store.connect(db.path, read_only=True) as con:
        record = test_set.fit(con, fit)
        docs = store.documents(con, record.corpus)
        edges, weight = store.weight_vector(con, fit)
        spread = store.spread_vector(con, fit)
    cells = [
        tokens.cells(doc.text, cuts[1:].tolist()) for doc, cuts in zip(docs, edges, strict=True)
    ]
    clocks = [np.diff(character_clock(d.text)[cuts]) for d, cuts in zip(docs, edges, strict=True)]
    starts = [np.cumsum([0, *map(len, part.text)])[:-1] for part in cells]
    return FitTokens(
        fit=record,
        docs=docs,
        edges=edges,
        cells=tokens.joined(cells),
        first_cell=np.cumsum([0, *(len(part.text) for part in cells)]),
        first_token=np.cumsum([0, *(cuts.size - 1 for cuts in edges)]),
        cell_at=np.concatenate(starts),
        weight=weight,
        spread=spread,
        chars=np.concatenate(clocks),
        aligner=Aligner([doc.text for doc in docs], edges),
    )


@st.cache_resource(max_entries=16, show_spinner="Reading losses")
def losses(db: Database, fit: str, models: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the losses of some models on the tokens of a fit, (n_models, n_tokens) nats.

    Raises:
        InputError: a model has no losses on every document of the corpus.
    """
    texts = read(db, fit)
    with store.connect(db.path, read_only=True) as con:
        stored = store.losses(con, texts.fit.corpus, models)
    by_model = {entry.model: entry for entry in stored if entry.n_tokens.size == len(texts.docs)}
    missing = [name for name in models if name not in by_model]
    if missing:
        raise InputError(
            f"{missing[0]} lacks losses on some documents of {texts.fit.corpus}; collect them first"
        )
    return np.stack([texts.aligner.map(by_model[name]) for name in models]).astype(np.float32)


def fitted_losses(db: Database, fit: str) -> NDArray[np.float32]:
    """Return `losses` of the models of a fit's predictions, in their order.

    Raises:
        InputError: all of them are hidden test models.
    """
    models = tuple(entry.model for entry in read(db, fit).fit.predictions)
    if not models:
        raise InputError(f"no model of fit {fit} may be shown; reveal its test set first")
    return losses(db, fit, models)


@st.cache_resource(max_entries=4, show_spinner=False)
def kind_masks(db: Database, fit: str) -> dict[str, Mask]:
    """Return a mask of the tokens of each kind; see `token_kinds.kinds`."""
    texts = read(db, fit)
    return token_kinds.kinds(texts.docs, texts.edges)
