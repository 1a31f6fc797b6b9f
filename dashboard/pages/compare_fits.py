import streamlit as st

from dashboard.queries import database
from dashboard.views import fit_list, two_fits
from dashboard.widgets import sidebar, text

FEWEST = 2

st.header("Compare fits")
db = database.database()
table = fit_list.ordered(database.fits(db))
if len(table) < FEWEST:
    text.next_step("Fewer than two fits", "Start another one on the Fit page.")
    text.to_fit()
    st.stop()

chosen = sidebar.choices()
fits = sidebar.fits(db)
own = fits[fits["task"] == chosen.task].set_index("method")["fit"]
a, b = two_fits.choose(table, own.get("csv", own.iloc[0] if len(own) else None))
if a == b:
    text.next_step("One fit twice", "Choose two fits.")
else:
    two_fits.show(db, a, b)

st.subheader("All fits", divider="gray")
fit_list.label_form(db, a)
fit_list.show(table)
