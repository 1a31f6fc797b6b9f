"""Two fits side by side, without hidden test results, and the labels of fits."""

import streamlit as st

from csvcore import frames, store
from csvcore.frames import TwoFits
from csvcore.splits import run_of
from csvcore.store import FitLabel
from dashboard.queries import test_set
from dashboard.queries.database import Database


@st.cache_resource(max_entries=4, show_spinner="Comparing the fits")
def side_by_side(db: Database, a: str, b: str) -> TwoFits:
    """Return `frames.side_by_side` of two stored fits."""
    with store.connect(db.path, read_only=True) as con:
        left, right = test_set.fit(con, a), test_set.fit(con, b)
        units = (store.fit_units(con, a), store.fit_units(con, b))
        runs = {card.model: run_of(card) for card in store.models(con)}
        return frames.side_by_side(left, right, units, store.documents(con, left.corpus), runs)


@st.cache_data(max_entries=32, show_spinner=False)
def label(db: Database, fit: str) -> FitLabel:
    """Return `store.fit_label`."""
    with store.connect(db.path, read_only=True) as con:
        return store.fit_label(con, fit)
