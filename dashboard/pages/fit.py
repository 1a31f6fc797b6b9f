import streamlit as st

from csvcore.figures import charts
from dashboard import controls, data, fit_form, jobs_view, shown, sidebar

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
fit_form.form(source, corpus, split, names)

st.subheader("Queue", divider="gray")
jobs_view.live(source, history=True)

fits = sidebar.fits(source)
learnt = [data.fit(source, name) for name in fits.loc[fits["method"] == "csv", "fit"]]
if learnt:
    st.subheader("How these fits converged", divider="gray")
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

every = sidebar.csv_fits(source)
if len(every) > len(learnt):
    st.subheader("Every fit by CSV", divider="gray")
    made = every.assign(how=[controls.how_made(config) for config in every["config"]])
    shown.table(
        made[["task", "fit", "how", "mse_train", "mse_validation", "created"]],
        column_config={
            f"mse_{side}": st.column_config.NumberColumn(f"{side} MSE", format="%.1e")
            for side in ("train", "validation")
        }
        | {"created": st.column_config.DatetimeColumn("made, UTC", format="YYYY-MM-DD HH:mm")},
    )
    st.caption(
        "On this corpus and split, newest first; the side bar chooses which one of its task all "
        "pages show. Test errors are no reason to choose one, so they are not listed."
    )
