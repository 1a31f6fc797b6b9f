"""Counts, warnings and tree of a split."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from csvcore import splits
from csvcore.figures import law
from csvcore.figures.coverage import tree_figure
from csvcore.records import SIDES, Side
from dashboard.queries import coverage, database, figures
from dashboard.queries.database import Database
from dashboard.widgets import figure, text

TREE_HEIGHT = 520  # pixels beyond which the tree scrolls
DOWNLOADS = 80  # pixels below the tree
EMPTY_SIDES: dict[Side, str] = {
    "validation": "Algorithm 2 cannot stop early, and the penalty is chosen on train models alone",
    "test": "the prediction error of a fit cannot be measured",
}


def show(
    db: Database, corpus: str | None, name: str, sides: Mapping[str, Side], models: pd.DataFrame
) -> None:
    """Draw the counts of models by side, warnings, and the tree of models."""
    cards = database.cards(db)
    counts = {side: list(sides.values()).count(side) for side in SIDES}
    with st.container(horizontal=True):
        st.metric("Families", models["family"].nunique(), border=True)
        st.metric(
            "Training runs",
            database.n_runs(db),
            border=True,
            help="Counts the combinations of family, size, stage and named run.",
        )
        st.metric("Models", len(cards), border=True, help="Counts every checkpoint.")
        for side, count in counts.items():
            st.metric(side.capitalize(), count, border=True, help=f"Counts the {side} models.")
    empty = [
        f"No {side} models: {consequence}."
        for side, consequence in EMPTY_SIDES.items()
        if not counts[side]
    ]
    hashes = (
        [coverage.fingerprints(db, corpus), coverage.weight_hashes(db, corpus)] if corpus else []
    )
    text.warn(empty + [text.plain(leak) for leak in splits.leaks(cards, dict(sides), hashes)])
    _tree(db, name, models.assign(split=models["model"].map(dict(sides))))


def _tree(db: Database, name: str, models: pd.DataFrame) -> None:
    colours = figures.colours(db)
    tree = tree_figure(models, colours)
    st.html(law.legend_html(colours))
    st.caption("x = excluded")
    with st.container(height=min(TREE_HEIGHT, tree.layout.height + DOWNLOADS), border=False):
        figure.show(
            tree,
            models[
                ["model", "family", "n_params", "stage", "run", "step", "train_tokens", "split"]
            ],
            key="tree",
            name=f"models-{name}",
            alt="Families, their sizes, and the side of every checkpoint",
        )
