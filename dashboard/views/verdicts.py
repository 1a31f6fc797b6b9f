"""The table of verdicts, with the error of each method on each task."""

import pandas as pd
import streamlit as st

from csvcore.analysis.comparison import left_out_sentence
from csvcore.methods import fitted, label
from dashboard.widgets import figure

MARKS = {"better": "\u2713", "level": "\u223c", "worse": "\u2717", "not judged": "?"}
FIRST = ("task", "told", "csv_told", "stack", "csv", "all-token", "nulls", "floor", "ratio", "side")
WORDS = {"word": "told", "csv_word": "csv_told"}  # which verdict a text tells
INNER = ("word", "csv_word", "left_out")  # columns shown through others
HELP = (
    "All other methods and trivial baselines. Significantly: the 90 % interval of the difference "
    "excludes 0. Level: no difference is significant. Not judged: the models are of one run, so "
    "differences have no interval."
)


def table(verdicts: pd.DataFrame) -> None:
    """Draw `comparisons.verdicts`."""
    rows = verdicts.reindex(columns=[*verdicts.columns, *{"side"}.difference(verdicts.columns)])
    for word, told in WORDS.items():
        if told in rows:
            rows[told] = _marked(rows, word, told)
    rows["side"] = rows["side"].fillna("no models yet")
    rows = rows.drop(columns=[name for name in INNER if name in rows.columns])
    first = [name for name in FIRST if name in rows.columns]
    st.markdown(summary(verdicts))
    figure.show_table(
        rows[[*first, *(name for name in rows.columns if name not in first)]],
        column_config={
            "told": st.column_config.TextColumn("Stack against all others", help=HELP),
            "csv_told": st.column_config.TextColumn(
                "CSV against all others", help=f"{HELP} The stack is left out: CSV is a part of it."
            ),
            "side": st.column_config.TextColumn(
                "Evaluated on", help="Validation models, until the test set is revealed."
            ),
            "nulls": st.column_config.NumberColumn(
                "Best trivial, MSE",
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
            for method in fitted()
        },
    )
    left_out = {name for row in verdicts.get("left_out", ()) for name in row}
    st.caption(
        "Mean squared error of the predicted accuracy. On validation models the errors of the "
        "stack and of CSV are slightly optimistic: mix and penalty were chosen with their help. "
        + " ".join(map(left_out_sentence, sorted(left_out)))
    )


def _marked(verdicts: pd.DataFrame, word: str, told: str) -> list[str | None]:
    """Return verdicts in words with a mark in front."""
    return [
        f"{MARKS[of_task]} {words}" if of_task in MARKS else None
        for of_task, words in zip(verdicts[word], verdicts[told], strict=True)
    ]


def summary(verdicts: pd.DataFrame) -> str:
    """Return on how many tasks the stack, and CSV, is better, level or worse, as Markdown.

    Args:
        verdicts: side, word and csv_word of `comparisons.verdicts`.
    """
    said = {
        label(method): verdicts[column].dropna()
        for method, column in (("stack", "word"), ("csv", "csv_word"))
        if column in verdicts
    }
    if not said:
        return "No verdict yet: no fit has validation or test models."
    sides = " and ".join(sorted(verdicts["side"].dropna().unique()))
    counts = [
        f"{name} is significantly better than all others on **{int((words == 'better').sum())} of "
        f"{words.size}** tasks and level on {int((words == 'level').sum())}; another is "
        f"significantly better on {int((words == 'worse').sum())}."
        + (f" Not judged: {int(silent.sum())}." if (silent := words == "not judged").any() else "")
        for name, words in said.items()
    ]
    return f"Evaluated on {sides} models. " + " ".join(counts)
