import streamlit as st

from csvcore.figures import law
from dashboard.queries import database, figures
from dashboard.views import curve, off_curve, predictions, replay, test_set
from dashboard.widgets import sidebar, text

METHODS = ("csv", "all-token", "label-token")
CURVE_WIDTH = 280  # pixels below which fewer curves stand side by side

st.header("Curves")
db = database.database()
chosen = sidebar.choices()
corpus, split, task = chosen.corpus, chosen.split, chosen.task
if corpus is None or split is None or task is None:
    text.next_step("No curves yet", "Add a corpus, a split and a task first.")
    st.stop()
fits = sidebar.fits(db)
fits = fits[fits["task"] == task].set_index("method")
if fits.empty:
    text.next_step("No fit of this task yet", "Start one on the Fit page.")
    text.to_fit()
    st.stop()

test_set.gate(db, corpus, split, fits)
st.html(law.legend_html(figures.colours(db)))
grid = st.grid(len(METHODS), min_column_width=CURVE_WIDTH, gap="medium")
cells = [grid.cell() for _ in METHODS]  # all at once, so that no figure changes its width
for cell, method in zip(cells, METHODS, strict=True):
    with cell:
        curve.show(db, fits, task, method)

st.subheader("Deviation from the curve", divider="gray")
off_curve.show(db, fits)

if "csv" in fits.index:
    st.subheader("Fit path", divider="gray")
    replay.show(db, database.fit(db, str(fits.loc["csv", "fit"])))

st.subheader("All models", divider="gray")
predictions.show(db, fits)
