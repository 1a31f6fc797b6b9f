"""Item results dropped on a page: their content, and what their import would add."""

from dataclasses import dataclass, field
from pathlib import PurePath

import pandas as pd
import streamlit as st

from csvcore import frames, store
from csvcore.analysis.paired import PairedTest
from csvcore.errors import InputError
from csvcore.formats import item_results
from csvcore.formats.parquet import UPLOAD
from csvcore.store.items import TOLERANCE, differs
from dashboard.queries import test_set
from dashboard.queries.database import Database, family_of


@dataclass(frozen=True, slots=True)
class IncomingItems:
    """The additions that a file of item results would make to the database.

    models: a row for each model and task, columns model, task, items and new; no accuracy, since
    the test set may be hidden. why_not: what the import would be refused for, a sentence each.
    """

    models: pd.DataFrame = field(default_factory=pd.DataFrame)
    why_not: list[str] = field(default_factory=list)


@st.cache_data(max_entries=4, show_spinner="Reading the item results")
def examine_items(db: Database, name: str, content: bytes) -> IncomingItems:
    """Return what a file of item results, given as its bytes, would add to the database."""
    parts = item_results.decode(PurePath(name).name, content, UPLOAD)
    try:
        with store.connect(db.path, read_only=True) as con:
            found = store.compare_item_results(con, parts)
    except InputError as error:
        return IncomingItems(why_not=[str(error)])
    why_not = [
        f"The mean of the items of {row.model} on {row.task} differs from the stored accuracy by "
        f"more than {TOLERANCE:g}."
        for row in found[differs(found)].itertuples()
    ]
    new = found["n_items"].where(found["n_stored"] == 0, 0)
    if not new.sum():
        why_not.append("All of these item results are stored already.")
    table = found.assign(items=found["n_items"], new=new)[["model", "task", "items", "new"]]
    return IncomingItems(table, why_not)


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
