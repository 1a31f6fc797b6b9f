import streamlit as st

from csvcore.figures import law
from dashboard.queries import database
from dashboard.views import fit_form, jobs
from dashboard.widgets import figure, sidebar, text

st.header("Fit")
db = database.database()
corpus, split = text.chosen("corpus"), text.chosen("split")
names = [task.task for task in database.tasks(db)]
if corpus is None or split is None or not names:
    text.next_step(
        "Nothing to fit yet", "A fit needs a corpus with losses, tasks with accuracies and a split."
    )
    st.stop()

st.caption(f"On corpus {text.plain(corpus)} with split {text.plain(split)} (side bar).")
fit_form.form(db, corpus, split, names)

st.subheader("Queue", divider="gray")
jobs.live(db, history=True)

fits = sidebar.fits(db)
learnt = [database.fit(db, name) for name in fits.loc[fits["method"] == "csv", "fit"]]
if learnt:
    st.subheader("How these fits converged", divider="gray")
    figure.figure(
        law.trace_figure(learnt),
        law.trace_table(learnt),
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
        figure.figure(
            law.penalty_figure(chosen),
            law.penalty_table(chosen),
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
            st.warning(f"{text.plain(fit.task)}: {text.plain(note)}")

every = sidebar.csv_fits(db)
if len(every) > len(learnt):
    st.subheader("Every fit by CSV", divider="gray")
    made = every.assign(how=[text.how_made(config) for config in every["config"]])
    figure.table(
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
