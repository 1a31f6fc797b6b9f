from typing import Any

import streamlit as st

from csvcore.figures import charts
from dashboard import controls, data, jobs_view, shown

ALGORITHMS = {"fast": "Second order", "paper": "The paper's loop"}

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
    algorithm = st.segmented_control(
        "Optimisation of CSV",
        list(ALGORITHMS),
        default="fast",
        format_func=ALGORITHMS.__getitem__,
        help="Second order chooses its penalty by leaving train's own families (or runs) out in "
        "turn; the paper's loop is Algorithm 2, stopped where validation is best.",
    )
    with st.expander("Settings"):
        columns = st.columns(4)
        seed = columns[0].number_input("Seed", 0, 1_000_000, 0)
        members = columns[1].number_input(
            "Stability",
            1,
            50,
            5,
            help="Heads fitted to random draws of train's runs, to see how stable each weight is. "
            "Second order only.",
        )
        activation = columns[2].selectbox(
            "Non-linearity",
            ["exp", "softplus"],
            help="What makes a weight of the head's output. Second order only; the paper's loop "
            "has softplus.",
        )
        penalty = columns[3].number_input(
            "Penalty",
            0.0,
            10.0,
            None,
            format="%.0e",
            placeholder="chosen inside train",
            help="A fixed pull towards the baseline. Second order only.",
        )
        columns = st.columns(4)
        steps = columns[0].number_input(
            "Steps", 1, 10_000, 300, help="Of the paper's loop; the paper uses 300."
        )
        rate = columns[1].number_input(
            "Learning rate", 1e-5, 1.0, 1e-2, format="%.0e", help="Of the paper's loop."
        )
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
        config: dict[str, Any] = {"seed": int(seed)}
        if algorithm == "paper":
            config |= {"algorithm": "paper", "steps": int(steps), "learning_rate": float(rate)}
        else:
            config |= {"members": int(members), "activation": activation}
            if penalty:
                config["penalty"] = float(penalty)
        if mask:
            config["mask_first_token"] = True
        jobs_view.submit_fit(source, corpus, split, list(tasks), method, config)

st.subheader("Queue", divider="gray")
jobs_view.live(source, history=True)

fits = data.newest_fits(source, corpus, split)
learnt = [data.fit(source, name) for name in fits.loc[fits["method"] == "csv", "fit"]]
if learnt:
    st.subheader("How the newest fits converged", divider="gray")
    shown.figure(
        charts.trace_figure(learnt),
        charts.trace_table(learnt),
        key="trace",
        name="convergence",
        alt="Mean squared error on train and validation models over the steps, for each task",
    )
    st.caption(
        "Test models are not looked at. Second order goes down a path of ever weaker penalties to "
        "the chosen one; of the paper's loop the step with the lowest validation error is kept."
    )
    chosen = [fit for fit in learnt if fit.choice]
    if chosen:
        st.subheader("How the penalties were chosen", divider="gray")
        shown.figure(
            charts.penalty_figure(chosen),
            charts.penalty_table(chosen),
            key="penalty",
            name="penalties",
            alt="Error on models left out of the fit against the strength of the penalty",
        )
        st.caption(
            "Error on what a fit did not see: root mean squared error over groups of train models "
            "left out in turn and over the validation models, averaged. Left, the baseline alone; "
            "a ring marks the choice."
        )
    for fit in learnt:
        for note in fit.notes:
            st.warning(f"{controls.plain(fit.task)}: {controls.plain(note)}")
