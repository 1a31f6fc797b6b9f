"""The table of verdicts, with the error of each method on each task."""

from typing import Any

import pandas as pd
import streamlit as st

from csvcore.analysis.comparison import left_out_sentence
from csvcore.methods import label, weighted
from dashboard.widgets import figure

MARKS = {"better": "\u2713", "unsure": "\u223c", "worse": "\u2717"}
FIRST = ("task", "verdict", "csv", "all-token", "ratio", "floor", "nulls", "rival", "side")
INNER = ("told", "significant", "left_out")  # columns shown through others


def table(verdicts: pd.DataFrame) -> None:
    """Draw `comparisons.verdicts`."""
    columns = verdicts.reindex(columns=["side", "verdict", "rival", "told", "significant"])
    marked: list[Any] = [
        f"{MARKS[word]} {told}" if word in MARKS else None
        for word, told in zip(columns["verdict"], columns["told"], strict=True)
    ]
    rows = verdicts.drop(columns=[name for name in INNER if name in verdicts.columns]).assign(
        verdict=marked,
        rival=columns["rival"].map(label, na_action="ignore"),
        side=columns["side"].fillna("no models yet"),
    )
    first = [name for name in FIRST if name in rows.columns]
    st.markdown(summary(columns))
    figure.show_table(
        rows[[*first, *(name for name in rows.columns if name not in first)]],
        column_config={
            "verdict": st.column_config.TextColumn(
                "CSV against all others",
                help="All other methods and trivial baselines. Significantly: the 90 % interval of "
                "the difference excludes 0.",
            ),
            "rival": st.column_config.TextColumn(
                "Deciding rival", help="The method or trivial baseline that decides the verdict."
            ),
            "side": st.column_config.TextColumn(
                "Evaluated on", help="Validation models, until the test set is revealed."
            ),
            "nulls": st.column_config.NumberColumn(
                "Best trivial baseline, MSE",
                format="%.1e",
                help="A trivial baseline predicts without any loss of the model.",
            ),
            "ratio": st.column_config.NumberColumn(
                "All tokens / CSV", format="%.1f x", help="MSE of all-token over that of CSV"
            ),
            "floor": st.column_config.NumberColumn(
                "Noise floor", format="%.1e", help="MSE that binomial noise alone would leave"
            ),
            "fitted": st.column_config.DatetimeColumn("Last fit, UTC", format="YYYY-MM-DD HH:mm"),
        }
        | {
            method: st.column_config.NumberColumn(f"{label(method)}, MSE", format="%.1e")
            for method in weighted()
        },
    )
    left_out = {name for row in verdicts.get("left_out", ()) for name in row}
    st.caption(
        "Mean squared error of the predicted accuracy. On validation models the errors of CSV are "
        "slightly optimistic: its penalty was chosen with their help. "
        + " ".join(map(left_out_sentence, sorted(left_out)))
    )


def summary(verdicts: pd.DataFrame) -> str:
    """Return on how many tasks CSV is better, significantly or not, or worse, as Markdown.

    Args:
        verdicts: side, verdict, significant of `comparisons.verdicts`.
    """
    words = verdicts["verdict"]
    if not words.notna().any():
        return "No verdict yet: no fit has validation or test models."
    sides = " and ".join(sorted(verdicts["side"].dropna().unique()))
    worse = words == "worse"
    beaten = int((worse & verdicts["significant"].eq(True)).sum())
    return (
        f"Evaluated on {sides} models, CSV is significantly better than all other methods and "
        f"trivial baselines on **{int((words == 'better').sum())} of {int(words.notna().sum())}** "
        f"tasks, better but not significantly on {int((words == 'unsure').sum())}. Another has a "
        f"smaller error on {int(worse.sum())}, significantly on {beaten}."
    )
