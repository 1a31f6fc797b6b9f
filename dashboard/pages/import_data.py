import streamlit as st

from dashboard.queries import access, database
from dashboard.views import import_form, import_previews, jobs, remove_form
from dashboard.widgets import sidebar, text

st.header("Import")
db = database.database()
chosen = sidebar.choices()
hidden: frozenset[str] = frozenset()
if chosen.corpus and chosen.split:
    hidden = database.hidden_models(db, chosen.corpus, chosen.split)

if reason := access.why_not(db):
    st.info(text.plain(f"{reason} Nothing can be imported or removed here."))
    st.stop()
import_form.form(db)
import_previews.show(db, hidden)

st.subheader("Queue", divider="gray")
jobs.live(db, history=True)

st.subheader("Remove", divider="gray")
remove_form.form(db)
