"""The table of tasks that can be predicted from the losses, and why not."""

import streamlit as st

from dashboard.queries import predictability
from dashboard.queries.database import Database
from dashboard.widgets import figure, text

POINTS = "Fraction of the items: 0.01 is one point. "
HELP = {
    "spread": "Standard deviation of the accuracy over models.",
    "item_noise": f"{POINTS}Standard deviation of an accuracy over draws of items.",
    "seed_noise": f"{POINTS}Standard deviation among repeated runs, which cards name by `run`.",
    "run_noise": f"{POINTS}Standard deviation about a straight line from checkpoint to checkpoint.",
    "detectable": f"{POINTS}Least difference of two models that the items show (5 %, 80 % power).",
    "left_out_r2": "Variance of left-out families that the best single source explains.",
    "signal_to_noise": "Relative dispersion of runs over relative noise at their ends.",
    "reliability": "KR-20 of the item results: near 1 the items agree on the models.",
}
LABELS = {
    "item_noise": "item noise",
    "seed_noise": "seed noise",
    "run_noise": "run noise",
    "detectable": "detectable difference",
    "left_out_r2": "R² left out",
    "signal_to_noise": "signal / noise",
}
FORMATS = {"left_out_r2": "%.2f", "signal_to_noise": "%.0f", "reliability": "%.2f"}


def show(db: Database, corpus: str, split: str) -> None:
    """Draw the verdict on every task, then what families and losses have to do with it."""
    found = predictability.assessment(db, corpus, split)
    if not found.tasks:
        return
    st.subheader("Predictability of the tasks", divider="gray")
    numbers = {
        name: st.column_config.NumberColumn(
            LABELS.get(name, name), format=FORMATS.get(name, "%.3f"), help=help_text
        )
        for name, help_text in HELP.items()
    }
    figure.show_table(
        predictability.tasks(found),
        column_config={
            "change": st.column_config.TextColumn("what would help", width="medium"),
            "reason": st.column_config.TextColumn(width="large"),
            "n_models": st.column_config.NumberColumn("models", help="Train and validation models"),
            "rises_in": st.column_config.ListColumn("rises in"),
        }
        | numbers,
    )
    st.caption(
        "From train and validation models; test models are not read. Predictable: at least three "
        "families rise, 90 % of the variance is signal, and the best source explains half of the "
        "variance of families left out."
    )
    text.warn([text.plain(one.sentence) for one in found.confounds if one.severe])
    with st.expander("Loss of each source: spread and noise, nats per character"):
        figure.show_table(predictability.sources(found))
        for confound in found.confounds:
            if not confound.severe:
                st.caption(text.plain(confound.sentence))
