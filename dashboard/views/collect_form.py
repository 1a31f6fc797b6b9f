"""The form that collects losses of model folders."""

import shlex

import streamlit as st

from dashboard.queries import access, database
from dashboard.queries.database import Database
from dashboard.views import jobs
from dashboard.widgets import text

DTYPES = ["float32", "bfloat16", "float16"]


def form(db: Database, corpus: str) -> None:
    """Draw the form, or say how to name model folders; queue the collection on submit."""
    folders = database.model_folders()
    if not folders:
        text.next_step(
            "No model folders",
            "Start with `make app MODELS=/path/to/models` to collect from this page, or run "
            f"{database.command(db, f'collect MODEL... --corpus {shlex.quote(corpus)}')}, which "
            "takes hub names too.",
        )
        return
    st.caption(f"Losses on corpus {text.plain(corpus)} (side bar), on this machine.")
    labels = text.unique_labels([str(folder) for folder in folders])
    complete = set(database.complete_models(db, corpus))
    missing = [str(folder) for folder in folders if folder.name not in complete]
    with st.form("collect", border=True):
        chosen = st.multiselect(
            "Models",
            list(labels),
            default=missing,
            help="Sets the model folders to collect; at first those with missing losses.",
            format_func=lambda path: (
                labels[path] if path in missing else f"{labels[path]} (stored)"
            ),
        )
        dtype = st.segmented_control(
            "Weights in",
            DTYPES,
            default="float32",
            help="Sets the dtype, the same for models to be compared; half precision suits GPUs.",
        )
        start = st.form_submit_button(
            "Start",
            type="primary",
            icon=":material/play_circle:",
            disabled=access.locked(db),
            help="Adds the collection to the queue; models with all losses are skipped.",
        )
    if start and chosen and dtype:
        jobs.submit_collect(db, corpus, chosen, dtype)
    elif start:
        st.warning("Choose at least one model and a dtype.")
