import streamlit as st

from dashboard import charts, controls, data, jobs_view

st.header("Fit")
source = data.database()
corpus, split = controls.chosen("corpus"), controls.chosen("split")
names = [task.task for task in data.tasks(source)]
if corpus is None or split is None or not names:
    controls.next_step(
        "Nothing to fit yet", "A fit needs a corpus with losses, tasks with accuracies and a split."
    )
    st.stop()

st.caption(f"On corpus {controls.plain(corpus)} with split {controls.plain(split)} (side bar).")
with st.form("fit", border=True):
    tasks = st.pills("Tasks", names, default=names, selection_mode="multi")
    method = st.segmented_control(
        "Method",
        list(controls.METHOD_NAMES),
        default="csv",
        format_func=controls.METHOD_NAMES.__getitem__,
        help="CSV learns a weight for every token; the baselines have fixed weights.",
    )
    with st.expander("Optimisation"):
        columns = st.columns(3)
        steps = columns[0].number_input("Steps", 0, 10_000, 300, help="The paper uses 300.")
        rate = columns[1].number_input("Learning rate", 1e-5, 1.0, 1e-2, format="%.0e")
        seed = columns[2].number_input("Seed", 0, 1_000_000, 0)
        mask = st.toggle(
            "Mask first tokens",
            help="Leave out, for every model, what is the first token of any: its context is only "
            "the prefix, which differs between families.",
        )
    start = st.form_submit_button("Start", type="primary", icon=":material/play_circle:")
if start:
    if not tasks or not method:
        st.warning("Choose at least one task and a method.")
    else:
        config = {"steps": int(steps), "learning_rate": float(rate), "seed": int(seed)}
        if mask:
            config["mask_first_token"] = True
        jobs_view.submit_fit(source, corpus, split, list(tasks), method, config)

st.subheader("Queue", divider="gray")
jobs_view.live(source, history=True)

fits = data.newest_fits(source, corpus, split)
learnt = [data.fit(source, name) for name in fits.loc[fits["method"] == "csv", "fit"]]
if learnt:
    st.subheader("How the newest fits converged", divider="gray")
    st.plotly_chart(
        charts.trace_figure(learnt),
        key="trace",
        alt="Mean squared error on train and validation models over the steps, for each task",
    )
    st.caption("The step with the lowest validation error is kept. Test models are not looked at.")
