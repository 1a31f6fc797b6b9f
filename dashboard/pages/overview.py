import streamlit as st

from csvcore.jobs import queue
from csvcore.splits import run_name
from dashboard.queries import comparisons, database
from dashboard.queries import coverage as stored
from dashboard.views import coverage, test_set, verdicts
from dashboard.views import jobs as jobs_view
from dashboard.widgets import figure, sidebar, text

st.header("Overview")
db = database.database()
corpora = database.corpora(db)
cards = database.cards(db)
tasks = database.tasks(db)
corpus, split = text.chosen("corpus"), text.chosen("split")
if corpora.empty or not cards or corpus is None:
    text.next_step(
        "The database is empty",
        f"Load the bundled measurements with {database.command(db, 'init --zoo')}, or bring "
        f"your own: {database.command(db, 'import corpus FILE --name NAME')}, then models, "
        "tasks, accuracies and losses.",
    )
    st.stop()

row = corpora[corpora["corpus"] == corpus].iloc[0]
with st.container(horizontal=True):
    st.metric("Documents", f"{row.n_docs:,}", border=True, help="Texts of the chosen corpus")
    st.metric("Characters", f"{row.n_chars:,}", border=True, help="N_c of equation 1")
    st.metric("Families", len(set(database.family_of(db).values())), border=True)
    st.metric(
        "Training runs",
        len({run_name(card) for card in cards}),
        border=True,
        help="Family, size and stage",
    )
    st.metric("Models", len(cards), border=True, help="Checkpoints count one by one")
    st.metric("Tasks", len(tasks), border=True)
coverage.badges(db, corpus)

st.subheader("Does CSV predict better?", divider="gray")
waiting = coverage.next_steps(db, corpus, split)
fits = sidebar.fits(db)
jobs_view.live(db)
jobs_view.ended_badly(db, "compare", corpus=corpus, split=split)
working = jobs_view.waits(db, "compare", corpus=corpus, split=split)
if fits.empty and split and not working and not waiting:
    text.next_step(
        "No fits on this corpus and split yet",
        "Fit every task with CSV and all baselines; for the bundled zoo it takes a minute or two.",
    )
    if st.button(
        "Fit everything",
        type="primary",
        icon=":material/play_circle:",
        help="Queues every method, a job for each task; results show as they come.",
    ):
        queue.submit_compares(db.path, corpus, split, [task.task for task in tasks])
        st.rerun()
if working:
    st.caption("Results show here task by task as the jobs end; every page works meanwhile.")
if not fits.empty and split:
    test_set.gate(db, corpus, split, fits)
    verdicts.table(comparisons.verdicts(db, fits))

coverage.gaps(db, corpus)
grid = st.grid(2, min_column_width=400, gap="medium")
with grid.cell():
    st.subheader("Sources", divider="gray")
    figure.table(stored.sources(db, corpus))
with grid.cell():
    st.subheader("Families", divider="gray")
    figure.table(stored.families(db, corpus))
