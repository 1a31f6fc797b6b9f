"""Figures of forecasts: bands over compute, what an accuracy takes, backtests, and runs."""

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Any

import numpy as np
import pandas as pd

from csvcore.figures.law import ACCURACY_AXIS, CURVE_COLOUR, PALETTE, short_run
from csvcore.forecasting.answers import BacktestRow
from csvcore.forecasting.course import Course
from csvcore.forecasting.iso_accuracy import IsoPoint
from csvcore.records import Floats

FLOPS_AXIS = "training FLOPs"
TOKENS_AXIS = "training tokens"
SHADE = "rgba(68, 119, 170, 0.18)"  # of a 90 % interval, in the first colour of the palette
MARGIN = {"l": 10, "r": 10, "t": 10, "b": 10}
_BELOW = {"orientation": "h", "y": -0.25, "x": 0}  # a legend clear of the axis title


def band_figure(
    points: pd.DataFrame, path: pd.DataFrame, target: pd.DataFrame, gamma: float
) -> Any:
    """Draw trained models, the forecast along growing compute with its band, and the target.

    Args:
        points: of trained models: model, run, flops, accuracy.
        path: flops, predicted, low, high, in the order of flops.
        target: one row of the same columns.
        gamma: chance level.
    """
    import plotly.graph_objects as go

    figure = go.Figure(_band(path["flops"].to_numpy(), path))
    runs = points.groupby("run", sort=False)
    for number, (run, rows) in enumerate(runs):
        figure.add_scatter(
            x=rows["flops"],
            y=rows["accuracy"],
            mode="markers",
            marker={"color": PALETTE[(number + 1) % len(PALETTE)], "size": 7},
            text=rows["model"].map(escape),
            name=escape(short_run(str(run))),
            hovertemplate="%{text}<br>%{x:.2e} FLOPs<br>%{y:.3f}<extra></extra>",
        )
    one = target.iloc[0]
    figure.add_scatter(
        x=[one["flops"]],
        y=[one["predicted"]],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one["high"] - one["predicted"]],
            "arrayminus": [one["predicted"] - one["low"]],
        },
        mode="markers",
        marker={"color": PALETTE[0], "size": 14, "symbol": "star"},
        name="your model",
        hovertemplate="%{x:.2e} FLOPs<br>%{y:.3f}<extra>your model</extra>",
    )
    _accuracy_axes(figure, FLOPS_AXIS, gamma)
    return figure


def course_figure(course: Course, gamma: float) -> Any:
    """Draw a run's known checkpoints, its forecast course with its band, and a line for now."""
    import plotly.graph_objects as go

    known = course.known_tokens
    table = pd.DataFrame({"predicted": course.predicted, "low": course.low, "high": course.high})
    figure = go.Figure(_band(course.tokens, table))
    figure.add_scatter(
        x=known,
        y=course.known_accuracy,
        mode="markers",
        marker={
            "color": PALETTE[1],
            "size": 9,
            "symbol": "circle" if course.measured else "circle-open",
        },
        name="measured" if course.measured else "from losses",
        hovertemplate="%{x:.3s} tokens<br>%{y:.3f}<extra></extra>",
    )
    promised = course.known_accuracy - [one.difference for one in course.lag]
    figure.add_scatter(
        x=known,
        y=promised,
        mode="lines",
        line={"dash": "dash", "color": CURVE_COLOUR},
        name="promised by other runs",
        hovertemplate="%{x:.3s} tokens<br>%{y:.3f}<extra>promised</extra>",
    )
    figure.add_vline(x=known[-1], line={"dash": "dot", "color": CURVE_COLOUR, "width": 1})
    # Plotly places annotations on a log axis by the exponent.
    place = {"x": log10(known[-1]), "y": 1.0, "xref": "x", "yref": "paper", "yanchor": "bottom"}
    figure.add_annotation(text="now", showarrow=False, **place)
    _accuracy_axes(figure, TOKENS_AXIS, gamma)
    figure.update_layout(margin={**MARGIN, "t": 26})
    return figure


def iso_figure(points: Sequence[IsoPoint], accuracy: float) -> Any:
    """Draw the tokens that an accuracy takes over model size, with the end of their interval."""
    import plotly.graph_objects as go

    table = pd.DataFrame(
        {
            "n_params": [one.n_params for one in points],
            "train_tokens": [one.train_tokens for one in points],
            "flops": [one.flops for one in points],
            "most": [one.most_tokens for one in points],
        }
    )
    figure = go.Figure(
        go.Scatter(
            x=table["n_params"],
            y=table["train_tokens"],
            customdata=table["flops"],
            mode="lines+markers",
            line={"color": PALETTE[0]},
            name=f"{accuracy:g} expected",
            hovertemplate="%{x:.3s} parameters<br>%{y:.3s} tokens<br>%{customdata:.2e} FLOPs"
            "<extra></extra>",
        )
    )
    if table["most"].notna().any():
        figure.add_scatter(
            x=table["n_params"],
            y=table["most"],
            mode="lines",
            line={"color": PALETTE[0], "dash": "dot"},
            name=f"{accuracy:g} at the lower end of the interval",
            hovertemplate="%{x:.3s} parameters<br>%{y:.3s} tokens<extra></extra>",
        )
    figure.update_xaxes(type="log", title="parameters")
    figure.update_yaxes(type="log", title=TOKENS_AXIS)
    figure.update_layout(height=380, margin=MARGIN, legend=_BELOW)
    return figure


def backtest_figure(rows: Sequence[BacktestRow]) -> Any:
    """Draw the errors of a task's backtest by horizon, beside those of carrying forward."""
    import plotly.graph_objects as go

    labels = [f"\u2264 {row.horizon:g}\u00d7" for row in rows]
    figure = go.Figure()
    for name, values, colour in (
        ("forecast", [row.error for row in rows], PALETTE[0]),
        ("largest model carried forward", [row.carried for row in rows], PALETTE[7]),
    ):
        figure.add_bar(
            x=labels,
            y=[100 * value for value in values],
            marker={"color": colour},
            name=name,
            customdata=[[row.n, row.coverage] for row in rows],
            hovertemplate="%{y:.1f} points<br>%{customdata[0]} models"
            "<br>%{customdata[1]:.0%} of intervals held<extra></extra>",
        )
    figure.update_xaxes(title="horizon")
    figure.update_yaxes(title="mean error, points", rangemode="tozero")
    figure.update_layout(height=320, margin=MARGIN, legend=_BELOW, barmode="group")
    return figure


def _band(x: Floats, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the traces of a forecast with its 90 % interval."""
    line = {"type": "scatter", "mode": "lines"}
    return [
        line
        | {
            "x": np.concatenate([x, x[::-1]]),
            "y": np.concatenate([table["high"], table["low"][::-1]]),
            "line": {"width": 0, "color": PALETTE[0]},
            "fill": "toself",
            "fillcolor": SHADE,
            "hoverinfo": "skip",
            "name": "90 % interval",
        },
        line
        | {
            "x": x,
            "y": table["predicted"],
            "line": {"color": PALETTE[0], "width": 2},
            "name": "forecast",
            "hovertemplate": "%{x:.3s}<br>%{y:.3f}<extra>forecast</extra>",
        },
    ]


def _accuracy_axes(figure: Any, title: str, gamma: float) -> None:
    figure.add_hline(y=gamma, line={"dash": "dot", "color": CURVE_COLOUR, "width": 1})
    figure.update_xaxes(type="log", title=title, exponentformat="power")
    figure.update_yaxes(title=ACCURACY_AXIS, range=[-0.03, 1.03])
    figure.update_layout(height=420, margin=MARGIN, legend=_BELOW)
