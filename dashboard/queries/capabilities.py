"""The factors that tasks share: their record, the text that carries them, and differences."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from csvcore import store
from csvcore.analysis.carriers import Carriers, Place, carriers, heaviest
from csvcore.capability_records import Capabilities
from csvcore.figures import tokens
from csvcore.figures.tokens import Cells
from csvcore.records import Document, Floats, Ints
from dashboard.queries import test_set
from dashboard.queries.database import Database


@dataclass(frozen=True, slots=True)
class FactorTexts:
    """Documents and the token weights of all factors, (n_factors, n_tokens).

    first_token: (n_docs + 1,) first token of each document.
    """

    docs: list[Document]
    edges: list[Ints]
    first_token: Ints
    weight: Floats

    def cells(self, doc_id: str, factor: int) -> tuple[Cells, Floats]:
        """Return the cells of a document and their mean weights of a factor, from 1."""
        at = next(i for i, doc in enumerate(self.docs) if doc.doc_id == doc_id)
        own = tokens.cells(self.docs[at].text, self.edges[at][1:].tolist())
        part = self.weight[factor - 1, self.first_token[at] : self.first_token[at + 1]]
        return own, own.mean(part)


@st.cache_data(max_entries=8, show_spinner=False)
def found(db: Database, corpus: str, split: str) -> Capabilities | None:
    """Return the factors last found, without hidden test errors."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.capabilities(con, corpus, split)


@st.cache_data(max_entries=8, show_spinner=False)
def are_hidden(db: Database, corpus: str, split: str) -> bool:
    """Return `test_set.capabilities_are_hidden`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.capabilities_are_hidden(con, corpus, split)


@st.cache_resource(max_entries=2, show_spinner="Reading the factors")
def texts(db: Database, corpus: str, split: str) -> FactorTexts:
    """Return the documents with the token weights of all factors."""
    record = found(db, corpus, split)
    numbers = [] if record is None else [factor.number for factor in record.factors]
    with store.connect(db.path, read_only=True) as con:
        docs = store.documents(con, corpus)
        units = [store.factor_units(con, corpus, split, number) for number in numbers]
    edges = units[0].edges if units else []
    return FactorTexts(
        docs=docs,
        edges=edges,
        first_token=np.cumsum([0, *(cuts.size - 1 for cuts in edges)]),
        weight=np.array([unit.weight for unit in units]),
    )


@st.cache_data(max_entries=32, show_spinner="Sorting tokens")
def carried(db: Database, corpus: str, split: str, factor: int) -> tuple[Carriers, list[Place]]:
    """Return what carries a factor, from 1, and its heaviest tokens."""
    read = texts(db, corpus, split)
    weight = read.weight[factor - 1]
    return carriers(read.docs, read.edges, weight), heaviest(read.docs, read.edges, weight)


@st.cache_data(max_entries=32, show_spinner="Sorting tokens")
def separating(
    db: Database, corpus: str, split: str, first: str, second: str
) -> tuple[Carriers, list[Place]]:
    """Return what tells two tasks apart: the difference of their token weights, first less second.

    A task's weights are those of the factors, mixed by its loadings and scaled to mean 1.
    """
    read, record = texts(db, corpus, split), found(db, corpus, split)
    by_task = {row.task: row.share for row in record.tasks} if record else {}
    gap = np.subtract(by_task[first], by_task[second]) @ read.weight
    return carriers(read.docs, read.edges, gap), heaviest(read.docs, read.edges, gap)


def carriers_table(rows: Carriers, part: str) -> pd.DataFrame:
    """Return the sources, kinds or types of a weight as a table."""
    if part == "types":
        values = [(row.text, row.count, row.mean, row.share) for row in rows.types]
    else:
        tallies = rows.sources if part == "sources" else rows.kinds
        values = [(row.kind, row.n_tokens, row.mean or 0.0, row.share) for row in tallies]
    name = {"types": "token type", "sources": "source", "kinds": "kind"}[part]
    return pd.DataFrame(values, columns=[name, "tokens", "mean weight", "share"])


def places_table(places: list[Place]) -> pd.DataFrame:
    """Return tokens with the text around them as a table."""
    rows = [
        (place.text, f"{place.before}\u27e8{place.text}\u27e9{place.after}", place.source,
         place.doc_id, place.weight)
        for place in places
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["token", "in its text", "source", "document", "weight"])
