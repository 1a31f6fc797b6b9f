"""The texts of a fit token by token, cached: cells, weights, losses of some models."""

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
from dashboard.queries.database import Database


@dataclass(frozen=True, slots=True)
class Texts:
    """All documents of a fit, one after another.

    edges: byte boundaries by document. cells: of all documents. first_cell, first_token: (n_docs +
    1,) where each document begins among them. cell_at: (n_cells,) first character of each cell in
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

    def doc_of(self, cell: int) -> int:
        """Index of the document that a cell lies in."""
        return int(np.searchsorted(self.first_cell, cell, side="right")) - 1

    def strongest_source(self) -> str:
        """Return the source with the largest share of the fit's absolute weight in total."""
        return salience.strongest_source(self.docs, self.edges, self.weight)

    def index(self, doc_id: str) -> int | None:
        """Place of a document in the corpus, None if it has no such document."""
        return next((i for i, doc in enumerate(self.docs) if doc.doc_id == doc_id), None)

    def n_cells(self, doc: int) -> int:
        """Cells of a document."""
        return int(self.first_cell[doc + 1] - self.first_cell[doc])

    def token_text(self) -> list[str]:
        """(n_tokens,) what each token shows; those that share a character show it whole."""
        width = np.subtract(self.cells.token_end, self.cells.token_start)
        return [t for t, n in zip(self.cells.text, width.tolist(), strict=True) for _ in range(n)]


@st.cache_resource(max_entries=4, show_spinner="Reading texts")
def texts(db: Database, fit: str) -> Texts:
    """The documents of a fit and what it gives their tokens."""
    with store.connect(db.path, read_only=True) as con:
        record = store.fit(con, fit)
        docs = store.documents(con, record.corpus)
        edges, weight = store.weight_vector(con, fit)
        spread = store.spread_vector(con, fit)
    cells = [
        tokens.cells(doc.text, cuts[1:].tolist()) for doc, cuts in zip(docs, edges, strict=True)
    ]
    clocks = [np.diff(character_clock(d.text)[cuts]) for d, cuts in zip(docs, edges, strict=True)]
    starts = [np.cumsum([0, *map(len, one.text)])[:-1] for one in cells]
    return Texts(
        fit=record,
        docs=docs,
        edges=edges,
        cells=tokens.joined(cells),
        first_cell=np.cumsum([0, *(len(one.text) for one in cells)]),
        first_token=np.cumsum([0, *(cuts.size - 1 for cuts in edges)]),
        cell_at=np.concatenate(starts),
        weight=weight,
        spread=spread,
        chars=np.concatenate(clocks),
        aligner=Aligner([doc.text for doc in docs], edges),
    )


@st.cache_resource(max_entries=16, show_spinner="Reading losses")
def losses(db: Database, fit: str, models: tuple[str, ...]) -> NDArray[np.float32]:
    """Losses of some models on the tokens of a fit, (n_models, n_tokens) nats.

    Raises:
        InputError: a model has no losses on every document of the corpus.
    """
    own = texts(db, fit)
    with store.connect(db.path, read_only=True) as con:
        stored = store.losses(con, own.fit.corpus, models)
    found = {entry.model: entry for entry in stored if entry.n_tokens.size == len(own.docs)}
    missing = [name for name in models if name not in found]
    if missing:
        raise InputError(
            f"{missing[0]} lacks losses on some documents of {own.fit.corpus}; collect them first"
        )
    return np.stack([own.aligner.map(found[name]) for name in models]).astype(np.float32)


@st.cache_resource(max_entries=4, show_spinner=False)
def kind_masks(db: Database, fit: str) -> dict[str, Mask]:
    """Which tokens of a fit are of which kind; see `token_kinds.kinds`."""
    own = texts(db, fit)
    return token_kinds.kinds(own.docs, own.edges)
