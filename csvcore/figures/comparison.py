"""Figures of what is found: baselines, mixes, forecasts, and why a model is off the curve."""

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from csvcore.figures.law import ACCURACY_AXIS, CURVE_COLOUR, MSE_AXIS, PALETTE, short_run
from csvcore.methods import METHODS, label, shortened


def baselines_figure(table: pd.DataFrame, floor: float | None, side: str = "test") -> Any:
    """Draw the error of every method with its interval, on a log axis, and the noise floor.

    Args:
        table: method, mse, low and high, best first.
        floor: noise floor of these models, where it is known.
        side: whose models judge.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    learnt = table["method"].map(lambda name: METHODS[name].kind == "learnt").astype(bool)
    for is_learnt, colour, symbol in ((True, PALETTE[0], "star"), (False, PALETTE[7], "circle")):
        rows = table[learnt == is_learnt]
        figure.add_scatter(
            x=rows["mse"],
            y=rows["method"].map(label),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 12 if is_learnt else 9},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": rows["high"] - rows["mse"],
                "arrayminus": rows["mse"] - rows["low"],
                "color": colour,
            },
            hovertemplate="%{y}: %{x:.2e}<extra></extra>",
            showlegend=False,
        )
    if floor:
        figure.add_vline(x=floor, line={"dash": "dot", "color": CURVE_COLOUR})
        figure.add_annotation(
            x=float(np.log10(floor)),  # Plotly takes the place of a text on a log axis as its log
            yref="paper",
            y=1,
            yanchor="bottom",
            text="noise floor",
            showarrow=False,
        )
    figure.update_xaxes(type="log", exponentformat="power", title=f"{side} {MSE_AXIS}")
    figure.update_yaxes(
        categoryorder="array", categoryarray=table["method"].map(label).tolist()[::-1]
    )
    figure.update_layout(height=110 + 32 * len(table), margin={"l": 10, "r": 10, "t": 30, "b": 10})
    return figure


def search_figure(table: pd.DataFrame, floor: float | None) -> Any:
    """What every mix that was tried is off by, against the number of its sources.

    Left of each number the error on models left out, with the best and the worst group of them;
    right of it the error on the test models with its 90 % interval. One of them alone stands on it.

    Args:
        table: the best mix first; mix, sources and, in points of accuracy, error, best, worst, and
            test, test_low, test_high; the last three and the two before may be missing.
        floor: noise floor of the test models, a mean squared error, where it is known.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    beside = all(table.get(name, pd.Series()).notna().any() for name in ("error", "test"))
    for name, columns, shift, symbol, colour in (
        ("models left out, best to worst group", ("error", "best", "worst"), -0.12, "circle", 0),
        ("test models, 90 %", ("test", "test_low", "test_high"), 0.12, "diamond-open", 1),
    ):
        middle, low, high = (table.get(column, pd.Series(dtype=float)) for column in columns)
        known = middle.dropna().index
        if not len(known):
            continue
        figure.add_scatter(
            x=table["sources"][known] + shift * beside,
            y=middle[known],
            mode="markers",
            marker={
                "size": [14 if row == table.index[0] else 8 for row in known],
                "symbol": [
                    "star" + "-open" * ("open" in symbol) if row == table.index[0] else symbol
                    for row in known
                ],
                "color": PALETTE[colour],
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (high - middle).reindex(known),
                "arrayminus": (middle - low).reindex(known),
                "color": PALETTE[colour],
                "thickness": 1,
                "width": 2,
            },
            name=name,
            text=table["mix"][known].map(escape),
            hovertemplate="%{text}<br>%{y:.1f} points<extra></extra>",
        )
    if floor:
        figure.add_hline(
            y=100 * float(np.sqrt(floor)),
            line={"dash": "dot", "color": CURVE_COLOUR, "width": 1},
            annotation_text="noise floor",
        )
    figure.update_layout(
        xaxis={"title": "sources in the mix, number", "dtick": 1},
        yaxis_title="root mean squared error, points of accuracy",
        height=380,
        legend={"orientation": "h", "y": 1.12},
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
    )
    return figure


def forecast_figure(table: pd.DataFrame, gamma: float) -> Any:
    """Predicted accuracy with its interval over training tokens, a line a run; observed beside it.

    Models of which no tokens are known stand at the right, in the order of their scores; all do
    where there are not two numbers of tokens.

    Args:
        table: from `tables.forecast_table`.
        gamma: chance level.
    """
    from plotly.subplots import make_subplots

    aged = table["train_tokens"].notna() & (table["train_tokens"].nunique() > 1)
    sides = [side for side in (True, False) if (aged == side).any()]
    figure = make_subplots(
        1,
        len(sides),
        shared_yaxes=True,
        column_widths=[0.7, 0.3] if len(sides) == 2 else None,
        horizontal_spacing=0.04,
    )
    ordered = table.sort_values("score").assign(
        model=table["model"].map(escape), label=table["model"].map(shortened).map(escape)
    )
    told: set[str] = set()  # a run on both sides stands in the legend once
    for number, (run, rows) in enumerate(ordered.groupby("run", sort=True, dropna=False)):
        colour = PALETTE[number % len(PALETTE)]
        label = escape(shortened("no run" if pd.isna(run) else short_run(str(run))))
        for column, side in enumerate(sides, 1):
            own = rows[aged[rows.index] == side]
            own = own.sort_values("train_tokens") if side else own
            x = "train_tokens" if side else "model"
            for trace in _forecast_traces(own, x, label, colour):
                once = {"legendgroup": trace["name"], "showlegend": trace["name"] not in told}
                told.add(trace["name"])
                figure.add_trace(trace | once, row=1, col=column)
    figure.add_hline(y=gamma, line={"dash": "dot", "color": CURVE_COLOUR, "width": 1})
    for column, side in enumerate(sides, 1):
        if side:
            figure.update_xaxes(title="training tokens, number", row=1, col=column)
        else:
            figure.update_xaxes(
                title="model, best score first",
                type="category",
                categoryorder="array",
                categoryarray=ordered.loc[~aged[ordered.index], "model"].tolist(),
                labelalias=dict(zip(ordered["model"], ordered["label"], strict=True)),
                row=1,
                col=column,
            )
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title=ACCURACY_AXIS, row=1, col=1)
    figure.update_layout(height=420, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _forecast_traces(
    rows: pd.DataFrame, x: str, label: str, colour: str
) -> Iterator[dict[str, Any]]:
    """What is predicted of the models of one run, and what was observed, where there is any."""
    if rows.empty:
        return
    yield {
        "type": "scatter",
        "x": rows[x].tolist(),
        "y": rows["predicted"].tolist(),
        "mode": "lines+markers" if x == "train_tokens" else "markers",
        "marker": {
            "color": colour,
            "size": 8,
            "symbol": np.where(rows["extrapolated"], "x", "circle").tolist(),
        },
        "line": {"color": colour},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": (rows["high"] - rows["predicted"]).tolist(),
            "arrayminus": (rows["predicted"] - rows["low"]).tolist(),
            "color": colour,
            "thickness": 1,
        },
        "name": f"{label}, predicted",
        "text": rows["label"].tolist(),
        "hovertemplate": "%{text}<br>predicted %{y:.3f}<extra></extra>",
    }
    seen = rows.dropna(subset=["accuracy"])
    if not seen.empty:
        yield {
            "type": "scatter",
            "x": seen[x].tolist(),
            "y": seen["accuracy"].tolist(),
            "mode": "markers",
            "marker": {"color": colour, "size": 10, "symbol": "diamond-open"},
            "name": f"{label}, observed",
            "text": seen["label"].tolist(),
            "hovertemplate": "%{text}<br>observed %{y:.3f}<extra></extra>",
        }


def added_bars(table: pd.DataFrame) -> Any:
    """What each source adds to a model's score; hatched where it does worse than expected.

    Args:
        table: source, added (nats per character).
    """
    import plotly.graph_objects as go

    ordered = table.sort_values("added")
    worse = ordered["added"] > 0
    figure = go.Figure(
        go.Bar(
            x=ordered["added"],
            y=ordered["source"].map(escape),
            orientation="h",
            marker={
                "color": np.where(worse, PALETTE[1], PALETTE[0]),
                "pattern": {"shape": np.where(worse, "/", "")},
            },
            hovertemplate="%{y}: %{x:.5f}<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis_title="added, nats per character",
        height=260,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
    )
    return figure
