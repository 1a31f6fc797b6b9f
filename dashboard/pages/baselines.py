import streamlit as st

from csvcore.analysis.comparison import verdict_sentence
from dashboard.queries import comparisons, database
from dashboard.views import baselines, jobs, leave_one_family_out, permutation_test, test_set
from dashboard.widgets import sidebar, text

st.header("Baselines")
db = database.database()
chosen = sidebar.choices()
corpus, split, task = chosen.corpus, chosen.split, chosen.task
if corpus is None or split is None or task is None:
    text.next_step("Nothing to compare yet", "Add a corpus, a split and a task first.")
    st.stop()
fits = sidebar.fits(db)
fits = fits[fits["task"] == task]
if fits.empty:
    text.next_step("No fit of this task yet", "Fit it with every method on the Overview page.")
    text.to_overview()
    st.stop()

test_set.gate(db, corpus, split, fits)
judged = comparisons.judgement(db, tuple(fits["fit"]))
if judged.side is None:
    text.next_step(
        "No models to evaluate on",
        "The split has no validation models: reveal its test set, or add validation models.",
    )
    text.to_models()
    st.stop()
for said in judged.verdicts.values():
    st.markdown(f"**{text.plain(verdict_sentence(said))}**")
table = comparisons.comparison(db, tuple(fits["fit"]))
baselines.show(table, task, judged.side)

st.subheader("Permutation test", divider="gray")
permutation_test.show(db, corpus, split, task, table)
jobs.live(db)
jobs.ended_badly(db, "compare", corpus=corpus, split=split, tasks=[task])

st.subheader("Leave one family out", divider="gray")
leave_one_family_out.show(db, corpus, task)
