import shlex

import streamlit as st

from dashboard.queries import database
from dashboard.views import import_pack, jobs
from dashboard.widgets import figure, text

st.header("Collect")
db = database.database()
corpus = text.chosen("corpus")
if corpus is None:
    text.next_step(
        "No corpus yet",
        "Losses are of documents, so these come first: "
        f"{database.command(db, 'import corpus FILE --name NAME')}.",
    )
    text.to_overview()
    st.stop()

n_docs = len(database.documents(db, corpus))
covered = database.coverage(db, corpus)
complete = len(database.complete_models(db, corpus))
with st.container(horizontal=True):
    st.metric("Documents", f"{n_docs:,}", border=True)
    st.metric("Models with all losses", complete, border=True)
    st.metric("With some missing", len(covered) - complete, border=True)

folders = database.model_folders()
if folders:
    st.caption(f"Losses on corpus {text.plain(corpus)} (side bar), on this machine.")
    named = [folder.name for folder in folders]
    labels = {str(f): f.name if named.count(f.name) == 1 else str(f) for f in folders}
    missing = [str(folder) for folder in folders if covered.get(folder.name) != n_docs]
    with st.form("collect", border=True):
        chosen = st.multiselect(
            "Models",
            list(labels),
            default=missing,
            help="Folders with weights on this machine; those with all losses are not preset.",
            format_func=lambda path: (
                labels[path] if path in missing else f"{labels[path]} (stored)"
            ),
        )
        dtype = st.segmented_control(
            "Weights in",
            ["float32", "bfloat16", "float16"],
            default="float32",
            help="Models that are compared should share it. Half precision suits GPUs.",
        )
        start = st.form_submit_button(
            "Start",
            type="primary",
            icon=":material/play_circle:",
            help="Queues the collection; models with all losses are skipped.",
        )
    if start and chosen and dtype:
        jobs.submit_collect(db, corpus, chosen, dtype)
    elif start:
        st.warning("Choose at least one model and a dtype.")
else:
    text.next_step(
        "No model folders are named",
        "Start with `make app MODELS=/path/to/models` to collect from this page, or run "
        f"{database.command(db, f'collect MODEL... --corpus {shlex.quote(corpus)}')}, which "
        "takes hub names too.",
    )

st.subheader("Queue", divider="gray")
jobs.live(db, history=True)

st.subheader("Bring a loss pack", divider="gray")
import_pack.view(db, corpus)

manifests = database.manifests(db, corpus)
if not manifests.empty:
    st.subheader("How the stored losses were made", divider="gray")
    figure.table(manifests)
