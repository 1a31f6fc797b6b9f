"""Cached judgements of stored fits: every method against the nulls, and forecasts of models."""

from pathlib import PurePath

import pandas as pd
import streamlit as st

from csvcore import packs, store
from csvcore.errors import InputError
from csvcore.figures import tables
from csvcore.forecasts import forecasts
from csvcore.judging import judge_fits
from csvcore.records import Mix, ModelLosses
from dashboard.data import Database

LEFT_OUT = "without-"  # how `csvcore leave-one-family-out` names its splits


@st.cache_data(max_entries=32, show_spinner=False)
def comparison(source: Database, fits: tuple[str, ...]) -> pd.DataFrame:
    """All methods of one task and the nulls, best first; columns are those of `Comparison`.

    Args:
        source: the database.
        fits: ids of fits of one task on the same models.
    """
    with store.connect(source.path, read_only=True) as db:
        found = [store.fit(db, name) for name in fits]
        cards = {card.model: card for card in store.models(db)}
        controls = [store.control(db, one.fit) for one in found if one.method == "csv"]
    rows = judge_fits(found, cards, next(iter(controls), None))
    return tables.comparison_table(rows)


@st.cache_data(max_entries=8, show_spinner=False)
def left_out(source: Database, corpus: str) -> pd.DataFrame:
    """Test MSE where a family was left out: family, task, method, mse_test, of the newest fits."""
    with store.connect(source.path, read_only=True) as db:
        table = store.fits(db)
    table = table[(table["corpus"] == corpus) & table["split"].str.startswith(LEFT_OUT)]
    newest = table.drop_duplicates(["split", "task", "method"])
    families = newest["split"].str.removeprefix(LEFT_OUT)
    return newest.assign(family=families)[["family", "task", "method", "mse_test"]]


def mixes(source: Database, corpora: tuple[str, ...], split: str, task: str) -> list[Mix]:
    """The mixes last tried, the recommended one first; see `store.mixes`."""
    with store.connect(source.path, read_only=True) as db:
        return store.mixes(db, corpora, split, task)


@st.cache_data(max_entries=32, show_spinner=False)
def stored_forecasts(source: Database, fit: str, models: tuple[str, ...]) -> pd.DataFrame:
    """Forecasts for models with losses in the database; columns of `tables.forecast_table`."""
    with store.connect(source.path, read_only=True) as db:
        corpus = store.fit(db, fit).corpus
        losses = store.losses(db, corpus, models)
    return _table(source, fit, losses)


@st.cache_data(max_entries=4, show_spinner=False)
def pack_forecasts(source: Database, fit: str, name: str, content: bytes) -> pd.DataFrame:
    """Forecasts for the models of a loss pack, given as the bytes of its file.

    Raises:
        InputError, OffsetsError: the pack cannot be read or does not fit the corpus.
    """
    pack = packs.decode(PurePath(name).name, content)
    with store.connect(source.path, read_only=True) as db:
        docs = store.documents(db, store.fit(db, fit).corpus)
    n_bytes = {doc.doc_id: len(doc.text.encode()) for doc in docs}
    packs.check_documents(name, pack.table, n_bytes)
    return _table(source, fit, packs.model_losses(name, pack.table, list(n_bytes)))


def _table(source: Database, fit: str, losses: list[ModelLosses]) -> pd.DataFrame:
    """Forecasts with what is known of the models; see `tables.forecast_table`."""
    if not losses:
        raise InputError("none of these models has losses on the corpus of the fit")
    with store.connect(source.path, read_only=True) as db:
        record = store.fit(db, fit)
        docs = store.documents(db, record.corpus)
        edges, weight = store.weight_vector(db, fit)
        cards = store.models(db)
        known = {e.model: e.accuracy for e in store.accuracies(db) if e.task == record.task}
    return tables.forecast_table(forecasts(record, docs, edges, weight, losses), cards, known)
