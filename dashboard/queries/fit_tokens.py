"""A fit token by token: texts, cells, weights and losses, cached once for all views."""

from dataclasses import dataclass
from functools import cached_property

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


@dataclass(frozen=True)
class FitTokens:
    """All documents of a fit, one after another, without hidden test results.

    What needs the text of every token is made on first use: not every page does.

    edges: byte boundaries by document. first_token: (n_docs + 1,) first token of each document.
    weight, spread: (n_tokens,); spread is None where the fit has none. aligner: maps losses to
    these tokens.
    """

    fit: Fit
    docs: list[Document]
    edges: list[Ints]
    first_token: Ints
    weight: Floats
    spread: Floats | None
    aligner: Aligner

    @property
    def cells(self) -> Cells:
        """Cells of all documents."""
        return self._cells[0]

    @property
    def first_cell(self) -> Ints:
        """First cell of each document, and their number at the end, (n_docs + 1,)."""
        return self._cells[1]

    @property
    def cell_at(self) -> Ints:
        """First character of each cell in its document, (n_cells,)."""
        return self._cells[2]

    @cached_property
    def _cells(self) -> tuple[Cells, Ints, Ints]:
        parts = [
            tokens.cells(doc.text, cuts[1:].tolist())
            for doc, cuts in zip(self.docs, self.edges, strict=True)
        ]
        starts = [np.cumsum([0, *map(len, part.text)])[:-1] for part in parts]
        first = np.cumsum([0, *(len(part.text) for part in parts)])
        return tokens.joined(parts), first, np.concatenate(starts)

    @cached_property
    def chars(self) -> Floats:
        """Characters of each token, a part of one where tokens cut it, (n_tokens,)."""
        both = zip(self.docs, self.edges, strict=True)
        return np.concatenate([np.diff(character_clock(doc.text)[cuts]) for doc, cuts in both])

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
    return FitTokens(
        fit=record,
        docs=docs,
        edges=edges,
        first_token=np.cumsum([0, *(cuts.size - 1 for cuts in edges)]),
        weight=weight,
        spread=spread,
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
