import streamlit as st

from dashboard.queries import database
from dashboard.views import collect_form, import_pack, jobs
from dashboard.widgets import figure, sidebar, text

st.header("Collect")
db = database.database()
corpus = sidebar.choices().corpus
if corpus is None:
    text.next_step(
        "No corpus yet",
        f"Import its documents first: {database.command(db, 'import corpus FILE --name NAME')}.",
    )
    text.to_overview()
    st.stop()

complete = len(database.complete_models(db, corpus))
with st.container(horizontal=True):
    st.metric("Documents", f"{len(database.documents(db, corpus)):,}", border=True)
    st.metric("Models with all losses", complete, border=True)
    st.metric(
        "Models with missing losses", len(database.coverage(db, corpus)) - complete, border=True
    )

collect_form.form(db, corpus)

st.subheader("Queue", divider="gray")
jobs.live(db, history=True)

st.subheader("Import losses or item results", divider="gray")
import_pack.show(db, corpus)

manifests = database.manifests(db, corpus)
if not manifests.empty:
    st.subheader("Collection settings", divider="gray")
    figure.show_table(manifests)
