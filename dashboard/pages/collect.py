import streamlit as st

from dashboard.queries import database
from dashboard.views import collect_form, jobs
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

st.caption("Losses collected elsewhere come in as a loss pack, on the Import page.")
text.to_import()

manifests = database.manifests(db, corpus)
if not manifests.empty:
    st.subheader("Collection settings", divider="gray")
    figure.show_table(manifests)
