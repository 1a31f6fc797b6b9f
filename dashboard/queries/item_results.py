"""The results of single items, and paired tests of two models on them."""

import pandas as pd
import streamlit as st

from csvcore import frames, store
from csvcore.analysis.paired import PairedTest
from dashboard.queries import test_set
from dashboard.queries.database import Database, family_of


@st.cache_data(max_entries=4, show_spinner="Reading the item results")
def results_by_item(db: Database, task: str, hidden: frozenset[str]) -> pd.DataFrame:
    """Return the results on a task, a row for each item, a column for each model not hidden."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.results_by_item(con, task, hidden)


@st.cache_data(max_entries=64, show_spinner=False)
def paired(db: Database, task: str, hidden: frozenset[str], a: str, b: str) -> PairedTest:
    """Return `frames.paired_models` of two models."""
    return frames.paired_models(results_by_item(db, task, hidden), a, b)


def by_model(db: Database, results: pd.DataFrame, item: str) -> pd.DataFrame:
    """Return model, family, correct and accuracy of each model with a result on an item.

    The item is kept in `attrs`. Models that solve it come first, then by accuracy.
    """
    row, families = results.loc[item].dropna(), family_of(db)
    table = pd.DataFrame(
        {
            "model": row.index.astype(str),
            "family": [families.get(model, "") for model in row.index],
            "correct": row.to_numpy(),
            "accuracy": results.mean()[row.index].to_numpy(),
        }
    )
    table = table.sort_values(["correct", "accuracy"], ascending=False, ignore_index=True)
    table.attrs["item"] = item
    return table
