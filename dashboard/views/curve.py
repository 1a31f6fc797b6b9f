"""The curve of one method: errors, figure, law and notes."""

from functools import partial

import pandas as pd
import streamlit as st

from csvcore.methods import label
from dashboard.queries import database, figures
from dashboard.queries.database import Database
from dashboard.views import off_curve, test_set
from dashboard.widgets import figure, state, text


def show(db: Database, fits: pd.DataFrame, task: str, method: str) -> None:
    """Draw the curve of a method; fits are indexed by method."""
    st.subheader(label(method), divider="gray")
    if method not in fits.index:
        text.next_step("Not fitted", "Choose this method on the Fit page.")
        return
    fit = database.fit(db, str(fits.loc[method, "fit"]))
    with st.container(horizontal=True):
        test_set.error_metrics(fit)
    figure.show(
        figures.curve(db, fit.fit),
        database.predictions(db, fit.fit),
        key=state.curve(method).name,
        name=f"curve-{task}-{method}",
        on_select=partial(off_curve.clicked, method),
        selection_mode="points",
        alt=f"Accuracy on {task} against the capability score by {method}, with the fitted law",
    )
    st.caption(
        f"alpha {fit.alpha:.3g} characters per nat, beta {fit.beta:.4g} nats per character, "
        f"chance {fit.gamma:g}; train MSE {text.scientific(fit.mse.get('train'))}"
        + (f"; {text.weights_of(fit)}." if method == "csv" else ".")
    )
    for note in fit.notes:
        st.caption(f":orange[:material/warning:] {text.plain(note)}")
    if fit.left_out:
        st.caption(f"{len(fit.left_out)} models of the split lack losses or this accuracy.")
