import streamlit as st

from dashboard import controls, data, jobs_view

st.header("Overview")
source = data.database()
corpora = data.corpora(source)
models = data.models(source)
tasks = data.tasks(source)
corpus, split = controls.chosen("corpus"), controls.chosen("split")
if corpora.empty or models.empty or corpus is None:
    controls.next_step(
        "The database is empty",
        "Load the bundled measurements with `csvcore init --zoo`, or bring your own: "
        "`csvcore import corpus FILE --name NAME`, then models, tasks, accuracies and losses.",
    )
    st.stop()

row = corpora[corpora["corpus"] == corpus].iloc[0]
covered = data.coverage(source, corpus)
complete = sum(count == row.n_docs for count in covered.values())
with st.container(horizontal=True):
    st.metric("Documents", f"{row.n_docs:,}", border=True, help="Texts of the chosen corpus")
    st.metric("Characters", f"{row.n_chars:,}", border=True, help="N_c of equation 1")
    st.metric("Families", models["family"].nunique(), border=True)
    st.metric("Models", len(models), border=True)
    st.metric("With all losses", f"{complete} of {len(models)}", border=True)
    st.metric("Tasks", len(tasks), border=True)

fits = data.newest_fits(source, corpus, split) if split else data.fits(source).head(0)
st.subheader("Does CSV predict better?", divider="gray")
working = jobs_view.live(source)
if fits.empty and not working:
    controls.next_step(
        "No fits on this corpus and split yet",
        "Fit every task with CSV and all baselines; for the bundled zoo it takes under a minute.",
    )
    if split and st.button(
        "Fit everything",
        type="primary",
        icon=":material/play_circle:",
        help="Queues every method on every task; the page goes on while it runs.",
    ):
        jobs_view.submit_compare(source, corpus, split, [task.task for task in tasks])
        st.rerun()
if not fits.empty:
    st.dataframe(
        data.verdicts(fits),
        hide_index=True,
        column_config={
            "ratio": st.column_config.NumberColumn(
                "All tokens / CSV", format="%.1f x", help="Test MSE of all-token over that of CSV"
            ),
            "floor": st.column_config.NumberColumn(
                "Noise floor", format="%.1e", help="MSE that binomial noise alone would leave"
            ),
            "fitted": st.column_config.DatetimeColumn("Last fit, UTC", format="YYYY-MM-DD HH:mm"),
        }
        | {
            method: st.column_config.NumberColumn(f"{name}, test MSE", format="%.1e")
            for method, name in controls.METHOD_NAMES.items()
        },
    )
    st.caption("Mean squared error of predicted accuracy on the test models of this split.")

grid = st.grid(2, min_column_width=400, gap="medium")
with grid.cell():
    st.subheader("Sources", divider="gray")
    st.dataframe(data.sources(source, corpus), hide_index=True)
with grid.cell():
    st.subheader("Families", divider="gray")
    st.dataframe(data.families(source, corpus), hide_index=True)
