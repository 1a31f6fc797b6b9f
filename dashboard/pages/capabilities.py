import streamlit as st

from dashboard.queries import capabilities as queries
from dashboard.queries import database
from dashboard.views import capabilities, capabilities_form, jobs, test_set
from dashboard.widgets import sidebar, text

st.header("Capabilities")
st.caption(
    "Which abilities the tasks share, which tokens carry them, and which models have them. A "
    "task's token weights are a mix of the factors' weights."
)
db = database.database()
chosen = sidebar.choices()
corpus, split = chosen.corpus, chosen.split
if corpus is None or split is None:
    text.next_step("No corpus and split yet", "The Overview shows how to load one.")
    st.stop()

capabilities_form.form(db, corpus, split)
jobs.live(db)
jobs.ended_badly(db, "capabilities", corpus=corpus, split=split)
found = queries.found(db, corpus, split)
if found is None:
    text.next_step("No factors yet", "Find them with the form above.")
    st.stop()
if queries.are_hidden(db, corpus, split):
    test_set.gate_capabilities(db, corpus, split)
capabilities_form.verdict(found)
capabilities.tasks(found)
capabilities.few_shot(found)
capabilities.factor(db, found)
capabilities.profiles(found)
capabilities.separating(db, found)
