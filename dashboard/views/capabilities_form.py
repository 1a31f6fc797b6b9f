"""The form that queues the search for shared factors, and the verdict on their number."""

import pandas as pd
import streamlit as st

from csvcore.capability_records import Capabilities
from csvcore.jobs.specs import CapabilitiesJob
from dashboard.queries import access, edits
from dashboard.queries.database import Database
from dashboard.widgets import figure, text


def form(db: Database, corpus: str, split: str) -> None:
    """Draw the form and queue the search on submit."""
    with st.form("capabilities", border=True):
        left, right = st.columns(2)
        number = left.number_input(
            "Factors",
            1,
            100,
            None,
            placeholder="default: chosen inside train",
            help="Sets the number of factors instead of choosing it by left-out models.",
        )
        known = right.number_input(
            "Known models for few-shot transfer",
            0,
            100,
            5,
            help="Sets how many train models of each task are known; 0 leaves the test out.",
        )
        start = st.form_submit_button(
            "Find factors",
            icon=":material/hub:",
            disabled=access.locked(db),
            help="Adds the search to the queue; it takes about twice the time of the CSV fits.",
        )
    if start:
        settings = {"few_shot": int(known)} | ({"n_factors": int(number)} if number else {})
        edits.submit(db, CapabilitiesJob(corpus, split, settings=settings))


def verdict(found: Capabilities) -> None:
    """Draw how many factors there are, and what their number was chosen on."""
    n_factors, n_tasks = len(found.factors), len(found.tasks)
    st.markdown(
        f"**{n_factors} factor{'s' * (n_factors > 1)} for {n_tasks} tasks**"
        + (": no task is a mix of others." if n_factors == n_tasks else ".")
    )
    with st.expander("Choice of the number of factors"):
        figure.show_table(
            _tried(found),
            column_config={
                "error": st.column_config.NumberColumn("left-out error (points)", format="%.2f")
            },
        )
        st.caption(
            "Error on models left out (" + ", ".join(map(text.plain, found.judges)) + "), its "
            "geometric mean over tasks. The smallest number within one standard error of the best "
            "is taken. Test models are not used."
        )


def _tried(found: Capabilities) -> pd.DataFrame:
    return pd.DataFrame(
        [(row.n_factors, row.refined, 100 * row.cv_error) for row in found.tried],
        columns=["factors", "joint steps", "error"],
    )
