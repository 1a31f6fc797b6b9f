import streamlit as st

from csvcore.figures import law
from dashboard.queries import database
from dashboard.views import fit_form, jobs
from dashboard.widgets import figure, sidebar, text

st.header("Fit")
db = database.database()
corpus, split = sidebar.choices().corpus, sidebar.choices().split
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
    st.subheader("Convergence", divider="gray")
    figure.show(
        law.trace_figure(learnt),
        law.trace_table(learnt),
        key="trace",
        name="convergence",
        alt="Mean squared error on train and validation models over the steps, for each task",
    )
    st.caption(
        "Test models are not used. Gauss-Newton follows a path of decreasing penalties to the "
        "chosen "
        "one; Algorithm 2 keeps the step with the lowest validation error."
    )
    chosen = [fit for fit in learnt if fit.choice]
    if chosen:
        st.subheader("Choice of the penalty", divider="gray")
        figure.show(
            law.penalty_figure(chosen),
            law.penalty_table(chosen),
            key="penalty",
            name="penalties",
            alt="Cross-validated error against the penalty",
        )
        st.caption(
            "Cross-validated RMSE over groups of train models, averaged with the RMSE on "
            "validation "
            "models. Left: the baseline alone; a ring marks the choice."
        )
    text.warn([text.plain(f"{fit.task}: {note}") for fit in learnt for note in fit.notes])

every = sidebar.csv_fits(db)
if len(every) > len(learnt):
    st.subheader("All CSV fits", divider="gray")
    listed = every.assign(settings=[text.settings_of(config) for config in every["config"]])
    figure.show_table(
        listed[["task", "fit", "settings", "mse_train", "mse_validation", "created"]],
        column_config={
            f"mse_{side}": st.column_config.NumberColumn(f"{side} MSE", format="%.1e")
            for side in ("train", "validation")
        }
        | {"created": st.column_config.DatetimeColumn("created, UTC", format="YYYY-MM-DD HH:mm")},
    )
    st.caption(
        "On this corpus and split, newest first; the side bar sets the fit that all pages show. "
        "Test "
        "errors are not listed, since choosing by them overfits the test set."
    )
