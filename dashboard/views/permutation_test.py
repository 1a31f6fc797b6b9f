"""The permutation test of a CSV fit: its p-value, or a button that runs it."""

import pandas as pd
import streamlit as st

from csvcore.jobs.specs import CompareJob, to_json
from dashboard.queries import access, edits
from dashboard.queries.database import Database
from dashboard.views import jobs

PERMUTATIONS = 200


def show(db: Database, corpus: str, split: str, task: str, table: pd.DataFrame) -> None:
    """Draw the p-value of CSV in a table of `comparisons.comparison`, or a button that runs it."""
    csv = table[table["method"] == "csv"]
    p_value = csv["p_value"].iloc[0] if not csv.empty else None
    if p_value is not None and not pd.isna(p_value):
        st.metric(
            "Permutation p-value",
            f"{p_value:.3f}",
            help="Shows the share of refits on shuffled train accuracies with an error as small as "
            "the true one, which is included.",
        )
    elif not csv.empty:
        st.caption(
            "Refits CSV at its default settings with the accuracies shuffled among the train "
            "models. The p-value is shown with the fit at these settings."
        )
        job = CompareJob(corpus, split, (task,), PERMUTATIONS)
        if st.button(
            f"Run {PERMUTATIONS} permutations",
            icon=":material/shuffle:",
            help="Adds the refits of CSV on this task to the queue.",
            disabled=access.locked(db) or jobs.waits(db, job.kind, **to_json(job)),
        ):
            edits.submit(db, job)
            st.rerun()
