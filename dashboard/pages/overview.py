import streamlit as st

from dashboard.queries import access, comparisons, database, edits
from dashboard.views import coverage, jobs, predictability, test_set, verdicts
from dashboard.widgets import sidebar, text

st.header("Overview")
db = database.database()
corpora = database.corpora(db)
cards = database.cards(db)
tasks = database.tasks(db)
corpus, split = sidebar.choices().corpus, sidebar.choices().split
if corpora.empty or not cards or corpus is None:
    text.next_step(
        "The database is empty",
        f"Load the bundled measurements with {database.command(db, 'init --zoo')}, or bring "
        "your own on the Import page: a corpus, then models, tasks, accuracies, losses and a "
        "split.",
    )
    text.to_import()
    st.stop()

row = corpora[corpora["corpus"] == corpus].iloc[0]
with st.container(horizontal=True):
    st.metric("Documents", f"{row.n_docs:,}", border=True, help="Counts the texts of the corpus.")
    st.metric(
        "Characters",
        f"{row.n_chars:,}",
        border=True,
        help="Counts the characters of the corpus, N_c of equation 1.",
    )
    st.metric("Families", len(set(database.family_of(db).values())), border=True)
    st.metric(
        "Training runs",
        database.n_runs(db),
        border=True,
        help="Counts the combinations of family, size, stage and named run.",
    )
    st.metric("Models", len(cards), border=True, help="Counts every checkpoint.")
    st.metric("Tasks", len(tasks), border=True)
coverage.badges(db, corpus)

st.subheader("Verdict", divider="gray")
missing = coverage.next_steps(db, corpus, split)
fits = sidebar.fits(db)
jobs.live(db)
jobs.ended_badly(db, "compare", corpus=corpus, split=split)
working = jobs.waits(db, "compare", corpus=corpus, split=split)
if fits.empty and split and not working and not missing:
    text.next_step(
        "No fits on this corpus and split yet",
        "Fit every task with CSV and all baselines; the bundled zoo takes a minute or two.",
    )
    if st.button(
        "Fit everything",
        type="primary",
        icon=":material/play_circle:",
        disabled=access.locked(db),
        help="Adds a job per task to the queue, with all methods.",
    ):
        edits.submit_compares(db, corpus, split, [task.task for task in tasks])
        st.rerun()
if working:
    st.caption("Results appear here task by task; all pages work meanwhile.")
if not fits.empty and split:
    test_set.gate(db, corpus, split, fits)
    verdicts.table(comparisons.verdicts(db, fits))

if split and not missing:
    predictability.show(db, corpus, split)
coverage.gaps(db, corpus)
coverage.contents(db, corpus)
