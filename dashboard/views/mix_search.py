"""The form that searches mixes of sources."""

import streamlit as st

from csvcore.jobs.specs import MixesJob
from dashboard.queries import access, database, edits
from dashboard.queries.database import Database


def form(db: Database, corpus: str, split: str, task: str) -> tuple[str, ...]:
    """Draw the form and queue the search on submit; return the chosen corpora."""
    with st.form("search", border=True):
        left, right = st.columns(2)
        corpora = left.multiselect(
            "Corpora",
            database.corpora(db)["corpus"].tolist(),
            default=[corpus],
            help="Sets the corpora whose sources may be mixed.",
        )
        budget = right.number_input(
            "Budget, tokens",
            1,
            10_000_000,
            None,
            placeholder="default: size of the smallest source",
            help="Sets the size of every mix in tokens of the scorer.",
        )
        start = st.form_submit_button(
            "Search",
            icon=":material/search:",
            disabled=access.locked(db),
            help="Adds the search to the queue, which learns new weights for dozens of mixes.",
        )
    if start and corpora:
        tokens = int(budget) if budget else None
        edits.submit(db, MixesJob(tuple(corpora), split, task, tokens))
    return tuple(corpora or [corpus])
