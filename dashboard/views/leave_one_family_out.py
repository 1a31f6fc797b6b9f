"""Leave one family out: errors on each family, or a button that fits without it."""

import streamlit as st

from csvcore.jobs.specs import LeaveOutJob, to_json
from csvcore.methods import label
from dashboard.queries import access, comparisons, database, edits
from dashboard.queries.database import Database
from dashboard.views import jobs, test_set


def show(db: Database, corpus: str, task: str) -> None:
    """Draw the errors of each method by family, or a button that starts the fits."""
    table = comparisons.left_out(db, corpus)
    table = table[table["task"] == task]
    job = LeaveOutJob(corpus, (task,))
    params = to_json(job)
    jobs.ended_badly(db, job.kind, **params)
    if jobs.waits(db, job.kind, **params):
        st.caption("The fits are running; the errors appear here when the job has ended.")
        return
    if table.empty:
        _start(db, job)
        return
    test_set.gate_families(db, corpus, table)
    wide = comparisons.left_out_by_family(table)
    if not wide.empty:
        st.dataframe(
            wide.rename(index=label),
            placeholder="\u2013",
            column_config={
                name: st.column_config.NumberColumn(format="%.1e") for name in wide.columns
            },
        )
        st.caption("Test MSE on each family, which has no train or validation model.")


def _start(db: Database, job: LeaveOutJob) -> None:
    n_families = len(set(database.family_of(db).values()))
    st.caption("Fits every method once per family, without the models of that family.")
    if st.button(
        f"Leave out each of {n_families} families",
        icon=":material/group_remove:",
        help="Adds these fits to the queue, as `csvcore leave-one-family-out` does.",
        disabled=n_families < 2 or access.locked(db),
    ):
        edits.submit(db, job)
        st.rerun()
