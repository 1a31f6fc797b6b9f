"""The table of predictions of one method, with the report of its fit."""

import pandas as pd
import streamlit as st

from csvcore.methods import fitted, label
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import address, figure, state

COLUMNS = ["model", "family", "split", "score", "accuracy", "predicted", "low", "high", "error"]


def show(db: Database, fits: pd.DataFrame) -> None:
    """Choose a method and draw its predictions; fits are indexed by method."""
    methods = [name for name in fitted() if name in fits.index]
    method = address.choose(
        st.segmented_control,
        "Method",
        methods,
        default=methods[0],
        format_func=label,
        key=state.TABLE_METHOD,
        help="Sets the method whose scores and predictions the table lists.",
    )
    if not method:
        return
    fit = fits.loc[method]
    figure.report_button(db, str(fit["fit"]), bool(fit["revealed"]))
    figure.show_table(
        database.predictions_with_error(db, str(fit["fit"]))[COLUMNS],
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in ("accuracy", "predicted", "low", "high", "error")
        }
        | {"score": st.column_config.NumberColumn("score, nats per character", format="%.4f")},
    )
    st.caption(
        "low, high: 90 % interval, from cross-validation over families or runs and from the "
        "validation models. Validation models are predicted by a law of the train models, all "
        "others by one of train and validation models. The score of a method without a law of one "
        "score, such as the stack, is minus the log-odds of its prediction."
    )
