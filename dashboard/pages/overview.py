import streamlit as st

from csvcore import jobs
from csvcore.splits import run_name
from dashboard import (
    controls,
    coverage_view,
    data,
    jobs_view,
    judged,
    reveal_view,
    shown,
    sidebar,
    stored,
    verdict_view,
)

st.header("Overview")
source = data.database()
corpora = data.corpora(source)
cards = data.cards(source)
tasks = data.tasks(source)
corpus, split = controls.chosen("corpus"), controls.chosen("split")
if corpora.empty or not cards or corpus is None:
    controls.next_step(
        "The database is empty",
        f"Load the bundled measurements with {data.command(source, 'init --zoo')}, or bring your "
        f"own: {data.command(source, 'import corpus FILE --name NAME')}, then models, tasks, "
        "accuracies and losses.",
    )
    st.stop()

row = corpora[corpora["corpus"] == corpus].iloc[0]
with st.container(horizontal=True):
    st.metric("Documents", f"{row.n_docs:,}", border=True, help="Texts of the chosen corpus")
    st.metric("Characters", f"{row.n_chars:,}", border=True, help="N_c of equation 1")
    st.metric("Families", len(set(data.family_of(source).values())), border=True)
    st.metric(
        "Training runs",
        len({run_name(card) for card in cards}),
        border=True,
        help="Family, size and stage",
    )
    st.metric("Models", len(cards), border=True, help="Checkpoints count one by one")
    st.metric("Tasks", len(tasks), border=True)
coverage_view.badges(source, corpus)

st.subheader("Does CSV predict better?", divider="gray")
waiting = coverage_view.next_steps(source, corpus, split)
fits = sidebar.fits(source)
jobs_view.live(source)
jobs_view.ended_badly(source, "compare", corpus=corpus, split=split)
working = jobs_view.waits(source, "compare", corpus=corpus, split=split)
if fits.empty and split and not working and not waiting:
    controls.next_step(
        "No fits on this corpus and split yet",
        "Fit every task with CSV and all baselines; for the bundled zoo it takes a minute or two.",
    )
    if st.button(
        "Fit everything",
        type="primary",
        icon=":material/play_circle:",
        help="Queues every method, a job for each task; results show as they come.",
    ):
        jobs.submit_compares(source.path, corpus, split, [task.task for task in tasks])
        st.rerun()
if working:
    st.caption("Results show here task by task as the jobs end; every page works meanwhile.")
if not fits.empty and split:
    reveal_view.gate(source, corpus, split, fits)
    verdict_view.table(judged.verdicts(source, fits))

coverage_view.gaps(source, corpus)
grid = st.grid(2, min_column_width=400, gap="medium")
with grid.cell():
    st.subheader("Sources", divider="gray")
    shown.table(stored.sources(source, corpus))
with grid.cell():
    st.subheader("Families", divider="gray")
    shown.table(stored.families(source, corpus))
