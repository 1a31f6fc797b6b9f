from functools import partial

import streamlit as st

from csvcore.figures import law
from csvcore.methods import label, weighted
from dashboard.queries import database, figures
from dashboard.views import off_curve, replay, test_set
from dashboard.widgets import address, figure, sidebar, text

SHOWN = ("csv", "all-token", "label-token")
CURVE_WIDTH = 280  # pixels below which fewer curves stand side by side

st.header("Curves")
db = database.database()
corpus, split, task = (text.chosen(key) for key in ("corpus", "split", "task"))
if corpus is None or split is None or task is None:
    text.next_step("Nothing to show yet", "Curves need a corpus, a split and a task.")
    st.stop()
fits = sidebar.fits(db)
fits = fits[fits["task"] == task].set_index("method")
if fits.empty:
    text.next_step("No fit of this task yet", "Start one on the Fit page.")
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")
    st.stop()

test_set.gate(db, corpus, split, fits)
st.html(law.legend_html(figures.colours(db)))
grid = st.grid(len(SHOWN), min_column_width=CURVE_WIDTH, gap="medium")
for method in SHOWN:
    with grid.cell():
        st.subheader(label(method), divider="gray")
        if method not in fits.index:
            text.next_step("Not fitted", "Choose this method on the Fit page.")
            continue
        fit = database.fit(db, str(fits.loc[method, "fit"]))
        table = database.predictions(db, fit.fit)
        with st.container(horizontal=True):
            test_set.error_metrics(fit)
        figure.figure(
            figures.curve(db, fit.fit),
            table,
            key=f"curve-{method}",
            name=f"curve-{task}-{method}",
            on_select=partial(off_curve.clicked, method),
            selection_mode="points",
            alt=f"Accuracy on {task} against the capability score by {method}, with the fitted law",
        )
        st.caption(
            f"alpha {fit.alpha:.3g} characters per nat, beta {fit.beta:.4g} nats per character, "
            f"chance {fit.gamma:g}; train MSE {text.scientific(fit.mse.get('train'))}"
            + (f"; {text.how_learnt(fit)}." if method == "csv" else ".")
        )
        for note in fit.notes:
            st.caption(f":orange[:material/warning:] {text.plain(note)}")
        if fit.left_out:
            st.caption(f"{len(fit.left_out)} models of the split lack losses or this accuracy.")

st.subheader("Why is it off the curve?", divider="gray")
off_curve.off_the_curve(db, fits)

if "csv" in fits.index:
    st.subheader("How CSV got there", divider="gray")
    replay.section(db, database.fit(db, str(fits.loc["csv", "fit"])))

st.subheader("Every model", divider="gray")
listed = address.choose(
    st.segmented_control,
    "Method",
    [name for name in weighted() if name in fits.index],
    default=str(fits.index[0]) if "csv" not in fits.index else "csv",
    format_func=label,
    key="table-method",
    help="Whose scores and predictions the table has.",
)
if listed:
    row = fits.loc[listed]
    figure.report_button(db.path, str(row["fit"]), bool(row["revealed"]))
    table = database.predictions(db, str(fits.loc[listed, "fit"]))
    table["error"] = table["predicted"] - table["accuracy"]
    columns = ["model", "family", "split", "score", "accuracy", "predicted", "low", "high", "error"]
    figure.table(
        table[columns],
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in ("accuracy", "predicted", "low", "high", "error")
        }
        | {"score": st.column_config.NumberColumn("score, nats per character", format="%.4f")},
    )
    st.caption(
        "low and high: 90 % interval, from the errors of fits on models that were left out of them "
        "(jackknife+ over families or runs, and the validation models)."
    )
