"""Figures of comparisons: baselines, mixes, predictions, and contributions to a model's score."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from csvcore.analysis.scores import candidate_label, merged
from csvcore.figures.law import ACCURACY_AXIS, CURVE_COLOUR, MSE_AXIS, PALETTE, short_run
from csvcore.methods import METHODS, label, shortened
from csvcore.records import Candidate

OWN = ("stack", "learnt")  # kinds of methods that stand out among the baselines


def mix_figure(candidates: Sequence[Candidate], least: float = 0.005) -> Any:
    """Draw a bar for each candidate of a stack, as long as its weight in the mix.

    Args:
        candidates: of a stack.
        least: weight below which a candidate has no bar.
    """
    import plotly.graph_objects as go

    shown = [one for one in merged(candidates) if one.weight >= least][::-1]
    figure = go.Figure(
        go.Bar(
            x=[one.weight for one in shown],
            y=[escape(shortened(candidate_label(one.name))) for one in shown],
            orientation="h",
            marker={"color": PALETTE[0]},
            hovertemplate="%{y}: %{x:.0%}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=".0%", title="weight in the mix", rangemode="tozero")
    figure.update_layout(
        height=90 + 30 * max(len(shown), 1), margin={"l": 10, "r": 10, "t": 10, "b": 10}
    )
    return figure


def baselines_figure(table: pd.DataFrame, floor: float | None, side: str = "test") -> Any:
    """Draw the error of every method with its interval, on a log axis, and the noise floor.

    Args:
        table: method, mse, low and high, best first.
        floor: noise floor of these models, where it is known.
        side: of the models.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    learnt = table["method"].map(lambda name: METHODS[name].kind in OWN).astype(bool)
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
            x=float(np.log10(floor)),  # on a log axis Plotly positions text by log10
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
    """Draw the error of every tried mix against the number of its sources.

    Left of each number is the cross-validated error, with the best and the worst group; right of it
    the error on the test models with its 90 % interval. A single kind of error is centred.

    Args:
        table: the best mix first; mix, sources and, in points of accuracy, error, best, worst, and
            test, test_low, test_high; the last three and the two before may be missing.
        floor: noise floor of the test models, a mean squared error, where it is known.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    both = all(table.get(name, pd.Series()).notna().any() for name in ("error", "test"))
    for name, columns, shift, symbol, colour in (
        ("cross-validated, best to worst group", ("error", "best", "worst"), -0.12, "circle", 0),
        ("test models, 90 % CI", ("test", "test_low", "test_high"), 0.12, "diamond-open", 1),
    ):
        trace = _mix_errors(table, columns, shift * both, symbol, PALETTE[colour])
        if trace:
            figure.add_scatter(**trace, name=name)
    if floor:
        figure.add_hline(
            y=100 * float(np.sqrt(floor)),
            line={"dash": "dot", "color": CURVE_COLOUR, "width": 1},
            annotation_text="noise floor",
        )
    figure.update_layout(
        xaxis={"title": "sources in the mix", "dtick": 1},
        yaxis_title="RMSE, points of accuracy",
        height=380,
        legend={"orientation": "h", "y": 1.12},
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
    )
    return figure


def _mix_errors(
    table: pd.DataFrame, columns: tuple[str, str, str], shift: float, symbol: str, colour: str
) -> dict[str, Any]:
    """Return the trace of one kind of error of all mixes, a star for the best; {} without any."""
    middle, low, high = (table.get(column, pd.Series(dtype=float)) for column in columns)
    rows = middle.dropna().index
    if not len(rows):
        return {}
    star = "star" + "-open" * ("open" in symbol)
    return {
        "x": table["sources"][rows] + shift,
        "y": middle[rows],
        "mode": "markers",
        "marker": {
            "size": [14 if row == table.index[0] else 8 for row in rows],
            "symbol": [star if row == table.index[0] else symbol for row in rows],
            "color": colour,
        },
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": (high - middle).reindex(rows),
            "arrayminus": (middle - low).reindex(rows),
            "color": colour,
            "thickness": 1,
            "width": 2,
        },
        "text": table["mix"][rows].map(escape),
        "hovertemplate": "%{text}<br>%{y:.1f} points<extra></extra>",
    }


def prediction_figure(table: pd.DataFrame, gamma: float) -> Any:
    """Draw predicted accuracies with intervals over training tokens, a line for each run.

    Models without known training tokens are at the right, ordered by score; so are all models where
    there are not two different numbers of tokens. Observed accuracies are drawn where known.

    Args:
        table: from `frames.prediction_table`.
        gamma: chance level.
    """
    from plotly.subplots import make_subplots

    aged = table["train_tokens"].notna() & (table["train_tokens"].nunique() > 1)
    panels = [panel for panel in (True, False) if (aged == panel).any()]
    figure = make_subplots(
        1,
        len(panels),
        shared_yaxes=True,
        column_widths=[0.7, 0.3] if len(panels) == 2 else None,
        horizontal_spacing=0.04,
    )
    ordered = table.sort_values("score").assign(
        model=table["model"].map(escape), label=table["model"].map(shortened).map(escape)
    )
    in_legend: set[str] = set()  # a run in both panels is in the legend once
    for number, (run, rows) in enumerate(ordered.groupby("run", sort=True, dropna=False)):
        colour = PALETTE[number % len(PALETTE)]
        label = escape(shortened("no run" if pd.isna(run) else short_run(str(run))))
        for column, by_tokens in enumerate(panels, 1):
            models = rows[aged[rows.index] == by_tokens]
            models = models.sort_values("train_tokens") if by_tokens else models
            x = "train_tokens" if by_tokens else "model"
            for trace in _prediction_traces(models, x, label, colour):
                name = trace["name"]
                trace |= {"legendgroup": name, "showlegend": name not in in_legend}
                in_legend.add(name)
                figure.add_trace(trace, row=1, col=column)
    figure.add_hline(y=gamma, line={"dash": "dot", "color": CURVE_COLOUR, "width": 1})
    _prediction_axes(figure, panels, ordered.loc[~aged[ordered.index]])
    return figure


def _prediction_axes(figure: Any, panels: Sequence[bool], without_tokens: pd.DataFrame) -> None:
    """Set the axes of `prediction_figure`; panels: True for the one over training tokens."""
    for column, by_tokens in enumerate(panels, 1):
        if by_tokens:
            figure.update_xaxes(title="training tokens", row=1, col=column)
        else:
            labels = zip(without_tokens["model"], without_tokens["label"], strict=True)
            figure.update_xaxes(
                title="model, best score first",
                type="category",
                categoryorder="array",
                categoryarray=without_tokens["model"].tolist(),
                labelalias=dict(labels),
                row=1,
                col=column,
            )
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title=ACCURACY_AXIS, row=1, col=1)
    figure.update_layout(height=420, margin={"l": 10, "r": 10, "t": 10, "b": 10})


def _prediction_traces(
    rows: pd.DataFrame, x: str, label: str, colour: str
) -> Iterator[dict[str, Any]]:
    """Yield the predicted and, where known, the observed accuracies of one run as traces."""
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
    observed = rows.dropna(subset=["accuracy"])
    if not observed.empty:
        yield {
            "type": "scatter",
            "x": observed[x].tolist(),
            "y": observed["accuracy"].tolist(),
            "mode": "markers",
            "marker": {"color": colour, "size": 10, "symbol": "diamond-open"},
            "name": f"{label}, observed",
            "text": observed["label"].tolist(),
            "hovertemplate": "%{text}<br>observed %{y:.3f}<extra></extra>",
        }


def added_bars(table: pd.DataFrame) -> Any:
    """Draw each source's contribution to a model's score; hatched = worse than expected.

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
