"""Figures of two fits side by side: weight against weight, prediction against prediction."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from csvcore.figures.law import CURVE_COLOUR, PALETTE
from csvcore.figures.tokens import visible

MOST = 3000  # points: those that differ most, and others drawn at random
HALF = MOST // 2


def drawn_weights(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that `weights_figure` draws, MOST at most.

    Half of them differ most; the other half is drawn from the rest, the same each time.

    Args:
        table: from `frames.weights_side_by_side`, largest difference first.
    """
    if len(table) <= MOST:
        return table
    rest = np.random.default_rng(0).choice(np.arange(HALF, len(table)), MOST - HALF, replace=False)
    return table.iloc[[*range(HALF), *np.sort(rest).tolist()]]


def weights_figure(table: pd.DataFrame) -> Any:
    """Draw the weight of each token in fit B over that in fit A; see `drawn_weights`."""
    shown = drawn_weights(table)
    pairs = zip(shown["text"].astype(str), shown["doc_id"].astype(str), strict=True)
    words = [f"{escape(visible(word))}<br>{escape(doc_id)}" for word, doc_id in pairs]
    figure = _scatter(shown["a"], shown["b"], words, ".2f")
    figure.update_xaxes(title="weight in A")
    figure.update_yaxes(title="weight in B")
    return figure


def predictions_figure(table: pd.DataFrame) -> Any:
    """Draw the accuracy that fit B predicts of each model over that of fit A.

    Args:
        table: from `frames.predictions_side_by_side`.
    """
    words = table["model"].map(escape).tolist()
    figure = _scatter(table["a"], table["b"], words, ".3f")
    figure.update_xaxes(title="accuracy predicted by A")
    figure.update_yaxes(title="accuracy predicted by B")
    return figure


def _scatter(x: "pd.Series[float]", y: "pd.Series[float]", words: list[str], form: str) -> Any:
    """Draw points over a line of equal values."""
    import plotly.graph_objects as go

    figure = go.Figure()
    if len(x):
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        figure.add_scatter(
            x=ends, y=ends, mode="lines", name="equal", hoverinfo="skip", showlegend=False,
            line={"color": CURVE_COLOUR, "dash": "dot", "width": 1},
        )  # fmt: skip
    figure.add_scatter(
        x=x.tolist(), y=y.tolist(), mode="markers", text=words, showlegend=False, name="",
        marker={"color": PALETTE[0], "size": 6, "opacity": 0.6},
        hovertemplate=f"%{{text}}<br>A %{{x:{form}}}, B %{{y:{form}}}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(height=420, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure
